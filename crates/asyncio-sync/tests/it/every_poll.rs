//! Everything that waits, dropped at each of its polls while the others go on: nothing is lost, and nothing is left.
//!
//! Random steps from a seed, with the sums checked at every step: what went in is what came out, what came back, and what is still there.

use std::collections::VecDeque;

use asyncio_sync::{
    Barrier, Condition, Event, Mutex, OnceCell, Queue, RwLock, Semaphore, channel, rendezvous,
};

use crate::support::{Hand, Random, once};

const SEEDS: u64 = 300;

fn seeds(check: impl Fn(&mut Random)) {
    for seed in 0..SEEDS {
        eprintln!("seed {seed}");
        check(&mut Random(seed));
    }
}

/// Some futures that wait; each step adds one, polls one, or drops one.
struct Waiting<'a, T> {
    hands: VecDeque<Hand<'a, T>>,
}

impl<'a, T> Waiting<'a, T> {
    fn new() -> Self {
        Self { hands: VecDeque::new() }
    }

    /// Returns the output of one that is ready, and drops some that are not.
    fn step(&mut self, random: &mut Random, make: impl FnOnce() -> Hand<'a, T>) -> Option<T> {
        match random.below(4) {
            0 => self.hands.push_back(make()),
            1 if !self.hands.is_empty() => drop(self.hands.remove(random.below(self.hands.len()))),
            _ if !self.hands.is_empty() => {
                let index = random.below(self.hands.len());
                if let std::task::Poll::Ready(output) = self.hands[index].poll() {
                    drop(self.hands.remove(index));
                    return Some(output);
                }
            }
            _ => {}
        }
        None
    }

    /// Polls until nobody who was woken is left.
    fn settle(&mut self, mut end: impl FnMut(T)) {
        while let Some(index) = self.hands.iter().position(Hand::is_woken) {
            let mut hand = self.hands.remove(index).unwrap();
            if let std::task::Poll::Ready(output) = hand.poll() {
                end(output);
            }
        }
    }
}

#[test]
fn a_mutex_is_never_held_by_nobody_nor_by_two() {
    seeds(|random| {
        let mutex = Mutex::new(());
        let mut waiting = Waiting::new();
        let mut held = None;
        for _ in 0..200 {
            if let Some(guard) = waiting.step(random, || Hand::new(mutex.lock())) {
                assert!(held.is_none());
                held = Some(guard);
            }
            if random.below(3) == 0 {
                held = None;
            }
        }
        drop(held);
        waiting.settle(drop);
        assert_eq!((mutex.is_locked(), mutex.statistics().waiting), (false, 0), "a turn is lost");
    });
}

#[test]
fn permits_are_conserved() {
    seeds(|random| {
        const PERMITS: usize = 3;
        let semaphore = Semaphore::bounded(PERMITS);
        let mut waiting = Waiting::new();
        let mut held = Vec::new();
        for _ in 0..200 {
            let count = random.below(PERMITS + 1);
            held.extend(
                waiting.step(random, || Hand::new(semaphore.acquire_many(count))).map(Result::unwrap),
            );
            if random.below(3) == 0 && !held.is_empty() {
                drop(held.swap_remove(random.below(held.len())));
            }
            let out: usize = held.iter().map(asyncio_sync::Permit::count).sum();
            assert!(out + semaphore.available_permits() <= PERMITS);
        }
        held.clear();
        waiting.settle(drop);
        // None wants more than there are, so all have had theirs.
        assert_eq!(
            (semaphore.available_permits(), semaphore.statistics().waiting),
            (PERMITS, 0),
            "a turn is lost"
        );
    });
}

#[test]
fn a_rw_lock_comes_back_whole() {
    seeds(|random| {
        let lock = RwLock::new(());
        let mut reads = Waiting::new();
        let mut writes = Waiting::new();
        let mut upgrades = Waiting::new();
        let (mut reading, mut writing) = (Vec::new(), Vec::new());
        for _ in 0..300 {
            reading.extend(reads.step(random, || Hand::new(lock.read())));
            writing.extend(writes.step(random, || Hand::new(lock.write())));
            writing.extend(upgrades.step(random, || {
                Hand::new(async {
                    let guard = lock.upgradable_read().await;
                    guard.upgrade().await
                })
            }));
            assert!(writing.len() <= 1 && (writing.is_empty() || reading.is_empty()));
            match random.below(4) {
                0 => drop(reading.pop()),
                1 => drop(writing.pop()),
                2 => reading.extend(writing.pop().map(asyncio_sync::RwLockWriteGuard::downgrade)),
                _ => {}
            }
        }
        drop((reading, writing, reads, writes, upgrades));
        let statistics = lock.statistics();
        assert_eq!((statistics.readers, statistics.has_writer, statistics.waiting), (0, false, 0));
    });
}

#[test]
fn a_condition_is_never_held_by_nobody_and_no_notification_is_lost() {
    seeds(|random| {
        let condition = Condition::new(());
        let mut waiting = Waiting::new();
        let make = || Hand::new(async { condition.lock().await.wait().await });
        for _ in 0..200 {
            _ = waiting.step(random, make);
            if random.below(4) == 0 {
                condition.notify(random.below(3));
            }
            // Whoever was woken runs, or goes; then the lock is free, and whoever still sleeps was not notified.
            if random.below(4) == 0 {
                waiting.settle(drop);
                let before = condition.statistics().waiting;
                assert!(!condition.statistics().is_locked);
                condition.notify(1);
                waiting.settle(drop);
                assert_eq!(condition.statistics().waiting, before.saturating_sub(1));
            }
        }
        drop(waiting);
        assert_eq!((condition.statistics().is_locked, condition.statistics().waiting), (false, 0));
    });
}

#[test]
fn an_event_and_a_barrier_forget_those_who_go() {
    seeds(|random| {
        let (event, barrier) = (Event::new(), Barrier::new(3));
        let mut events = Waiting::new();
        let mut barriers = Waiting::new();
        for _ in 0..200 {
            _ = events.step(random, || Hand::new(event.wait()));
            _ = barriers.step(random, || Hand::new(barrier.wait()));
            assert!(barrier.waiting() < 3);
            if random.below(5) == 0 {
                event.set();
                event.clear();
            }
        }
        drop((events, barriers));
        assert_eq!((event.statistics().waiting, barrier.waiting()), (0, 0));
    });
}

#[test]
fn a_cell_is_made_whoever_goes() {
    seeds(|random| {
        let cell = OnceCell::new();
        let mut waiting = Waiting::new();
        let mut seen = None;
        for _ in 0..40 {
            let make = || {
                Hand::new(cell.get_or_init(|| async {
                    futures_lite::future::yield_now().await;
                    futures_lite::future::yield_now().await;
                    7
                }))
            };
            seen = seen.or(waiting.step(random, make));
        }
        drop(waiting);
        assert_eq!(cell.statistics().waiting, 0);
        let expected = if cell.is_set() { 7 } else { 8 };
        assert_eq!(once(cell.get_or_init(|| async { 8 })), Some(&expected));
        assert!(seen.is_none_or(|seen| *seen == 7));
    });
}

/// Items in = out + given back + dropped with a send that waited + still inside, and each comes once.
#[test]
fn a_channel_loses_and_doubles_nothing() {
    seeds(|random| {
        let capacity = random.below(4);
        let (sender, receiver) = if capacity == 0 { rendezvous() } else { channel(capacity) };
        let mut sends = Waiting::new();
        let mut recvs = Waiting::new();
        let mut slots = Vec::new();
        let mut reserves = Waiting::new();
        let alive = std::rc::Rc::new(());
        let mut next = 0;
        let mut number = || {
            next += 1;
            (next, alive.clone())
        };
        let (mut sent, mut received) = (0, Vec::new());
        for step in 0..300 {
            // Polled at once, so that its place in line is that of its number.
            let made = sends.step(random, || {
                let mut send = Hand::new(sender.send(number()));
                match send.poll() {
                    std::task::Poll::Ready(result) => Hand::new(std::future::ready(result)),
                    std::task::Poll::Pending => send,
                }
            });
            sent += usize::from(made.is_some_and(|result| result.is_ok()));
            received.extend(recvs.step(random, || Hand::new(receiver.recv())).and_then(Result::ok));
            slots.extend(reserves.step(random, || Hand::new(sender.reserve())).and_then(Result::ok));
            if random.below(3) == 0 {
                match (slots.pop(), random.below(2)) {
                    (Some(slot), 0) => slot.send(number()),
                    (slot, _) => drop(slot),
                }
            }
            if step > 250 && random.below(100) == 0 {
                receiver.close();
            }
            assert!(capacity == 0 || receiver.len() <= capacity);
        }
        drop(slots);
        recvs.settle(|result| received.extend(result.ok()));
        drop((sends, recvs, reserves));
        received.extend(std::iter::from_fn(|| receiver.try_recv().ok()));
        assert!(received.len() >= sent, "{} of {sent}", received.len());
        assert_conserved(&sender, &mut received, capacity, &alive);
    });
}

/// What is left of it, once all futures and slots are gone.
fn assert_conserved(
    sender: &asyncio_sync::channel::Sender<(usize, std::rc::Rc<()>)>,
    received: &mut Vec<(usize, std::rc::Rc<()>)>,
    capacity: usize,
    alive: &std::rc::Rc<()>,
) {
    // A slot may be used long after it was promised, and one who was woken first may run last.
    let mut numbers: Vec<_> = received.drain(..).map(|(number, _)| number).collect();
    numbers.sort_unstable();
    assert!(numbers.windows(2).all(|pair| pair[0] < pair[1]), "one came twice: {numbers:?}");
    let statistics = sender.statistics();
    assert_eq!((statistics.waiting_to_send, statistics.waiting_to_receive, statistics.len), (0, 0, 0));
    assert_eq!(std::rc::Rc::strong_count(alive), 1, "an item is left somewhere");
    if !sender.is_closed() && capacity > 0 {
        let room = std::iter::from_fn(|| sender.try_send((0, alive.clone())).ok()).count();
        assert_eq!(room, capacity, "a slot is lost");
    }
}

#[test]
fn a_queue_comes_to_its_end_whoever_goes() {
    seeds(|random| {
        let queue = Queue::new(2);
        let mut puts = Waiting::new();
        let mut gets = Waiting::new();
        let mut joins = Waiting::new();
        let mut next = 0;
        let mut last = None;
        let got = |item: usize, last: &mut Option<usize>| {
            assert!(last.is_none_or(|last| last < item), "out of order");
            *last = Some(item);
            queue.task_done();
        };
        for _ in 0..200 {
            _ = puts.step(random, || {
                next += 1;
                // Polled at once, so that its place in line is that of its number.
                let mut put = Hand::new(queue.put(next));
                if put.poll().is_ready() { Hand::new(std::future::pending()) } else { put }
            });
            if let Some(item) = gets.step(random, || Hand::new(queue.get())) {
                got(item.unwrap(), &mut last);
            }
            _ = joins.step(random, || Hand::new(queue.join()));
        }
        drop((puts, gets));
        while let Ok(item) = queue.try_get() {
            got(item, &mut last);
        }
        assert!(joins.hands.iter_mut().all(|join| join.poll().is_ready()));
        assert_eq!(queue.statistics().unfinished, 0);
    });
}

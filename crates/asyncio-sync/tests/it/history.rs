//! Histories across threads, checked for linearisability against a sequential model.
//!
//! Each thread notes for each operation a time before and a time after, from one counter. A history is linearisable if its operations can be put in an order
//! that the times allow and that the model accepts (Herlihy and Wing, 1990); the search is that of Wing and Gong, with the states that failed kept.

use std::collections::{HashSet, VecDeque};
use std::hash::Hash;
use std::sync::Mutex as StdMutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use asyncio_sync::{LifoQueue, PriorityQueue, Queue, Semaphore, TryRecvError, channel};

use crate::support::{Hand, Random, once, threads};

#[derive(Clone, Debug)]
struct Noted<O> {
    from: usize,
    to: usize,
    operation: O,
}

/// Runs `step` on three threads, several times each, and returns what they noted.
fn history<O: Send>(seed: u64, step: impl Fn(&mut Random, usize) -> O + Sync) -> Vec<Noted<O>> {
    let (clock, noted) = (AtomicUsize::new(0), StdMutex::new(Vec::new()));
    threads(3, |thread| {
        let mut random = Random(seed * 3 + thread as u64);
        let mut own = Vec::new();
        for n in 0..6 {
            let from = clock.fetch_add(1, Ordering::SeqCst);
            let operation = step(&mut random, thread * 100 + n);
            own.push(Noted { from, to: clock.fetch_add(1, Ordering::SeqCst), operation });
        }
        noted.lock().unwrap().extend(own);
    });
    noted.into_inner().unwrap()
}

/// Whether the operations have an order that the times and the model allow. `apply` says whether one may come next, and what is then.
fn is_linearisable<O, S: Clone + Eq + Hash>(
    history: &[Noted<O>],
    state: S,
    apply: &impl Fn(&S, &O) -> Option<S>,
) -> bool {
    fn search<O, S: Clone + Eq + Hash>(
        history: &[Noted<O>],
        done: u32,
        state: S,
        apply: &impl Fn(&S, &O) -> Option<S>,
        failed: &mut HashSet<(u32, S)>,
    ) -> bool {
        if done.count_ones() as usize == history.len() {
            return true;
        }
        if !failed.insert((done, state.clone())) {
            return false;
        }
        let left = || (0..history.len()).filter(|n| done >> n & 1 == 0);
        let earliest_end = left().map(|n| history[n].to).min().unwrap_or(0);
        left().filter(|&n| history[n].from < earliest_end).any(|n| {
            apply(&state, &history[n].operation)
                .is_some_and(|next| search(history, done | 1 << n, next, apply, failed))
        })
    }
    search(history, 0, state, apply, &mut HashSet::new())
}

#[derive(Clone, Debug, PartialEq)]
enum Operation {
    Put(usize, bool),
    /// What was got; `None` if nothing was there.
    Get(Option<usize>),
}

/// What a bounded store does, one operation after the other. A `try_get` may find nothing although something is there, if it is promised to one who waits;
/// here nobody waits but inside of an operation.
fn bounded(
    capacity: usize,
    take: impl Fn(&mut VecDeque<usize>) -> Option<usize>,
) -> impl Fn(&VecDeque<usize>, &Operation) -> Option<VecDeque<usize>> {
    move |state, operation| {
        let mut next = state.clone();
        match operation {
            Operation::Put(item, true) => {
                next.push_back(*item);
                (state.len() < capacity).then_some(next)
            }
            Operation::Put(_, false) => (state.len() == capacity).then_some(next),
            Operation::Get(got) => (take(&mut next) == *got).then_some(next),
        }
    }
}

/// What has not happened.
const NOTHING: Operation = Operation::Put(usize::MAX, true);

const SEEDS: u64 = 400;

macro_rules! check_queue {
    ($queue:expr, $take:expr) => {
        for seed in 0..SEEDS {
            let queue = $queue;
            let noted = history(seed, |random, item| match random.below(2) {
                0 => Operation::Put(item, queue.try_put(item).is_ok()),
                _ => Operation::Get(queue.try_get().ok()),
            });
            let model = bounded(2, $take);
            assert!(is_linearisable(&noted, VecDeque::new(), &model), "seed {seed}: {noted:#?}");
        }
    };
}

#[test]
fn a_queue_is_one() {
    check_queue!(Queue::new(2), VecDeque::pop_front);
}

#[test]
fn a_stack_is_one() {
    check_queue!(LifoQueue::new(2), VecDeque::pop_back);
}

#[test]
fn a_priority_queue_is_one() {
    check_queue!(PriorityQueue::new(2), |items: &mut VecDeque<usize>| {
        let least = items.iter().min().copied()?;
        items.retain(|item| *item != least);
        Some(least)
    });
}

/// Receives that wait, some of which are dropped while they wait: those have not happened.
#[test]
fn a_channel_is_a_queue_also_for_those_who_wait_and_go() {
    for seed in 0..SEEDS {
        let (sender, receiver) = channel(2);
        let noted = history(seed, |random, item| match random.below(4) {
            0 => Operation::Put(item, sender.try_send(item).is_ok()),
            // Those that cannot at once are dropped, which is as if they had never been.
            1 => match once(receiver.recv()) {
                Some(got) => Operation::Get(got.ok()),
                None => NOTHING,
            },
            // One that waits, for as long as another thread may take to come by.
            2 => {
                let mut recv = Hand::new(receiver.recv());
                let received = (0..100).find_map(|_| match recv.poll() {
                    std::task::Poll::Ready(got) => got.ok(),
                    std::task::Poll::Pending => None,
                });
                received.map_or(NOTHING, |got| Operation::Get(Some(got)))
            }
            _ => match receiver.try_recv() {
                Ok(got) => Operation::Get(Some(got)),
                // It may be promised to one who waits.
                Err(TryRecvError::Empty) => NOTHING,
                Err(_) => unreachable!("nobody closes it"),
            },
        });
        let noted: Vec<_> = noted.into_iter().filter(|noted| noted.operation != NOTHING).collect();
        // A put may fail because another's item is promised and not yet taken: that is a full channel, as in the model.
        let model = bounded(2, VecDeque::pop_front);
        let may_fail = |state: &VecDeque<usize>, operation: &Operation| match operation {
            Operation::Put(_, false) => Some(state.clone()),
            other => model(state, other),
        };
        assert!(is_linearisable(&noted, VecDeque::new(), &may_fail), "seed {seed}: {noted:#?}");
    }
}

#[test]
fn a_semaphore_is_a_count() {
    for seed in 0..SEEDS {
        let semaphore = Semaphore::new(2);
        let noted = history(seed, |random, _| match random.below(2) {
            0 => {
                _ = semaphore.add_permits(1);
                (false, true)
            }
            _ => match semaphore.try_acquire() {
                Ok(permit) => {
                    permit.forget();
                    (true, true)
                }
                Err(_) => (true, false),
            },
        });
        let model = |count: &usize, &(is_take, has_worked): &(bool, bool)| match (is_take, has_worked) {
            (false, _) => Some(count + 1),
            (true, true) => count.checked_sub(1),
            (true, false) => (*count == 0).then_some(0),
        };
        assert!(is_linearisable(&noted, 2_usize, &model), "seed {seed}: {noted:?}");
    }
}

/// The check itself can fail: an order that no queue has.
#[test]
fn a_history_of_no_queue_is_refused() {
    let noted = |from, operation| Noted { from, to: from + 1, operation };
    let history = [
        noted(0, Operation::Put(1, true)),
        noted(2, Operation::Put(2, true)),
        noted(4, Operation::Get(Some(2))),
    ];
    assert!(!is_linearisable(&history, VecDeque::new(), &bounded(9, VecDeque::pop_front)));
    assert!(is_linearisable(&history, VecDeque::new(), &bounded(9, VecDeque::pop_back)));
}

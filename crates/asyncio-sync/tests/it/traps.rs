//! Bugs of other runtimes, written anew: each test's first line tells the original. Those that belong to one type stand with it.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Waker};

use asyncio_sync::{Event, Mutex, Queue, Semaphore, channel, oneshot, unbounded_channel};

use crate::support::{Count, Hand, block_on, once, threads};

/// tokio #3652: a `Notified` that was notified and dropped did not pass its permit on. Here, of a semaphore that starts with none.
#[test]
fn what_was_given_to_one_who_goes_is_not_lost() {
    let semaphore = Semaphore::new(0);
    for _ in 0..3 {
        let going = Hand::waiting(semaphore.acquire());
        semaphore.add_permits(1).unwrap();
        drop(going);
        once(semaphore.acquire()).expect("the permit came back").unwrap().forget();
    }
}

/// tokio #7996, #3660: who is woken by "all" must not be also the one who is woken by "one", and a set must wake those who came before it even if others
/// come while it wakes.
#[test]
fn a_set_wakes_those_who_came_before_it_also_while_others_come() {
    for _ in 0..50 {
        let event = Event::new();
        let mut early: Vec<_> = (0..100).map(|_| Hand::waiting(event.wait())).collect();
        threads(2, |n| {
            for _ in 0..100 {
                match n {
                    0 => {
                        event.set();
                        event.clear();
                    }
                    _ => _ = once(event.wait()),
                }
            }
        });
        early.iter_mut().for_each(Hand::woken);
    }
}

/// event-listener 85e3474: a fast path of notifying that skipped a fence. Two threads that signal each other by events only.
#[test]
fn no_wake_is_lost_between_looking_and_waiting() {
    let (ping, pong) = (Event::new(), Event::new());
    threads(2, |n| {
        for _ in 0..20_000 {
            let (own, other) = if n == 0 { (&ping, &pong) } else { (&pong, &ping) };
            if n == 0 {
                other.set();
            }
            block_on(own.wait());
            own.clear();
            if n == 1 {
                other.set();
            }
        }
    });
}

/// RUSTSEC-2021-0124 (tokio) and RUSTSEC-2026-0005 (`oneshot`): a receiver that is polled, closed and polled again while the sender sends.
#[test]
fn a_receiver_that_is_closed_while_the_value_comes() {
    for round in 0..2_000 {
        let (sender, receiver) = oneshot::<Box<u32>>();
        let ends = (std::sync::Mutex::new(Some(sender)), std::sync::Mutex::new(Some(receiver)));
        threads(2, |n| match n {
            0 => drop(ends.0.lock().unwrap().take().unwrap().send(Box::new(round))),
            _ => {
                let mut receiver = ends.1.lock().unwrap().take().unwrap();
                _ = once(&mut receiver);
                receiver.close();
                if let Ok(value) = receiver.try_recv() {
                    assert_eq!(*value, round);
                }
            }
        });
    }
}

/// A receiver that is polled a second time, by another waker, at the very moment of the send.
#[test]
fn a_receiver_that_is_polled_again_while_the_value_comes() {
    for round in 0..2_000 {
        let (sender, receiver) = oneshot::<u32>();
        let ends = (std::sync::Mutex::new(Some(sender)), std::sync::Mutex::new(Some(receiver)));
        let (counts, wakers): (Vec<_>, Vec<_>) = (0..4).map(|_| Count::new()).unzip();
        threads(2, |n| match n {
            0 => ends.0.lock().unwrap().take().unwrap().send(round).unwrap(),
            _ => {
                let mut receiver = pin!(ends.1.lock().unwrap().take().unwrap());
                for waker in &wakers {
                    if receiver.as_mut().poll(&mut Context::from_waker(waker)).is_ready() {
                        return;
                    }
                }
                assert_eq!(block_on(receiver), Ok(round));
            }
        });
        drop(wakers);
        assert!(
            counts.iter().all(|count| std::sync::Arc::strong_count(count) == 1),
            "a waker was dropped twice or never"
        );
    }
}

/// tokio #8062, #6603, #8074: `len` and `is_empty` at the seams of a channel's blocks, while values come and go.
#[test]
fn the_length_is_never_more_than_was_sent_nor_less_than_is_left() {
    let (sender, receiver) = unbounded_channel();
    for n in 0..200 {
        assert_eq!((sender.len(), receiver.is_empty()), (n, n == 0));
        sender.try_send(n).unwrap();
    }
    for n in (0..200).rev() {
        receiver.try_recv().unwrap();
        assert_eq!((sender.len(), receiver.is_empty()), (n, n == 0));
    }
}

/// tokio #6450: two futures of one task in one line, of which only the second is polled. It is documented, and what helps is dropping the first.
#[test]
fn a_turn_that_nobody_polls_for_is_handed_on_when_it_is_dropped() {
    let mutex = Mutex::new(());
    let guard = once(mutex.lock()).unwrap();
    let unpolled = Hand::waiting(mutex.lock());
    let mut polled = Hand::waiting(mutex.lock());
    drop(guard);
    assert!(polled.poll().is_pending(), "the lock is handed to the other");
    drop(unpolled);
    drop(polled.woken());
}

/// cpython bpo-27585, asyncio #270: a lock whose waiter is cancelled twice, or while the lock is handed over, stays locked for ever.
#[test]
fn a_line_of_which_all_go_leaves_a_free_lock() {
    for chosen in 0..3 {
        let mutex = Mutex::new(());
        let guard = once(mutex.lock()).unwrap();
        let mut line: Vec<_> = (0..3).map(|_| Hand::waiting(mutex.lock())).collect();
        drop(guard);
        // In every order.
        line.swap(0, chosen);
        drop(line);
        assert!(mutex.try_lock().is_ok());
    }
}

/// cpython gh-142651's class: a putter that is cancelled after room was made for it loses the slot.
#[test]
fn a_put_that_goes_when_there_is_room_leaves_the_room() {
    let queue = Queue::new(1);
    queue.try_put(1).unwrap();
    let put = Hand::waiting(queue.put(2));
    queue.try_get().unwrap();
    // Its item went in while it waited, so it has happened.
    drop(put);
    assert_eq!(queue.try_get(), Ok(2));
    assert_eq!(queue.try_put(3), Ok(()));
}

/// async-lock #41: a waiter that is woken and finds nothing spins. Here a woken one always goes through.
#[test]
fn whoever_is_woken_goes_through_at_his_next_poll() {
    let (sender, receiver) = channel(1);
    let mut waiting: Vec<_> = (0..10).map(|_| Hand::waiting(receiver.recv())).collect();
    for n in 0..10 {
        _ = block_on(sender.send(n));
        assert_eq!(waiting.iter().filter(|hand| hand.is_woken()).count(), n + 1);
        assert_eq!(waiting[n].ready(), Ok(n));
    }
    assert!(pin!(receiver.recv()).poll(&mut Context::from_waker(Waker::noop())).is_pending());
}

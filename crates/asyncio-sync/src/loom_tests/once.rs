//! `oneshot`, `OnceCell`.

use std::pin::pin;
use std::task::Poll;

use asyncio_base::shim::{Arc, AtomicUsize, Ordering, thread};
use loom::model;

use super::{Touched, block_on, counted, once, poll, with_thread};
use crate::{OnceCell, oneshot};

#[test]
fn oneshot_send_against_receive() {
    model(|| {
        let (sender, receiver) = oneshot();
        let (value, drops) = counted();
        with_thread(move || assert!(sender.send(value).is_ok()), || drop(block_on(receiver).unwrap()));
        assert_eq!(drops.load(Ordering::Relaxed), 1);
    });
}

#[test]
fn oneshot_value_is_seen_whole() {
    model(|| {
        let (sender, receiver) = oneshot();
        let touched = Arc::new(Touched::new());
        let other = touched.clone();
        with_thread(
            move || {
                other.add();
                sender.send(()).unwrap();
            },
            || {
                block_on(receiver).unwrap();
                assert_eq!(touched.get(), 1);
            },
        );
    });
}

/// RUSTSEC-2021-0124, RUSTSEC-2026-0005.
#[test]
fn oneshot_polled_and_dropped_against_send() {
    model(|| {
        let (sender, receiver) = oneshot();
        let (value, drops) = counted();
        with_thread(move || drop(sender.send(value)), || drop(once(receiver)));
        assert_eq!(drops.load(Ordering::Relaxed), 1);
    });
}

#[test]
fn oneshot_closed_against_send_and_try_receive() {
    model(|| {
        let (sender, mut receiver) = oneshot();
        let (value, drops) = counted();
        with_thread(
            move || drop(sender.send(value)),
            || {
                receiver.close();
                drop(receiver.try_recv());
                drop(receiver);
            },
        );
        assert_eq!(drops.load(Ordering::Relaxed), 1);
    });
}

#[test]
fn oneshot_sender_dropped_against_poll() {
    model(|| {
        let (sender, receiver) = oneshot::<u32>();
        with_thread(move || drop(sender), || assert!(block_on(receiver).is_err()));
    });
}

#[test]
fn oneshot_polled_twice_against_send() {
    model(|| {
        let (sender, receiver) = oneshot();
        with_thread(
            move || sender.send(1).unwrap(),
            || {
                let mut receiver = pin!(receiver);
                // Each poll has another waker.
                match poll(receiver.as_mut()) {
                    Poll::Ready(value) => assert_eq!(value, Ok(1)),
                    Poll::Pending => assert_eq!(block_on(receiver), Ok(1)),
                }
            },
        );
    });
}

#[test]
fn oneshot_polled_twice_against_the_end() {
    model(|| {
        let (sender, receiver) = oneshot::<u32>();
        with_thread(
            move || drop(sender),
            || {
                let mut receiver = pin!(receiver);
                if poll(receiver.as_mut()).is_pending() {
                    assert!(block_on(receiver).is_err());
                }
            },
        );
    });
}

#[test]
fn oneshot_closed_is_awaited_twice_against_the_receiver() {
    model(|| {
        let (mut sender, receiver) = oneshot::<u32>();
        with_thread(
            move || drop(receiver),
            || {
                _ = once(sender.closed());
                block_on(sender.closed());
            },
        );
    });
}

#[test]
fn oneshot_sends_after_having_waited_for_the_close() {
    model(|| {
        let (mut sender, receiver) = oneshot();
        let (value, drops) = counted();
        with_thread(
            move || drop(once(receiver)),
            || {
                _ = once(sender.closed());
                drop(sender.send(value));
            },
        );
        assert_eq!(drops.load(Ordering::Relaxed), 1);
    });
}

#[test]
fn once_cell_two_makers() {
    model(|| {
        let (cell, made) = (Arc::new(OnceCell::new()), Arc::new(AtomicUsize::new(0)));
        let other = (cell.clone(), made.clone());
        let get = |cell: &OnceCell<usize>, made: &AtomicUsize| {
            *block_on(cell.get_or_init(|| async { made.fetch_add(1, Ordering::Relaxed) }))
        };
        with_thread(move || assert_eq!(get(&other.0, &other.1), 0), || assert_eq!(get(&cell, &made), 0));
        assert_eq!(made.load(Ordering::Relaxed), 1);
    });
}

#[test]
fn once_cell_a_maker_goes() {
    model(|| {
        let cell = Arc::new(OnceCell::new());
        let other = cell.clone();
        with_thread(
            move || _ = once(other.get_or_init(std::future::pending::<u32>)),
            || assert_eq!(block_on(cell.get_or_init(|| async { 2 })), &2),
        );
    });
}

#[test]
fn once_cell_set_against_wait() {
    model(|| {
        let cell = Arc::new(OnceCell::new());
        let waiting = [(); 2].map(|()| {
            let cell = cell.clone();
            thread::spawn(move || assert_eq!(block_on(cell.wait()), &1))
        });
        cell.set(1).unwrap();
        waiting.into_iter().for_each(|thread| thread.join().unwrap());
    });
}

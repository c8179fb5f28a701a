//! `channel`, `broadcast`, `watch`.

use asyncio_base::shim::{Arc, Ordering, thread};
use loom::model;

use super::{Touched, block_on, counted, once, with_thread};
use crate::{BroadcastError, RecvError, broadcast, channel, rendezvous, watch};

#[test]
fn channel_send_against_receive() {
    model(|| {
        let (sender, receiver) = channel(1);
        let (value, drops) = counted();
        with_thread(
            move || assert!(block_on(sender.send(value)).is_ok()),
            || drop(block_on(receiver.recv()).unwrap()),
        );
        assert_eq!(drops.load(Ordering::Relaxed), 1);
    });
}

#[test]
fn channel_shows_what_happened_before_the_send() {
    model(|| {
        let (sender, receiver) = channel(1);
        let touched = Arc::new(Touched::new());
        let other = touched.clone();
        with_thread(
            move || {
                other.add();
                sender.try_send(()).unwrap();
            },
            || {
                block_on(receiver.recv()).unwrap();
                assert_eq!(touched.get(), 1);
            },
        );
    });
}

#[test]
fn channel_last_sender_against_receive() {
    model(|| {
        let (sender, receiver) = channel::<u32>(1);
        let second = sender.clone();
        let threads = [sender, second].map(|sender| thread::spawn(move || drop(sender)));
        assert_eq!(block_on(receiver.recv()), Err(RecvError));
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
}

#[test]
fn channel_close_against_send() {
    model(|| {
        let (sender, receiver) = channel(1);
        let (value, drops) = counted();
        with_thread(
            move || drop(block_on(sender.send(value))),
            || {
                receiver.close();
                drop(block_on(receiver.recv()));
            },
        );
        assert_eq!(drops.load(Ordering::Relaxed), 1);
    });
}

#[test]
fn channel_full_and_the_receiver_goes() {
    model(|| {
        let (sender, receiver) = channel(1);
        sender.try_send(1).unwrap();
        with_thread(move || drop(receiver), || assert!(block_on(sender.send(2)).is_err()));
    });
}

#[test]
fn channel_a_reserve_that_goes() {
    model(|| {
        let (sender, receiver) = channel(1);
        sender.try_send(1).unwrap();
        let other = sender.clone();
        with_thread(
            move || drop(once(other.reserve())),
            || {
                assert_eq!(receiver.try_recv(), Ok(1));
                block_on(sender.send(2)).unwrap();
                assert_eq!(receiver.try_recv(), Ok(2));
            },
        );
    });
}

/// tokio #8075 and #8260.
#[test]
fn channel_last_slot_against_a_receiver_of_a_closed_one() {
    model(|| {
        let (sender, receiver) = channel::<u32>(1);
        let slot = sender.try_reserve().unwrap();
        let closed = receiver.clone();
        let waiting = thread::spawn(move || {
            closed.close();
            assert!(block_on(closed.recv()).is_err());
        });
        drop(slot);
        waiting.join().unwrap();
    });
}

#[test]
fn channel_a_receiver_that_goes_against_send() {
    model(|| {
        let (sender, receiver) = channel(1);
        let (goes, stays) = (receiver.clone(), receiver);
        let going = thread::spawn(move || matches!(once(goes.recv()), Some(Ok(_))));
        let staying = thread::spawn(move || block_on(stays.recv()).is_ok());
        block_on(sender.send(1)).unwrap();
        drop(sender);
        let (going, staying) = (going.join().unwrap(), staying.join().unwrap());
        assert!(going ^ staying, "the value came {} times", u8::from(going) + u8::from(staying));
    });
}

#[test]
fn channel_a_sender_that_goes_against_receive() {
    model(|| {
        let (sender, receiver) = channel(1);
        sender.try_send(1).unwrap();
        let (goes, stays) = (sender.clone(), sender);
        let going = thread::spawn(move || once(goes.send(2)).is_some());
        let staying = thread::spawn(move || block_on(stays.send(3)).unwrap());
        let mut received = Vec::new();
        while let Ok(value) = block_on(receiver.recv()) {
            received.push(value);
        }
        going.join().unwrap();
        staying.join().unwrap();
        assert!(received.starts_with(&[1]) && received.contains(&3));
    });
}

#[test]
fn channel_values_are_dropped_once() {
    model(|| {
        let (sender, receiver) = channel(2);
        let ((one, first), (two, second)) = (counted(), counted());
        drop(sender.try_send(one));
        with_thread(move || drop(sender.try_send(two)), || drop(receiver));
        assert_eq!((first.load(Ordering::Relaxed), second.load(Ordering::Relaxed)), (1, 1));
    });
}

#[test]
fn channel_length_while_it_closes() {
    model(|| {
        let (sender, receiver) = channel(2);
        sender.try_send(1).unwrap();
        let other = sender.clone();
        with_thread(
            move || _ = other.close(),
            || assert!(receiver.len() == 1 && sender.try_send(2).is_ok() || sender.is_closed()),
        );
        assert_eq!(receiver.try_recv(), Ok(1));
    });
}

#[test]
fn channel_weak_sender_against_the_last() {
    model(|| {
        let (sender, receiver) = channel::<u32>(1);
        let weak = sender.downgrade();
        with_thread(
            move || drop(sender),
            || {
                if let Some(sender) = weak.upgrade() {
                    _ = sender.try_send(1);
                }
            },
        );
        assert!(weak.upgrade().is_none());
        _ = receiver.try_recv();
        assert!(receiver.is_closed());
    });
}

#[test]
fn rendezvous_send_against_receive() {
    model(|| {
        let (sender, receiver) = rendezvous();
        with_thread(
            move || block_on(sender.send(1)).unwrap(),
            || assert_eq!(block_on(receiver.recv()), Ok(1)),
        );
    });
}

#[test]
fn rendezvous_a_receiver_that_goes() {
    model(|| {
        let (sender, receiver) = rendezvous();
        let other = receiver.clone();
        let going = thread::spawn(move || matches!(once(other.recv()), Some(Ok(_))));
        let sending = thread::spawn(move || block_on(sender.send(1)));
        let has_come = block_on(receiver.recv()).is_ok();
        assert!(going.join().unwrap() ^ has_come);
        sending.join().unwrap().unwrap();
    });
}

#[test]
fn broadcast_send_against_receive() {
    model(|| {
        let (sender, mut receiver) = broadcast(2);
        // Another is kept, since the end of all would wake the receiver, too.
        let kept = sender.clone();
        with_thread(move || _ = sender.send(1), || assert_eq!(block_on(receiver.recv()), Ok(1)));
        drop(kept);
        assert_eq!(block_on(receiver.recv()), Err(BroadcastError::Closed));
    });
}

#[test]
fn broadcast_lag() {
    model(|| {
        let (sender, mut receiver) = broadcast(1);
        with_thread(
            move || (1..=2).for_each(|n| _ = sender.send(n)),
            || {
                let mut seen = 0;
                loop {
                    match block_on(receiver.recv()) {
                        Ok(n) => seen += u64::from(n == seen + 1),
                        Err(BroadcastError::Lagged(n)) => seen += n,
                        Err(_) => break,
                    }
                }
                assert_eq!(seen, 2);
            },
        );
    });
}

#[test]
fn broadcast_receiver_goes_against_send() {
    model(|| {
        let (sender, mut one) = broadcast(2);
        let two = sender.subscribe();
        let ((value, drops), other) = (counted(), sender.clone());
        let value = std::sync::Arc::new(value);
        with_thread(move || drop(two), || _ = other.send(value));
        assert!(one.try_recv().is_ok());
        assert_eq!((drops.load(Ordering::Relaxed), sender.len()), (1, 0));
    });
}

#[test]
fn broadcast_subscribe_against_the_last_sender() {
    model(|| {
        let (sender, receiver) = broadcast::<u32>(2);
        with_thread(
            move || drop(sender),
            || {
                let mut other = receiver.resubscribe();
                assert_eq!(block_on(other.recv()), Err(BroadcastError::Closed));
            },
        );
    });
}

#[test]
fn watch_send_against_changed() {
    model(|| {
        let (sender, mut receiver) = watch(0);
        with_thread(
            move || sender.send(1).unwrap(),
            || {
                block_on(receiver.changed()).unwrap();
                assert_eq!(*receiver.borrow_and_update(), 1);
                assert!(block_on(receiver.changed()).is_err());
            },
        );
    });
}

#[test]
fn watch_two_receivers() {
    model(|| {
        let (sender, receiver) = watch(0);
        let threads = [(); 2].map(|()| {
            let mut receiver = receiver.clone();
            thread::spawn(move || {
                block_on(receiver.changed()).unwrap();
                assert_eq!(*receiver.borrow(), 1);
            })
        });
        sender.send_modify(|value| *value = 1);
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
}

#[test]
fn watch_closed_against_the_last_receiver() {
    model(|| {
        let (sender, receiver) = watch(0);
        with_thread(move || drop(receiver), || block_on(sender.closed()));
    });
}

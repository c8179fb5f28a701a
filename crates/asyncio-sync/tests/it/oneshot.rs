//! `oneshot`: every order in which the two ends may end.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll};

use asyncio_sync::{RecvError, TryRecvError, oneshot};

use crate::support::{Count, Hand, block_on, once, threads};

#[test]
fn a_value_that_is_sent_first_is_there() {
    let (sender, mut receiver) = oneshot();
    assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
    assert_eq!(sender.send(1), Ok(()));
    assert_eq!(once(&mut receiver), Some(Ok(1)));
    assert_eq!(once(&mut receiver), Some(Err(RecvError)), "there is one value");
    assert!(receiver.is_terminated());
    assert_eq!(receiver.try_recv(), Err(TryRecvError::Closed));
}

#[test]
fn one_who_waits_is_woken_by_the_value_and_by_the_end() {
    let (sender, receiver) = oneshot();
    let mut waiting = Hand::waiting(receiver);
    sender.send(1).unwrap();
    assert_eq!(waiting.woken(), Ok(1));
    let (sender, receiver) = oneshot::<u32>();
    let mut waiting = Hand::waiting(receiver);
    drop(sender);
    assert_eq!(waiting.woken(), Err(RecvError));
}

#[test]
fn a_value_that_nobody_wants_comes_back() {
    let (sender, receiver) = oneshot();
    drop(receiver);
    assert!(sender.is_closed());
    assert_eq!(sender.send(1), Err(1));
    let (sender, mut receiver) = oneshot();
    receiver.close();
    assert_eq!(sender.send(1), Err(1));
    assert_eq!(once(receiver), Some(Err(RecvError)));
    let (sender, receiver) = oneshot();
    let waiting = Hand::waiting(receiver);
    drop(waiting);
    assert_eq!(sender.send(1), Err(1));
}

#[test]
fn what_was_sent_before_the_close_can_be_received() {
    let (sender, mut receiver) = oneshot();
    sender.send(1).unwrap();
    receiver.close();
    assert_eq!(receiver.try_recv(), Ok(1));
}

#[test]
fn a_sender_sees_that_nobody_waits_any_more() {
    let (mut sender, receiver) = oneshot::<u32>();
    {
        let mut closed = Hand::waiting(sender.closed());
        assert!(closed.poll().is_pending());
        drop(receiver);
        closed.woken();
    }
    assert!(sender.is_closed());
    let (mut sender, receiver) = oneshot::<u32>();
    drop(Hand::waiting(sender.closed()));
    sender.send(1).unwrap();
    assert_eq!(block_on(receiver), Ok(1));
}

#[test]
fn the_newest_waker_is_woken() {
    let (sender, receiver) = oneshot();
    let mut receiver = pin!(receiver);
    let (old, old_waker) = Count::new();
    let (new, new_waker) = Count::new();
    assert!(receiver.as_mut().poll(&mut Context::from_waker(&old_waker)).is_pending());
    assert!(receiver.as_mut().poll(&mut Context::from_waker(&new_waker)).is_pending());
    assert_eq!(std::sync::Arc::strong_count(&old), 2, "the former one was dropped");
    sender.send(1).unwrap();
    assert_eq!((old.get(), new.get()), (0, 1));
    assert_eq!(receiver.poll(&mut Context::from_waker(&new_waker)), Poll::Ready(Ok(1)));
}

#[test]
fn values_are_dropped_once_wherever_they_end() {
    let value = std::rc::Rc::new(());
    let held = || std::rc::Rc::strong_count(&value);
    let (sender, receiver) = oneshot();
    sender.send(value.clone()).unwrap();
    drop(receiver);
    assert_eq!(held(), 1);
    let (sender, receiver) = oneshot();
    drop(receiver);
    drop(sender.send(value.clone()));
    assert_eq!(held(), 1);
    let (sender, receiver) = oneshot();
    sender.send(value.clone()).unwrap();
    drop(once(receiver));
    assert_eq!(held(), 1);
}

#[test]
fn threads_race_and_nothing_is_lost() {
    for round in 0..20_000_u32 {
        let (sender, receiver) = oneshot();
        let ends = (std::sync::Mutex::new(Some(sender)), std::sync::Mutex::new(Some(receiver)));
        if round % 16 > 0 {
            // Mostly without the cost of threads.
            let sender = ends.0.lock().unwrap().take().unwrap();
            sender.send(round).unwrap();
            assert_eq!(block_on(ends.1.lock().unwrap().take().unwrap()), Ok(round));
            continue;
        }
        threads(2, |n| match n {
            0 => drop(ends.0.lock().unwrap().take().unwrap().send(round)),
            _ => assert_eq!(ends.1.lock().unwrap().take().unwrap().recv_blocking(), Ok(round)),
        });
    }
}

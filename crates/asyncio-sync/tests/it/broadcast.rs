//! `broadcast`: every value to everybody, and who is too slow is told.

use std::rc::Rc;

use asyncio_sync::broadcast::Receiver;
use asyncio_sync::{BroadcastError, SendError, TryBroadcastError, broadcast};

use crate::support::{Hand, block_on, once, threads};

fn all<T: Clone>(receiver: &mut Receiver<T>) -> Vec<Result<T, TryBroadcastError>> {
    let mut seen = Vec::new();
    loop {
        match receiver.try_recv() {
            end @ Err(TryBroadcastError::Empty | TryBroadcastError::Closed) => {
                seen.push(end);
                return seen;
            }
            other => seen.push(other),
        }
    }
}

#[test]
fn every_receiver_gets_every_value_from_its_beginning_on() {
    let (sender, mut one) = broadcast(4);
    assert_eq!(sender.send(1), Ok(1));
    let mut two = sender.subscribe();
    assert_eq!(sender.send(2), Ok(2));
    let mut three = one.clone();
    let mut four = one.resubscribe();
    drop(sender);
    let closed = Err(TryBroadcastError::Closed);
    assert_eq!(all(&mut one), [Ok(1), Ok(2), closed]);
    assert_eq!(all(&mut two), [Ok(2), closed]);
    assert_eq!(all(&mut three), [Ok(1), Ok(2), closed]);
    assert_eq!(all(&mut four), [closed]);
}

#[test]
fn who_is_too_slow_is_told_how_much_he_has_lost_and_goes_on_with_the_oldest() {
    let (sender, mut receiver) = broadcast(2);
    for n in 0..5 {
        sender.send(n).unwrap();
    }
    assert_eq!(once(receiver.recv()), Some(Err(BroadcastError::Lagged(3))));
    assert_eq!((once(receiver.recv()), once(receiver.recv())), (Some(Ok(3)), Some(Ok(4))));
    assert_eq!(receiver.try_recv(), Err(TryBroadcastError::Empty));
}

#[test]
fn all_who_wait_are_woken_by_a_value_and_by_the_end() {
    let (sender, mut one) = broadcast(2);
    let mut two = sender.subscribe();
    {
        let mut waiting = [Hand::waiting(one.recv()), Hand::waiting(two.recv())];
        sender.send(1).unwrap();
        waiting.iter_mut().for_each(|hand| assert_eq!(hand.woken(), Ok(1)));
    }
    let mut waiting = [Hand::waiting(one.recv()), Hand::waiting(two.recv())];
    drop(sender);
    waiting.iter_mut().for_each(|hand| assert_eq!(hand.woken(), Err(BroadcastError::Closed)));
}

#[test]
fn one_who_is_woken_and_goes_has_lost_nothing() {
    let (sender, mut receiver) = broadcast(2);
    let going = Hand::waiting(receiver.recv());
    sender.send(1).unwrap();
    assert!(going.is_woken());
    drop(going);
    assert_eq!(once(receiver.recv()), Some(Ok(1)));
}

#[test]
fn one_who_is_woken_and_runs_late_may_have_lagged() {
    let (sender, mut receiver) = broadcast(1);
    let mut late = Hand::waiting(receiver.recv());
    sender.send(1).unwrap();
    sender.send(2).unwrap();
    assert_eq!(late.woken(), Err(BroadcastError::Lagged(1)));
}

#[test]
fn a_value_is_dropped_as_soon_as_all_have_seen_it() {
    let value = Rc::new(());
    let held = || Rc::strong_count(&value) - 1;
    let (sender, mut one) = broadcast(8);
    let mut two = one.clone();
    sender.send(value.clone()).unwrap();
    sender.send(value.clone()).unwrap();
    drop(one.try_recv());
    assert_eq!(held(), 2);
    drop(two.try_recv());
    assert_eq!((held(), sender.len()), (1, 1));
    drop(one);
    assert_eq!(held(), 1);
    drop(two);
    assert_eq!(held(), 0, "nobody is left who would see it");
    assert!(sender.is_empty());
}

/// What all have seen takes no room, however many the ring may keep.
#[test]
fn the_ring_sheds_what_all_have_seen() {
    let (sender, mut one) = broadcast(usize::MAX);
    let mut two = one.clone();
    for n in 0..1000 {
        sender.send(n).unwrap();
        assert_eq!((one.try_recv(), two.try_recv()), (Ok(n), Ok(n)));
        assert_eq!(sender.len(), 0);
    }
}

#[test]
fn without_receivers_the_value_comes_back_and_there_may_be_some_later() {
    let (sender, receiver) = broadcast(2);
    let mut closed = Hand::waiting(sender.closed());
    drop(receiver);
    closed.woken();
    assert_eq!(sender.send(1), Err(SendError(1)));
    let mut late = sender.subscribe();
    assert_eq!(sender.send(2), Ok(1));
    assert_eq!(late.try_recv(), Ok(2));
}

#[test]
fn a_clone_of_a_receiver_shares_a_value_that_was_for_one() {
    let (sender, mut one) = broadcast(4);
    sender.send(String::from("a")).unwrap();
    let mut two = one.clone();
    assert_eq!((one.try_recv().unwrap(), two.try_recv().unwrap()), ("a".into(), "a".into()));
    assert_eq!((one.len(), sender.statistics().sent), (0, 1));
}

/// It clones outside of the lock, so a value may use the channel it is in.
#[test]
fn a_value_whose_clone_and_drop_use_the_channel() {
    struct Curious(asyncio_sync::broadcast::Sender<u32>);
    impl Clone for Curious {
        fn clone(&self) -> Self {
            self.0.send(1).unwrap();
            Self(self.0.clone())
        }
    }
    impl Drop for Curious {
        fn drop(&mut self) {
            _ = self.0.send(2);
        }
    }
    let (sender, mut one) = broadcast(1);
    let (inner, mut log) = broadcast(16);
    let _two = one.clone();
    sender.send(Curious(inner.clone())).map_err(|_| ()).unwrap();
    drop(one.try_recv());
    sender.send(Curious(inner)).map_err(|_| ()).unwrap();
    assert_eq!(all(&mut log).len(), 4);
}

#[test]
fn threads_see_all_in_order_or_are_told() {
    const SENT: u64 = 50_000;
    let (sender, receiver) = broadcast(64);
    let receivers: Vec<_> = (0..3).map(|_| std::sync::Mutex::new(Some(receiver.clone()))).collect();
    drop(receiver);
    let sender = std::sync::Mutex::new(Some(sender));
    threads(4, |n| {
        if n == 3 {
            let sender = sender.lock().unwrap().take().unwrap();
            (0..SENT).for_each(|n| _ = sender.send(n));
            return;
        }
        let mut receiver = receivers[n].lock().unwrap().take().unwrap();
        let mut expected = 0;
        loop {
            let received = if n == 0 { receiver.recv_blocking() } else { block_on(receiver.recv()) };
            match received {
                Ok(value) => {
                    assert_eq!(value, expected);
                    expected += 1;
                }
                Err(BroadcastError::Lagged(count)) => expected += count,
                _ => break,
            }
        }
        assert_eq!(expected, SENT);
    });
}

//! `watch`: the newest value, and who has seen it.

use asyncio_sync::{RecvError, SendError, watch};

use crate::support::{Hand, block_on, once, threads};

#[test]
fn a_receiver_sees_that_it_has_changed_and_what_it_is_now() {
    let (sender, mut receiver) = watch(0);
    assert_eq!(receiver.has_changed(), Ok(false));
    assert!(once(receiver.changed()).is_none(), "the first value counts as seen");
    sender.send(1).unwrap();
    sender.send(2).unwrap();
    assert_eq!(receiver.has_changed(), Ok(true));
    assert_eq!(once(receiver.changed()), Some(Ok(())));
    assert_eq!(*receiver.borrow(), 2);
    assert!(once(receiver.changed()).is_none());
    sender.send(3).unwrap();
    assert_eq!(*receiver.borrow_and_update(), 3);
    assert!(once(receiver.changed()).is_none());
    receiver.mark_changed();
    assert_eq!(once(receiver.changed()), Some(Ok(())));
    sender.send(4).unwrap();
    receiver.mark_unchanged();
    assert_eq!(receiver.has_changed(), Ok(false));
}

#[test]
fn all_who_wait_are_woken() {
    let (sender, receiver) = watch(0);
    let mut receivers: Vec<_> = (0..100).map(|_| receiver.clone()).collect();
    let mut waiting: Vec<_> =
        receivers.iter_mut().map(|receiver| Hand::waiting(receiver.changed())).collect();
    sender.send(1).unwrap();
    waiting.iter_mut().for_each(|hand| assert_eq!(hand.woken(), Ok(())));
}

#[test]
fn one_who_is_woken_and_goes_has_not_seen_it() {
    let (sender, mut receiver) = watch(0);
    let going = Hand::waiting(receiver.changed());
    sender.send(1).unwrap();
    assert!(going.is_woken());
    drop(going);
    assert_eq!(once(receiver.changed()), Some(Ok(())));
}

#[test]
fn the_end_comes_after_the_last_value() {
    let (sender, mut receiver) = watch(0);
    let other = sender.clone();
    drop(sender);
    other.send(1).unwrap();
    drop(other);
    assert_eq!(once(receiver.changed()), Some(Ok(())));
    assert_eq!(once(receiver.changed()), Some(Err(RecvError)));
    assert_eq!(receiver.has_changed(), Err(RecvError));
    assert_eq!(*receiver.borrow(), 1, "the value stays");
    let (sender, mut receiver) = watch(0);
    let mut waiting = Hand::waiting(receiver.changed());
    drop(sender);
    assert_eq!(waiting.woken(), Err(RecvError));
}

#[test]
fn without_receivers_send_fails_and_send_replace_does_not() {
    let (sender, receiver) = watch(0);
    let mut closed = Hand::waiting(sender.closed());
    drop(receiver);
    closed.woken();
    assert_eq!(sender.send(1), Err(SendError(1)));
    assert_eq!(*sender.borrow(), 0);
    assert_eq!(sender.send_replace(2), 0);
    let receiver = sender.subscribe();
    assert_eq!((*receiver.borrow(), receiver.has_changed()), (2, Ok(false)));
}

#[test]
fn it_is_changed_in_place_and_only_if_it_was() {
    let (sender, mut receiver) = watch(vec![1]);
    sender.send_modify(|value| value.push(2));
    assert_eq!(once(receiver.changed()), Some(Ok(())));
    assert!(!sender.send_if_modified(|_| false));
    assert!(once(receiver.changed()).is_none());
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        sender.send_modify(|_| panic!("on purpose"));
    }));
    assert!(caught.is_err());
    assert!(once(receiver.changed()).is_none());
    assert_eq!(*receiver.borrow(), [1, 2], "it is not poisoned");
}

#[test]
fn wait_for_looks_first_and_then_at_each_change() {
    let (sender, mut receiver) = watch(5);
    assert_eq!(once(receiver.wait_for(|n| *n == 5)).unwrap().map(|n| *n), Ok(5));
    let mut waiting = Hand::waiting(async { receiver.wait_for(|n| *n > 6).await.map(|n| *n) });
    sender.send(6).unwrap();
    assert!(waiting.poll().is_pending());
    sender.send(7).unwrap();
    assert_eq!(waiting.ready(), Ok(7));
    drop(waiting);
    drop(sender);
    assert!(once(receiver.wait_for(|n| *n == 0)).unwrap().is_err());
}

#[test]
fn threads_end_with_the_last_value() {
    const SENT: u32 = 20_000;
    let (sender, receiver) = watch(0);
    let receivers: Vec<_> = (0..3).map(|_| std::sync::Mutex::new(Some(receiver.clone()))).collect();
    let sender = std::sync::Mutex::new(Some(sender));
    threads(4, |n| {
        if n == 3 {
            let sender = sender.lock().unwrap().take().unwrap();
            (1..=SENT).for_each(|n| sender.send(n).unwrap());
            return;
        }
        let mut receiver = receivers[n].lock().unwrap().take().unwrap();
        let mut last = 0;
        while block_on(receiver.changed()).is_ok() {
            let now = *receiver.borrow_and_update();
            assert!(now >= last);
            last = now;
        }
        assert_eq!(last, SENT);
    });
}

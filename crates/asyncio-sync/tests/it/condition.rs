//! `Condition`: notifications, the lock, and what a wait that is dropped leaves behind.

use asyncio_sync::{Condition, ConditionGuard};

use crate::support::{Hand, block_on, once, threads};

/// A task that has the lock and waits to be notified, and then returns what it sees.
fn sleeper(condition: &Condition<u32>) -> Hand<'_, u32> {
    Hand::waiting(async {
        let mut guard = condition.lock().await;
        guard.wait().await;
        *guard += 1;
        *guard
    })
}

#[test]
fn notifications_go_in_the_order_of_waiting_one_for_each() {
    let condition = Condition::new(0);
    let mut hands: Vec<_> = (0..4).map(|_| sleeper(&condition)).collect();
    assert_eq!(condition.statistics().waiting, 4);
    once(condition.lock()).unwrap().notify(2);
    assert_eq!(hands[0].woken(), 1);
    assert_eq!(hands[1].woken(), 2);
    assert!(!hands[2].is_woken());
    condition.notify_all();
    assert_eq!((hands[2].woken(), hands[3].woken()), (3, 4));
    assert!(!condition.statistics().is_locked);
}

#[test]
fn who_is_notified_runs_only_once_he_has_the_lock() {
    let condition = Condition::new(0);
    let mut sleeping = sleeper(&condition);
    let guard = once(condition.lock()).unwrap();
    let mut before = Hand::waiting(condition.lock());
    guard.notify(1);
    assert!(!sleeping.is_woken(), "the lock is held");
    drop(guard);
    assert!(!sleeping.is_woken(), "another came for the lock before");
    drop(before.woken());
    assert_eq!(sleeping.woken(), 1);
}

#[test]
fn a_notification_without_anybody_is_forgotten() {
    let condition = Condition::new(0);
    condition.notify(usize::MAX);
    condition.notify_all();
    let sleeping = sleeper(&condition);
    assert!(!sleeping.is_woken());
    assert!(condition.try_lock().is_ok(), "to notify nobody leaves the lock alone");
}

/// cpython gh-112202: a waiter that is cancelled after it was notified loses the notification for all.
#[test]
fn one_who_was_notified_and_goes_passes_it_on() {
    for is_held in [false, true] {
        let condition = Condition::new(0);
        let notified = sleeper(&condition);
        let mut next = sleeper(&condition);
        // Held, he waits for the lock when he goes; free, he has it.
        let guard = is_held.then(|| once(condition.lock()).unwrap());
        condition.notify(1);
        assert_eq!(notified.is_woken(), !is_held);
        drop(notified);
        drop(guard);
        assert_eq!(next.woken(), 1);
        assert!(!condition.statistics().is_locked);
    }
}

#[test]
fn one_who_goes_before_he_is_notified_takes_nothing_along() {
    let condition = Condition::new(0);
    let going = sleeper(&condition);
    let mut staying = sleeper(&condition);
    drop(going);
    condition.notify(1);
    assert_eq!(staying.woken(), 1);
}

#[test]
fn wait_for_looks_first_and_after_each_notification() {
    let condition = Condition::new(0);
    let mut waiting = Hand::waiting(async {
        let mut guard = condition.lock().await;
        guard.wait_for(|n| *n >= 2).await;
        *guard
    });
    for n in 1..=2 {
        let mut guard = once(condition.lock()).unwrap();
        *guard = n;
        guard.notify_all();
        drop(guard);
        if n == 1 {
            assert!(waiting.poll().is_pending());
        }
    }
    assert_eq!(waiting.ready(), 2);
    assert!(once(async { condition.lock().await.wait_for(|n| *n == 2).await }).is_some());
}

#[test]
fn a_wait_that_is_dropped_leaves_a_guard_without_the_lock() {
    let condition = Condition::new(1);
    let mut guard = once(condition.lock()).unwrap();
    assert!(once(guard.wait()).is_none());
    assert!(!ConditionGuard::has_lock(&guard));
    assert_eq!(format!("{guard:?}"), "<not locked>");
    let other = once(condition.lock()).expect("it was given up");
    {
        let mut again = Hand::waiting(guard.relock());
        drop(other);
        again.woken();
    }
    assert_eq!(*guard, 1);
    drop(guard);
    assert!(condition.try_lock().is_ok());
}

#[test]
#[should_panic = "call `relock` on the guard first"]
fn the_value_cannot_be_reached_without_the_lock() {
    let condition = Condition::new(1);
    let mut guard = once(condition.lock()).unwrap();
    let _ = once(guard.wait());
    let _ = *guard;
}

#[test]
fn a_guard_without_the_lock_does_not_unlock_what_another_has() {
    let condition = Condition::new(1);
    let mut guard = once(condition.lock()).unwrap();
    let _ = once(guard.wait());
    let other = once(condition.lock()).unwrap();
    drop(guard);
    assert!(condition.try_lock().is_err());
    drop(other);
}

#[test]
fn threads_take_turns() {
    const TURNS: usize = 2_000;
    let condition = Condition::new(0_usize);
    threads(3, |n| {
        for turn in 0..TURNS {
            block_on(async {
                let mut guard = condition.lock().await;
                guard.wait_for(|now| *now == turn * 3 + n).await;
                *guard += 1;
                guard.notify_all();
            });
        }
    });
    assert_eq!(condition.into_inner(), 3 * TURNS);
}

//! `Mutex`: order, handing over, owned guards, threads.

use std::sync::Arc;

use asyncio_sync::{Mutex, MutexGuard, OwnedMutexGuard, TryLockError};

use crate::support::{Hand, block_on, once, threads};

#[test]
fn a_lock_goes_to_those_who_wait_in_the_order_in_which_they_came() {
    let mutex = Mutex::new(0);
    let guard = once(mutex.lock()).unwrap();
    let mut one = Hand::waiting(mutex.lock());
    let mut two = Hand::waiting(mutex.lock());
    drop(guard);
    assert!(one.is_woken() && !two.is_woken());
    let guard = one.ready();
    assert!(two.poll().is_pending());
    drop(guard);
    drop(two.woken());
    assert!(!mutex.is_locked());
}

/// `async-lock`'s and `parking_lot`'s mutexes let a newcomer in before one who was woken; asyncio's does not.
#[test]
fn nobody_barges_in_before_one_who_waits() {
    let mutex = Mutex::new(0);
    let guard = once(mutex.lock()).unwrap();
    let mut waiting = Hand::waiting(mutex.lock());
    drop(guard);
    assert!(mutex.try_lock().is_err(), "it belongs to the one who waits");
    assert!(once(mutex.lock()).is_none());
    drop(waiting.woken());
    assert!(mutex.try_lock().is_ok());
}

#[test]
fn one_who_was_chosen_and_goes_hands_his_turn_on() {
    let mutex = Mutex::new(0);
    let guard = once(mutex.lock()).unwrap();
    let one = Hand::waiting(mutex.lock());
    let mut two = Hand::waiting(mutex.lock());
    drop(guard);
    assert!(one.is_woken());
    drop(one);
    drop(two.woken());
    assert!(!mutex.is_locked());
}

#[test]
fn one_who_goes_from_the_middle_of_the_line_leaves_the_others_in_order() {
    let mutex = Mutex::new(());
    let guard = once(mutex.lock()).unwrap();
    let mut hands: Vec<_> = (0..5).map(|_| Hand::waiting(mutex.lock())).collect();
    assert_eq!(mutex.statistics().waiting, 5);
    hands.remove(2);
    hands.remove(3);
    assert_eq!(mutex.statistics().waiting, 3);
    drop(guard);
    for mut hand in hands {
        drop(hand.woken());
    }
    assert!(!mutex.is_locked());
}

#[test]
fn a_future_that_was_never_polled_has_no_place_in_line() {
    let mutex = Mutex::new(());
    let guard = once(mutex.lock()).unwrap();
    let first = mutex.lock();
    let mut second = Hand::waiting(mutex.lock());
    drop(guard);
    drop(second.woken());
    drop(block_on(first));
}

#[test]
fn a_panic_while_it_is_held_gives_it_back() {
    let mutex = Mutex::new(1);
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let mut guard = once(mutex.lock()).unwrap();
        *guard = 2;
        panic!("on purpose");
    }));
    assert!(caught.is_err());
    assert_eq!(*mutex.try_lock().unwrap(), 2);
}

#[test]
fn an_owned_guard_outlives_every_other_handle() {
    let mutex = Arc::new(Mutex::new(1));
    let mut guard: OwnedMutexGuard<i32> = once(mutex.clone().lock_owned()).unwrap();
    let mut waiting = Hand::waiting(mutex.clone().lock_owned());
    assert!(mutex.clone().try_lock_owned().is_err());
    *guard += 1;
    assert!(Arc::ptr_eq(OwnedMutexGuard::mutex(&guard), &mutex));
    drop(mutex);
    drop(guard);
    assert_eq!(*waiting.woken(), 2);
}

#[test]
fn it_may_hold_what_has_no_size() {
    let mutex: Box<Mutex<[i32]>> = Box::new(Mutex::new([1, 2, 3]));
    once(mutex.lock()).unwrap()[0] = 4;
    assert_eq!(mutex.try_lock().unwrap().len(), 3);
    let shared: Arc<Mutex<dyn std::fmt::Debug + Send>> = Arc::new(Mutex::new(5));
    assert_eq!(format!("{:?}", once(shared.lock_owned()).unwrap()), "5");
}

#[test]
fn debug_shows_its_state_and_does_not_wait() {
    let mut mutex = Mutex::new(7);
    assert_eq!(format!("{mutex:?}"), "Mutex { value: 7, waiting: Some(0) }");
    let guard: MutexGuard<'_, i32> = mutex.try_lock().unwrap();
    assert_eq!(format!("{mutex:?}"), "Mutex { value: <locked>, waiting: Some(0) }");
    assert_eq!(mutex.try_lock().unwrap_err(), TryLockError);
    drop(guard);
    *mutex.get_mut() = 8;
    assert_eq!(mutex.into_inner(), 8);
}

#[test]
fn threads_and_tasks_share_it() {
    const EACH: usize = 20_000;
    let mutex = Mutex::new(0_usize);
    threads(4, |n| {
        for _ in 0..EACH {
            match n % 2 {
                0 => *mutex.lock_blocking() += 1,
                _ => block_on(async { *mutex.lock().await += 1 }),
            }
        }
    });
    assert_eq!(mutex.into_inner(), 4 * EACH);
}

#[test]
#[should_panic = "`lock_blocking` would block the event loop"]
fn to_block_the_thread_of_a_loop_panics_and_names_the_way_out() {
    let mutex = Mutex::new(());
    let _guard = mutex.try_lock().unwrap();
    asyncio_base::budget::with_budget(1, || drop(mutex.lock_blocking()));
}

#[test]
fn a_task_that_locks_again_and_again_lets_others_run() {
    let mutex = Mutex::new(0);
    let done = asyncio_base::budget::with_budget(10, || {
        once(async {
            for _ in 0..1000 {
                *mutex.lock().await += 1;
            }
        })
    });
    assert_eq!(done, None);
    assert_eq!(*mutex.try_lock().unwrap(), 80, "in memory, an eighth each");
}

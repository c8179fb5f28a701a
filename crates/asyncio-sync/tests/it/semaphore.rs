//! `Semaphore`: order, many at once, closing, bounds, a limit that changes.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use asyncio_sync::{AcquireError, OverRelease, Semaphore, TryAcquireError};

use crate::support::{Hand, block_on, once, threads};

#[test]
fn permits_go_in_the_order_in_which_they_were_asked_for() {
    let semaphore = Semaphore::new(0);
    let mut one = Hand::waiting(semaphore.acquire());
    let mut two = Hand::waiting(semaphore.acquire());
    semaphore.add_permits(1).unwrap();
    assert!(!two.is_woken());
    let permit = one.woken().unwrap();
    drop(permit);
    drop(two.woken().unwrap());
    assert_eq!(semaphore.available_permits(), 1);
}

/// asyncio: `locked()` is true while somebody waits, even if there are permits (bpo-45997).
#[test]
fn one_who_wants_many_is_not_passed_by_those_who_want_few() {
    let semaphore = Semaphore::new(2);
    let held = once(semaphore.acquire()).unwrap().unwrap();
    let mut many = Hand::waiting(semaphore.acquire_many(2));
    assert_eq!(
        semaphore.try_acquire().unwrap_err(),
        TryAcquireError::NoPermits,
        "one is there, but waited for"
    );
    let mut few = Hand::waiting(semaphore.acquire());
    drop(held);
    assert!(!few.is_woken());
    drop(many.woken().unwrap());
    drop(few.woken().unwrap());
}

#[test]
fn one_who_wants_many_and_goes_lets_those_behind_him_in() {
    let semaphore = Semaphore::new(1);
    let many = Hand::waiting(semaphore.acquire_many(5));
    let mut few = [Hand::waiting(semaphore.acquire()), Hand::waiting(semaphore.acquire())];
    drop(many);
    let permit = few[0].woken().unwrap();
    assert!(!few[1].is_woken());
    drop(permit);
    drop(few[1].woken().unwrap());
}

/// cpython gh-90155 and gh-112202, tokio's batch semaphore, anyio's limiter: the permits of one who was chosen and goes.
#[test]
fn permits_of_one_who_was_chosen_and_goes_are_handed_on() {
    let semaphore = Semaphore::new(0);
    let chosen = Hand::waiting(semaphore.acquire_many(2));
    let mut next = [Hand::waiting(semaphore.acquire()), Hand::waiting(semaphore.acquire())];
    semaphore.add_permits(2).unwrap();
    assert!(chosen.is_woken());
    drop(chosen);
    let permits = next.each_mut().map(|hand| hand.woken().unwrap());
    drop(permits);
    assert_eq!(semaphore.available_permits(), 2);
}

#[test]
fn closing_tells_all_and_held_permits_come_back() {
    let semaphore = Semaphore::new(1);
    let held = once(semaphore.acquire()).unwrap().unwrap();
    let mut waiting: Vec<_> = (0..100).map(|_| Hand::waiting(semaphore.acquire())).collect();
    semaphore.close();
    assert!(waiting.iter_mut().all(|hand| hand.woken().unwrap_err() == AcquireError));
    assert_eq!(once(semaphore.acquire()).unwrap().unwrap_err(), AcquireError);
    assert_eq!(semaphore.try_acquire().unwrap_err(), TryAcquireError::Closed);
    drop(held);
    assert_eq!((semaphore.available_permits(), semaphore.is_closed()), (1, true));
}

/// tokio #8021: forgetting permits of a closed semaphore opened it again.
#[test]
fn a_closed_semaphore_stays_closed() {
    let semaphore = Semaphore::new(3);
    semaphore.close();
    semaphore.forget_permits(3);
    semaphore.add_permits(1).unwrap();
    assert!(semaphore.is_closed());
    assert_eq!(semaphore.try_acquire().unwrap_err(), TryAcquireError::Closed);
}

/// tokio #3644, #3188, #8076: too many permits.
#[test]
fn no_number_of_permits_wraps() {
    let semaphore = Semaphore::new(Semaphore::MAX_PERMITS);
    assert_eq!(semaphore.add_permits(1), Err(OverRelease));
    let all = once(semaphore.acquire_many(Semaphore::MAX_PERMITS)).unwrap().unwrap();
    assert_eq!(semaphore.available_permits(), 0);
    semaphore.add_permits(5).unwrap();
    drop(all);
    assert_eq!(semaphore.available_permits(), Semaphore::MAX_PERMITS);
    let nothing = once(semaphore.acquire_many(0)).unwrap().unwrap();
    assert_eq!(nothing.count(), 0);
}

#[test]
fn a_bounded_one_refuses_more_than_it_has() {
    let semaphore = Semaphore::bounded(2);
    assert_eq!(semaphore.add_permits(1), Err(OverRelease));
    let permit = once(semaphore.acquire()).unwrap().unwrap();
    assert_eq!(semaphore.add_permits(2), Err(OverRelease));
    permit.forget();
    assert_eq!(semaphore.available_permits(), 1);
    assert_eq!(semaphore.add_permits(1), Ok(()));
    assert_eq!(semaphore.forget_permits(9), 2);
    assert_eq!(semaphore.add_permits(2), Ok(()));
    assert_eq!(semaphore.statistics().limit, Some(2));
}

#[test]
fn a_limit_that_is_lowered_is_kept_as_permits_come_back() {
    let semaphore = Semaphore::bounded(3);
    let mut held: Vec<_> = (0..3).map(|_| semaphore.try_acquire().unwrap()).collect();
    semaphore.set_limit(1);
    let mut waiting = Hand::waiting(semaphore.acquire());
    held.pop();
    held.pop();
    assert!(!waiting.is_woken(), "one is held, and one may be");
    held.pop();
    let permit = waiting.woken().unwrap();
    let mut next = Hand::waiting(semaphore.acquire());
    semaphore.set_limit(2);
    drop(next.woken().unwrap());
    drop(permit);
    assert_eq!(semaphore.available_permits(), 2);
}

#[test]
fn permits_are_split_and_merged() {
    let semaphore = Semaphore::new(5);
    let mut permit = once(semaphore.acquire_many(3)).unwrap().unwrap();
    let mut one = permit.split(1).unwrap();
    assert!(permit.split(3).is_none());
    assert_eq!((permit.count(), one.count()), (2, 1));
    one.merge(permit);
    assert_eq!(semaphore.available_permits(), 2);
    drop(one);
    assert_eq!(semaphore.available_permits(), 5);
    let shared = Arc::new(semaphore);
    let mut owned = once(shared.clone().acquire_many_owned(2)).unwrap().unwrap();
    let rest = owned.split(1).unwrap();
    owned.merge(rest);
    assert!(Arc::ptr_eq(owned.semaphore(), &shared));
    owned.forget();
    assert_eq!(shared.available_permits(), 3);
}

#[test]
#[should_panic = "permits of two semaphores cannot be merged"]
fn permits_of_two_semaphores_are_not_merged() {
    let (one, other) = (Semaphore::new(1), Semaphore::new(1));
    one.try_acquire().unwrap().merge(other.try_acquire().unwrap());
}

#[test]
fn never_more_threads_inside_than_permits() {
    let (semaphore, inside) = (Semaphore::new(2), AtomicUsize::new(0));
    threads(4, |n| {
        for round in 0..5_000 {
            let permit = match (n + round) % 3 {
                0 => semaphore.acquire_blocking().unwrap(),
                1 => block_on(semaphore.acquire_many(2)).unwrap(),
                _ => block_on(semaphore.acquire()).unwrap(),
            };
            assert!(inside.fetch_add(permit.count(), Ordering::SeqCst) + permit.count() <= 2);
            inside.fetch_sub(permit.count(), Ordering::SeqCst);
        }
    });
    assert_eq!(semaphore.available_permits(), 2);
}

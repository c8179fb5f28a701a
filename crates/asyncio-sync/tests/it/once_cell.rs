//! `OnceCell` and `Lazy`: made once, whatever happens to those who make it.

use std::cell::Cell;
use std::future::{pending, ready};
use std::sync::atomic::{AtomicUsize, Ordering};

use asyncio_sync::{Lazy, OnceCell, SetError};

use crate::support::{Hand, block_on, once, threads};

#[test]
fn one_makes_it_and_all_get_it() {
    let (cell, made) = (OnceCell::new(), AtomicUsize::new(0));
    threads(4, |n| {
        let value = block_on(cell.get_or_init(|| {
            made.fetch_add(1, Ordering::SeqCst);
            futures_lite::future::yield_now()
        }));
        assert_eq!((value, n < 4), (&(), true));
    });
    assert_eq!(made.into_inner(), 1);
}

#[test]
fn a_maker_who_goes_leaves_it_to_the_next() {
    let cell = OnceCell::new();
    let going = Hand::waiting(cell.get_or_init(pending::<u32>));
    let mut next = Hand::waiting(cell.get_or_init(|| ready(2)));
    let mut last = Hand::waiting(cell.get_or_init(|| ready(3)));
    assert!(matches!(cell.set(1), Err(SetError::BeingSet(1))));
    drop(going);
    assert_eq!(next.woken(), &2);
    assert_eq!(last.woken(), &2);
}

#[test]
fn a_maker_who_fails_leaves_it_to_the_next() {
    let cell = OnceCell::new();
    assert_eq!(once(cell.get_or_try_init(|| ready(Err::<u32, _>("no")))), Some(Err("no")));
    assert!(!cell.is_set());
    assert_eq!(once(cell.get_or_try_init(|| ready(Ok::<_, ()>(1)))), Some(Ok(&1)));
}

/// RUSTSEC-2019-0017: a cell whose maker panics was left as if it had a value.
#[test]
fn a_maker_who_panics_leaves_it_to_the_next() {
    let cell = OnceCell::new();
    let mut waiting = None;
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        once(cell.get_or_init(|| {
            waiting = Some(Hand::waiting(cell.get_or_init(|| ready(2))));
            assert!(!cell.is_set(), "on purpose");
            panic!("on purpose");
            #[expect(unreachable_code, reason = "it says what type is made")]
            ready(1)
        }))
    }));
    assert!(caught.is_err());
    assert_eq!(waiting.unwrap().woken(), &2);
}

#[test]
fn those_who_only_wait_get_it_from_whoever_sets_it() {
    let cell = OnceCell::new();
    let mut waiting = [Hand::waiting(cell.wait()), Hand::waiting(cell.wait())];
    assert_eq!(cell.statistics().waiting, 2);
    cell.set(1).unwrap();
    assert!(matches!(cell.set(2), Err(SetError::AlreadySet(2))));
    waiting.iter_mut().for_each(|hand| assert_eq!(hand.woken(), &1));
    drop(waiting);
    assert_eq!(cell.into_inner(), Some(1));
}

#[test]
fn taken_it_is_as_new() {
    let mut cell = OnceCell::from(1);
    *cell.get_mut().unwrap() += 1;
    assert_eq!(cell.take(), Some(2));
    assert_eq!((cell.get(), cell.set(3).is_ok()), (None, true));
    assert_eq!(format!("{:?}", cell.get()), "Some(3)");
}

#[test]
fn a_lazy_value_is_made_at_its_first_use_and_again_only_if_that_is_dropped() {
    let made = Cell::new(0);
    let lazy = Lazy::new(|| {
        made.set(made.get() + 1);
        let is_first = made.get() == 1;
        async move {
            if is_first {
                pending::<()>().await;
            }
            7
        }
    });
    assert_eq!((made.get(), lazy.try_get()), (0, None));
    assert_eq!(once(lazy.get()), None);
    assert_eq!(once(lazy.get()), Some(&7));
    assert_eq!(once(lazy.get()), Some(&7));
    assert_eq!(made.get(), 2);
}

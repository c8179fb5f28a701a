//! `RwLock`: who may be in at the same time, order, upgrading, threads.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use asyncio_sync::RwLock;

use crate::support::{Hand, block_on, once, threads};

#[test]
fn readers_share_it_and_a_writer_has_it_alone() {
    let lock = RwLock::new(1);
    let (a, b) = (once(lock.read()).unwrap(), once(lock.read()).unwrap());
    assert_eq!(*a + *b, 2);
    let mut writer = Hand::waiting(lock.write());
    drop(a);
    assert!(!writer.is_woken());
    drop(b);
    *writer.woken() += 1;
    assert_eq!(*once(lock.read()).unwrap(), 2);
}

/// A stream of readers starved writers in early versions of tokio and async-std.
#[test]
fn readers_do_not_starve_a_writer() {
    let lock = RwLock::new(());
    let reader = once(lock.read()).unwrap();
    let mut writer = Hand::waiting(lock.write());
    let mut late = Hand::waiting(lock.read());
    assert!(lock.try_read().is_err(), "a writer waits");
    drop(reader);
    assert!(!late.is_woken());
    drop(writer.woken());
    drop(late.woken());
}

#[test]
fn readers_behind_a_writer_come_in_together_and_a_writer_behind_them_waits() {
    let lock = RwLock::new(());
    let writer = once(lock.write()).unwrap();
    let mut readers = [Hand::waiting(lock.read()), Hand::waiting(lock.read())];
    let mut last = Hand::waiting(lock.write());
    let mut behind = Hand::waiting(lock.read());
    drop(writer);
    let guards = readers.each_mut().map(Hand::woken);
    assert!(!last.is_woken() && !behind.is_woken());
    drop(guards);
    drop(last.woken());
    drop(behind.woken());
}

#[test]
fn a_writer_who_goes_lets_the_readers_behind_him_in() {
    let lock = RwLock::new(());
    let reader = once(lock.read()).unwrap();
    let writer = Hand::waiting(lock.write());
    let mut behind = [Hand::waiting(lock.read()), Hand::waiting(lock.read())];
    drop(writer);
    let guards = behind.each_mut().map(Hand::woken);
    assert_eq!(lock.statistics().readers, 3);
    drop((reader, guards));
    assert!(lock.try_write().is_ok());
}

#[test]
fn one_who_was_chosen_and_goes_hands_his_turn_on() {
    let lock = RwLock::new(());
    let writer = once(lock.write()).unwrap();
    let chosen = Hand::waiting(lock.write());
    let mut next = Hand::waiting(lock.read());
    drop(writer);
    assert!(chosen.is_woken() && !next.is_woken());
    drop(chosen);
    drop(next.woken());
    assert!(lock.try_write().is_ok());
}

#[test]
fn a_downgrade_lets_readers_in_and_no_writer() {
    let lock = RwLock::new(1);
    let writer = once(lock.write()).unwrap();
    let mut reader = Hand::waiting(lock.read());
    let mut next = Hand::waiting(lock.write());
    let down = writer.downgrade();
    let read = reader.woken();
    assert_eq!(*down + *read, 2);
    drop(down);
    assert!(!next.is_woken());
    drop(read);
    drop(next.woken());
}

#[test]
fn one_upgradable_reader_at_a_time_beside_others() {
    let lock = RwLock::new(1);
    let upgradable = once(lock.upgradable_read()).unwrap();
    let reader = once(lock.read()).unwrap();
    assert!(lock.try_upgradable_read().is_err());
    let mut second = Hand::waiting(lock.upgradable_read());
    let mut upgrade = Hand::waiting(upgradable.upgrade());
    drop(reader);
    let mut writer = upgrade.woken();
    *writer += 1;
    assert!(!second.is_woken());
    let upgradable = writer.downgrade_to_upgradable();
    assert!(!second.is_woken());
    let reader = upgradable.downgrade();
    let second = second.woken();
    assert_eq!(*reader + *second, 4);
    let second = second.try_upgrade().expect_err("another reads");
    drop(reader);
    *second.try_upgrade().unwrap() += 1;
    assert_eq!(*lock.try_read().unwrap(), 3);
}

/// The one who waits for readers to go, while a writer waits for him, would wait for ever in a plain line.
#[test]
fn an_upgrade_goes_before_a_writer_who_waits() {
    let lock = RwLock::new(0);
    let upgradable = once(lock.upgradable_read()).unwrap();
    let reader = once(lock.read()).unwrap();
    let mut writer = Hand::waiting(lock.write());
    let mut upgrade = Hand::waiting(upgradable.upgrade());
    drop(reader);
    let upgraded = upgrade.woken();
    assert!(!writer.is_woken());
    drop(upgraded);
    drop(writer.woken());
}

#[test]
fn an_upgrade_that_is_dropped_gives_the_lock_back() {
    for wait_first in [false, true] {
        let lock = RwLock::new(0);
        let upgradable = once(lock.upgradable_read()).unwrap();
        let reader = wait_first.then(|| once(lock.read()).unwrap());
        let mut upgrade = Hand::new(upgradable.upgrade());
        if wait_first {
            assert!(upgrade.poll().is_pending());
            let mut writer = Hand::waiting(lock.write());
            drop(reader);
            assert!(upgrade.is_woken(), "it has been chosen");
            drop(upgrade);
            drop(writer.woken());
        } else {
            drop(upgrade);
        }
        assert_eq!(lock.statistics().readers, 0);
        assert!(lock.try_write().is_ok());
    }
}

#[test]
fn owned_guards_of_all_kinds() {
    let lock = Arc::new(RwLock::new(1));
    let read = once(lock.clone().read_owned()).unwrap();
    let upgradable = once(lock.clone().upgradable_read_owned()).unwrap();
    let mut writing = Hand::waiting(upgradable.upgrade());
    drop(read);
    *writing.woken() += 1;
    let written = once(lock.clone().write_owned()).unwrap();
    let read = written.downgrade();
    assert_eq!((*read, lock.statistics().readers), (2, 1));
}

#[test]
fn debug_shows_its_state_and_does_not_wait() {
    let lock = RwLock::new(7);
    assert!(format!("{lock:?}").starts_with("RwLock { value: 7"), "{lock:?}");
    let _writer = lock.try_write().unwrap();
    assert!(format!("{lock:?}").starts_with("RwLock { value: <locked>"), "{lock:?}");
}

#[test]
fn threads_see_one_writer_or_readers() {
    let (inside, written) = (AtomicUsize::new(0), 1 << 16);
    let lock = RwLock::new(0_usize);
    threads(4, |n| {
        for round in 0..5_000 {
            if (n + round) % 4 == 0 {
                let mut guard = lock.write_blocking();
                assert_eq!(inside.fetch_add(written, Ordering::SeqCst), 0);
                *guard += 1;
                inside.fetch_sub(written, Ordering::SeqCst);
            } else {
                let _guard = block_on(lock.read());
                assert!(inside.fetch_add(1, Ordering::SeqCst) < written);
                inside.fetch_sub(1, Ordering::SeqCst);
            }
        }
    });
    assert_eq!(lock.into_inner(), 5_000);
}

//! `Event`: who is woken by what.

use asyncio_sync::Event;

use crate::support::{Hand, once, threads};

#[test]
fn a_set_wakes_all_and_lets_those_through_who_come_later() {
    let event = Event::new();
    let mut waiting: Vec<_> = (0..100).map(|_| Hand::waiting(event.wait())).collect();
    event.set();
    assert!(event.is_set());
    waiting.iter_mut().for_each(Hand::woken);
    assert_eq!(once(event.wait()), Some(()));
    event.clear();
    assert_eq!(once(event.wait()), None);
}

/// asyncio: who waited when it was set goes on, whatever happens before he runs.
#[test]
fn a_set_that_is_cleared_at_once_wakes_those_who_waited_and_nobody_else() {
    let event = Event::new();
    let mut waiting = Hand::waiting(event.wait());
    event.set();
    event.clear();
    let late = Hand::waiting(event.wait());
    waiting.woken();
    assert!(!late.is_woken());
    assert_eq!(event.statistics().waiting, 1);
}

#[test]
fn one_who_goes_is_not_missed() {
    let event = Event::new();
    let mut waiting: Vec<_> = (0..3).map(|_| Hand::waiting(event.wait())).collect();
    waiting.remove(1);
    event.set();
    waiting.iter_mut().for_each(Hand::woken);
    assert_eq!(event.statistics().waiting, 0);
}

#[test]
fn what_is_not_polled_does_not_wait() {
    let event = Event::new();
    let wait = event.wait();
    event.set();
    event.clear();
    assert_eq!(once(wait), None, "it came too late");
}

#[test]
fn threads_are_woken() {
    let (ready, go) = (std::sync::Barrier::new(4), Event::new());
    for _ in 0..200 {
        threads(4, |n| match n {
            0 => {
                ready.wait();
                go.set();
            }
            _ => {
                ready.wait();
                go.wait_blocking();
            }
        });
        go.clear();
    }
}

#[test]
fn debug_shows_its_state() {
    let event = Event::default();
    assert_eq!(format!("{event:?}"), "Event { is_set: false, waiting: Some(0) }");
}

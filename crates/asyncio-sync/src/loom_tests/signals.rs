//! `Event`, `Condition`, `Barrier`.

use asyncio_base::shim::{Arc, thread};
use loom::model;

use super::{Touched, block_on, once, with_thread};
use crate::{Barrier, Condition, Event};

#[test]
fn event_set_against_wait() {
    model(|| {
        let event = Arc::new(Event::new());
        let other = event.clone();
        with_thread(move || block_on(other.wait()), || event.set());
    });
}

#[test]
fn event_shows_what_happened_before_the_set() {
    model(|| {
        let (event, touched) = (Arc::new(Event::new()), Arc::new(Touched::new()));
        let other = (event.clone(), touched.clone());
        with_thread(
            move || {
                block_on(other.0.wait());
                assert_eq!(other.1.get(), 1);
            },
            || {
                touched.add();
                event.set();
            },
        );
    });
}

#[test]
fn event_is_set_shows_what_happened_before() {
    model(|| {
        let (event, touched) = (Arc::new(Event::new()), Arc::new(Touched::new()));
        let other = (event.clone(), touched.clone());
        with_thread(
            move || {
                if other.0.is_set() {
                    assert_eq!(other.1.get(), 1);
                }
            },
            || {
                touched.add();
                event.set();
            },
        );
    });
}

#[test]
fn event_two_setters_and_one_who_waits() {
    model(|| {
        let event = Arc::new(Event::new());
        let setters = [(); 2].map(|()| {
            let event = event.clone();
            thread::spawn(move || event.set())
        });
        block_on(event.wait());
        setters.into_iter().for_each(|setter| setter.join().unwrap());
    });
}

#[test]
fn event_wakes_all() {
    model(|| {
        let event = Arc::new(Event::new());
        let waiting = [(); 2].map(|()| {
            let event = event.clone();
            thread::spawn(move || block_on(event.wait()))
        });
        event.set();
        waiting.into_iter().for_each(|thread| thread.join().unwrap());
    });
}

#[test]
fn event_set_and_clear_against_one_who_goes() {
    model(|| {
        let event = Arc::new(Event::new());
        let other = event.clone();
        with_thread(
            move || _ = once(other.wait()),
            || {
                event.set();
                event.clear();
            },
        );
        assert_eq!(event.statistics().waiting, 0);
    });
}

#[test]
fn condition_notify_against_wait() {
    model(|| {
        let condition = Arc::new(Condition::new(false));
        let other = condition.clone();
        with_thread(
            move || block_on(async { other.lock().await.wait_for(|is_so| *is_so).await }),
            || {
                block_on(async {
                    let mut guard = condition.lock().await;
                    *guard = true;
                    guard.notify(1);
                });
            },
        );
    });
}

#[test]
fn condition_notify_without_the_lock() {
    model(|| {
        let condition = Arc::new(Condition::new(false));
        let other = condition.clone();
        with_thread(
            move || block_on(async { other.lock().await.wait_for(|is_so| *is_so).await }),
            || {
                block_on(async { *condition.lock().await = true });
                condition.notify_all();
            },
        );
    });
}

#[test]
fn condition_one_who_was_notified_goes() {
    model(|| {
        let condition = Arc::new(Condition::new(()));
        let (goes, stays) = (condition.clone(), condition.clone());
        // Both sleep.
        let mut going = Box::pin(async move { goes.lock().await.wait().await });
        assert!(super::poll(going.as_mut()).is_pending());
        let mut staying = Box::pin(async move { stays.lock().await.wait().await });
        assert!(super::poll(staying.as_mut()).is_pending());
        with_thread(move || drop(going), {
            let condition = condition.clone();
            move || condition.notify(1)
        });
        // Whichever came first: one notification is there for the one who stays.
        block_on(staying);
        assert!(condition.try_lock().is_ok());
    });
}

#[test]
fn condition_is_exclusive() {
    model(|| {
        let condition = Arc::new(Condition::new(Touched::new()));
        let other = condition.clone();
        with_thread(
            move || block_on(async { other.lock().await.add() }),
            || {
                let mut guard = block_on(condition.lock());
                guard.add();
                let _ = once(guard.wait());
                block_on(guard.relock());
                guard.add();
            },
        );
        assert_eq!(condition.try_lock().unwrap().get(), 3);
    });
}

#[test]
fn barrier_of_two() {
    model(|| {
        let barrier = Arc::new(Barrier::new(2));
        let other = barrier.clone();
        let here = std::cell::Cell::new(None);
        let (sender, receiver) = crate::oneshot();
        with_thread(
            move || _ = sender.send(block_on(other.wait()).unwrap()),
            || here.set(block_on(barrier.wait()).ok()),
        );
        assert_eq!(here.get().unwrap() + block_on(receiver).unwrap(), 1);
    });
}

#[test]
fn barrier_those_who_go_are_not_counted() {
    model(|| {
        let barrier = Arc::new(Barrier::new(3));
        let other = barrier.clone();
        with_thread(
            move || assert!(once(other.wait()).is_none()),
            || assert!(once(barrier.wait()).is_none()),
        );
        assert!(once(barrier.wait()).is_none(), "the other two have gone");
        assert_eq!(barrier.waiting(), 0);
    });
}

#[test]
fn barrier_abort_against_the_last() {
    model(|| {
        let barrier = Arc::new(Barrier::new(2));
        let (one, two) = (barrier.clone(), barrier.clone());
        let one = thread::spawn(move || block_on(one.wait()));
        let two = thread::spawn(move || block_on(two.wait()));
        barrier.abort();
        let (one, two) = (one.join().unwrap(), two.join().unwrap());
        assert_eq!(one.is_ok(), two.is_ok(), "all or nobody");
    });
}

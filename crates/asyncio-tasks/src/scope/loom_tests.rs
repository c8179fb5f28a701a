//! Loom models of what scopes share between threads: signals, and what a scope knows of those inside of it.

use std::task::{Poll, Waker};

use asyncio_base::shim::{Arc, Mutex, thread};
use loom::model;

use super::below::{Below, Held, Tie};
use super::signal::Signal;
use crate::loom_tests::Park;

/// Cancelling from another thread, against the scope that is about to wait.
#[test]
fn a_signal_is_set_while_somebody_begins_to_wait() {
    model(|| {
        let signal = Arc::new(Signal::default());
        let threads = [0, 1].map(|_| {
            let signal = signal.clone();
            thread::spawn(move || signal.set())
        });
        let (park, waker) = Park::new();
        park.wait(&waker, |cx| if signal.poll(cx.waker()) { Poll::Ready(()) } else { Poll::Pending });
        let news = threads.map(|thread| thread.join().unwrap());
        assert_ne!(news[0], news[1]);
    });
}

#[test]
fn a_signal_is_set_while_another_waker_comes() {
    model(|| {
        let signal = Arc::new(Signal::default());
        signal.poll(Waker::noop());
        let thread = thread::spawn({
            let signal = signal.clone();
            move || signal.set()
        });
        let (park, waker) = Park::new();
        park.wait(&waker, |cx| if signal.poll(cx.waker()) { Poll::Ready(()) } else { Poll::Pending });
        assert!(thread.join().unwrap());
    });
}

/// B4: holds are released on other threads while the scope begins to wait for that.
#[test]
fn the_last_hold_is_released_while_the_scope_begins_to_wait() {
    model(|| {
        let below = Arc::new(Below::default());
        let ties = [0, 1].map(|_| {
            let mut tie = Tie::to(below.clone());
            tie.update(None, true, false);
            tie
        });
        let threads = ties.map(|tie| thread::spawn(move || drop(tie)));
        let (park, waker) = Park::new();
        park.wait(&waker, |cx| match below.wait(cx.waker()) {
            Held::Not => Poll::Ready(()),
            Held::Confirmed | Held::Unconfirmed => Poll::Pending,
        });
        assert!(!below.is_held());
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
}

/// A scope inside that has a waker of its own, and waits just when the one around is cancelled: it is woken, or it was told.
#[test]
fn a_scope_inside_waits_while_the_one_around_is_cancelled() {
    model(|| {
        let (below, is_cancelled) = (Arc::new(Below::default()), Arc::new(Mutex::new(false)));
        let inner = thread::spawn({
            let (below, is_cancelled) = (below.clone(), is_cancelled.clone());
            move || {
                let (park, waker) = Park::new();
                let mut tie = Tie::to(below);
                park.wait(&waker, |cx| {
                    tie.update(Some(cx.waker()), false, false);
                    // As the poll does whose frame says that it is cancelled.
                    if *is_cancelled.lock() { Poll::Ready(()) } else { Poll::Pending }
                });
            }
        });
        *is_cancelled.lock() = true;
        below.cancel();
        inner.join().unwrap();
    });
}

/// A hold is confirmed, and released, on a thread of its own, while the scope that is cancelled looks: the counts come out even.
#[test]
fn a_hold_is_confirmed_and_released_while_the_scope_looks() {
    model(|| {
        let below = Arc::new(Below::default());
        let mut tie = Tie::to(below.clone());
        tie.update(None, true, false);
        let inner = thread::spawn(move || {
            tie.update(Some(Waker::noop()), true, true);
            drop(tie);
        });
        let (park, waker) = Park::new();
        below.cancel();
        park.wait(&waker, |cx| match below.wait(cx.waker()) {
            Held::Not => Poll::Ready(()),
            Held::Confirmed | Held::Unconfirmed => Poll::Pending,
        });
        inner.join().unwrap();
        assert!(!below.is_held());
        assert_eq!(below.wait(Waker::noop()), Held::Not);
    });
}

//! Loom models of what the crate's parts share between threads: `RUSTFLAGS="--cfg loom" cargo test --release -p asyncio-tasks --lib`.

use std::task::{Context, Poll, Wake, Waker};

use asyncio_base::shim::{Arc, AtomicU32, Ordering, thread};
use loom::model;
use loom::sync::Notify;

use crate::slot::{Giver, Taker, slot};

/// What a parked thread waits on. A wake that is lost leaves it parked for ever, which loom reports.
pub(crate) struct Park(Notify);

impl Park {
    pub(crate) fn new() -> (Arc<Self>, Waker) {
        let park = Arc::new(Self(Notify::new()));
        (park.clone(), Waker::from(park))
    }

    /// Polls until it is ready, and parks in between.
    pub(crate) fn wait<T>(&self, waker: &Waker, mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>) -> T {
        loop {
            if let Poll::Ready(value) = poll(&mut Context::from_waker(waker)) {
                return value;
            }
            self.0.wait();
        }
    }
}

impl Wake for Park {
    fn wake(self: Arc<Self>) {
        self.0.notify();
    }
}

/// Counts its drops.
struct Counted(Arc<AtomicU32>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

fn counted() -> (Counted, Arc<AtomicU32>) {
    let count = Arc::new(AtomicU32::new(0));
    (Counted(count.clone()), count)
}

fn take<T>(park: &Park, waker: &Waker, taker: &mut Taker<T>) -> Option<T> {
    park.wait(waker, |cx| taker.poll_take(cx)).ok()
}

#[test]
fn slot_given_against_taken() {
    model(|| {
        let (giver, mut taker): (Giver<Counted>, _) = slot();
        let (value, drops) = counted();
        let maker = thread::spawn(move || assert!(giver.give(value).is_ok()));
        let (park, waker) = Park::new();
        let value = take(&park, &waker, &mut taker);
        assert!(value.is_some());
        maker.join().unwrap();
        drop(taker);
        assert_eq!(drops.load(Ordering::Relaxed), 0);
        drop(value);
        assert_eq!(drops.load(Ordering::Relaxed), 1);
    });
}

#[test]
fn slot_given_against_left() {
    model(|| {
        let (giver, taker): (Giver<Counted>, _) = slot();
        let (value, drops) = counted();
        let maker = thread::spawn(move || drop(giver.give(value)));
        drop(taker);
        maker.join().unwrap();
        assert_eq!(drops.load(Ordering::Relaxed), 1);
    });
}

#[test]
fn slot_given_against_a_waiter_that_leaves() {
    model(|| {
        let (giver, mut taker): (Giver<Counted>, _) = slot();
        let (value, drops) = counted();
        let maker = thread::spawn(move || drop(giver.give(value)));
        let (_park, waker) = Park::new();
        drop(taker.poll_take(&mut Context::from_waker(&waker)));
        drop(taker);
        maker.join().unwrap();
        assert_eq!(drops.load(Ordering::Relaxed), 1);
    });
}

#[test]
fn slot_closed_against_taken() {
    model(|| {
        let (giver, mut taker): (Giver<u32>, _) = slot();
        let maker = thread::spawn(move || drop(giver));
        let (park, waker) = Park::new();
        assert!(take(&park, &waker, &mut taker).is_none());
        maker.join().unwrap();
    });
}

#[test]
fn slot_given_against_a_waker_that_changes() {
    model(|| {
        let (giver, mut taker) = slot();
        let maker = thread::spawn(move || assert!(giver.give(7).is_ok()));
        let (_park, former) = Park::new();
        match taker.poll_take(&mut Context::from_waker(&former)) {
            Poll::Ready(value) => assert_eq!(value.ok(), Some(7)),
            Poll::Pending => {
                let (park, waker) = Park::new();
                assert_eq!(take(&park, &waker, &mut taker), Some(7));
            }
        }
        maker.join().unwrap();
    });
}

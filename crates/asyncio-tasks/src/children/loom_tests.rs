//! Loom models of the list of those who are to be polled.

use std::task::{Poll, Waker};

use asyncio_base::shim::{Arc, AtomicBool, Ordering, thread};
use loom::model;

use super::woken::Woken;
use crate::loom_tests::Park;

/// Sets a flag, and wakes the child whose flag it is.
fn set(flags: &Arc<[AtomicBool; 2]>, woken: &Arc<Woken>, index: usize) -> thread::JoinHandle<()> {
    let (flags, woken) = (flags.clone(), woken.clone());
    thread::spawn(move || {
        // Relaxed: that the poll sees it is for the wake to bring about.
        flags[index].store(true, Ordering::Relaxed);
        woken.wake(index);
    })
}

/// Waits until both have been woken, and looks at the flags of those that are in the list only.
fn wait_for_both(woken: &Woken, flags: &[AtomicBool; 2]) {
    let (park, waker) = Park::new();
    let mut seen = [false; 2];
    park.wait(&waker, |cx| {
        let mut list = Vec::new();
        woken.exchange(&mut list, cx.waker());
        for index in list {
            seen[index] = flags[index].load(Ordering::Relaxed);
        }
        if seen == [true; 2] { Poll::Ready(()) } else { Poll::Pending }
    });
}

#[test]
fn two_children_are_woken_while_the_set_is_polled() {
    model(|| {
        let (woken, flags) =
            (Arc::new(Woken::default()), Arc::new([AtomicBool::new(false), AtomicBool::new(false)]));
        let threads = [0, 1].map(|index| set(&flags, &woken, index));
        wait_for_both(&woken, &flags);
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
}

/// A child that was woken before, and is woken again while the list is taken.
#[test]
fn a_child_is_woken_again_while_the_list_is_taken() {
    model(|| {
        let (woken, flags) =
            (Arc::new(Woken::default()), Arc::new([AtomicBool::new(false), AtomicBool::new(true)]));
        woken.wake(0);
        woken.wake(1);
        let thread = set(&flags, &woken, 0);
        wait_for_both(&woken, &flags);
        thread.join().unwrap();
    });
}

#[test]
fn a_set_that_is_dropped_wakes_nobody_any_more() {
    model(|| {
        let woken = Arc::new(Woken::default());
        woken.exchange(&mut Vec::new(), Waker::noop());
        let thread = thread::spawn({
            let woken = woken.clone();
            move || woken.wake(0)
        });
        woken.forget_parent();
        thread.join().unwrap();
    });
}

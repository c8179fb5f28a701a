//! Workers that cannot be made, or cannot go on.

#![cfg(unix)]

use std::future::pending;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

use asyncio_executor::SeededRandom;
use asyncio_reactor::{DefaultSelector, SelectorReactor};
use asyncio_runtime::Runner;
use asyncio_tasks::spawn_pinned;
use asyncio_timers::{Clock, Idle, ManualClock};

use crate::watched::Watched;

#[test]
fn what_cannot_be_built_says_why_and_leaves_nothing() {
    let error = Runner::builder().workers(2).schedule(SeededRandom::new(1)).build().unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    let error = Runner::builder().workers(2).clock(ManualClock::jumping()).build().unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    Runner::builder().workers(2).clock(ManualClock::new()).build().unwrap();
    let made = Arc::new(AtomicUsize::new(0));
    let count = made.clone();
    let make = move |worker| {
        if worker == 2 {
            return Err(io::Error::other("no third one today"));
        }
        count.fetch_add(1, Ordering::SeqCst);
        SelectorReactor::new(DefaultSelector::new()?)
    };
    let error = Runner::builder().workers(4).reactor(make).build().unwrap_err();
    assert_eq!(error.to_string(), "no third one today");
    assert_eq!(made.load(Ordering::SeqCst), 2);
}

/// Two workers, the second of which fails from when it is told to.
fn runner_that_breaks() -> (Runner, Arc<AtomicBool>) {
    let broken = Arc::new(AtomicBool::new(false));
    let switch = broken.clone();
    let make = move |worker| {
        let switch = switch.clone();
        Watched::reactor(move || match worker == 1 && switch.load(Ordering::SeqCst) {
            true => Err(io::Error::other("the selector is broken")),
            false => Ok(()),
        })
    };
    (Runner::builder().workers(2).reactor(make).build().unwrap(), broken)
}

#[test]
fn a_worker_that_cannot_go_on_ends_run() {
    let (mut runner, broken) = runner_that_breaks();
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        runner.run(async {
            broken.store(true, Ordering::SeqCst);
            let _ = spawn_pinned(1, || async {}).unwrap().await;
            pending::<()>().await;
        });
    }));
    let panic = caught.unwrap_err().downcast::<String>().unwrap();
    assert!(panic.contains("the selector is broken"), "{panic}");
    runner.close();
}

#[test]
fn a_worker_that_cannot_go_on_ends_guest_mode() {
    let (mut runner, broken) = runner_that_breaks();
    broken.store(true, Ordering::SeqCst);
    runner.event_loops()[1].spawn(async {}).unwrap().detach();
    let start = Instant::now();
    let error = loop {
        match runner.turn(Some(Duration::from_millis(1))) {
            Ok(_) => assert!(start.elapsed() < Duration::from_secs(20)),
            Err(error) => break error,
        }
    };
    assert_eq!(error.to_string(), "the selector is broken");
}

#[test]
fn a_worker_whose_thread_panics_ends_run() {
    /// A clock that panics when it is told to, on a thread that is not main's.
    #[derive(Debug)]
    struct Panics(ThreadId, Arc<AtomicBool>);
    impl Clock for Panics {
        fn now(&self) -> Instant {
            Instant::now()
        }

        fn idle(&self, deadline: Option<Instant>) -> Idle {
            let is_main = thread::current().id() == self.0;
            assert!(is_main || !self.1.load(Ordering::SeqCst), "a clock panics on purpose");
            deadline.map_or(Idle::Forever, |at| Idle::For(at.saturating_duration_since(Instant::now())))
        }
    }
    let is_time = Arc::new(AtomicBool::new(false));
    let clock = Panics(thread::current().id(), is_time.clone());
    let mut runner = Runner::builder().workers(2).clock(clock).build().unwrap();
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        runner.run(async {
            is_time.store(true, Ordering::SeqCst);
            let _ = spawn_pinned(1, || async {}).unwrap().await;
            pending::<()>().await;
        });
    }));
    let panic = caught.unwrap_err().downcast::<String>().unwrap();
    assert!(panic.contains("a worker's thread panicked"), "{panic}");
}

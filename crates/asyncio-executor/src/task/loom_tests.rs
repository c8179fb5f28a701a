//! Loom models of tasks that move. That every task is freed is part of each model (`Core::_track`), and that one thread at a time is at its stage.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use asyncio_base::shim::{AtomicBool, AtomicU32, Mutex, Ordering, thread};
use concurrent_queue::ConcurrentQueue;
use loom::model;
use loom::sync::Notify;

use super::Runnable;
use crate::foreign::{Spawn, spawn_on};
use crate::spawn::TaskOptions;

/// An executor that is nothing but a queue.
struct Home {
    ready: ConcurrentQueue<Runnable>,
    pushed: Notify,
}

impl Home {
    fn new() -> Arc<Self> {
        Arc::new(Self { ready: ConcurrentQueue::unbounded(), pushed: Notify::new() })
    }

    /// Polls what is ready until `is_over`, which a poll brings about.
    fn run_until(&self, is_over: impl Fn() -> bool) {
        while !is_over() {
            match self.ready.pop() {
                Ok(runnable) => {
                    runnable.run();
                }
                Err(_) => self.pushed.wait(),
            }
        }
    }

    fn run_ready(&self) {
        while let Ok(runnable) = self.ready.pop() {
            runnable.run();
        }
    }
}

impl Spawn for Home {
    fn schedule(&self, runnable: Runnable) {
        assert!(self.ready.push(runnable).is_ok());
        self.pushed.notify();
    }
}

struct Unpark(Notify);

impl Wake for Unpark {
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

/// A task that leaves its waker in a place, and ends when it is polled and `is_done`.
fn task_of(place: Arc<Mutex<Option<Waker>>>, is_done: impl Fn() -> bool + Send) -> impl Future<Output = ()> {
    poll_fn(move |cx| {
        if is_done() {
            return Poll::Ready(());
        }
        place.lock().get_or_insert_with(|| cx.waker().clone());
        Poll::Pending
    })
}

/// Polls what is ready, and returns the waker that was left.
fn waker_from(home: &Home, place: &Mutex<Option<Waker>>) -> Waker {
    home.run_ready();
    place.lock().take().unwrap()
}

/// Two wakes, by value and by reference, against polls: each is followed by a poll that sees what came before it (W3).
#[test]
fn wakes_against_polls() {
    model(|| {
        let home = Home::new();
        let flags: Arc<[AtomicBool; 2]> = Arc::new([AtomicBool::new(false), AtomicBool::new(false)]);
        let (place, seen, is_over) =
            (Arc::<Mutex<Option<Waker>>>::default(), flags.clone(), Arc::new(AtomicBool::new(false)));
        let over = is_over.clone();
        let is_done = move || {
            let is_done = seen.iter().all(|flag| flag.load(Ordering::Relaxed));
            is_done.then(|| over.store(true, Ordering::Relaxed)).is_some()
        };
        spawn_on(home.clone(), TaskOptions::here(), task_of(place.clone(), is_done)).detach();
        let waker = waker_from(&home, &place);
        let other = thread::spawn({
            let (flags, waker) = (flags.clone(), waker.clone());
            move || {
                flags[0].store(true, Ordering::Relaxed);
                waker.wake();
            }
        });
        // One of the two is in this thread, between polls.
        flags[1].store(true, Ordering::Relaxed);
        waker.wake_by_ref();
        drop(waker);
        home.run_until(|| is_over.load(Ordering::Relaxed));
        other.join().unwrap();
        // What was left behind a poll that had seen both.
        home.run_ready();
    });
}

/// A poll that wakes its own task, by the plain flag, against a wake from elsewhere.
#[test]
fn a_wake_of_its_own_against_another() {
    model(|| {
        let home = Home::new();
        let [flag, is_over] = [false; 2].map(|is| Arc::new(AtomicBool::new(is)));
        let (place, seen, over) = (Arc::<Mutex<Option<Waker>>>::default(), flag.clone(), is_over.clone());
        let (mut polls, leaves) = (0, place.clone());
        let task = poll_fn(move |cx| {
            polls += 1;
            match polls {
                1 => *leaves.lock() = Some(cx.waker().clone()),
                2 => {}
                _ if seen.load(Ordering::Relaxed) => {
                    over.store(true, Ordering::Relaxed);
                    return Poll::Ready(());
                }
                _ => return Poll::Pending,
            }
            cx.waker().wake_by_ref();
            Poll::Pending
        });
        spawn_on(home.clone(), TaskOptions::here(), task).detach();
        home.ready.pop().unwrap().run();
        let waker = place.lock().take().unwrap();
        let other = thread::spawn(move || {
            flag.store(true, Ordering::Relaxed);
            waker.wake();
        });
        home.run_until(|| is_over.load(Ordering::Relaxed));
        other.join().unwrap();
        home.run_ready();
    });
}

/// Two threads poll: whoever comes next sees what the last poll did, and nobody comes while it goes on.
#[test]
fn a_task_that_moves() {
    model(|| {
        let home = Home::new();
        let polls = Arc::new(AtomicU32::new(0));
        let (place, count) = (Arc::default(), polls.clone());
        let mut own = 0;
        let task = {
            let place: Arc<Mutex<Option<Waker>>> = Arc::clone(&place);
            poll_fn(move |cx| {
                place.lock().get_or_insert_with(|| cx.waker().clone());
                // After that, so that only the task itself brings it to the next poll.
                own += 1;
                assert_eq!(count.fetch_add(1, Ordering::Relaxed) + 1, own, "it sees what the last poll did");
                if own == 2 { Poll::Ready(()) } else { Poll::Pending }
            })
        };
        spawn_on(home.clone(), TaskOptions::here(), task).detach();
        let other = thread::spawn({
            let home = home.clone();
            move || home.run_ready()
        });
        home.run_ready();
        // If the other one polls it just now, this comes before its end, or after.
        let waker = place.lock().take();
        if let Some(waker) = waker {
            waker.wake();
            home.run_ready();
        }
        other.join().unwrap();
        let waker = place.lock().take();
        drop(waker);
        // Where it has not ended it comes once more, to be dropped.
        home.run_ready();
    });
}

/// The last waker goes while the task is let go: its future is dropped, once, wherever that is (W5).
#[test]
fn last_waker_dropped_against_the_end_of_a_poll() {
    model(|| {
        let home = Home::new();
        let drops = Arc::new(AtomicU32::new(0));
        let (place, guard) = (Arc::<Mutex<Option<Waker>>>::default(), Counted(drops.clone()));
        let task = task_of(place.clone(), move || {
            let _ = &guard;
            false
        });
        spawn_on(home.clone(), TaskOptions::here(), task).detach();
        let other = thread::spawn({
            let place: Arc<Mutex<Option<Waker>>> = place.clone();
            move || {
                let waker = place.lock().take();
                if let Some(waker) = waker {
                    drop(waker.clone());
                    drop(waker);
                }
            }
        });
        home.run_ready();
        other.join().unwrap();
        let waker = place.lock().take();
        drop(waker);
        home.run_ready();
        assert_eq!(drops.load(Ordering::Relaxed), 1);
    });
}

/// The end of a task against whoever awaits it on another thread, and then against the drop of the handle there.
#[test]
fn end_against_handle() {
    for awaits in [true, false] {
        model(move || {
            let home = Home::new();
            let drops = Arc::new(AtomicU32::new(0));
            let output = Counted(drops.clone());
            let handle = spawn_on(home.clone(), TaskOptions::here(), async move { output });
            let other = thread::spawn(move || {
                let mut handle = pin!(handle);
                let unpark = Arc::new(Unpark(Notify::new()));
                let waker = Waker::from(unpark.clone());
                while handle.as_mut().poll(&mut Context::from_waker(&waker)).is_pending() && awaits {
                    unpark.0.wait();
                }
            });
            home.run_ready();
            other.join().unwrap();
            assert_eq!(drops.load(Ordering::Relaxed), 1);
        });
    }
}

/// Asked to end from another thread while it is polled for the first time: it is polled once more, and sees it.
#[test]
fn a_request_to_end_against_a_poll() {
    model(|| {
        let home = Home::new();
        let is_over = Arc::new(AtomicBool::new(false));
        let over = is_over.clone();
        let task = poll_fn(move |_| {
            let is_asked = crate::current_header(crate::Header::is_cancel_requested).unwrap();
            over.store(is_asked, Ordering::Relaxed);
            if is_asked { Poll::Ready(()) } else { Poll::Pending }
        });
        let handle = spawn_on(home.clone(), TaskOptions::here(), task);
        let other = thread::spawn(move || {
            handle.request_cancel();
            handle
        });
        home.run_until(|| is_over.load(Ordering::Relaxed));
        drop(other.join().unwrap());
    });
}

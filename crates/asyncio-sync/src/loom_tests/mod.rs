//! Loom models of every primitive: `RUSTFLAGS="--cfg loom" cargo test --release -p asyncio-sync --lib`.
//!
//! Two or three threads each, a few steps each: what is shared, in the smallest case in which it could go wrong. The whole takes seconds. A wake that is lost leaves
//! a thread parked for ever, which loom reports as a deadlock; a value that two reach is found by its cells.

#![expect(unsafe_code, reason = "a value whose accesses loom checks")]

mod channels;
mod locks;
mod once;
mod queues;
mod signals;

use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Wake, Waker};

use asyncio_base::shim::{Arc, AtomicUsize, Ordering, UnsafeCell, thread};
use loom::sync::Notify;

/// What a parked thread waits on.
struct Park(Notify);

impl Wake for Park {
    fn wake(self: Arc<Self>) {
        self.0.notify();
    }
}

/// Polls until it is ready, and parks in between.
fn block_on<F: Future>(future: F) -> F::Output {
    let park = Arc::new(Park(Notify::new()));
    let waker = Waker::from(park.clone());
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output;
        }
        park.0.wait();
    }
}

/// Polls once, and drops what is pending.
fn once<F: Future>(future: F) -> Option<F::Output> {
    match poll(pin!(future).as_mut()) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

/// Polls with a waker that does nothing.
fn poll<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// Runs two threads and this one.
fn with_thread(thread: impl FnOnce() + 'static, here: impl FnOnce()) {
    let handle = thread::spawn(thread);
    here();
    handle.join().unwrap();
}

/// A value that loom sees touched: two at a time are a fault.
struct Touched(UnsafeCell<usize>);

impl Touched {
    fn new() -> Self {
        Self(UnsafeCell::new(0))
    }

    fn add(&self) {
        // SAFETY: it is what the model is about: whoever comes here is to be alone, or loom says so.
        self.0.with_mut(|value| unsafe { *value += 1 });
    }

    fn get(&self) -> usize {
        // SAFETY: the same, for those who read.
        self.0.with(|value| unsafe { *value })
    }
}

// SAFETY: the models see to it that only one touches it at a time, or loom says so.
unsafe impl Sync for Touched {}
// SAFETY: the same.
unsafe impl Send for Touched {}

/// Counts its drops.
struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

fn counted() -> (Counted, Arc<AtomicUsize>) {
    let count = Arc::new(AtomicUsize::new(0));
    (Counted(count.clone()), count)
}

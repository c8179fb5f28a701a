//! The fallback: one background thread that fires timers where no loop is entered.
//!
//! It is started by the first sleep that needs it, is named "asyncio-timers", and parks until the next deadline. It
//! never ends; a process that ends does not wait for it. Programs on a loop of ours never start it.

use std::sync::OnceLock;
use std::task::{Wake, Waker};
// The system's: no model has this thread.
use std::thread;

use asyncio_base::report;
use asyncio_base::shim::Arc;

use crate::clock::{Idle, MonotonicClock};
use crate::home::Timers;

static TIMERS: OnceLock<Timers> = OnceLock::new();
/// Whether a failure has been reported, so that a sleep that polls again and again says it once.
static HAS_FAILED: OnceLock<()> = OnceLock::new();

/// Returns the fallback's timers and starts its thread if need be. A failure is not kept: the next call tries again.
pub(crate) fn timers() -> Option<Timers> {
    if let Some(timers) = TIMERS.get() {
        return Some(timers.clone());
    }
    let (sender, receiver) = std::sync::mpsc::channel::<Timers>();
    let run = move || {
        // Another thread may have been faster: then nobody sends, and this one ends.
        if let Ok(timers) = receiver.recv() {
            drive(&timers);
        }
    };
    let thread = match thread::Builder::new().name("asyncio-timers".into()).spawn(run) {
        Ok(handle) => handle.thread().clone(),
        Err(error) => {
            if HAS_FAILED.set(()).is_ok() {
                report::report("timers", format_args!("no thread for sleeps outside of a loop: {error}"));
            }
            return None;
        }
    };
    let timers = TIMERS.get_or_init(|| {
        let timers = Timers::new(MonotonicClock, Waker::from(Arc::new(Unpark(thread))));
        // Its other end is in the thread that was just started.
        let _ = sender.send(timers.clone());
        timers
    });
    Some(timers.clone())
}

fn drive(timers: &Timers) {
    loop {
        // A waker that panics must not take all other sleeps with it.
        let mut panic = None;
        asyncio_base::panic::catch_and_store(&mut panic, || timers.fire_due());
        if let Some(panic) = panic {
            let message = asyncio_base::panic::message(&*panic);
            report::report("timers", format_args!("a waker panicked: {message}"));
        }
        match timers.idle() {
            Idle::For(wait) => thread::park_timeout(wait),
            Idle::Forever | Idle::Jump => thread::park(),
        }
    }
}

struct Unpark(thread::Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.unpark();
    }
}

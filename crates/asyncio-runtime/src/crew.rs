//! [`Crew`]: the workers beside the one that runs main, each a loop on a thread of its own.
//!
//! Closing goes in steps, which all workers take together; worker 0, who closes, leads. A worker that has died does not hold the others up.
//!
//! - W1: every worker is told to stop, and woken.
//! - W2: each leaves its loop at the end of the poll that it is in, and says so. When all have, nothing is polled any more.
//! - W3: worker 0 closes the executor: the futures of all tasks that may run anywhere are dropped, on its thread. All timers and
//!   reactors still stand.
//! - W4: each drops the futures of its own tasks, on its own thread, and says so. When all have, no future is left.
//! - W5: each closes its timers, and then its reactor.
//! - W6: the threads end, and are joined.

use std::fmt;
use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use asyncio_base::closed_world;
use asyncio_base::report;
use asyncio_base::shim::thread::JoinHandle;
use asyncio_base::shim::{Arc, AtomicBool, AtomicUsize, Mutex, Ordering};

use crate::core::{Busy, Core, Spinning, Stretch};
use crate::event_loop::EventLoop;

/// After so long a wait for a worker that is to stop, it is named: whoever waits knows what for.
const PATIENCE: Duration = Duration::from_secs(5);

/// The workers beside worker 0, which has it.
#[derive(Default)]
pub(crate) struct Crew {
    workers: Vec<Hand>,
    shared: Arc<Shared>,
}

/// What worker 0 keeps of another one.
struct Hand {
    event_loop: EventLoop,
    thread: JoinHandle<()>,
    /// It has taken a step.
    taken: Receiver<()>,
    /// It may take the next one.
    next: Sender<()>,
    /// It has no task of its own left, after it was told to cancel them.
    is_drained: Arc<AtomicBool>,
}

#[derive(Default)]
struct Shared {
    is_stopping: AtomicBool,
    /// How often the workers were told to cancel their own tasks.
    cancellations: AtomicUsize,
    has_failed: AtomicBool,
    /// Why a worker cannot go on: it stays so.
    failure: Mutex<Option<Arc<io::Error>>>,
}

impl Crew {
    /// Starts a worker. `make` makes its loop, on its thread, which `tell` wakes if it fails later.
    pub(crate) fn start(
        &mut self,
        name: String,
        tell: EventLoop,
        make: impl FnOnce() -> io::Result<Core> + Send + 'static,
    ) -> io::Result<()> {
        let (made, was_made) = channel();
        let (has_taken, taken) = channel();
        let (next, may_take) = channel();
        let shared = self.shared.clone();
        let is_drained = Arc::new(AtomicBool::new(false));
        let drained = is_drained.clone();
        let body = move || match make() {
            Ok(mut core) => {
                // OK because whoever starts it waits for it.
                let _ = made.send(Ok(core.event_loop.clone()));
                work(&core, &shared, &drained, &tell);
                let step = || {
                    // Whoever closes may have gone, by a panic: then there is nobody to wait for.
                    if has_taken.send(()).is_ok() {
                        let _ = may_take.recv();
                    }
                };
                step();
                core.drop_futures();
                step();
                core.close_drivers();
            }
            Err(error) => {
                let _ = made.send(Err(error));
            }
        };
        closed_world::check("another worker")?;
        let thread = std::thread::Builder::new().name(name).spawn(body)?;
        let error = match was_made.recv() {
            Ok(Ok(event_loop)) => {
                self.workers.push(Hand { event_loop, thread, taken, next, is_drained });
                return Ok(());
            }
            Ok(Err(error)) => error,
            Err(_) => io::Error::other("a worker's thread panicked before its loop was made"),
        };
        // It has ended, or is about to, and so has what it holds. Its panic is told of above.
        let _ = thread.join();
        Err(error)
    }

    /// Returns why a worker cannot go on.
    #[inline]
    pub(crate) fn failure(&self) -> Option<io::Error> {
        if !self.shared.has_failed.load(Ordering::Relaxed) {
            return None;
        }
        let failure = self.shared.failure.lock().clone();
        failure.map(|error| io::Error::new(error.kind(), error))
    }

    /// Returns the loops, from worker 1 on.
    pub(crate) fn event_loops(&self) -> impl Iterator<Item = &EventLoop> {
        self.workers.iter().map(|hand| &hand.event_loop)
    }

    /// Has all workers ask their own tasks to end.
    pub(crate) fn request_cancel_all(&self) {
        // Release: pairs with the Acquire in `work`.
        self.shared.cancellations.fetch_add(1, Ordering::Release);
        for hand in &self.workers {
            hand.event_loop.unpark();
        }
    }

    /// Says whether no worker has a task of its own, after that.
    pub(crate) fn is_drained(&self) -> bool {
        self.workers.iter().all(|hand| hand.is_drained.load(Ordering::Acquire))
    }

    /// W1 and W2.
    pub(crate) fn stop(&self) {
        self.shared.is_stopping.store(true, Ordering::Release);
        for hand in &self.workers {
            hand.event_loop.unpark();
        }
        self.wait();
    }

    /// Lets all take their next step.
    pub(crate) fn go_on(&self) {
        for hand in &self.workers {
            // One that has died takes none.
            let _ = hand.next.send(());
        }
    }

    /// Waits until all have taken their step.
    pub(crate) fn wait(&self) {
        for (nth, hand) in self.workers.iter().enumerate() {
            if let Err(RecvTimeoutError::Timeout) = hand.taken.recv_timeout(PATIENCE) {
                let worker = nth + 1;
                report::report(
                    "runtime",
                    format_args!(
                        "closing waits for worker {worker}, where a poll or a drop has not come to an end for {PATIENCE:?}"
                    ),
                );
                let _ = hand.taken.recv();
            }
        }
    }

    /// W6.
    pub(crate) fn join(&mut self) {
        for hand in self.workers.drain(..) {
            if hand.thread.join().is_err() {
                report::report("runtime", format_args!("the thread of a worker panicked"));
            }
        }
    }
}

/// The loop of a worker, until it is told to stop.
fn work(core: &Core, shared: &Shared, is_drained: &AtomicBool, tell: &EventLoop) {
    let mut failing = Failing { shared, tell, error: Some(io::Error::other("a worker's thread panicked")) };
    let _entered = core.enter();
    let mut stretch = Stretch::default();
    let mut spinning = Spinning::of(core);
    let mut cancellations = 0;
    // Acquire: what was done before the stop is seen.
    while !shared.is_stopping.load(Ordering::Acquire) {
        let told = shared.cancellations.load(Ordering::Acquire);
        if std::mem::replace(&mut cancellations, told) != told {
            core.executor.request_cancel_all();
        }
        let busy = core.run_ready(&mut stretch);
        if told > 0 {
            is_drained.store(core.executor.is_empty(), Ordering::Release);
        }
        spinning.ran(&stretch);
        debug_assert!(busy != Busy::Main, "there is one main, on worker 0");
        stretch = Stretch::default();
        let limit = spinning.limit(busy);
        match core.look_at_events(busy, limit) {
            Ok(has_happened) => spinning.looked(busy, limit, has_happened),
            Err(error) => {
                failing.error = Some(error);
                core.executor.step_away();
                return;
            }
        }
    }
    failing.error = None;
}

/// Tells worker 0 why this one cannot go on, also where it panics.
struct Failing<'a> {
    shared: &'a Shared,
    tell: &'a EventLoop,
    error: Option<io::Error>,
}

impl Drop for Failing<'_> {
    fn drop(&mut self) {
        if let Some(error) = self.error.take() {
            // The last one is told.
            let surplus = self.shared.failure.lock().replace(Arc::new(error));
            drop(surplus);
            self.shared.has_failed.store(true, Ordering::Relaxed);
            self.tell.unpark();
        }
    }
}

impl fmt::Debug for Crew {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.event_loops()).finish()
    }
}

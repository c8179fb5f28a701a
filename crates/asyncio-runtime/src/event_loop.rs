//! [`EventLoop`]: the handle to a loop, and which loop runs on this thread.

use std::cell::RefCell;
use std::fmt;
use std::future::Future;
use std::task::{Wake, Waker};
use std::time::Instant;

use asyncio_base::LoopClosed;
use asyncio_base::shim::{Arc, AtomicBool, Ordering, Weak};
use asyncio_executor::Spawner;
use asyncio_reactor::Reactor;
use asyncio_tasks::Task;
use asyncio_timers::Timers;

use crate::meter::{Meter, Metrics};
use crate::portal::Portal;
use crate::runtime::Runtime;

/// The handle to a loop: cheap to clone, and usable from any thread.
///
/// # Examples
///
/// ```
/// use asyncio_runtime::EventLoop;
///
/// assert!(EventLoop::current().is_err(), "no loop runs here");
/// let start = asyncio_runtime::run(async { EventLoop::current().unwrap().time() });
/// assert!(start <= std::time::Instant::now());
/// ```
#[derive(Clone)]
pub struct EventLoop {
    shared: Arc<Shared>,
}

struct Shared {
    reactor: Arc<dyn Reactor>,
    timers: Timers,
    spawner: Spawner,
    unpark: Waker,
    worker: usize,
    is_closed: AtomicBool,
    /// There if the loop is measured.
    meter: Option<Arc<Meter>>,
    runtime: Arc<Runtime>,
}

thread_local! {
    static RUNNING: RefCell<Option<EventLoop>> = const { RefCell::new(None) };
}

impl EventLoop {
    pub(crate) fn new(
        reactor: Arc<dyn Reactor>,
        timers: Timers,
        spawner: Spawner,
        unpark: Waker,
        worker: usize,
        meter: Option<Arc<Meter>>,
        runtime: Arc<Runtime>,
    ) -> Self {
        let is_closed = AtomicBool::new(false);
        Self {
            shared: Arc::new(Shared { reactor, timers, spawner, unpark, worker, is_closed, meter, runtime }),
        }
    }

    pub(crate) fn reactor(&self) -> &Arc<dyn Reactor> {
        &self.shared.reactor
    }

    /// Says whether both are of one loop.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }

    pub(crate) fn spawner(&self) -> &Spawner {
        &self.shared.spawner
    }

    pub(crate) fn runtime(&self) -> &Arc<Runtime> {
        &self.shared.runtime
    }

    /// Returns the loop that runs on this thread. asyncio's `get_running_loop`.
    ///
    /// # Errors
    ///
    /// Fails with [`NoEventLoop`] where none runs.
    ///
    /// # Examples
    ///
    /// ```
    /// use asyncio_runtime::EventLoop;
    ///
    /// assert!(EventLoop::current().is_err());
    /// asyncio_runtime::run(async {
    ///     let event_loop = EventLoop::current().unwrap();
    ///     let task = event_loop.spawn(async { 1 + 1 }).unwrap();
    ///     assert_eq!(task.await.unwrap(), 2);
    /// });
    /// ```
    pub fn current() -> Result<Self, NoEventLoop> {
        RUNNING.try_with(|running| running.borrow().clone()).ok().flatten().ok_or(NoEventLoop(()))
    }

    /// Starts a task on this loop, from any thread. asyncio's `run_coroutine_threadsafe`.
    ///
    /// The future is polled and dropped on the loop's thread; a loop that waits is woken. The task's handle may be awaited anywhere.
    ///
    /// # Errors
    ///
    /// Fails with [`LoopClosed`] where the loop is closed; the future is dropped here.
    ///
    /// # Examples
    ///
    /// ```
    /// use asyncio_runtime::EventLoop;
    ///
    /// asyncio_runtime::run(async {
    ///     let event_loop = EventLoop::current().unwrap();
    ///     let elsewhere = std::thread::spawn(move || event_loop.spawn(async { 6 * 7 }));
    ///     // This blocks the loop, which is fine: spawning does not wait for it.
    ///     let task = elsewhere.join().unwrap().unwrap();
    ///     assert_eq!(task.await.unwrap(), 42);
    /// });
    /// ```
    #[track_caller]
    pub fn spawn<F>(&self, future: F) -> Result<Task<F::Output>, LoopClosed>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        asyncio_tasks::spawn_with(&self.shared.spawner, future)
    }

    /// Returns a way for blocking code to call asynchronous code on this loop.
    pub fn portal(&self) -> Portal {
        Portal::to(self.clone())
    }

    /// Returns the number of the worker whose loop this is, counted from 0: that of the thread that runs main.
    pub fn worker(&self) -> usize {
        self.shared.worker
    }

    /// Returns what makes a waiting loop look at what there is.
    pub(crate) fn waker(&self) -> Waker {
        self.shared.unpark.clone()
    }

    /// Makes a waiting loop look at what there is.
    pub(crate) fn unpark(&self) {
        self.shared.unpark.wake_by_ref();
    }

    /// Returns what was measured of this loop so far; nothing but zeros if [nobody asked for it](crate::Builder::metrics).
    ///
    /// From any thread. Where there are several workers, each has metrics of its own: [`Runner::event_loops`](crate::Runner::event_loops).
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// let mut runner = asyncio_runtime::Runner::builder().metrics(true).build()?;
    /// runner.run(async { asyncio_tasks::spawn_local(asyncio_tasks::yield_now()).await }).unwrap();
    /// let metrics = runner.event_loop().metrics();
    /// assert_eq!((metrics.polls, metrics.wakes), (2, 1));
    /// # Ok(())
    /// # }
    /// ```
    pub fn metrics(&self) -> Metrics {
        self.shared.meter.as_ref().map_or_else(Metrics::default, |meter| meter.snapshot())
    }

    /// Returns where the polls of this loop are measured, if they are.
    pub(crate) fn meter(&self) -> Option<&Arc<Meter>> {
        self.shared.meter.as_ref()
    }

    /// Says whether the loop is in [debug mode](crate::Builder::debug). asyncio's `get_debug`.
    pub fn is_debugged(&self) -> bool {
        self.shared.runtime.is_debugged()
    }

    /// Sets whether what belongs to [debug mode](crate::Builder::debug) is reported from the next turn on. asyncio's `set_debug`.
    ///
    /// What has to be there from the beginning is there only where the builder says so: the watchdog, which sees a poll that holds its loop, and the watch of locks.
    pub fn set_debug(&self, is_debugged: bool) {
        self.shared.runtime.set_debugged(is_debugged);
    }

    /// Returns the present, by the clock of this loop.
    pub fn time(&self) -> Instant {
        self.shared.timers.now()
    }

    /// Says whether the loop is closed.
    pub fn is_closed(&self) -> bool {
        self.shared.is_closed.load(Ordering::Acquire)
    }

    pub(crate) fn set_closed(&self) {
        self.shared.is_closed.store(true, Ordering::Release);
    }

    /// Says whether no loop runs on this thread, nor is it at its end.
    pub(crate) fn can_be_entered() -> bool {
        RUNNING.try_with(|running| running.borrow().is_none()).unwrap_or(false)
    }

    /// Makes this the loop that runs on this thread.
    ///
    /// # Panics
    ///
    /// Panics if one runs already.
    #[track_caller]
    pub(crate) fn enter(&self) -> Entered {
        RUNNING.with(|running| {
            let mut running = running.borrow_mut();
            assert!(
                running.is_none(),
                "an event loop runs on this thread already: await the future instead, start it with `spawn_local`, move \
                 blocking code away with `to_thread`, or make a `Runner` on another thread"
            );
            *running = Some(self.clone());
        });
        Entered(())
    }
}

impl fmt::Debug for EventLoop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventLoop")
            .field("worker", &self.shared.worker)
            .field("reactor", &self.shared.reactor)
            .field("timers", &self.shared.timers)
            .field("is_closed", &self.is_closed())
            .finish()
    }
}

/// Takes the loop off its thread when dropped.
pub(crate) struct Entered(());

impl Drop for Entered {
    fn drop(&mut self) {
        // The thread-local may be gone at the end of the thread; then there is nothing to leave.
        let _ = RUNNING.try_with(|running| running.replace(None));
    }
}

/// Wakes a loop that waits for events.
pub(crate) fn unpark(reactor: &Arc<dyn Reactor>) -> Waker {
    Waker::from(Arc::new(Unpark(Arc::downgrade(reactor))))
}

/// Weak: a waker or a task's handle that outlives the loop must not keep its descriptors open.
struct Unpark(Weak<dyn Reactor>);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if let Some(reactor) = self.0.upgrade() {
            reactor.notify();
        }
    }
}

/// No event loop runs on this thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoEventLoop(());

impl fmt::Display for NoEventLoop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no event loop runs on this thread: call this inside of `run`, or of a `Runner`")
    }
}

impl std::error::Error for NoEventLoop {}

impl From<NoEventLoop> for std::io::Error {
    fn from(error: NoEventLoop) -> Self {
        Self::other(error)
    }
}

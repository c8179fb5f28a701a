//! Clean-up that no scope waits for any more: it becomes a job of the loop, and where there is no loop, of a thread of its own.
//!
//! - C1: closers that leave the last scope (that of a task which is dropped with its executor, or guards that are dropped outside of every
//!   scope) run on the loop of the thread where that happens. Its end waits for them ([`Cleanup::poll_idle`]).
//! - C2: once the loop's time is over ([`Cleanup::end`]), what still comes is cut off and reported.
//! - C3: on a thread without a loop they run on the thread "asyncio-cleanup", the one permitted detachment. A local closer cannot: it is
//!   dropped unrun, and reported.

mod driver;
mod local;

use std::any::{Any, TypeId};
use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::sync::OnceLock;
use std::task::{Context, Poll};
use std::time::Duration;

use asyncio_base::shim::{Arc, AtomicBool, AtomicUsize, Mutex, Ordering};
use asyncio_executor::{Spawner, TaskOptions};
use std::task::Waker;

use crate::scope::{Batch, Kind, Root, Scope};

pub(crate) use self::local::{defer_local, start_local};

/// How long clean-up may take, if nobody says otherwise: long enough for a few round trips over a bad network, short enough for an operator who
/// waits for a process to end.
pub const DEFAULT_GRACE: Duration = Duration::from_secs(10);

/// The clean-up of a runtime: whoever owns a loop enters it on the loop's thread, and waits for it at the end.
///
/// For those who build a runtime from the layers; `asyncio::Runner` has one.
///
/// # Examples
///
/// ```
/// use asyncio_executor::LocalExecutor;
/// use asyncio_tasks::{Cleanup, DEFAULT_GRACE, guard};
/// use std::task::{Context, Waker};
///
/// let executor = LocalExecutor::new(Waker::noop().clone());
/// let cleanup = Cleanup::new(DEFAULT_GRACE);
/// let (_executor, _cleanup) = (executor.enter(), cleanup.enter());
///
/// drop(guard(String::from("a resource"), |_| async {}));
/// assert_eq!(cleanup.jobs(), 1);
/// executor.run_round();
/// assert!(cleanup.poll_idle(&mut Context::from_waker(Waker::noop())).is_ready());
/// ```
#[derive(Clone)]
pub struct Cleanup {
    shared: Arc<Shared>,
}

struct Shared {
    grace: Duration,
    blocking_threads_max: OnceLock<usize>,
    belongings: Mutex<Vec<Arc<dyn Belonging>>>,
    jobs: AtomicUsize,
    is_draining: AtomicBool,
    is_over: AtomicBool,
    is_abandoned: AtomicBool,
    /// Whoever waits for the last job.
    waits: Mutex<Option<Waker>>,
}

/// What an upper layer keeps for a runtime, such as a pool of threads, and what must end with it.
pub trait Belonging: Any + Send + Sync {
    /// The runtime ends: ends this too, and waits for it at most for `grace`, by blocking the thread.
    fn close(&self, grace: Duration);
}

thread_local! {
    static CURRENT: RefCell<Option<Cleanup>> = const { RefCell::new(None) };
    static GRACE: Cell<Duration> = const { Cell::new(DEFAULT_GRACE) };
    /// A job is being made.
    static ADOPTING: Cell<bool> = const { Cell::new(false) };
}

impl Cleanup {
    /// Makes one. `grace` is how long clean-up may take on its threads, where a scope does not say otherwise.
    pub fn new(grace: Duration) -> Self {
        let shared = Shared {
            grace,
            blocking_threads_max: OnceLock::new(),
            belongings: Mutex::new(Vec::new()),
            jobs: AtomicUsize::new(0),
            is_draining: AtomicBool::new(false),
            is_over: AtomicBool::new(false),
            is_abandoned: AtomicBool::new(false),
            waits: Mutex::new(None),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Makes this the one of this thread, until the guard is dropped; then the former one comes back.
    #[must_use = "it is left when the guard is dropped"]
    pub fn enter(&self) -> CleanupGuard {
        // At the end of the thread there is nothing to enter.
        let _ = GRACE.try_with(|grace| grace.set(self.shared.grace));
        let former = CURRENT.try_with(|current| current.replace(Some(self.clone()))).ok().flatten();
        CleanupGuard { former, _not_send: PhantomData }
    }

    /// Returns how long clean-up may take.
    pub fn grace(&self) -> Duration {
        self.shared.grace
    }

    /// Returns how many jobs have not ended.
    pub fn jobs(&self) -> usize {
        self.shared.jobs.load(Ordering::Acquire)
    }

    /// Says whether no job is left; if one is, the end of the last one wakes `cx`.
    pub fn poll_idle(&self, cx: &mut Context<'_>) -> Poll<()> {
        let waker = cx.waker().clone();
        let former = self.shared.waits.lock().replace(waker);
        drop(former);
        // After the waker is there: SeqCst, as the end of a job reads it after it counts.
        if self.shared.jobs.load(Ordering::SeqCst) == 0 { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Says whether the runtime is ending what it has: its tasks are cancelled, and their clean-up is waited for.
    pub fn set_draining(&self, is_draining: bool) {
        self.shared.is_draining.store(is_draining, Ordering::Release);
    }

    /// Says whether the runtime is ending what it has. What is started now, and would go on for ever, should not be.
    pub fn is_draining(&self) -> bool {
        self.shared.is_draining.load(Ordering::Acquire)
    }

    /// Says that the time is over: what still comes is cut off, and reported.
    pub fn end(&self) {
        self.shared.is_over.store(true, Ordering::Release);
    }

    /// Says that nothing is to be cleaned up any more, as in a crash: what still comes is dropped unrun, and nobody is told.
    pub fn abandon(&self) {
        self.shared.is_abandoned.store(true, Ordering::Release);
        self.end();
    }

    /// Ends what [belongs](Self::belonging) to the runtime, and waits for it at most for `grace`.
    pub fn close_belongings(&self, grace: Duration) {
        // What they attach meanwhile, too.
        loop {
            let belongings = std::mem::take(&mut *self.shared.belongings.lock());
            if belongings.is_empty() {
                return;
            }
            belongings.iter().for_each(|belonging| belonging.close(grace));
        }
    }

    /// Returns what belongs to the runtime and is of this type; makes it first, if there is none.
    pub fn belonging<T: Belonging>(&self, make: impl FnOnce() -> T) -> Arc<T> {
        let find = |belongings: &[Arc<dyn Belonging>]| {
            let found = belongings.iter().find(|belonging| (***belonging).type_id() == TypeId::of::<T>())?;
            let found: Arc<dyn Any + Send + Sync> = found.clone();
            found.downcast::<T>().ok()
        };
        if let Some(found) = find(&self.shared.belongings.lock()) {
            return found;
        }
        let made = Arc::new(make());
        let mut belongings = self.shared.belongings.lock();
        if let Some(found) = find(&belongings) {
            drop(belongings);
            drop(made);
            return found;
        }
        belongings.push(made.clone());
        made
    }

    /// Sets how many threads blocking calls may have. Once, before there is one.
    pub fn set_blocking_threads_max(&self, count: usize) {
        let _ = self.shared.blocking_threads_max.set(count);
    }

    /// Says whether the runtime has said that the [time is over](Self::end). One that is dropped inside of another loop does not.
    pub fn is_over(&self) -> bool {
        self.shared.is_over.load(Ordering::Acquire)
    }

    /// Returns how many threads blocking calls may have, if somebody said so.
    pub fn blocking_threads_max(&self) -> Option<usize> {
        self.shared.blocking_threads_max.get().copied()
    }

    /// Returns the one that is entered on this thread.
    pub fn current() -> Option<Self> {
        CURRENT.try_with(|current| current.borrow().clone()).ok().flatten()
    }

    /// Returns the one of this thread, if it takes jobs.
    fn open() -> Option<Self> {
        Self::current().filter(|cleanup| !cleanup.shared.is_over.load(Ordering::Acquire))
    }

    fn job(&self) -> Job {
        self.shared.jobs.fetch_add(1, Ordering::SeqCst);
        Job { shared: self.shared.clone() }
    }
}

/// Two are the same if they are of one runtime.
impl PartialEq for Cleanup {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }
}

impl Eq for Cleanup {}

impl fmt::Debug for Cleanup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cleanup")
            .field("grace", &self.grace())
            .field("jobs", &self.jobs())
            .finish_non_exhaustive()
    }
}

/// Leaves a [`Cleanup`] when dropped.
pub struct CleanupGuard {
    former: Option<Cleanup>,
    _not_send: PhantomData<*mut ()>,
}

impl Drop for CleanupGuard {
    fn drop(&mut self) {
        let former = self.former.take();
        let _ = GRACE.try_with(|grace| grace.set(former.as_ref().map_or(DEFAULT_GRACE, Cleanup::grace)));
        let left = CURRENT.try_with(|current| current.replace(former));
        drop(left);
    }
}

impl fmt::Debug for CleanupGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CleanupGuard").finish_non_exhaustive()
    }
}

/// How long clean-up may take on this thread.
pub(crate) fn default_grace() -> Duration {
    GRACE.try_with(Cell::get).unwrap_or(DEFAULT_GRACE)
}

/// A job that has not ended; a scope without a scope around.
struct Job {
    shared: Arc<Shared>,
}

impl Kind for Job {
    const IS_SHIELD: bool = true;
    const IS_ROOT: bool = true;
}

impl Drop for Job {
    fn drop(&mut self) {
        if self.shared.jobs.fetch_sub(1, Ordering::SeqCst) == 1 {
            let waker = self.shared.waits.lock().take();
            if let Some(waker) = waker {
                waker.wake();
            }
        }
    }
}

/// Starts a task that nobody awaits: on this thread's loop, or, where there is none, on the thread for clean-up.
///
/// For libraries on these layers whose work must go on where no loop of ours runs, such as a stream that has bytes left to send. It belongs to no
/// scope and inherits no context; with its loop it is cancelled, as every task is. Where it cannot be started, since the loop is closed or the system
/// has no more threads, the future is dropped here: what must happen all the same is in a [`guard`](crate::guard()) within it.
///
/// # Examples
///
/// ```
/// let (sender, receiver) = std::sync::mpsc::channel();
/// asyncio_tasks::spawn_background(async move { sender.send(1).unwrap() });
/// assert_eq!(receiver.recv().unwrap(), 1, "on a thread of its own");
/// ```
#[track_caller]
pub fn spawn_background(future: impl Future<Output = ()> + Send + 'static) {
    let (options, task) = (TaskOptions::here(), Root::new(future));
    let spawned = match Spawner::current() {
        Some(_) => asyncio_executor::spawn_local(options, task).ok(),
        None => driver::spawner().and_then(|driver| driver.spawn(options, task).ok()),
    };
    spawned.into_iter().for_each(asyncio_executor::Handle::detach);
}

/// Runs clean-up that no scope waits for any more.
pub(crate) fn adopt(batches: Vec<Batch>) {
    let Some(cleanup) = Cleanup::current() else {
        return driver::adopt(batches);
    };
    if cleanup.shared.is_abandoned.load(Ordering::Acquire) {
        return batches.into_iter().for_each(Batch::forgo);
    }
    if cleanup.shared.is_over.load(Ordering::Acquire) {
        return batches.into_iter().for_each(|batch| batch.cut("was cut off, since its loop is closing"));
    }
    struct Leave;
    impl Drop for Leave {
        fn drop(&mut self) {
            let _ = ADOPTING.try_with(|adopting| adopting.set(false));
        }
    }
    if ADOPTING.try_with(|adopting| adopting.replace(true)).unwrap_or(true) {
        // The executor has refused the job, and dropped it: it is closed.
        return driver::adopt(batches);
    }
    let _leave = Leave;
    let job = Scope::of_batches(batches, cleanup.job());
    let spawned = asyncio_executor::spawn_local(TaskOptions::here().name("clean-up"), job);
    spawned.into_iter().for_each(asyncio_executor::Handle::detach);
}

//! [`Executor`]: tasks that any of several workers may poll.
//!
//! Each worker has a [`ring`] of ready tasks of its own, a place for the one that was woken last ([`hot`]), and reads an injection queue
//! that everybody else writes ([`shared`]). Where its own is empty it takes from others ([`member`]), and where all are it sleeps; [`idle`]
//! argues why no wake-up is lost. In its ready queue (`ready.rs`) a task in the ring is a token, so there is one order for all that a
//! worker runs.

mod hot;
mod idle;
mod member;
mod ring;
mod shared;

#[cfg(all(test, loom))]
mod loom_tests;
#[cfg(all(test, shuttle))]
mod shuttle_tests;

use std::fmt;
use std::future::Future;
use std::task::Waker;

use asyncio_base::shim::Arc;
use asyncio_base::{LoopClosed, budget};

use crate::local::{LocalExecutor, NoExecutor};
use crate::queue::{Birth, Owner, Queue, push_here};
use crate::ready::Because;
use crate::spawn::{self, Handle, Spawner, TaskOptions, fresh_id};
use crate::task::{Home, MovableTask, Runnable};

pub(crate) use self::idle::Attention;
pub(crate) use self::member::{Found, FromHot, Member};
pub(crate) use self::ring::Raw;
pub(crate) use self::shared::{Seat, Shared};

/// Runs tasks on several workers, which share what is ready by stealing from each other.
///
/// A worker is a [`LocalExecutor`] that was [made](Self::worker) here, on its thread: it runs what is spawned locally there, and besides,
/// whatever is spawned on the executor, by [`spawn`] inside of it or from anywhere. Nobody else needs to run for that: an executor with
/// one worker is complete.
///
/// # Order
///
/// What a worker runs, it runs first in, first out, local tasks and others alike; but a task that is woken by the one that is being polled
/// comes next, at most three times in a row. Between workers there is no order. (So a poll that wakes another task, and then blocks its
/// thread until that has run, may wait for ever.)
///
/// # Waiting
///
/// A worker asks [`LocalExecutor::try_idle`] before it waits, which looks for work elsewhere first. What it was made with as `unpark` is woken
/// when there is work for it. One that does something else than to run and to wait says so by [`step_away`](LocalExecutor::step_away).
///
/// Dropping the last clone [closes](Self::close) it.
///
/// # Examples
///
/// ```
/// use asyncio_executor::{Executor, TaskOptions, block_on};
/// use std::{task::Wake, sync::Arc, thread};
///
/// struct Unpark(thread::Thread);
/// impl Wake for Unpark {
///     fn wake(self: Arc<Self>) {
///         self.0.unpark();
///     }
/// }
///
/// let executor = Executor::new(2);
/// let workers = [0, 1].map(|index| {
///     let executor = executor.clone();
///     thread::spawn(move || {
///         let unpark = Arc::new(Unpark(thread::current()));
///         let worker = executor.worker(index, unpark.into()).unwrap();
///         let _entered = worker.enter();
///         while !executor.is_closed() {
///             while worker.run_round() > 0 {}
///             if let Some(_idle) = worker.try_idle() {
///                 thread::park();
///             }
///         }
///     })
/// });
/// let tasks: Vec<_> =
///     (0..100).map(|n| executor.spawn(TaskOptions::here(), async move { n }).unwrap()).collect();
/// let sum: u32 = tasks.into_iter().map(|task| block_on(task).unwrap()).sum();
/// assert_eq!(sum, 4950);
///
/// executor.close();
/// workers.map(|worker| { worker.thread().unpark(); worker.join().unwrap() });
/// ```
#[derive(Clone)]
pub struct Executor {
    open: Arc<Open>,
}

/// Closes when it is dropped. Workers hold what is inside, and not this.
struct Open {
    shared: Arc<Shared<Runnable>>,
}

impl Executor {
    /// Makes an executor for so many workers.
    ///
    /// # Panics
    ///
    /// Panics if there are none.
    #[track_caller]
    pub fn new(workers: usize) -> Self {
        assert!(workers > 0, "an executor without a worker would run nothing: ask for at least one");
        Self { open: Arc::new(Open { shared: Shared::new(workers) }) }
    }

    fn shared(&self) -> &Arc<Shared<Runnable>> {
        &self.open.shared
    }

    /// Returns how many workers there are to be.
    pub fn workers(&self) -> usize {
        self.shared().seats().len()
    }

    /// Makes the worker with this number, counted from 0, on this thread. `unpark` is woken when it sleeps and there is work for it.
    ///
    /// When it is dropped its local tasks are, and what else was ready there goes to the others.
    ///
    /// # Errors
    ///
    /// Fails with [`WorkerTaken`] while there is one of this number.
    ///
    /// # Panics
    ///
    /// Panics if `index` is not below [`workers`](Self::workers).
    #[track_caller]
    pub fn worker(&self, index: usize, unpark: Waker) -> Result<LocalExecutor, WorkerTaken> {
        let count = self.workers();
        assert!(index < count, "there is no worker {index}: this executor was made for {count}");
        let owner = Owner::new(Queue::new(unpark.clone(), None));
        let seat = &self.shared().seats()[index];
        let spawner = Spawner::new(owner.queue().clone());
        let own = seat.occupy(unpark, spawner).ok_or(WorkerTaken(index))?;
        owner.join(Member::new(self.shared(), seat, own));
        Ok(LocalExecutor::on(owner))
    }

    /// Spawns a task, from any thread. Whichever worker comes first polls it.
    ///
    /// # Errors
    ///
    /// Fails with [`LoopClosed`] where the executor is closed; the future is dropped here.
    pub fn spawn<F>(&self, options: TaskOptions, future: F) -> Result<Handle<F::Output>, LoopClosed>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let here = Owner::current().filter(|owner| owner.is_member_of(self.shared()));
        let seat = here.as_ref().and_then(Owner::seat).unwrap_or_else(|| self.shared().seats()[0].clone());
        let id = here.map_or_else(fresh_id, |owner| owner.fresh_id());
        let (runnable, handle) = Runnable::create(id, options, Home::Seat(seat), future);
        if self.is_closed() {
            return Err(LoopClosed::new());
        }
        make_ready(runnable, Because::Spawned);
        Ok(Handle::movable(handle))
    }

    /// Makes a future on the worker with this number, and runs it there: it need not be `Send`.
    ///
    /// # Errors
    ///
    /// Fails with [`SpawnPinnedError`] where there is no such worker, or none at the moment.
    pub fn spawn_pinned<M, F>(
        &self,
        worker: usize,
        options: TaskOptions,
        make: M,
    ) -> Result<Handle<F::Output>, SpawnPinnedError>
    where
        M: FnOnce() -> F + Send + 'static,
        F: Future + 'static,
        F::Output: Send + 'static,
    {
        spawn_pinned_at(self.shared(), worker, options, make)
    }

    /// Says whether it is closed.
    pub fn is_closed(&self) -> bool {
        self.shared().is_closed()
    }

    /// Asks every task that there is to end, as [`Handle::request_cancel`] does for one; not those that are spawned afterwards, nor local tasks.
    pub fn request_cancel_all(&self) {
        self.shared().request_cancel_all();
    }

    /// Says whether no task is left, besides local ones: none waits or is queued, and every worker but `besides`, which asks, sleeps.
    pub fn is_quiet(&self, besides: usize) -> bool {
        self.shared().is_quiet(besides)
    }

    /// Drops every future that is left, here, and takes no more. What a worker has in hand at that moment it drops itself: one that is being
    /// polled at the end of that poll, and another one when it comes to it.
    ///
    /// Local tasks of workers stay: they go with their worker. Workers that wait are not woken. Dropping the last clone does this too; a clone
    /// inside of one of its tasks keeps it open.
    pub fn close(&self) {
        self.shared().close();
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.shared.close();
    }
}

impl fmt::Debug for Executor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Executor").field(self.shared()).finish()
    }
}

/// Spawns a task on the executor of the worker that is entered on this thread: any worker may poll it. Where that is a [`LocalExecutor`] by
/// itself, the task is its own.
///
/// # Errors
///
/// Fails with [`NoExecutor`] where none is entered; the future is dropped.
#[inline]
pub fn spawn<F>(options: TaskOptions, future: F) -> Result<Handle<F::Output>, NoExecutor>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    match Owner::birth_here()? {
        Some(birth) => Ok(spawn_movable(birth, options, future)),
        None => spawn::spawn_here(options, future),
    }
}

#[inline(never)]
fn spawn_movable<F>(birth: Birth, options: TaskOptions, future: F) -> Handle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    let is_eager = options.is_eager();
    let (runnable, handle) = Runnable::create(birth.id, options, Home::Seat(birth.seat), future);
    if is_eager {
        budget::with_budget(birth.units, || runnable.run());
    } else {
        // On a closed executor that drops it, and its handle says that it was ended, as that of a local task does.
        make_ready(runnable, Because::Spawned);
    }
    Handle::movable(handle)
}

/// Makes a future on the worker with this number, of the executor that is entered on this thread, and runs it there. A [`LocalExecutor`] by
/// itself is worker 0.
///
/// # Errors
///
/// Fails with [`SpawnPinnedError`] where there is no such worker, or no executor is entered.
pub fn spawn_pinned<M, F>(
    worker: usize,
    options: TaskOptions,
    make: M,
) -> Result<Handle<F::Output>, SpawnPinnedError>
where
    M: FnOnce() -> F + Send + 'static,
    F: Future + 'static,
    F::Output: Send + 'static,
{
    let owner = Owner::current().ok_or(SpawnPinnedError::NoExecutor)?;
    let Some(shared) = owner.seat().and_then(|seat| seat.shared().upgrade()) else {
        if worker > 0 {
            return Err(SpawnPinnedError::NoWorker { worker, workers: 1 });
        }
        let spawner = Spawner::new(owner.queue().clone());
        return spawner.spawn_made(options, make).map_err(|_| SpawnPinnedError::Closed);
    };
    spawn_pinned_at(&shared, worker, options, make)
}

fn spawn_pinned_at<M, F>(
    shared: &Arc<Shared<Runnable>>,
    worker: usize,
    options: TaskOptions,
    make: M,
) -> Result<Handle<F::Output>, SpawnPinnedError>
where
    M: FnOnce() -> F + Send + 'static,
    F: Future + 'static,
    F::Output: Send + 'static,
{
    let workers = shared.seats().len();
    let seat = shared.seats().get(worker).ok_or(SpawnPinnedError::NoWorker { worker, workers })?;
    let spawner = seat.spawner().ok_or(SpawnPinnedError::Closed)?;
    spawner.spawn_made(options, make).map_err(|_| SpawnPinnedError::Closed)
}

/// A place among the tasks that wait.
pub(crate) struct Registration {
    seat: Arc<Seat<Runnable>>,
    key: usize,
}

impl Registration {
    /// Of a task that has just been polled and waits: at the seat of the worker that polled it, or at its `home` if that is of another
    /// executor. `None` if the executor is closed.
    pub(crate) fn of(home: &Arc<Seat<Runnable>>, task: MovableTask) -> Option<Self> {
        let here = Owner::current().and_then(|owner| owner.seat());
        let seat = here.filter(|here| here.shared().ptr_eq(home.shared())).unwrap_or_else(|| home.clone());
        let key = seat.register(task)?;
        Some(Self { seat, key })
    }

    /// Gives the place up. Once.
    pub(crate) fn end(&self) {
        self.seat.unregister(self.key);
    }
}

/// Makes a task of an executor of ours ready again.
#[inline]
pub(crate) fn schedule(runnable: Runnable) {
    make_ready(runnable, Because::Woken);
}

#[inline]
fn make_ready(runnable: Runnable, because: Because) {
    let Some(seat) = runnable.seat() else { return };
    let executor = seat.shared().as_ptr();
    if let Err(runnable) = push_here(executor, runnable, because) {
        inject(runnable);
    }
}

#[cold]
fn inject(runnable: Runnable) {
    // Its own count: the task may be gone as soon as it is in the queue.
    match runnable.seat().and_then(|seat| seat.shared().upgrade()) {
        Some(shared) => shared.inject(runnable),
        // The executor is gone, and was closed before.
        None => drop(runnable),
    }
}

/// There is a worker of this number already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WorkerTaken(usize);

impl fmt::Display for WorkerTaken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "there is a worker {} already: drop it first, or take another number", self.0)
    }
}

impl std::error::Error for WorkerTaken {}

/// Why a task could not be started on a worker of the caller's choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SpawnPinnedError {
    /// No executor is entered on this thread.
    NoExecutor,
    /// There is no worker of this number.
    #[non_exhaustive]
    NoWorker {
        /// The number that was asked for.
        worker: usize,
        /// How many workers there are.
        workers: usize,
    },
    /// The worker is closed.
    Closed,
}

impl fmt::Display for SpawnPinnedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoExecutor => NoExecutor(()).fmt(f),
            Self::NoWorker { worker, workers } => {
                write!(
                    f,
                    "there is no worker {worker} to start a task on: this runtime has {workers}, counted from 0"
                )
            }
            Self::Closed => f.write_str("the worker to start a task on is closed"),
        }
    }
}

impl std::error::Error for SpawnPinnedError {}

impl From<SpawnPinnedError> for std::io::Error {
    fn from(error: SpawnPinnedError) -> Self {
        Self::other(error)
    }
}

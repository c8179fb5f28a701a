//! [`LocalExecutor`]: tasks of one thread, first in, first out.

use std::fmt;
use std::future::Future;
use std::task::Waker;

use asyncio_base::shim::Arc;

use crate::current::{Entered, with_polled};
use crate::header::{Header, TaskState};
use crate::main_waker::MainWaker;
use crate::queue::{Owner, Queue};
use crate::schedule::Schedule;
use crate::spawn::{self, Handle, Spawner, TaskOptions};
use crate::task::{LocalTask, Reference};
use crate::watch::Watch;

/// Runs tasks on the thread that made it, strictly first in, first out (or as its [`Schedule`] says).
///
/// Wakes from its own thread, while it is [entered](Self::enter), take no lock and no atomic of the queue's; wakes from other threads go through a
/// lock-free queue and then wake `unpark`, so that a parked loop comes back.
///
/// Dropping it drops every future that is left, in place, on this thread. What wakes them later wakes nothing.
///
/// # Examples
///
/// A whole runtime for programs without timers and I/O:
///
/// ```
/// use asyncio_executor::{LocalExecutor, TaskOptions};
/// use std::{cell::Cell, rc::Rc, task::Waker};
///
/// let executor = LocalExecutor::new(Waker::noop().clone());
/// let _entered = executor.enter();
/// let done = Rc::new(Cell::new(false));
/// let flag = done.clone();
/// executor
///     .spawn(async move {
///         asyncio_executor::spawn_local(TaskOptions::here(), async move { flag.set(true) }).unwrap().detach();
///     })
///     .detach();
/// while executor.run_round() > 0 {}
/// assert!(done.get());
/// ```
pub struct LocalExecutor {
    owner: Owner,
    main: Arc<MainWaker>,
}

impl LocalExecutor {
    /// Makes an executor for this thread. `unpark` is woken after a wake from another thread.
    pub fn new(unpark: Waker) -> Self {
        Self::on(Owner::new(Queue::new(unpark, None)))
    }

    /// Makes an executor with another order than first in, first out.
    pub fn with_schedule(unpark: Waker, schedule: impl Schedule) -> Self {
        Self::with_boxed_schedule(unpark, Box::new(schedule))
    }

    /// As [`with_schedule`](Self::with_schedule), for those who chose it at run time.
    pub fn with_boxed_schedule(unpark: Waker, schedule: Box<dyn Schedule>) -> Self {
        Self::on(Owner::new(Queue::new(unpark, Some(schedule))))
    }

    pub(crate) fn on(owner: Owner) -> Self {
        let main = Arc::new(MainWaker::new(owner.queue().clone()));
        owner.set_main(&main);
        Self { owner, main }
    }

    #[cfg(all(test, not(any(loom, shuttle))))]
    pub(crate) fn owner(&self) -> &Owner {
        &self.owner
    }

    /// Sets how many ready leaf operations a task may do in one poll, or eight times as many in memory:
    /// [`budget::DEFAULT`](asyncio_base::budget::DEFAULT) if nobody says otherwise. Zero counts as one, since a task that may do
    /// nothing would never end, and more than [`budget::MAX`](asyncio_base::budget::MAX) as that.
    pub fn set_budget(&self, units: u32) {
        self.owner.set_budget(units);
    }

    /// Has its polls measured; `None` ends that.
    pub fn set_watch(&self, watch: Option<Arc<Watch>>) {
        self.owner.set_watch(watch);
    }

    /// Returns how many ready leaf operations a task may do in one poll, or eight times as many in memory.
    pub fn budget(&self) -> u32 {
        self.owner.budget()
    }

    /// Makes this the executor that [`spawn_local`] and local wakes on this thread reach, until the guard is dropped.
    #[must_use = "the executor is left when the guard is dropped"]
    pub fn enter(&self) -> EnterGuard {
        EnterGuard { _entered: self.owner.enter() }
    }

    /// Spawns a task. It is polled in the next round.
    #[track_caller]
    pub fn spawn<F>(&self, future: F) -> Handle<F::Output>
    where
        F: Future + 'static,
        F::Output: 'static,
    {
        self.spawn_with(TaskOptions::here(), future)
    }

    /// Spawns a task with a name, or with another spawn place.
    pub fn spawn_with<F>(&self, options: TaskOptions, future: F) -> Handle<F::Output>
    where
        F: Future + 'static,
        F::Output: 'static,
    {
        spawn::spawn_local(&self.owner, options, future)
    }

    /// Returns what spawns onto this executor from any thread.
    ///
    /// # Examples
    ///
    /// ```
    /// use asyncio_executor::{LocalExecutor, TaskOptions, block_on};
    /// use std::task::Waker;
    ///
    /// let executor = LocalExecutor::new(Waker::noop().clone());
    /// let spawner = executor.spawner();
    /// let elsewhere = std::thread::spawn(move || spawner.spawn(TaskOptions::here(), async { 7 }));
    /// let task = elsewhere.join().unwrap().unwrap();
    /// executor.run_round();
    /// assert_eq!(block_on(task), Some(7));
    /// ```
    pub fn spawner(&self) -> Spawner {
        Spawner::new(self.owner.queue().clone())
    }

    /// Polls exactly the tasks that are ready now, and returns how many it was. What they make ready belongs to the next round.
    ///
    /// It knows nothing of a main future: an entry of [`main_waker`](Self::main_waker) is passed over.
    pub fn run_round(&self) -> usize {
        let mut left = self.owner.ready_count();
        let mut polls = 0;
        while left > 0 {
            let ran = self.run_up_to(left);
            polls += ran.polls;
            match ran.stopped {
                Stopped::Main => left -= ran.polls + 1,
                Stopped::Idle | Stopped::Limit => break,
            }
        }
        polls
    }

    /// Polls at most `limit` ready tasks, and stops early when nothing is ready, or when it is the main future's turn.
    pub fn run_up_to(&self, limit: usize) -> Ran {
        let ran = self.owner.run_up_to(limit);
        if ran.stopped == Stopped::Main {
            self.main.take_turn();
        }
        ran
    }

    /// Returns the waker of a main future: one that is polled in place, by whoever owns the executor, in its turn among the tasks.
    ///
    /// A wake puts an entry into the ready queue; when it comes to the front, [`run_up_to`](Self::run_up_to) stops with [`Stopped::Main`].
    pub fn main_waker(&self) -> Waker {
        self.main.set_used();
        Waker::from(self.main.clone())
    }

    /// Returns how many entries are ready: tasks, and perhaps the main future.
    pub fn ready_count(&self) -> usize {
        self.owner.ready_count()
    }

    /// Says whether a task is ready.
    pub fn is_ready(&self) -> bool {
        self.owner.ready_count() > 0
    }

    /// Looks for work, and returns `None` if there is some. Otherwise this executor's thread may wait, until something happens of its own, or
    /// `unpark` is woken; then the guard is to be dropped.
    ///
    /// For one that is a worker of an [`Executor`](crate::Executor) the search goes on at the others, and others give it work while it
    /// waits. For one by itself this is the negation of [`is_ready`](Self::is_ready).
    #[must_use = "a worker counts as waiting until the guard is dropped"]
    pub fn try_idle(&self) -> Option<IdleGuard<'_>> {
        if self.owner.find_or_sleep() { None } else { Some(IdleGuard { owner: &self.owner }) }
    }

    /// Says that this worker will not run for a while: others are to take what is ready here and may be taken.
    pub fn step_away(&self) {
        self.owner.step_away();
    }

    /// Returns the number of this worker, if it is one of an [`Executor`](crate::Executor).
    pub fn worker(&self) -> Option<usize> {
        self.owner.seat().map(|seat| seat.index())
    }

    /// Returns how many tasks have not ended. Those of an [`Executor`](crate::Executor) are not among them.
    pub fn len(&self) -> usize {
        self.owner.task_count()
    }

    /// Says whether all tasks have ended.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Asks every task that there is to end, as [`Handle::request_cancel`] does for one; not those that are spawned afterwards.
    pub fn request_cancel_all(&self) {
        // Those that other threads have spawned here, too.
        self.owner.take_remote();
        self.owner.tasks().iter().for_each(LocalTask::request_cancel);
    }

    /// Runs `f` with the header of each task of its own that has not ended, and with what that is doing. Those of an
    /// [`Executor`](crate::Executor) are not among them.
    pub fn for_each_task(&self, mut f: impl FnMut(&Header, TaskState)) {
        self.owner.tasks().iter().for_each(|task| f(task.header(), task.state()));
    }

    /// Drops every future that is left, in place, on this thread, and takes no more. Dropping the executor does so too.
    ///
    /// A task that is spawned from now on is dropped at once, and its handle gives `None`.
    pub fn close(&mut self) {
        self.owner.close();
    }
}

impl Drop for LocalExecutor {
    fn drop(&mut self) {
        self.close();
    }
}

impl fmt::Debug for LocalExecutor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalExecutor")
            .field("tasks", &self.len())
            .field("queue", self.owner.queue())
            .finish()
    }
}

/// What [`LocalExecutor::run_up_to`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Ran {
    /// How many tasks were polled.
    pub polls: usize,
    /// Why no more were.
    pub stopped: Stopped,
}

/// Why a run of polls stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stopped {
    /// Nothing is ready.
    Idle,
    /// The limit is reached.
    Limit,
    /// It is the turn of the main future, which was woken through [`main_waker`](LocalExecutor::main_waker).
    Main,
}

/// Leaves the executor that [`LocalExecutor::enter`] entered; the former one comes back.
pub struct EnterGuard {
    _entered: Entered,
}

impl fmt::Debug for EnterGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EnterGuard").finish_non_exhaustive()
    }
}

/// While it lives, its worker counts as waiting. Made by [`LocalExecutor::try_idle`].
pub struct IdleGuard<'a> {
    owner: &'a Owner,
}

impl Drop for IdleGuard<'_> {
    fn drop(&mut self) {
        self.owner.rise();
    }
}

impl fmt::Debug for IdleGuard<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IdleGuard").finish_non_exhaustive()
    }
}

/// Spawns a task on the executor that is entered on this thread, to be polled on this thread.
///
/// # Errors
///
/// Fails with [`NoExecutor`] where none is entered; the future is dropped.
#[inline]
pub fn spawn_local<F>(options: TaskOptions, future: F) -> Result<Handle<F::Output>, NoExecutor>
where
    F: Future + 'static,
    F::Output: 'static,
{
    spawn::spawn_here(options, future)
}

/// Runs `f` with the header of the task that is being polled, or whose future is being dropped, on this thread.
#[inline]
pub fn current_header<R>(f: impl FnOnce(&Header) -> R) -> Option<R> {
    with_polled(f)
}

/// No executor is entered on this thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoExecutor(pub(crate) ());

impl fmt::Display for NoExecutor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no executor is entered on this thread: enter one, or run this inside a loop")
    }
}

impl std::error::Error for NoExecutor {}

//! [`TaskGroup`]: a scope whose children are tasks.
//!
//! - G1: the group has not ended before its body and all its children have, their clean-up included, and whatever was deferred in the body.
//! - G2: the first failure (an error of a child or of the body, or a panic) cancels the others and the body. Under [`OnError::KeepGoing`] only an
//!   error or a panic of the body does.
//! - G3: all errors are kept, in the order of failure. A panic goes on when all have ended.
//! - G4: a cancellation of the scope around is one of the group, which holds that scope until all have ended (B2). Then it is silent, unless there
//!   are errors, or nothing was cut off by it.
//! - G5: a group that is dropped cancels what is in it, and leaves the waiting to the scope around.

mod error;
mod failures;
mod member;
mod members;
mod run;
mod start;
mod turns;

#[cfg(all(test, loom))]
mod loom_tests;

use std::fmt;
use std::future::{Future, poll_fn};
use std::panic::Location;
use std::sync::OnceLock;

use asyncio_base::panic::Payload;
use asyncio_base::shim::Arc;
use asyncio_executor::{Handle, NoExecutor, TaskOptions};

use crate::context::inherit;
use crate::error::TaskError;

use crate::spawn::no_loop;
use crate::task::Task;

use self::failures::Failures;
use self::member::Member;
use self::members::Members;
use self::turns::{Turn, Turns};

pub use self::error::GroupError;
pub use self::start::Ready;

/// Why a task is cancelled that is spawned into a group which takes no more.
const CLOSED: &str = "its task group has ended, or was cancelled";

/// Runs a body that may start tasks, and waits for all of them: asyncio's `TaskGroup`.
///
/// The children's futures give `Result`s. The first error cancels the other children and the body; when all have ended, with their clean-up,
/// the group gives all the errors there are. A panic does the same, and goes on when all have ended. Cancelling one child by hand does not
/// concern the others.
///
/// A body may say `child.await?`: the [`TaskError`] of a child that failed is not counted as one more error, be it as itself, in an
/// [`io::Error`](std::io::Error), or boxed.
///
/// What is [deferred](crate::defer) in the body is done when all children have ended. (A child has ended when all that was in it has; with several
/// workers its handle may say so a moment later.)
///
/// # Errors
///
/// Gives a [`GroupError`] with every error of children and body. If the group was cancelled by hand, and its body had no value yet, the error
/// [is empty](GroupError::is_cancelled). If the scope around is cancelled, that tells so itself, and this does not return.
///
/// # Panics
///
/// A panic of the body or of a child goes on here.
///
/// # Cancel safety
///
/// Dropping it cancels body and children; the scope around waits for their end.
///
/// # Examples
///
/// ```
/// # let executor = asyncio_executor::LocalExecutor::new(std::task::Waker::noop().clone());
/// # let _entered = executor.enter();
/// use asyncio_tasks::{spawn_local, task_group};
///
/// let sum = spawn_local(task_group(async |group| {
///     let one = group.spawn(async { Ok::<_, String>(1) });
///     let two = group.spawn(async { Ok(2) });
///     Ok(one.await.unwrap_or(0) + two.await.unwrap_or(0))
/// }));
/// # while executor.run_round() > 0 {}
/// assert_eq!(asyncio_executor::block_on(sum).unwrap().unwrap(), 3);
/// ```
#[track_caller]
pub fn task_group<B, F, T, E>(body: B) -> impl Future<Output = Result<T, GroupError<E>>>
where
    B: FnOnce(TaskGroup<E>) -> F,
    F: Future<Output = Result<T, E>>,
    E: Send + 'static,
{
    GroupBuilder::new().run(body)
}

/// What a group does when a child fails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum OnError {
    /// It cancels the other children and the body.
    #[default]
    CancelSiblings,
    /// The others go on: the group is a *supervisor*. It keeps all errors, and gives them at its end: children that fail now and then, for years,
    /// are to deal with their errors themselves.
    KeepGoing,
}

/// Makes a group that is not the usual one. Made by [`TaskGroup::builder`].
#[must_use = "a builder does nothing until it runs"]
pub struct GroupBuilder<E> {
    limit: Option<usize>,
    on_error: OnError,
    _error: std::marker::PhantomData<fn(E)>,
}

impl<E: Send + 'static> GroupBuilder<E> {
    const fn new() -> Self {
        Self { limit: None, on_error: OnError::CancelSiblings, _error: std::marker::PhantomData }
    }

    /// Sets how many children run at once. Others wait for their turn, in the order of their spawning; with
    /// [`spawn_when_free`](TaskGroup::spawn_when_free) whoever spawns them waits. The default is that all run.
    ///
    /// # Panics
    ///
    /// Panics if it is zero: no child would ever run.
    #[track_caller]
    pub fn limit(mut self, count: usize) -> Self {
        assert!(count > 0, "a group of which no child may run would never end: allow at least one");
        self.limit = Some(count);
        self
    }

    /// Sets what the group does when a child fails.
    pub fn on_error(mut self, on_error: OnError) -> Self {
        self.on_error = on_error;
        self
    }

    /// Runs a body in the group, as [`task_group`] does.
    ///
    /// # Errors
    ///
    /// As there.
    #[track_caller]
    pub fn run<B, F, T>(self, body: B) -> impl Future<Output = Result<T, GroupError<E>>>
    where
        B: FnOnce(TaskGroup<E>) -> F,
        F: Future<Output = Result<T, E>>,
    {
        run::run(self, Location::caller(), body)
    }
}

impl<E> fmt::Debug for GroupBuilder<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GroupBuilder").field("limit", &self.limit).field("on_error", &self.on_error).finish()
    }
}

/// A group, seen from inside of its body: starts children in it. Cheap to clone, and usable from any thread.
///
/// Spawning into a group that has ended, or was cancelled, gives a task that is cancelled at once.
pub struct TaskGroup<E> {
    shared: Arc<Shared<E>>,
}

/// What body, children and handles of a group share.
struct Shared<E> {
    members: Members,
    failures: Failures<E>,
    turns: Option<Arc<Turns>>,
    on_error: OnError,
    reason: OnceLock<Box<str>>,
}

impl<E> Shared<E> {
    fn new(builder: GroupBuilder<E>) -> Self {
        Self {
            members: Members::default(),
            failures: Failures::default(),
            turns: builder.limit.map(Turns::new),
            on_error: builder.on_error,
            reason: OnceLock::new(),
        }
    }

    /// A child has failed.
    fn fail(&self, error: E) {
        self.failures.add(error);
        self.child_failed();
    }

    /// A child has panicked.
    fn panic(&self, payload: Payload) {
        self.failures.keep(payload);
        self.child_failed();
    }

    fn child_failed(&self) {
        if self.on_error == OnError::CancelSiblings {
            self.members.cancel();
        }
    }

    fn reason(&self) -> Option<&str> {
        self.reason.get().map(|reason| &**reason)
    }
}

impl<E: Send + 'static> TaskGroup<E> {
    /// Makes a group with a limit, or one that keeps going.
    ///
    /// # Examples
    ///
    /// ```
    /// # let executor = asyncio_executor::LocalExecutor::new(std::task::Waker::noop().clone());
    /// # let _entered = executor.enter();
    /// use asyncio_tasks::{OnError, TaskGroup, spawn_local};
    ///
    /// let supervisor = TaskGroup::builder().limit(2).on_error(OnError::KeepGoing).run(async |group| {
    ///     for n in 0..4 {
    ///         group.spawn_when_free(async move { if n % 2 == 0 { Ok(()) } else { Err(n) } }).await.detach();
    ///     }
    ///     Ok(())
    /// });
    /// let task = spawn_local(supervisor);
    /// # while executor.run_round() > 0 {}
    /// assert_eq!(asyncio_executor::block_on(task).unwrap().unwrap_err().errors(), [1, 3]);
    /// ```
    pub const fn builder() -> GroupBuilder<E> {
        GroupBuilder::new()
    }

    /// Starts a child on any worker of this runtime, as [`spawn`](fn@crate::spawn) does.
    ///
    /// Its handle gives the value, or says that it was [cancelled](TaskError::is_cancelled), or that it [failed](TaskError::is_in_group).
    ///
    /// # Panics
    ///
    /// Panics where no loop runs on this thread.
    #[track_caller]
    pub fn spawn<F, T>(&self, future: F) -> Task<T>
    where
        F: Future<Output = Result<T, E>> + Send + 'static,
        T: Send + 'static,
    {
        self.spawn_with(inherit(TaskOptions::here()), future)
    }

    #[track_caller]
    pub(crate) fn spawn_with<F, T>(&self, options: TaskOptions, future: F) -> Task<T>
    where
        F: Future<Output = Result<T, E>> + Send + 'static,
        T: Send + 'static,
    {
        self.enter(options, future, self.turn_in_line(), asyncio_executor::spawn)
    }

    /// Starts a child on this worker's thread, as [`spawn_local`](crate::spawn_local) does; its future need not be `Send`.
    ///
    /// # Panics
    ///
    /// Panics where no loop runs on this thread.
    #[track_caller]
    pub fn spawn_local<F, T>(&self, future: F) -> Task<T>
    where
        F: Future<Output = Result<T, E>> + 'static,
        T: 'static,
    {
        self.spawn_local_with(inherit(TaskOptions::here()), future)
    }

    #[track_caller]
    pub(crate) fn spawn_local_with<F, T>(&self, options: TaskOptions, future: F) -> Task<T>
    where
        F: Future<Output = Result<T, E>> + 'static,
        T: 'static,
    {
        self.enter(options, future, self.turn_in_line(), asyncio_executor::spawn_local)
    }

    /// Waits until the group has room for one more child under its [limit](GroupBuilder::limit), and starts it. So a producer goes no faster than
    /// its children. A group without a limit has room at once.
    ///
    /// # Cancel safety
    ///
    /// Dropping it drops the future, which was not started.
    #[track_caller]
    #[expect(clippy::async_yields_async, reason = "it waits for the place, not for the task")]
    pub fn spawn_when_free<F, T>(&self, future: F) -> impl Future<Output = Task<T>>
    where
        F: Future<Output = Result<T, E>> + Send + 'static,
        T: Send + 'static,
    {
        let options = inherit(TaskOptions::here());
        async move {
            let mut turn = self.turn();
            if let Some(turn) = &mut turn {
                poll_fn(|cx| turn.poll(cx)).await;
            }
            self.enter(options, future, turn, asyncio_executor::spawn)
        }
    }

    /// Starts a child, and waits until it says that it is ready: a server that listens, say. Trio's `nursery.start`.
    ///
    /// # Errors
    ///
    /// Gives the child's [`TaskError`] if it ends before it is ready.
    ///
    /// # Panics
    ///
    /// Panics where no loop runs on this thread.
    ///
    /// # Cancel safety
    ///
    /// Dropping it cancels the child.
    ///
    /// # Examples
    ///
    /// ```
    /// # let executor = asyncio_executor::LocalExecutor::new(std::task::Waker::noop().clone());
    /// # let _entered = executor.enter();
    /// use asyncio_tasks::{Ready, TaskError, spawn_local, task_group};
    ///
    /// let task = spawn_local(task_group(async |group| {
    ///     let port = group.start(async |ready: Ready<u16>| {
    ///         ready.set(8080);
    ///         Ok(())
    ///     });
    ///     Ok::<_, TaskError>(port.await?)
    /// }));
    /// # while executor.run_round() > 0 {}
    /// assert_eq!(asyncio_executor::block_on(task).unwrap().unwrap(), 8080);
    /// ```
    #[track_caller]
    pub fn start<R, B, F>(&self, body: B) -> impl Future<Output = Result<R, TaskError>>
    where
        B: FnOnce(Ready<R>) -> F,
        F: Future<Output = Result<(), E>> + Send + 'static,
    {
        let options = inherit(TaskOptions::here());
        start::start(move |ready| self.spawn_with(options, body(ready)))
    }

    /// Ends the group without an error: cancels its body and all that is in it. Says whether that is news.
    ///
    /// A body that comes to its value nevertheless, since it does not wait any more, gives it; otherwise the group's error
    /// [is empty](GroupError::is_cancelled).
    pub fn cancel(&self) -> bool {
        self.shared.members.cancel()
    }

    /// Does so, and says why: the children's handles tell.
    pub fn cancel_because(&self, reason: &str) -> bool {
        if !self.is_cancelled() && !self.shared.members.is_closed() {
            let _ = self.shared.reason.set(reason.into());
        }
        self.cancel()
    }

    /// Says whether the group was cancelled: by hand, by a failure, or by the scope around.
    pub fn is_cancelled(&self) -> bool {
        self.shared.members.is_cancelled()
    }

    /// Returns how many children have not ended.
    pub fn len(&self) -> usize {
        self.shared.members.count()
    }

    /// Says whether all children have ended.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn turn(&self) -> Option<Box<Turn>> {
        self.shared.turns.as_ref().map(|turns| Box::new(turns.turn()))
    }

    /// Returns a turn that is in line already.
    fn turn_in_line(&self) -> Option<Box<Turn>> {
        let mut turn = self.turn()?;
        turn.line_up();
        Some(turn)
    }

    #[track_caller]
    #[inline]
    fn enter<F, T>(
        &self,
        options: TaskOptions,
        future: F,
        turn: Option<Box<Turn>>,
        spawn: impl FnOnce(TaskOptions, Member<F, E>) -> Result<Handle<Option<T>>, NoExecutor>,
    ) -> Task<T>
    where
        F: Future<Output = Result<T, E>>,
    {
        if self.shared.members.enter().is_err() {
            return Task::cancelled(options, self.shared.reason().unwrap_or(CLOSED));
        }
        // From here on it leaves by itself, also where it is not spawned.
        match spawn(options, Member::new(future, self.shared.clone(), turn)) {
            Ok(handle) => Task::new(handle),
            Err(_) => no_loop(),
        }
    }
}

impl<E> Clone for TaskGroup<E> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone() }
    }
}

impl<E> fmt::Debug for TaskGroup<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskGroup")
            .field("children", &self.shared.members.count())
            .field("is_cancelled", &self.shared.members.is_cancelled())
            .finish_non_exhaustive()
    }
}

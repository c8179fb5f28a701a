//! Starting tasks: [`spawn`], [`spawn_local`], [`spawn_pinned`], [`Builder`], and [`spawn_on`] for executors of others.

use std::future::Future;

use asyncio_base::LoopClosed;
use asyncio_base::shim::Arc;
use asyncio_executor::{Spawn, SpawnLocalError, SpawnPinnedError, Spawner, TaskOptions};

use crate::context::{Context, inherit, with_context};
use crate::group::TaskGroup;
use crate::scope::Root;
use crate::task::Task;

/// Starts a task on any worker of this runtime.
///
/// asyncio's `create_task`. It begins in the next round, first in, first out. With one worker, that is this thread; with several, the future
/// may move from one to another between its polls.
///
/// # Panics
///
/// Panics where no loop runs on this thread.
///
/// # Examples
///
/// ```
/// # let executor = asyncio_executor::LocalExecutor::new(std::task::Waker::noop().clone());
/// # let _entered = executor.enter();
/// let task = asyncio_tasks::spawn(async { 1 });
/// executor.run_round();
/// assert_eq!(asyncio_executor::block_on(task).unwrap(), 1);
/// ```
#[track_caller]
#[inline]
pub fn spawn<F>(future: F) -> Task<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    Builder::new().spawn(future)
}

/// Starts a task on this worker's thread; its future need not be `Send`.
///
/// It begins in the next round, first in, first out.
///
/// # Panics
///
/// Panics where no loop runs on this thread.
///
/// # Examples
///
/// ```
/// # let executor = asyncio_executor::LocalExecutor::new(std::task::Waker::noop().clone());
/// # let _entered = executor.enter();
/// use std::rc::Rc;
///
/// let shared = Rc::new(5);
/// let task = asyncio_tasks::spawn_local({
///     let shared = shared.clone();
///     async move { *shared + 1 }
/// });
/// executor.run_round();
/// assert_eq!(asyncio_executor::block_on(task).unwrap(), 6);
/// ```
#[track_caller]
#[inline]
pub fn spawn_local<F>(future: F) -> Task<F::Output>
where
    F: Future + 'static,
    F::Output: 'static,
{
    Builder::new().spawn_local(future)
}

/// Starts a task on the worker with this number, counted from 0; its future is made there, so it need not be `Send`.
///
/// It begins in the next round of that worker, and stays there.
///
/// # Errors
///
/// Fails with [`SpawnPinnedError`] where there is no such worker, and where no loop runs on this thread.
///
/// # Examples
///
/// ```
/// # let executor = asyncio_executor::LocalExecutor::new(std::task::Waker::noop().clone());
/// # let _entered = executor.enter();
/// use std::rc::Rc;
///
/// let task = asyncio_tasks::spawn_pinned(0, || async { *Rc::new(1) })?;
/// executor.run_round();
/// assert_eq!(asyncio_executor::block_on(task).unwrap(), 1);
///
/// let error = asyncio_tasks::spawn_pinned(7, || async {}).unwrap_err();
/// assert_eq!(error.to_string(), "there is no worker 7 to start a task on: this runtime has 1, counted from 0");
/// # Ok::<(), asyncio_tasks::SpawnPinnedError>(())
/// ```
#[track_caller]
pub fn spawn_pinned<M, F>(worker: usize, make: M) -> Result<Task<F::Output>, SpawnPinnedError>
where
    M: FnOnce() -> F + Send + 'static,
    F: Future + 'static,
    F::Output: Send + 'static,
{
    Builder::new().spawn_pinned(worker, make)
}

/// Starts a task on an executor of somebody else's: whatever can take a [`Runnable`](asyncio_executor::Runnable).
#[track_caller]
pub fn spawn_on<F>(home: Arc<dyn Spawn>, future: F) -> Task<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    Task::new(asyncio_executor::spawn_on(home, TaskOptions::here(), Root::new(future)))
}

/// Starts a task with a name.
///
/// # Examples
///
/// ```
/// # let executor = asyncio_executor::LocalExecutor::new(std::task::Waker::noop().clone());
/// # let _entered = executor.enter();
/// use asyncio_tasks::{Builder, current_task};
///
/// let task = Builder::new().name("worker").spawn_local(async {
///     current_task().and_then(|task| task.name().map(str::to_owned))
/// });
/// executor.run_round();
/// assert_eq!(asyncio_executor::block_on(task).unwrap().as_deref(), Some("worker"));
/// ```
#[derive(Debug)]
#[must_use = "a builder does nothing until it spawns"]
pub struct Builder {
    options: TaskOptions,
    context: Option<Context>,
}

impl Builder {
    /// Makes a builder whose tasks say that they were spawned here.
    #[track_caller]
    #[expect(clippy::new_without_default, reason = "a default would not know where it was called")]
    pub const fn new() -> Self {
        Self { options: TaskOptions::here(), context: None }
    }

    /// Gives the task a name, which costs it an allocation.
    pub fn name(self, name: &str) -> Self {
        Self { options: self.options.name(name), ..self }
    }

    /// Has the task polled at once, where it is spawned, instead of in the next round: asyncio's `eager_start`. One that is ready by then has ended when
    /// this returns. Where another thread is to poll it ([`spawn_pinned`](Self::spawn_pinned)), it is polled there in its turn.
    ///
    /// # Examples
    ///
    /// ```
    /// # let executor = asyncio_executor::LocalExecutor::new(std::task::Waker::noop().clone());
    /// # let _entered = executor.enter();
    /// let task = asyncio_tasks::Builder::new().eager(true).spawn_local(async { 7 });
    /// assert!(task.is_finished());
    /// ```
    pub fn eager(self, is_eager: bool) -> Self {
        Self { options: self.options.eager(is_eager), ..self }
    }

    /// Sets the context of the task, instead of a copy of the present one.
    pub fn context(self, context: Context) -> Self {
        Self { context: Some(context), ..self }
    }

    /// Starts the task as [`spawn`](fn@spawn) does.
    ///
    /// # Panics
    ///
    /// Panics where no loop runs on this thread.
    #[track_caller]
    #[inline]
    pub fn spawn<F>(self, future: F) -> Task<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        match asyncio_executor::spawn(self.into_options(), Root::new(future)) {
            Ok(handle) => Task::new(handle),
            Err(_) => no_loop(),
        }
    }

    /// Starts the task as [`spawn_local`] does.
    ///
    /// # Panics
    ///
    /// Panics where no loop runs on this thread.
    #[track_caller]
    #[inline]
    pub fn spawn_local<F>(self, future: F) -> Task<F::Output>
    where
        F: Future + 'static,
        F::Output: 'static,
    {
        match asyncio_executor::spawn_local(self.into_options(), Root::new(future)) {
            Ok(handle) => Task::new(handle),
            Err(_) => no_loop(),
        }
    }

    fn into_options(self) -> TaskOptions {
        match self.context {
            Some(context) => with_context(self.options, context),
            None => inherit(self.options),
        }
    }

    /// Starts the task as a child of a group, as [`TaskGroup::spawn`] does.
    ///
    /// # Panics
    ///
    /// Panics where no loop runs on this thread.
    #[track_caller]
    pub fn spawn_in<F, T, E>(self, group: &TaskGroup<E>, future: F) -> Task<T>
    where
        F: Future<Output = Result<T, E>> + Send + 'static,
        T: Send + 'static,
        E: Send + 'static,
    {
        group.spawn_with(self.into_options(), future)
    }

    /// Starts the task as a child of a group, as [`TaskGroup::spawn_local`] does.
    ///
    /// # Panics
    ///
    /// Panics where no loop runs on this thread.
    #[track_caller]
    pub fn spawn_local_in<F, T, E>(self, group: &TaskGroup<E>, future: F) -> Task<T>
    where
        F: Future<Output = Result<T, E>> + 'static,
        T: 'static,
        E: Send + 'static,
    {
        group.spawn_local_with(self.into_options(), future)
    }

    /// Starts the task as [`spawn_local_with`] does. It is eager only where that executor is entered here.
    ///
    /// # Errors
    ///
    /// Fails with [`SpawnLocalError`] on any other thread, and where the executor is closed; the future is dropped here.
    #[track_caller]
    pub fn spawn_local_with<F>(self, spawner: &Spawner, future: F) -> Result<Task<F::Output>, SpawnLocalError>
    where
        F: Future + 'static,
        F::Output: 'static,
    {
        spawner.spawn_local(self.into_options(), Root::new(future)).map(Task::new)
    }

    /// Starts the task as [`spawn_pinned`] does.
    ///
    /// # Errors
    ///
    /// Fails with [`SpawnPinnedError`] where there is no such worker, and where no loop runs on this thread.
    pub fn spawn_pinned<M, F>(self, worker: usize, make: M) -> Result<Task<F::Output>, SpawnPinnedError>
    where
        M: FnOnce() -> F + Send + 'static,
        F: Future + 'static,
        F::Output: Send + 'static,
    {
        asyncio_executor::spawn_pinned(worker, self.into_options(), || Root::new(make())).map(Task::new)
    }
}

/// Starts a task on the executor that `spawner` is of, from any thread.
///
/// # Errors
///
/// Fails with [`LoopClosed`] where that is closed; the future is dropped here.
#[track_caller]
pub fn spawn_with<F>(spawner: &Spawner, future: F) -> Result<Task<F::Output>, LoopClosed>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    spawner.spawn(inherit(TaskOptions::here()), Root::new(future)).map(Task::new)
}

/// Starts a task whose future need not be `Send` on the executor that `spawner` is of, on its own thread, whether that is entered or not.
///
/// # Errors
///
/// Fails with [`SpawnLocalError`] on any other thread, and where the executor is closed; the future is dropped here.
#[track_caller]
pub fn spawn_local_with<F>(spawner: &Spawner, future: F) -> Result<Task<F::Output>, SpawnLocalError>
where
    F: Future + 'static,
    F::Output: 'static,
{
    spawner.spawn_local(inherit(TaskOptions::here()), Root::new(future)).map(Task::new)
}

#[track_caller]
#[cold]
pub(crate) fn no_loop() -> ! {
    panic!(
        "a task was spawned where no event loop runs: do it inside of `asyncio::run`, or enter an executor first"
    )
}

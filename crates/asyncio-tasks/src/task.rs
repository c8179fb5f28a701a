//! [`Task`]: the handle to a task.

use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::OnceLock;
use std::task::{Context, Poll, Waker};

use asyncio_base::report::Report;
use asyncio_base::shim::{Arc, thread};
use asyncio_base::wait_point;
use asyncio_executor::{Handle, Spawner, TaskId, TaskOptions, current_header};

use crate::checked::Reader;
use crate::done::{self, Callback, Ended};
use crate::error::TaskError;
use crate::scope::Attached;
use crate::shared::SharedTask;

/// The handle to a task, and a future of its result.
///
/// Dropping it **detaches**: the task goes on, and its output is dropped when it ends. Awaiting it gives the output, or says that the
/// task panicked, or that it was ended with its loop.
///
/// # Cancel safety
///
/// Nothing is lost by dropping a borrow of it: the result waits for the next await. Once it has given its result it must not be
/// awaited again.
///
/// # Examples
///
/// ```
/// use asyncio_executor::{LocalExecutor, block_on};
/// use std::task::Waker;
///
/// let executor = LocalExecutor::new(Waker::noop().clone());
/// let _entered = executor.enter();
/// let task = asyncio_tasks::spawn_local(async { panic!("a bug") });
/// executor.run_round();
/// assert!(task.is_finished());
/// let error = block_on(task).unwrap_err();
/// assert!(error.is_panic());
/// ```
pub struct Task<T> {
    /// `None` is the output of a task that was cancelled.
    handle: Handle<Option<T>>,
    /// Its result, once somebody has looked whether it has ended.
    ended: OnceLock<Arc<Ended<T>>>,
    /// Where an error that nobody reads is reported.
    reader: Option<Reader>,
}

// The result is not pinned.
impl<T> Unpin for Task<T> {}

impl<T> Task<T> {
    #[inline]
    pub(crate) fn new(handle: Handle<Option<T>>) -> Self {
        Self { handle, ended: OnceLock::new(), reader: None }
    }

    pub(crate) fn with_reader(handle: Handle<Option<T>>, reader: Reader) -> Self {
        Self { reader: Some(reader), ..Self::new(handle) }
    }

    /// Makes the handle of a task that is cancelled before it begins.
    pub(crate) fn cancelled(options: TaskOptions, reason: &str) -> Self {
        let handle = Handle::ended(options);
        handle.header().note_cancelled();
        Attached::attach(handle.header()).set_reason(reason);
        Self::new(handle)
    }

    /// Returns the id of the task, unique in the process.
    pub fn id(&self) -> TaskId {
        self.handle.id()
    }

    /// Says whether the task has ended, in whichever way.
    pub fn is_finished(&self) -> bool {
        self.handle.is_finished()
    }

    /// Says whether the task has ended without an output because it was cancelled, or because its loop was closed.
    pub fn is_cancelled(&self) -> bool {
        self.is_finished() && self.handle.header().was_cancelled()
    }

    /// Cancels the task: its root scope, and with it all that is in it. Says whether that is news to it: one that has ended, or was cancelled before,
    /// gives `false`.
    ///
    /// This does not wait. A task that was never polled ends unpolled; any other is polled once more, so an operation that has been completed is
    /// not lost, and one that comes to its end in that poll keeps its output. Then its future is dropped where it waits, and its clean-up runs;
    /// after that it has ended.
    ///
    /// # Examples
    ///
    /// ```
    /// # let executor = asyncio_executor::LocalExecutor::new(std::task::Waker::noop().clone());
    /// # let _entered = executor.enter();
    /// let task = asyncio_tasks::spawn_local(std::future::pending::<()>());
    /// executor.run_round();
    /// assert!(task.cancel());
    /// assert!(!task.cancel(), "it knows");
    /// executor.run_round();
    /// assert!(task.is_cancelled());
    /// ```
    pub fn cancel(&self) -> bool {
        self.handle.request_cancel()
    }

    /// Cancels the task, and says why: [`TaskError::reason`] gives it to whoever awaits. The first reason stays.
    pub fn cancel_because(&self, reason: &str) -> bool {
        let header = self.handle.header();
        if !self.is_finished() && !header.is_cancel_requested() {
            Attached::attach(header).set_reason(reason);
        }
        self.cancel()
    }

    /// Says whether the task has ended; if not, its end wakes `cx`. The result stays here.
    pub(crate) fn poll_ended(&mut self, cx: &mut Context<'_>) -> bool {
        if self.ended.get().is_none() {
            if let Poll::Ready(result) = self.poll_result(cx) {
                self.ended = OnceLock::from(Arc::new(Ended::new(Some(result))));
            }
        }
        self.ended.get().is_some()
    }

    /// Returns the error with which it has ended, as far as somebody has looked.
    pub(crate) fn into_error(self) -> Option<TaskError> {
        match self.ended.get()?.poll_take(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(result) => result?.err(),
            Poll::Pending => None,
        }
    }

    /// Says whether it has panicked, as far as somebody has looked.
    pub(crate) fn has_panicked(&self) -> bool {
        let is_panic =
            |result: Option<&Result<T, _>>| matches!(result, Some(Err(error)) if TaskError::is_panic(error));
        self.ended.get().is_some_and(|ended| ended.look(is_panic))
    }

    /// Waits for the task by blocking this thread, which no loop may run on. From synchronous code; elsewhere it is awaited.
    ///
    /// # Errors
    ///
    /// Gives the task's [`TaskError`]; and, without waiting, one that says so on the thread of an event loop, which this would block. The task goes on
    /// then.
    ///
    /// # Examples
    ///
    /// ```
    /// use asyncio_executor::LocalExecutor;
    /// use std::sync::mpsc::channel;
    ///
    /// let (sender, receiver) = channel();
    /// let thread = std::thread::spawn(move || {
    ///     let executor = LocalExecutor::new(std::task::Waker::noop().clone());
    ///     let _entered = executor.enter();
    ///     sender.send(asyncio_tasks::spawn(async { 7 })).unwrap();
    ///     while executor.run_round() > 0 {}
    /// });
    /// assert_eq!(receiver.recv().unwrap().wait_blocking().unwrap(), 7);
    /// # thread.join().unwrap();
    /// ```
    pub fn wait_blocking(self) -> Result<T, TaskError> {
        if Spawner::current().is_some() {
            return Err(TaskError::on_loop());
        }
        asyncio_executor::block_on(self)
    }

    /// Its error counts as read.
    pub(crate) fn note_read(&self) {
        if let Some(reader) = &self.reader {
            reader.read();
        }
    }

    /// Lets the task go on by itself, as dropping the handle does.
    pub fn detach(self) {}

    #[inline]
    fn poll_result(&mut self, cx: &mut Context<'_>) -> Poll<Result<T, TaskError>> {
        match self.handle.take_ended() {
            Some(left) => Poll::Ready(self.result_of(left)),
            None => self.poll_waiting(cx),
        }
    }

    #[inline(never)]
    fn poll_waiting(&mut self, cx: &mut Context<'_>) -> Poll<Result<T, TaskError>> {
        // The handle goes on with the panic of its task; here that becomes an error again.
        match catch_unwind(AssertUnwindSafe(|| Pin::new(&mut self.handle).poll(cx))) {
            Ok(Poll::Ready(Some(Some(output)))) => Poll::Ready(Ok(output)),
            Ok(Poll::Ready(Some(None) | None)) => Poll::Ready(Err(self.error_without_output())),
            Ok(Poll::Pending) => {
                wait_point::at_end_of(self.id().get());
                Poll::Pending
            }
            Err(panic) => Poll::Ready(Err(TaskError::panicked(panic))),
        }
    }
}

impl<T> Task<T> {
    /// Returns the result of a task that has left this.
    #[inline]
    fn result_of(&self, left: Option<std::thread::Result<Option<T>>>) -> Result<T, TaskError> {
        match left {
            Some(Ok(Some(output))) => Ok(output),
            Some(Ok(None)) | None => Err(self.error_without_output()),
            Some(Err(panic)) => Err(TaskError::panicked(panic)),
        }
    }

    /// Says why the task has no output, though it did not panic.
    #[cold]
    fn error_without_output(&self) -> TaskError {
        match Attached::of(self.handle.header()) {
            Some(attached) if attached.is_in_group() => TaskError::in_group(),
            attached => TaskError::cancelled(attached.and_then(Attached::reason)),
        }
    }
}

impl<T: 'static> Task<T> {
    /// Has a callback called when the task is done: asyncio's `add_done_callback`.
    ///
    /// It is called at the end of the task, on its thread, before whoever awaits goes on; callbacks are called in the order of their registration. If the
    /// task has ended already, it is called in the next round of this thread's loop, unless its result was awaited before. A task that is dropped with
    /// its loop calls none of those that it has; a panic of a callback is reported.
    ///
    /// # Examples
    ///
    /// ```
    /// # let executor = asyncio_executor::LocalExecutor::new(std::task::Waker::noop().clone());
    /// # let _entered = executor.enter();
    /// use std::sync::mpsc::channel;
    ///
    /// let (sender, receiver) = channel();
    /// let task = asyncio_tasks::spawn_local(async { 7 });
    /// task.on_done(move |result| sender.send(*result.unwrap()).unwrap());
    /// executor.run_round();
    /// assert_eq!(receiver.try_recv(), Ok(7));
    /// ```
    pub fn on_done(&self, callback: impl FnOnce(Result<&T, &TaskError>) + Send + 'static) {
        let mut callback: Callback<T> = Box::new(callback);
        if !self.is_finished() {
            match done::register(self.handle.header(), callback) {
                Ok(()) => return,
                Err(late) => callback = late,
            }
        }
        // Its last poll is over, or is about to be, on another thread: what comes then takes as long as the drop of its future.
        while !self.is_finished() {
            let id = self.id();
            if current_header(|header| header.id() == id) == Some(true) {
                return Report::new(
                    "tasks",
                    format_args!(
                        "a callback was registered by task {id} itself, after it had ended: it is not called"
                    ),
                )
                .send();
            }
            thread::yield_now();
        }
        Ended::call_late(self.ended.get_or_init(|| Arc::new(Ended::new(self.take_result()))), callback);
    }

    /// Takes the result of a task that has ended.
    fn take_result(&self) -> Option<Result<T, TaskError>> {
        self.handle.try_take().map(|left| self.result_of(left))
    }
}

impl<T: Clone + Send + Sync + 'static> Task<T> {
    /// Makes a handle that can be cloned, and awaited many times.
    ///
    /// # Examples
    ///
    /// ```
    /// # let executor = asyncio_executor::LocalExecutor::new(std::task::Waker::noop().clone());
    /// # let _entered = executor.enter();
    /// let shared = asyncio_tasks::spawn_local(async { 7 }).shared();
    /// executor.run_round();
    /// assert_eq!(asyncio_executor::block_on(shared.clone()).unwrap(), 7);
    /// assert_eq!(asyncio_executor::block_on(shared).unwrap(), 7);
    /// ```
    pub fn shared(self) -> SharedTask<T> {
        SharedTask::new(self)
    }
}

impl<T> Future for Task<T> {
    type Output = Result<T, TaskError>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let poll = match self.ended.get() {
            Some(ended) => ended
                .poll_take(cx)
                .map(|result| result.expect("a task is not awaited again when it has given its result")),
            None => self.poll_result(cx),
        };
        if poll.is_ready() {
            self.note_read();
        }
        poll
    }
}

impl<T> fmt::Debug for Task<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Task").field("id", &self.id()).field("is_finished", &self.is_finished()).finish()
    }
}

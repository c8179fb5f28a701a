//! [`Task`]: the handle to a task.

use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

use asyncio_base::wait_point;
use asyncio_executor::{Handle, TaskId, TaskOptions};

use crate::error::TaskError;
use crate::scope::Attached;

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
    result: Option<Box<Result<T, TaskError>>>,
}

// The result is not pinned.
impl<T> Unpin for Task<T> {}

impl<T> Task<T> {
    #[inline]
    pub(crate) fn new(handle: Handle<Option<T>>) -> Self {
        Self { handle, result: None }
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
        if self.result.is_none() {
            if let Poll::Ready(result) = self.poll_result(cx) {
                self.result = Some(Box::new(result));
            }
        }
        self.result.is_some()
    }

    /// Returns the error with which it has ended, as far as somebody has looked.
    pub(crate) fn into_error(mut self) -> Option<TaskError> {
        self.result.take()?.err()
    }

    /// Says whether it has panicked, as far as somebody has looked.
    pub(crate) fn has_panicked(&self) -> bool {
        matches!(self.result.as_deref(), Some(Err(error)) if error.is_panic())
    }

    /// Lets the task go on by itself, as dropping the handle does.
    pub fn detach(self) {}

    #[inline]
    fn poll_result(&mut self, cx: &mut Context<'_>) -> Poll<Result<T, TaskError>> {
        // The handle goes on with the panic of its task; here that becomes an error again.
        match catch_unwind(AssertUnwindSafe(|| Pin::new(&mut self.handle).poll(cx))) {
            Ok(Poll::Ready(Some(Some(output)))) => Poll::Ready(Ok(output)),
            Ok(Poll::Ready(Some(None) | None)) => {
                let attached = Attached::of(self.handle.header());
                Poll::Ready(Err(match attached {
                    Some(attached) if attached.is_in_group() => TaskError::in_group(),
                    attached => TaskError::cancelled(attached.and_then(Attached::reason)),
                }))
            }
            Ok(Poll::Pending) => {
                wait_point::here("task");
                Poll::Pending
            }
            Err(panic) => Poll::Ready(Err(TaskError::panicked(panic))),
        }
    }
}

impl<T> Future for Task<T> {
    type Output = Result<T, TaskError>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.result.take() {
            Some(result) => Poll::Ready(*result),
            None => self.poll_result(cx),
        }
    }
}

impl<T> fmt::Debug for Task<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Task").field("id", &self.id()).field("is_finished", &self.is_finished()).finish()
    }
}

//! [`SharedTask`]: a task that many await.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use asyncio_base::shim::Arc;
use asyncio_base::wait_point;
use asyncio_executor::TaskId;

use crate::completion::{Completion, completion};
use crate::error::TaskError;
use crate::task::Task;

/// A handle to a task that may be cloned and awaited many times, each time for a clone of its result. Made by [`Task::shared`].
///
/// # Cancel safety
///
/// Dropping it loses nothing; dropping the last one detaches the task.
pub struct SharedTask<T> {
    task: Arc<Task<T>>,
    completion: Completion<T, TaskError>,
}

impl<T: Clone + Send + Sync + 'static> SharedTask<T> {
    pub(crate) fn new(task: Task<T>) -> Self {
        let (setter, completion) = completion();
        task.on_done(move |result| match result {
            Ok(value) => setter.set(value.clone()),
            Err(error) => setter.fail(error.clone()),
        });
        Self { task: Arc::new(task), completion }
    }
}

impl<T> SharedTask<T> {
    /// Returns the id of the task.
    pub fn id(&self) -> TaskId {
        self.task.id()
    }

    /// Says whether the task has ended.
    pub fn is_finished(&self) -> bool {
        self.task.is_finished()
    }

    /// Cancels the task, as [`Task::cancel`] does.
    pub fn cancel(&self) -> bool {
        self.task.cancel()
    }

    /// Cancels the task, and says why.
    pub fn cancel_because(&self, reason: &str) -> bool {
        self.task.cancel_because(reason)
    }
}

impl<T: Clone> Future for SharedTask<T> {
    type Output = Result<T, TaskError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Poll::Ready(outcome) = self.completion.poll_silently(cx) else {
            wait_point::at_end_of(self.id().get());
            return Poll::Pending;
        };
        self.task.note_read();
        Poll::Ready(outcome.map_err(|error| match error.error() {
            Some(error) => TaskError::clone(error),
            // It was dropped with its loop.
            None => TaskError::cancelled(None),
        }))
    }
}

impl<T> Clone for SharedTask<T> {
    fn clone(&self) -> Self {
        Self { task: self.task.clone(), completion: self.completion.clone() }
    }
}

impl<T> fmt::Debug for SharedTask<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedTask")
            .field("id", &self.id())
            .field("is_finished", &self.is_finished())
            .finish()
    }
}

//! [`Ready`]: what a child says when it is ready, and the wait for that.

use std::fmt;
use std::future::poll_fn;
use std::task::Poll;

use crate::error::TaskError;
use crate::slot::{Giver, slot};
use crate::task::Task;

/// Says that a child is ready. Made by [`TaskGroup::start`](crate::TaskGroup::start).
#[must_use = "whoever starts this task waits for it"]
pub struct Ready<T> {
    giver: Giver<T>,
}

impl<T> Ready<T> {
    /// Says that the task is ready, and gives `value` to whoever started it. If nobody waits for it any more, it is dropped.
    pub fn set(self, value: T) {
        // Nobody waits any more: it is dropped here.
        drop(self.giver.give(value));
    }
}

impl<T> fmt::Debug for Ready<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ready").finish_non_exhaustive()
    }
}

/// A task that is not ready yet is cancelled when nobody waits for it any more.
struct Unready(Option<Task<()>>);

impl Drop for Unready {
    fn drop(&mut self) {
        if let Some(task) = &self.0 {
            task.cancel();
        }
    }
}

/// Starts a task, and waits until it is ready.
pub(super) async fn start<T>(spawn: impl FnOnce(Ready<T>) -> Task<()>) -> Result<T, TaskError> {
    let (giver, mut taker) = slot();
    let mut unready = Unready(Some(spawn(Ready { giver })));
    poll_fn(|cx| {
        // First the task, since it may have become ready and ended.
        let has_ended = unready.0.as_mut().is_none_or(|task| task.poll_ended(cx));
        match taker.poll_take(cx) {
            Poll::Ready(Ok(value)) => {
                drop(unready.0.take());
                return Poll::Ready(Ok(value));
            }
            // It will not say so any more, and goes on.
            Poll::Ready(Err(_)) if !has_ended => {
                drop(unready.0.take());
                return Poll::Ready(Err(TaskError::not_ready()));
            }
            Poll::Pending if !has_ended => return Poll::Pending,
            _ => {}
        }
        let error = unready.0.take().and_then(Task::into_error);
        Poll::Ready(Err(error.unwrap_or_else(TaskError::not_ready)))
    })
    .await
}

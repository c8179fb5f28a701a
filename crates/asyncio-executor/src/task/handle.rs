//! [`TaskHandle`]: the one who awaits a task.

#![expect(unsafe_code, reason = "the output, by a pointer to its type")]

use std::future::Future;
use std::marker::PhantomData;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::pin::Pin;
use std::task::{Context, Poll};

use asyncio_base::shim::{AtomicBool, Ordering};

use super::stage::Outcome;
use super::{Reference, drop_unread};
use crate::header::Header;

/// The handle to a task with output `T`. It may be on another thread than the task, if `T` may.
pub(crate) struct TaskHandle<R: Reference, T> {
    task: R,
    /// Whoever sets it may take the output.
    is_taken: AtomicBool,
    output: PhantomData<T>,
}

// Nothing in it is pinned.
impl<R: Reference, T> Unpin for TaskHandle<R, T> {}

// SAFETY: by `&` one learns the id and whether the task has ended, and may take the output, once, which is `Send`. The waker is out of reach.
unsafe impl<R: Reference + Sync, T: Send> Sync for TaskHandle<R, T> {}

// The output comes out by value, once; what a panic interrupted is not seen.
impl<R: Reference, T> UnwindSafe for TaskHandle<R, T> {}
impl<R: Reference, T> RefUnwindSafe for TaskHandle<R, T> {}

impl<R: Reference, T> TaskHandle<R, T> {
    /// For the one handle of a task.
    pub(super) fn new(task: R) -> Self {
        Self { task, is_taken: AtomicBool::new(false), output: PhantomData }
    }

    pub(crate) fn header(&self) -> &Header {
        self.task.header()
    }

    pub(crate) fn is_finished(&self) -> bool {
        self.task.core().join.has_ended()
    }

    pub(crate) fn wake_task(&self) {
        self.task.wake_by_ref();
    }

    /// Takes the output, if the task has ended and nobody has taken it.
    pub(crate) fn try_take(&self) -> Option<Outcome<T>> {
        if self.is_finished() { self.take_output() } else { None }
    }

    /// The same for whoever has the handle to himself, without an atomic step.
    #[inline]
    pub(crate) fn take_ended(&mut self) -> Option<Outcome<T>> {
        if self.is_taken() || !self.is_finished() {
            return None;
        }
        // Relaxed: by `&mut` nobody else is there.
        self.is_taken.store(true, Ordering::Relaxed);
        Some(self.output())
    }

    /// The task has ended.
    fn take_output(&self) -> Option<Outcome<T>> {
        // Relaxed: it is about who comes first; what that takes is ordered by the end of the task (J2).
        if self.is_taken.swap(true, Ordering::Relaxed) {
            return None;
        }
        Some(self.output())
    }

    /// The task has ended, and `is_taken` is set by the caller.
    #[inline]
    fn output(&self) -> Outcome<T> {
        let mut output: Outcome<T> = None;
        // SAFETY: the task has ended, and the output is the handle's (J2), which is of the type that the task was made with, and which is here once.
        unsafe { (self.task.core().methods.take_output)(self.task.pointer(), (&raw mut output).cast()) };
        output
    }

    /// The handle came second, after the end: it drops the output.
    #[inline(never)]
    fn drop_output(&self) {
        match self.take_output().flatten() {
            Some(Ok(value)) => self.task.core().guard("dropping the output", || drop(value)),
            Some(Err(panic)) => drop_unread((self.header().id, self.header().spawned_at), panic),
            None => {}
        }
    }

    fn is_taken(&self) -> bool {
        self.is_taken.load(Ordering::Relaxed)
    }
}

impl<R: Reference, T> Future for TaskHandle<R, T> {
    type Output = Option<T>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        if self.is_taken() {
            return Poll::Ready(None);
        }
        // SAFETY: this is the handle, of which there is one, and it is not dropped yet.
        if !unsafe { self.task.core().join.poll(cx) } {
            return Poll::Pending;
        }
        match self.take_output().flatten() {
            Some(Ok(value)) => Poll::Ready(Some(value)),
            Some(Err(panic)) => std::panic::resume_unwind(panic),
            None => Poll::Ready(None),
        }
    }
}

impl<R: Reference, T> Drop for TaskHandle<R, T> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: this is the handle, of which there is one, and it is dropped once.
        if !self.is_taken() && unsafe { self.task.core().join.detach() } {
            self.drop_output();
        }
    }
}

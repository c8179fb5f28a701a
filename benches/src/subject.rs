//! [`Subject`]: what a workload needs of a runtime.

#![expect(
    unsafe_code,
    reason = "what never leaves its thread is taken for `Send`, so that all run the same workloads"
)]

use std::future::Future;
use std::io;
use std::net::TcpListener;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

/// A runtime that is measured.
pub trait Subject: 'static {
    const NAME: &'static str;
    /// How many threads poll tasks.
    const WORKERS: usize;
    type Runtime;
    type Task<T: Send + 'static>: Future<Output = T> + Unpin;
    type Sleep: Future<Output = ()> + Send;

    fn runtime() -> Self::Runtime;
    /// Runs a future to its end on a runtime that exists.
    fn block_on<F: Future>(runtime: &mut Self::Runtime, future: F) -> F::Output;
    /// Starts a task, from inside of `block_on`. Dropping the handle must not end it.
    fn spawn<F>(future: F) -> Self::Task<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static;
    fn sleep(duration: Duration) -> Self::Sleep;
    fn reset(sleep: Pin<&mut Self::Sleep>, deadline: Instant);
    fn timeout<F: Future>(duration: Duration, future: F) -> impl Future<Output = Option<F::Output>>;
    /// Accepts for ever, and echoes on each connection, with a buffer of `buffer` bytes for each.
    fn echo(listener: TcpListener, buffer: usize) -> impl Future<Output = io::Result<()>>;

    fn run<F: Future>(future: F) -> F::Output {
        Self::block_on(&mut Self::runtime(), future)
    }
}

/// Something of a runtime that moves nothing between threads.
pub struct NotMoved<T>(pub T);

// SAFETY: workloads ask for `Send`, since some runtimes move their tasks. A runtime with one worker, which is what this is for, does not.
unsafe impl<T> Send for NotMoved<T> {}

impl<T> NotMoved<T> {
    pub fn inner(self: Pin<&mut Self>) -> Pin<&mut T> {
        // SAFETY: it is pinned with `self`, and nothing else gives it out by `&mut`.
        unsafe { self.map_unchecked_mut(|this| &mut this.0) }
    }
}

impl<T: Future> Future for NotMoved<T> {
    type Output = T::Output;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T::Output> {
        self.inner().poll(cx)
    }
}

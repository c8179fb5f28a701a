//! [`timeout`]: a future, or [`TimedOut`].

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use asyncio_base::budget;
use asyncio_timers::{Sleep, TimedOut, sleep, sleep_until};
use pin_project_lite::pin_project;

/// Gives a future `duration` to end, counted from the first time that it has to wait.
///
/// asyncio's `timeout` and `wait_for`. A value that is ready at the deadline wins. A future that is ready at once never reads the clock. When
/// the time is over the future is dropped before this returns.
///
/// # Errors
///
/// Gives [`TimedOut`] when the time is over.
///
/// # Cancel safety
///
/// As safe as the future that it holds: dropping it drops that.
///
/// # Examples
///
/// ```
/// use asyncio_tasks::timeout;
/// use std::time::Duration;
///
/// asyncio_executor::block_on(async {
///     assert_eq!(timeout(Duration::from_secs(60), async { 1 }).await, Ok(1));
///     let never = std::future::pending::<()>();
///     assert!(timeout(Duration::from_millis(1), never).await.is_err());
/// });
/// ```
#[inline]
pub fn timeout<F: Future>(duration: Duration, future: F) -> Timeout<F> {
    Timeout { future: Some(future), limit: Limit::After(duration) }
}

/// Gives a future until `deadline`; otherwise as [`timeout`].
///
/// # Errors
///
/// Gives [`TimedOut`] when the time is over.
///
/// # Cancel safety
///
/// As safe as the future that it holds: dropping it drops that.
#[inline]
pub fn timeout_at<F: Future>(deadline: Instant, future: F) -> Timeout<F> {
    Timeout { future: Some(future), limit: Limit::At(deadline) }
}

pin_project! {
    /// Made by [`timeout`] and [`timeout_at`].
    #[derive(Debug)]
    #[must_use = "a timeout does nothing unless it is awaited"]
    pub struct Timeout<F> {
        // `None` once it has ended; then it is dropped.
        #[pin]
        future: Option<F>,
        limit: Limit,
    }
}

#[derive(Debug)]
enum Limit {
    /// Not started: the future has not waited yet.
    After(Duration),
    At(Instant),
    Running(Sleep),
}

impl<F: Future> Future for Timeout<F> {
    type Output = Result<F::Output, TimedOut>;

    /// # Panics
    ///
    /// Panics if it is polled after it was ready.
    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let future = this.future.as_mut().as_pin_mut().expect("a timeout was polled after it was ready");
        if let Poll::Ready(output) = future.poll(cx) {
            this.future.set(None);
            return Poll::Ready(Ok(output));
        }
        match this.limit.poll_over(cx) {
            Poll::Ready(()) => {
                this.future.set(None);
                Poll::Ready(Err(TimedOut::default()))
            }
            Poll::Pending => Poll::Pending,
        }
    }
}

impl Limit {
    fn poll_over(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            *self = match self {
                // Without the budget, which the future may just have spent: else one that is always ready would never time out.
                Self::Running(sleep) => return budget::unlimited(|| Pin::new(sleep).poll(cx)),
                Self::After(duration) => Self::Running(sleep(*duration)),
                Self::At(deadline) => Self::Running(sleep_until(*deadline)),
            };
        }
    }
}

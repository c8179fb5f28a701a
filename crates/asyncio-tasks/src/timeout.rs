//! [`timeout`]: a future, or [`TimedOut`].

use std::fmt;
use std::future::Future;
use std::mem::{self, ManuallyDrop};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use asyncio_base::budget;
use asyncio_timers::{Sleep, TimedOut, sleep, sleep_until};
use pin_project_lite::pin_project;

use crate::scope::{Kind, Scope};

/// Gives a future `duration` to end, counted from the first time that it has to wait.
///
/// asyncio's `timeout` and `wait_for`. A value that is ready at the deadline wins. A future that is ready at once never reads the clock. When
/// the time is over the future is polled once more and then dropped, and what it left to be cleaned up has ended before this returns.
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
pub fn timeout<F: Future>(duration: Duration, future: F) -> WithTimeout<F> {
    WithTimeout { scope: Scope::new(future, Limit::After(duration)) }
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
///
/// # Examples
///
/// ```
/// use std::time::{Duration, Instant};
///
/// asyncio_executor::block_on(async {
///     let deadline = Instant::now() + Duration::from_millis(5);
///     let never = std::future::pending::<()>();
///     assert!(asyncio_tasks::timeout_at(deadline, never).await.is_err());
///     assert!(Instant::now() >= deadline);
/// });
/// ```
#[inline]
pub fn timeout_at<F: Future>(deadline: Instant, future: F) -> WithTimeout<F> {
    WithTimeout { scope: Scope::new(future, Limit::At(deadline)) }
}

/// Gives a future `duration` to end, and goes on without it when that is over: Trio's `move_on_after`. Otherwise as [`timeout`].
///
/// # Cancel safety
///
/// As safe as the future that it holds: dropping it drops that.
///
/// # Examples
///
/// ```
/// use asyncio_tasks::move_on_after;
/// use std::time::Duration;
///
/// asyncio_executor::block_on(async {
///     assert_eq!(move_on_after(Duration::from_secs(60), async { 1 }).await, Some(1));
///     assert_eq!(move_on_after(Duration::ZERO, std::future::pending::<u32>()).await, None);
/// });
/// ```
#[inline]
pub async fn move_on_after<F: Future>(duration: Duration, future: F) -> Option<F::Output> {
    timeout(duration, future).await.ok()
}

pin_project! {
    /// Made by [`timeout`] and [`timeout_at`].
    #[must_use = "a timeout does nothing unless it is awaited"]
    pub struct WithTimeout<F: Future> {
        #[pin]
        scope: Scope<F, Limit>,
    }
}

impl<F: Future> Future for WithTimeout<F> {
    type Output = Result<F::Output, TimedOut>;

    /// # Panics
    ///
    /// Panics if it is polled after it was ready.
    #[inline(always)]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let scope = self.project().scope;
        scope.poll_map(cx, |outcome| outcome.into_value().ok_or_else(TimedOut::default))
    }
}

impl<F: Future> fmt::Debug for WithTimeout<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WithTimeout").finish_non_exhaustive()
    }
}

/// The deadline of a scope.
enum Limit {
    /// Not started: the body has not waited yet.
    After(Duration),
    At(Instant),
    /// Dropped by hand, and so never overwritten.
    Running(ManuallyDrop<Sleep>),
    Over,
}

impl Limit {
    #[inline(never)]
    fn is_over(&mut self, cx: &mut Context<'_>) -> bool {
        let Self::Running(sleep) = self else { return matches!(self, Self::Over) };
        // Without the budget, which the body may just have spent: else one that is always ready would never time out.
        let poll: Poll<()> = budget::unlimited(|| Pin::new(&mut **sleep).poll(cx));
        if poll.is_ready() {
            self.drop_by_hand();
        }
        poll.is_ready()
    }
}

impl Kind for Limit {
    #[inline]
    fn is_cancelled(&mut self, cx: &mut Context<'_>) -> bool {
        match self {
            Self::After(_) | Self::At(_) => false,
            Self::Running(_) | Self::Over => self.is_over(cx),
        }
    }

    #[inline]
    fn needs_drop(&self) -> bool {
        matches!(self, Self::Running(_))
    }

    fn drop_by_hand(&mut self) {
        if let Self::Running(sleep) = mem::replace(self, Self::Over) {
            drop(ManuallyDrop::into_inner(sleep));
        }
    }

    fn poll_cancelled(&mut self, cx: &mut Context<'_>) -> bool {
        match self {
            Self::After(duration) => *self = Self::Running(ManuallyDrop::new(sleep(*duration))),
            Self::At(deadline) => *self = Self::Running(ManuallyDrop::new(sleep_until(*deadline))),
            Self::Running(_) | Self::Over => {}
        }
        self.is_over(cx)
    }
}

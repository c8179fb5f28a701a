//! [`yield_now`]: lets others run.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

/// Lets everything that is ready run once, and then goes on.
///
/// asyncio's `sleep(0)`.
///
/// # Cancel safety
///
/// Nothing is lost by dropping it.
///
/// # Examples
///
/// ```
/// asyncio_executor::block_on(async {
///     assert_eq!(asyncio_tasks::yield_now().await, ());
/// });
/// ```
#[inline]
pub fn yield_now() -> YieldNow {
    YieldNow { has_yielded: false }
}

/// Made by [`yield_now`].
#[derive(Debug)]
#[must_use = "yielding does nothing unless it is awaited"]
pub struct YieldNow {
    has_yielded: bool,
}

impl Future for YieldNow {
    type Output = ();

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if std::mem::replace(&mut self.has_yielded, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

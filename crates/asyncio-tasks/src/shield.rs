//! [`shield`]: a part that is not cancelled.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use crate::scope::{Kind, Scope};

/// Runs a future to its end, though the scopes around it are cancelled meanwhile: they wait for it.
///
/// asyncio's `shield` returns at once when it is cancelled and leaves the inner task running with nobody to wait for it; this is Trio's
/// `CancelScope(shield=True)`. Nothing bounds a shield that makes progress but what is put around the future inside; one that is not polled any
/// more is dropped after the grace period.
///
/// # Cancel safety
///
/// Dropping it drops the future: a scope around it does not, but another crate's `select!` does.
///
/// # Examples
///
/// ```
/// use asyncio_tasks::{cancel_scope, shield, yield_now};
///
/// let mut committed = false;
/// let out = asyncio_executor::block_on(cancel_scope(async |scope| {
///     scope.cancel();
///     shield(async {
///         yield_now().await;
///         committed = true;
///     })
///     .await;
///     std::future::pending::<()>().await;
/// }));
/// assert!(out.is_err());
/// assert!(committed);
/// ```
#[inline]
pub fn shield<F: Future>(future: F) -> Shield<F> {
    Shield { scope: Scope::new(future, Shielded) }
}

struct Shielded;

impl Kind for Shielded {
    const IS_SHIELD: bool = true;
}

pin_project! {
    /// Made by [`shield`].
    #[must_use = "a shield does nothing unless it is awaited"]
    pub struct Shield<F: Future> {
        #[pin]
        scope: Scope<F, Shielded>,
    }
}

impl<F: Future> Future for Shield<F> {
    type Output = F::Output;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let outcome = std::task::ready!(self.project().scope.poll(cx));
        // It has no cancellation of its own.
        Poll::Ready(outcome.into_value().expect("nothing cancels a shield"))
    }
}

impl<F: Future> std::fmt::Debug for Shield<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shield").finish_non_exhaustive()
    }
}

//! [`RootScope`]: the scope around a future that is no task, such as main.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use asyncio_base::shim::Arc;
use pin_project_lite::pin_project;

use crate::cancel_scope::CancelHandle;
use crate::error::Cancelled;
use crate::node::Node;
use crate::scope::{Kind, Scope};

pin_project! {
    /// The scope around a future that is polled in place and is no task: the main future of a loop.
    ///
    /// It has no scope around, whatever polls it. Its output comes when its clean-up has ended.
    ///
    /// For those who build a runtime from the layers; `asyncio::Runner` has one around main.
    ///
    /// # Examples
    ///
    /// ```
    /// use asyncio_tasks::{RootScope, guard};
    ///
    /// let main = RootScope::new(async { drop(guard((), |()| async {})) });
    /// asyncio_executor::block_on(main).unwrap();
    /// ```
    #[must_use = "a scope does nothing unless it is polled"]
    pub struct RootScope<F: Future> {
        #[pin]
        scope: Scope<F, Main>,
    }
}

struct Main {
    /// There if somebody has a handle.
    node: Option<Arc<Node>>,
}

impl Kind for Main {
    const IS_SHIELD: bool = true;
    const IS_ROOT: bool = true;

    #[inline]
    fn is_cancelled(&mut self, _cx: &mut Context<'_>) -> bool {
        self.node.as_ref().is_some_and(|node| node.is_cancelled())
    }

    #[inline]
    fn poll_cancelled(&mut self, cx: &mut Context<'_>) -> bool {
        self.node.as_ref().is_some_and(|node| node.poll_cancelled(cx.waker()))
    }
}

impl<F: Future> RootScope<F> {
    /// Makes the scope around `future`.
    pub fn new(future: F) -> Self {
        Self { scope: Scope::new(future, Main { node: None }) }
    }

    /// Returns a handle that cancels it, from anywhere. To be taken before the first poll: what has begun to wait is not woken by one that is
    /// taken later, until it is polled again.
    pub fn handle(self: Pin<&mut Self>) -> CancelHandle {
        CancelHandle::new(self.project().scope.kind().node.get_or_insert_default().clone())
    }
}

impl<F: Future> Future for RootScope<F> {
    type Output = Result<F::Output, Cancelled>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut scope = self.project().scope;
        let outcome = ready!(scope.as_mut().poll(cx));
        let reason = || scope.kind().node.as_ref().and_then(|node| node.reason());
        Poll::Ready(outcome.into_value().ok_or_else(|| Cancelled::because(reason())))
    }
}

impl<F: Future> fmt::Debug for RootScope<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RootScope").finish_non_exhaustive()
    }
}

//! [`cancel_scope`] and [`timeout_scope`]: scopes that are cancelled, and deadlines that are moved, from inside and outside.

use std::fmt;
use std::future::Future;
use std::time::{Duration, Instant};

use asyncio_base::shim::Arc;
use asyncio_timers::TimedOut;

use crate::error::Cancelled;
use crate::node::{Handled, Node};
use crate::scope::{Outcome, Scope};

/// Runs a body that can be cancelled as a whole: Trio's `CancelScope`.
///
/// Cancelling is level-triggered: from then on, whatever in the body would wait is dropped instead. The body is polled once more first, so an
/// operation that has been completed is not lost; a value that it still comes to is the value of the scope. Clean-up that was registered in the
/// body has ended when this returns.
///
/// # Errors
///
/// Gives [`Cancelled`] if the scope was cancelled before its body had a value. A scope around it that is cancelled says so itself, and this one
/// does not return.
///
/// # Cancel safety
///
/// Dropping it drops the body; its clean-up moves to the scope around.
///
/// # Examples
///
/// ```
/// use asyncio_tasks::cancel_scope;
///
/// let out = asyncio_executor::block_on(cancel_scope(async |scope| {
///     scope.handle().cancel();
///     std::future::pending::<()>().await;
/// }));
/// assert!(out.is_err());
/// ```
pub async fn cancel_scope<B, F>(body: B) -> Result<F::Output, Cancelled>
where
    B: FnOnce(CancelScope) -> F,
    F: Future,
{
    let node = Arc::new(Node::default());
    let future = body(CancelScope { handle: CancelHandle::new(node.clone()) });
    match Scope::new(future, Handled::new(node.clone())).await {
        Outcome::Cancelled => Err(Cancelled::because(node.reason())),
        // It does not give `None`.
        outcome => outcome.into_value().ok_or_else(|| Cancelled::because(None)),
    }
}

/// A cancel scope, seen from inside of its body.
#[derive(Clone, Debug)]
pub struct CancelScope {
    handle: CancelHandle,
}

impl CancelScope {
    /// Returns a handle that cancels it, from anywhere.
    pub fn handle(&self) -> CancelHandle {
        self.handle.clone()
    }

    /// Cancels it. Says whether that is news.
    pub fn cancel(&self) -> bool {
        self.handle.cancel()
    }

    /// Says whether it was cancelled; not, whether a scope around it was.
    pub fn is_cancelled(&self) -> bool {
        self.handle.is_cancelled()
    }

    /// Returns when it cancels itself.
    pub fn deadline(&self) -> Option<Instant> {
        self.handle.node.deadline()
    }

    /// Sets when it cancels itself.
    pub fn set_deadline(&self, deadline: Option<Instant>) {
        self.handle.node.set_deadline(deadline);
    }

    /// Sets how long the clean-up in it may take, and in the scopes inside of it. Once; the default is that of the scope around, in the end
    /// that of the runner.
    pub fn set_cleanup_grace(&self, grace: Duration) {
        self.handle.node.set_grace(grace);
    }
}

/// Cancels a [`cancel_scope`], from any thread.
#[derive(Clone)]
pub struct CancelHandle {
    node: Arc<Node>,
}

impl CancelHandle {
    pub(crate) fn new(node: Arc<Node>) -> Self {
        Self { node }
    }

    /// Cancels the scope. Says whether that is news.
    pub fn cancel(&self) -> bool {
        self.node.cancel()
    }

    /// Cancels the scope, and says why.
    pub fn cancel_because(&self, reason: &str) -> bool {
        self.node.cancel_because(reason)
    }

    /// Says whether the scope was cancelled.
    pub fn is_cancelled(&self) -> bool {
        self.node.is_cancelled()
    }
}

impl fmt::Debug for CancelHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CancelHandle").field("is_cancelled", &self.is_cancelled()).finish()
    }
}

/// Runs a body that has until `deadline`, which may be moved meanwhile. asyncio's `timeout`, as a context manager.
///
/// # Errors
///
/// Gives [`TimedOut`] if the deadline came before the body had a value. A value that is ready at the deadline wins.
///
/// # Cancel safety
///
/// Dropping it drops the body; its clean-up moves to the scope around.
///
/// # Examples
///
/// ```
/// use asyncio_tasks::timeout_scope;
/// use std::time::{Duration, Instant};
///
/// asyncio_executor::block_on(async {
///     let out = timeout_scope(None, async |timeout| {
///         timeout.reschedule(Some(Instant::now() + Duration::from_millis(1)));
///         std::future::pending::<()>().await;
///     });
///     assert!(out.await.is_err());
/// });
/// ```
pub async fn timeout_scope<B, F>(deadline: Option<Instant>, body: B) -> Result<F::Output, TimedOut>
where
    B: FnOnce(Timeout) -> F,
    F: Future,
{
    let node = Arc::new(Node::with_deadline(deadline));
    let future = body(Timeout { node: node.clone() });
    Scope::new(future, Handled::new(node)).await.into_value().ok_or_else(TimedOut::default)
}

/// The deadline of a [`timeout_scope`], seen from inside of its body.
#[derive(Clone)]
pub struct Timeout {
    node: Arc<Node>,
}

impl Timeout {
    /// Returns the deadline.
    pub fn deadline(&self) -> Option<Instant> {
        self.node.deadline()
    }

    /// Moves the deadline; `None` is for ever. One that has expired stays so.
    pub fn reschedule(&self, deadline: Option<Instant>) {
        self.node.set_deadline(deadline);
    }

    /// Says whether the deadline came while the body waited.
    pub fn has_expired(&self) -> bool {
        self.node.is_cancelled()
    }
}

impl fmt::Debug for Timeout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Timeout")
            .field("deadline", &self.deadline())
            .field("has_expired", &self.has_expired())
            .finish()
    }
}

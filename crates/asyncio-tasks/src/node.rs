//! [`Node`]: what a scope shares with its handles.

use std::future::Future;
use std::pin::Pin;
use std::sync::OnceLock;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use asyncio_base::budget;
use asyncio_base::shim::{AtomicU64, Mutex, Ordering};
use asyncio_timers::{Sleep, sleep_until};

use crate::scope::{Kind, Signal};

/// What a scope shares with its handles.
#[derive(Default)]
pub(crate) struct Node {
    cancelled: Signal,
    reason: OnceLock<Box<str>>,
    deadline: Mutex<Option<Instant>>,
    /// How often the deadline was set.
    version: AtomicU64,
    grace: OnceLock<Duration>,
}

impl Node {
    pub(crate) fn with_deadline(deadline: Option<Instant>) -> Self {
        Self { deadline: Mutex::new(deadline), ..Self::default() }
    }

    /// Says whether that is news.
    pub(crate) fn cancel(&self) -> bool {
        self.cancelled.set()
    }

    pub(crate) fn cancel_because(&self, reason: &str) -> bool {
        if self.is_cancelled() {
            return false;
        }
        let _ = self.reason.set(reason.into());
        self.cancel()
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        self.cancelled.is_set()
    }

    /// Says whether it is cancelled; if not, `waker` is woken when it is.
    pub(crate) fn poll_cancelled(&self, waker: &Waker) -> bool {
        self.cancelled.poll(waker)
    }

    pub(crate) fn reason(&self) -> Option<&str> {
        self.reason.get().map(|reason| &**reason)
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        *self.deadline.lock()
    }

    pub(crate) fn set_deadline(&self, deadline: Option<Instant>) {
        *self.deadline.lock() = deadline;
        // SeqCst: the scope reads it after it has left its waker.
        self.version.fetch_add(1, Ordering::SeqCst);
        self.cancelled.wake();
    }

    /// The first one that is set stays.
    pub(crate) fn set_grace(&self, grace: Duration) {
        let _ = self.grace.set(grace);
    }
}

/// The kind of a scope that has handles, and perhaps a deadline.
pub(crate) struct Handled<N: AsRef<Node>> {
    pub(crate) node: N,
    sleep: Option<Sleep>,
    version: u64,
}

impl<N: AsRef<Node>> Handled<N> {
    pub(crate) fn new(node: N) -> Self {
        Self { node, sleep: None, version: u64::MAX }
    }

    fn is_expired(&mut self, cx: &mut Context<'_>) -> bool {
        let node = self.node.as_ref();
        let version = node.version.load(Ordering::SeqCst);
        if version != self.version {
            self.version = version;
            let deadline = node.deadline();
            match (&mut self.sleep, deadline) {
                (Some(sleep), Some(deadline)) => sleep.reset(deadline),
                (place, deadline) => *place = deadline.map(sleep_until),
            }
        }
        let Some(sleep) = &mut self.sleep else { return false };
        // Without the budget, which the body may just have spent.
        let poll: Poll<()> = budget::unlimited(|| Pin::new(sleep).poll(cx));
        if poll.is_ready() {
            node.cancel();
        }
        poll.is_ready()
    }
}

impl<N: AsRef<Node>> Drop for Handled<N> {
    /// A handle that is kept does not keep the task.
    fn drop(&mut self) {
        self.node.as_ref().cancelled.forget();
    }
}

impl<N: AsRef<Node>> Kind for Handled<N> {
    fn is_cancelled(&mut self, cx: &mut Context<'_>) -> bool {
        // A body that is ready at once touches no timer.
        self.node.as_ref().is_cancelled() || (self.sleep.is_some() && self.is_expired(cx))
    }

    fn poll_cancelled(&mut self, cx: &mut Context<'_>) -> bool {
        loop {
            if self.node.as_ref().cancelled.poll(cx.waker()) || self.is_expired(cx) {
                return true;
            }
            if self.node.as_ref().version.load(Ordering::SeqCst) == self.version {
                return false;
            }
        }
    }

    fn grace(&self) -> Option<&OnceLock<Duration>> {
        Some(&self.node.as_ref().grace)
    }
}

//! A future that yields, and a count of drops.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

/// Yields once.
#[derive(Default)]
pub(crate) struct Yield(bool);

impl Future for Yield {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if std::mem::replace(&mut self.0, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Drops(Arc<AtomicUsize>);

impl Drops {
    pub(crate) fn get(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }

    pub(crate) fn guard(&self) -> DropGuard {
        DropGuard(self.clone(), std::thread::current().id())
    }
}

/// Counts its drop, and insists that it comes on the thread that made it.
pub(crate) struct DropGuard(Drops, std::thread::ThreadId);

impl Drop for DropGuard {
    fn drop(&mut self) {
        assert_eq!(std::thread::current().id(), self.1, "dropped on a foreign thread");
        self.0.0.fetch_add(1, Ordering::SeqCst);
    }
}

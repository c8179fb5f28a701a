//! Children whose output goes to a handle.

#![expect(
    unsafe_code,
    reason = "promises: one output, and nothing is left of it beside the child in the end"
)]

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use asyncio_base::panic::catch_and_store;
use asyncio_base::shim::Arc;

use super::one::{Beside, Hears, Owned};
use super::woken::Woken;
use crate::branch::{All, AnyBranch, Branch};
use crate::slot::{Lost, Slot};

/// Makes a child that goes where its set goes, and its handle.
pub(crate) fn send<'a, F>(
    future: F,
    woken: &Arc<Woken>,
) -> (Owned<dyn AnyBranch + Send + 'a>, Output<F::Output>)
where
    F: Future<Output: Send + 'a> + Send + 'a,
{
    let (child, beside) = Owned::send(Branch::<F, All>::new(future), Slot::default(), woken);
    (child, Output(beside))
}

/// Makes a child that stays on its thread, and its handle.
pub(crate) fn local<'a, F>(future: F, woken: &Arc<Woken>) -> (Owned<dyn AnyBranch + 'a>, Output<F::Output>)
where
    F: Future<Output: 'a> + 'a,
{
    let (child, beside) = Owned::local(Branch::<F, All>::new(future), Slot::default(), woken);
    (child, Output(beside))
}

/// The output of a child. Whoever drops it does not want it.
pub(crate) struct Output<T>(Beside<Slot<T>>);

impl<T> Output<T> {
    /// Takes it, or waits for it.
    #[inline]
    pub(crate) fn poll_take(&mut self, cx: &mut Context<'_>) -> Poll<Result<T, Lost>> {
        // SAFETY: there is one of these to a child, it is borrowed mutably, and it leaves the slot when it is dropped.
        unsafe { self.0.poll_take(cx) }
    }
}

// SAFETY: `offer` gives the one output there is to the slot only while the handle wants it, and `leave` takes it out from there, if it was not
// taken before. Wakers that wait in the slot borrow nothing.
unsafe impl<F: Future> Hears<Branch<F, All>> for Slot<F::Output> {
    #[inline]
    fn poll_end(&self, mut branch: Pin<&mut Branch<F, All>>, cx: &mut Context<'_>) -> bool {
        let has_ended = branch.as_mut().poll_end(cx);
        if let Some(output) = branch.as_mut().take_value() {
            // SAFETY: a branch has one value, which was taken out of it.
            if let Err(unwanted) = unsafe { self.offer(output) } {
                let mut panic = None;
                catch_and_store(&mut panic, || drop(unwanted));
                if let Some(panic) = panic {
                    branch.set_panic(panic);
                }
            }
        }
        has_ended
    }

    fn close(&self) {
        Slot::close(self);
    }

    fn leave(&self) {
        Slot::leave(self);
    }
}

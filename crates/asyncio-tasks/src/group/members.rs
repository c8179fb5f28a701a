//! [`Members`]: the children of a group that have not ended, and whoever waits for them.
//!
//! - M1: a child counts from its spawning until all of it has ended, its clean-up included. The group is closed when none is left and its body
//!   has ended; from then on none enters.
//! - M2: a cancellation reaches every child: one that waits is woken, and any other one looks before it waits. Both happen under the lock.
//! - M3: the end of the last child wakes whoever waits for that.

use std::task::{Context, Poll, Waker};

use asyncio_base::shim::{AtomicBool, Mutex, Ordering};
use slab::Slab;

use crate::scope::{Signal, wake};

#[derive(Default)]
pub(super) struct Members {
    /// The group is cancelled: its body, and all that is in it.
    pub(super) cancelled: Signal,
    /// Whether the scope around is to wait: for children, or for somebody to see how the last one ended. Written under the lock.
    is_awaited: AtomicBool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    count: usize,
    is_closed: bool,
    /// Some ended without a value, because the group was cancelled.
    is_any_cut: bool,
    /// Those that wait. Nobody comes after the cancellation, which takes them all out.
    waiting: Slab<Waker>,
    /// Whoever waits for the last one to end.
    waits: Option<Waker>,
}

/// The group takes no more children: it has ended, or is about to.
pub(super) struct Closed;

impl Members {
    pub(super) fn enter(&self) -> Result<(), Closed> {
        let mut state = self.state.lock();
        if state.is_closed || self.cancelled.is_set() {
            return Err(Closed);
        }
        state.count += 1;
        self.note(&state);
        Ok(())
    }

    /// A child waits: the cancellation wakes `waker`. Returns its key; or nothing, if the group is cancelled already.
    pub(super) fn wait(&self, waker: Waker) -> Option<usize> {
        let mut state = self.state.lock();
        if self.cancelled.is_set() {
            drop(state);
            drop(waker);
            return None;
        }
        Some(state.waiting.insert(waker))
    }

    /// A child has ended.
    pub(super) fn leave(&self, key: Option<usize>, is_cut: bool) {
        let (waker, waits) = {
            let mut state = self.state.lock();
            state.count -= 1;
            self.note(&state);
            state.is_any_cut |= is_cut && self.cancelled.is_set();
            let waker = key.and_then(|key| state.waiting.try_remove(key));
            let waits = if state.count == 0 { state.waits.take() } else { None };
            (waker, waits)
        };
        drop(waker);
        if let Some(waits) = waits {
            wake(|| waits.wake());
        }
    }

    /// Cancels the group. Says whether that is news.
    pub(super) fn cancel(&self) -> bool {
        let waiting = {
            let mut state = self.state.lock();
            if state.is_closed || self.cancelled.is_set() {
                return false;
            }
            // M2: under the lock, though a signal needs none; whoever waits for it is woken below.
            self.cancelled.set_in_silence();
            self.note(&state);
            std::mem::take(&mut state.waiting)
        };
        // A waker that panics does not keep the others from being woken.
        waiting.into_iter().for_each(|(_, waker)| wake(|| waker.wake()));
        wake(|| self.cancelled.wake());
        true
    }

    /// Waits until none is left; then closes the group.
    pub(super) fn poll_closed(&self, cx: &mut Context<'_>) -> Poll<()> {
        let waker = cx.waker().clone();
        let mut state = self.state.lock();
        if state.count == 0 {
            state.is_closed = true;
            self.note(&state);
            let former = state.waits.take();
            drop(state);
            drop((former, waker));
            return Poll::Ready(());
        }
        let former = state.waits.replace(waker);
        drop(state);
        drop(former);
        Poll::Pending
    }

    /// Closes the group, if none is left.
    pub(super) fn close_if_empty(&self) -> bool {
        let mut state = self.state.lock();
        state.is_closed |= state.count == 0;
        self.note(&state);
        state.is_closed
    }

    /// Says whether the scope around is to wait. Whoever changes that wakes it afterwards.
    #[inline]
    pub(super) fn must_be_awaited(&self) -> bool {
        self.is_awaited.load(Ordering::Acquire)
    }

    fn note(&self, state: &State) {
        let is_awaited = state.count > 0 || (self.cancelled.is_set() && !state.is_closed);
        self.is_awaited.store(is_awaited, Ordering::Release);
    }

    pub(super) fn is_closed(&self) -> bool {
        self.state.lock().is_closed
    }

    pub(super) fn count(&self) -> usize {
        self.state.lock().count
    }

    pub(super) fn is_any_cut(&self) -> bool {
        self.state.lock().is_any_cut
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    #[test]
    fn a_cancelled_group_is_awaited_until_somebody_has_seen_that_the_last_one_has_ended() {
        // The last child may end on another worker when the group has just looked: what it failed with is not to be dropped with the group.
        let members = Members::default();
        assert!(members.enter().is_ok());
        assert!(members.cancel());
        members.leave(None, true);
        assert!(members.must_be_awaited());
        assert!(members.poll_closed(&mut Context::from_waker(Waker::noop())).is_ready());
        assert!(!members.must_be_awaited());
        assert!(members.enter().is_err());
    }
}

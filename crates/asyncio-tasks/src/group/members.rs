//! [`Members`]: the children of a group that have not ended, and whoever waits for them.
//!
//! - M1: a child counts from its spawning until all of it has ended, its clean-up included. The group is closed when none is left and its body
//!   has ended; from then on none enters.
//! - M2: a cancellation reaches every child: one that waits is woken, and any other one looks before it waits. Both happen under the lock.
//! - M3: the end of the last child wakes whoever waits for that.
//!
//! Entering and leaving take one atomic operation each, on a word that has the count and what must be known together with it. For M3, whoever
//! waits leaves a waker, and then sets [`AWAITED`]: either that finds the count at zero, or the last one to leave finds the flag.

use std::task::{Context, Poll, Waker};

use asyncio_base::shim::{AtomicBool, AtomicUsize, Mutex, Ordering};
use asyncio_base::wait_point;
use slab::Slab;

use crate::scope::{Signal, wake};

/// In the word: the group is cancelled.
const CANCELLED: usize = 1;
/// The group takes no more.
const CLOSED: usize = 2;
/// Somebody is to be woken when the last one leaves.
const AWAITED: usize = 4;
/// One child that has not ended.
const ONE: usize = 8;

#[derive(Default)]
pub(super) struct Members {
    /// The group is cancelled: its body, and all that is in it.
    pub(super) cancelled: Signal,
    /// How many have not ended, times [`ONE`], and the flags.
    word: AtomicUsize,
    /// Some ended without a value, because the group was cancelled. Told with their leaving.
    is_any_cut: AtomicBool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Those that wait. Nobody comes after the cancellation, which takes them all out.
    waiting: Slab<Waker>,
    /// Whoever waits for the last one to end.
    waits: Option<Waker>,
}

/// The group takes no more children: it has ended, or is about to.
pub(super) struct Closed;

impl Members {
    #[inline]
    pub(super) fn enter(&self) -> Result<(), Closed> {
        let may_enter = |word| if word & (CANCELLED | CLOSED) == 0 { Some(word + ONE) } else { None };
        // Relaxed: nothing is told by it; who leaves has entered before. Acquire: whoever is refused sees why.
        match self.word.fetch_update(Ordering::Relaxed, Ordering::Acquire, may_enter) {
            Ok(_) => Ok(()),
            Err(_) => Err(Closed),
        }
    }

    /// A child waits: the cancellation wakes `waker`. Returns its key; or nothing, if the group is cancelled already.
    pub(super) fn wait(&self, waker: Waker) -> Option<u32> {
        let mut state = self.state.lock();
        if self.cancelled.is_set() {
            drop(state);
            drop(waker);
            return None;
        }
        // As many as may wait at once: memory ends before.
        Some(u32::try_from(state.waiting.insert(waker)).expect("fewer than 4,294,967,296 children wait"))
    }

    /// A child has ended.
    #[inline]
    pub(super) fn leave(&self, key: Option<u32>, is_cut: bool) {
        if let Some(key) = key {
            let waker = self.state.lock().waiting.try_remove(key as usize);
            drop(waker);
        }
        if is_cut && self.cancelled.is_set() {
            // Relaxed: before the count goes down, which whoever reads it has seen.
            self.is_any_cut.store(true, Ordering::Relaxed);
        }
        // Release: what the child did is done before it does not count any more. Acquire: and the waker is there before the flag is.
        let former = self.word.fetch_sub(ONE, Ordering::AcqRel);
        if former / ONE == 1 && former & AWAITED != 0 {
            self.wake_who_waits();
        }
    }

    #[cold]
    fn wake_who_waits(&self) {
        let waits = self.state.lock().waits.take();
        if let Some(waits) = waits {
            wake(|| waits.wake());
        }
    }

    /// Cancels the group. Says whether that is news.
    pub(super) fn cancel(&self) -> bool {
        let waiting = {
            let mut state = self.state.lock();
            let may_cancel =
                |word| if word & (CANCELLED | CLOSED) == 0 { Some(word | CANCELLED) } else { None };
            if self.word.fetch_update(Ordering::AcqRel, Ordering::Relaxed, may_cancel).is_err() {
                return false;
            }
            // M2: under the lock, though a signal needs none; whoever waits for it is woken below.
            self.cancelled.set_in_silence();
            std::mem::take(&mut state.waiting)
        };
        // A waker that panics does not keep the others from being woken.
        waiting.into_iter().for_each(|(_, waker)| wake(|| waker.wake()));
        wake(|| self.cancelled.wake());
        true
    }

    /// Waits until none is left; then closes the group.
    pub(super) fn poll_closed(&self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.close_if_empty() {
            let waker = cx.waker().clone();
            let former = self.state.lock().waits.replace(waker);
            drop(former);
            // M3. AcqRel: the waker is there before the flag is, and what the last child did is seen if it is gone.
            if self.word.fetch_or(AWAITED, Ordering::AcqRel) >= ONE || !self.close_if_empty() {
                wait_point::here("task group");
                return Poll::Pending;
            }
        }
        let former = self.state.lock().waits.take();
        drop(former);
        Poll::Ready(())
    }

    /// Closes the group, if none is left. Says whether it is closed.
    pub(super) fn close_if_empty(&self) -> bool {
        let may_close = |word| if word < ONE { Some(word | CLOSED) } else { None };
        // Acquire: what the children did is seen.
        self.word.fetch_update(Ordering::AcqRel, Ordering::Acquire, may_close).is_ok()
    }

    /// Says whether the scope around is to wait: for children, or for somebody to see how the last one ended. Whoever changes that wakes it
    /// afterwards.
    #[inline]
    pub(super) fn must_be_awaited(&self) -> bool {
        let word = self.word.load(Ordering::Acquire);
        word >= ONE || word & (CANCELLED | CLOSED) == CANCELLED
    }

    pub(super) fn is_cancelled(&self) -> bool {
        self.word.load(Ordering::Acquire) & CANCELLED != 0
    }

    pub(super) fn is_closed(&self) -> bool {
        self.word.load(Ordering::Acquire) & CLOSED != 0
    }

    pub(super) fn count(&self) -> usize {
        self.word.load(Ordering::Acquire) / ONE
    }

    pub(super) fn is_any_cut(&self) -> bool {
        self.is_any_cut.load(Ordering::Relaxed)
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

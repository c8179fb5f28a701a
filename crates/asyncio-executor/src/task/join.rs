//! [`Join`]: where the end of a task and whoever awaits it meet.
//!
//! - J1: the waker's place is the handle's while the state is `OPEN`, and whoever's that moves the state away from `WAITING`.
//! - J2: the output is stored before the owner moves to `ENDED`, once. From then on it is the handle's, if that is still there.
//! - J3: a handle that goes moves to `DETACHED`. Of the end and the handle, whoever comes second drops the output.

#![expect(unsafe_code, reason = "a waker's place that two threads share by turns")]

use std::task::{Context, Waker};

use asyncio_base::shim::{AtomicU8, Ordering, UnsafeCell};

/// Nobody waits; the handle is there.
const OPEN: u8 = 0;
/// A waker is in its place.
const WAITING: u8 = 1;
/// The output is stored.
const ENDED: u8 = 2;
/// The handle is gone.
const DETACHED: u8 = 3;

pub(super) struct Join {
    state: AtomicU8,
    waker: UnsafeCell<Option<Waker>>,
}

/// Who is there when a task ends.
pub(super) enum AtEnd {
    /// A handle that does not wait now.
    Handle,
    /// A handle that waits.
    Waiting(Waker),
    /// Nobody: the output is the caller's to drop.
    Nobody,
}

impl Join {
    pub(super) fn new() -> Self {
        Self { state: AtomicU8::new(OPEN), waker: UnsafeCell::new(None) }
    }

    pub(super) fn has_ended(&self) -> bool {
        // Acquire: J2.
        self.state.load(Ordering::Acquire) == ENDED
    }

    /// Says whether the task has ended; if not, its end wakes `cx`.
    ///
    /// # Safety
    ///
    /// - The caller is the handle, which there is one of, and has not [detached](Self::detach).
    pub(super) unsafe fn poll(&self, cx: &Context<'_>) -> bool {
        // Acquire: J2.
        let is_waiting = match self.state.load(Ordering::Acquire) {
            ENDED => return true,
            state => state == WAITING,
        };
        // Only the end can have come between; then it has the place, and takes the waker away (J1).
        if is_waiting && !self.change(WAITING, OPEN) {
            return true;
        }
        // SAFETY: J1: the state is OPEN, or ENDED coming from it.
        let is_same =
            self.waker.with(|waker| unsafe { &*waker }.as_ref().is_some_and(|w| w.will_wake(cx.waker())));
        let former = if is_same {
            None
        } else {
            let waker = cx.waker().clone();
            // SAFETY: as above.
            self.waker.with_mut(|place| unsafe { (*place).replace(waker) })
        };
        let has_ended = !self.change(OPEN, WAITING);
        if has_ended {
            // SAFETY: J1: the end found OPEN, and left the place alone.
            drop(self.waker.with_mut(|place| unsafe { (*place).take() }));
        }
        drop(former);
        has_ended
    }

    /// AcqRel: both what was put into the place, and what the other side stored, pass with the word.
    fn change(&self, from: u8, to: u8) -> bool {
        self.state.compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// Says that the output is stored, and returns who is there.
    ///
    /// # Safety
    ///
    /// - The caller is the owner, which ends the task once.
    pub(super) unsafe fn end(&self) -> AtEnd {
        // AcqRel: J2, and the waker that was put into its place.
        match self.state.swap(ENDED, Ordering::AcqRel) {
            DETACHED => AtEnd::Nobody,
            // SAFETY: J1: we have moved the state away from WAITING.
            WAITING => match self.waker.with_mut(|place| unsafe { (*place).take() }) {
                Some(waker) => AtEnd::Waiting(waker),
                None => AtEnd::Handle,
            },
            _ => AtEnd::Handle,
        }
    }

    /// Says that the handle goes, and whether the task has ended: then the output is the caller's to drop.
    ///
    /// # Safety
    ///
    /// - The caller is the handle, which there is one of, and does this once.
    pub(super) unsafe fn detach(&self) -> bool {
        // AcqRel: J3: the output that was stored before ENDED.
        let former = self.state.swap(DETACHED, Ordering::AcqRel);
        if former == WAITING || former == OPEN {
            // SAFETY: J1: OPEN is the handle's, and we have moved the state away from WAITING.
            drop(self.waker.with_mut(|place| unsafe { (*place).take() }));
        }
        former == ENDED
    }
}

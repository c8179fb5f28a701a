//! The state word of a oneshot: who has done what.
//!
//! Each side has two bits of its own that it sets once and never clears: that it has said its word (`SENT` or `DROPPED` of the sender,
//! `CLOSED` of the receiver), and that it will never touch the memory again (`SENDER_LEFT`, `RECEIVER_LEFT`). And one bit that says that its waker
//! lies there for the other side (`RECEIVER_WAITS`, `SENDER_WAITS`).
//!
//! - O1 (the value): written before `SENT` is set, read after it was seen, by the receiver; or taken back by the sender, who sees `CLOSED` in the step that
//!   would have set `SENT`, which then does not.
//! - O2 (a waker): written before its bit is set. The other side takes it out if it sees the bit in the step in which it says its word. Its owner takes
//!   it out by clearing the bit, if the other side had not said its word by then. So exactly one of the two has it.
//! - O3 (memory): whoever sets its `LEFT` bit and sees the other's frees it, and so does whoever sees the other's before it would set its own. A side touches
//!   nothing after that step. That is what was missing where a waker was read after the value was published (RUSTSEC-2021-0124,
//!   RUSTSEC-2026-0005).

use asyncio_base::shim::{AtomicU8, Ordering};

/// The value is there, or was.
pub(super) const SENT: u8 = 1;
/// The sender was dropped without sending.
pub(super) const DROPPED: u8 = 1 << 1;
/// The receiver wants nothing any more.
pub(super) const CLOSED: u8 = 1 << 2;
pub(super) const SENDER_LEFT: u8 = 1 << 3;
pub(super) const RECEIVER_LEFT: u8 = 1 << 4;
/// The receiver's waker is there.
pub(super) const RECEIVER_WAITS: u8 = 1 << 5;
/// The sender's waker is there.
pub(super) const SENDER_WAITS: u8 = 1 << 6;

/// The sender has said its word.
pub(super) const SENDER_SPOKE: u8 = SENT | DROPPED;

/// What was true before a step.
#[derive(Clone, Copy)]
#[must_use = "it says what is to be done now"]
pub(super) struct Before(u8);

impl Before {
    #[inline]
    pub(super) const fn has(self, bits: u8) -> bool {
        self.0 & bits != 0
    }
}

pub(super) struct State(AtomicU8);

impl State {
    pub(super) fn new() -> Self {
        Self(AtomicU8::new(0))
    }

    #[inline]
    pub(super) fn load(&self) -> Before {
        // Acquire: O1, O3: pairs with the Release of whoever set what is seen.
        Before(self.0.load(Ordering::Acquire))
    }

    /// The common way of sending: nobody waits, so the value is said and the side left in one step. `Err` if anything was set.
    #[inline]
    pub(super) fn transition_to_sent_and_left(&self) -> Result<(), Before> {
        let exchanged = self.0.compare_exchange(0, SENT | SENDER_LEFT, Ordering::Release, Ordering::Acquire);
        // Release: O1, O3: the value, and all that the sender did, come before.
        exchanged.map(|_| ()).map_err(Before)
    }

    /// Sets `SENT`, unless the receiver has closed, and takes over its waker.
    pub(super) fn transition_to_sent(&self) -> Result<Before, ()> {
        // AcqRel: O1; and O2, where the receiver's waker is seen.
        let updated = self.0.fetch_update(Ordering::AcqRel, Ordering::Acquire, |bits| {
            (bits & CLOSED == 0).then_some((bits | SENT) & !RECEIVER_WAITS)
        });
        updated.map(Before).map_err(|_| ())
    }

    /// Sets `DROPPED`, and takes over the receiver's waker.
    pub(super) fn transition_to_dropped(&self) -> Before {
        self.say(DROPPED, RECEIVER_WAITS)
    }

    /// Sets `CLOSED`, and takes over the sender's waker.
    pub(super) fn transition_to_closed(&self) -> Before {
        self.say(CLOSED, SENDER_WAITS)
    }

    fn say(&self, word: u8, others_waker: u8) -> Before {
        // AcqRel: O2. It always succeeds.
        let updated = self
            .0
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |bits| Some((bits | word) & !others_waker));
        Before(updated.unwrap_or_else(|bits| bits))
    }

    /// Says that one's waker is there.
    pub(super) fn transition_to_waiting(&self, waits: u8) -> Before {
        // AcqRel: O2: the waker comes before; and what the other has said is seen.
        Before(self.0.fetch_or(waits, Ordering::AcqRel))
    }

    /// Takes one's own waker back: it is one's own again if the bit was still set.
    pub(super) fn transition_to_not_waiting(&self, waits: u8) -> Before {
        // Acquire: O2: if the other has taken it, what he said is seen.
        Before(self.0.fetch_and(!waits, Ordering::AcqRel))
    }

    /// Touches nothing any more from here on, but to free it if the other has left, too.
    #[inline]
    pub(super) fn transition_to_left(&self, left: u8) -> Before {
        // AcqRel: O3: what one did comes before it is freed; what the other did, before one frees it.
        Before(self.0.fetch_or(left, Ordering::AcqRel))
    }
}

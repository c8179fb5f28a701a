//! [`Counts`]: how many references to a task there are, without atomics on its owner's thread.
//!
//! Biased reference counting (Choi, Shull, Torrellas: "Biased Reference Counting", PACT 2018), made simple by what a task is: its owner
//! always ends it, and that is the moment to settle.
//!
//! - C1: until the counts are settled, the owner counts in `here`, a plain number, and every other thread in `elsewhere`, which
//!   starts at `BIAS`. A reference may be taken on one side and dropped on the other; only the sum means something.
//! - C2: until then nobody frees: the list of live tasks holds a reference, and no number of references brings `elsewhere` from `BIAS`
//!   to zero.
//! - C3: settling adds `here - BIAS` to `elsewhere`, once, by the owner, unless nothing would be left. From then on `elsewhere` is the number of
//!   references, everybody counts there, and whoever gives up the last one frees: who finds it at one need not even count.
//! - C4: a waker that is taken here and dropped elsewhere, again and again, makes both sides drift apart. When `here` has gone far, the
//!   owner moves it over to `elsewhere`, which brings both back.

#![expect(unsafe_code, reason = "counts that are plain on one thread")]

use std::cell::Cell;

use asyncio_base::shim::{AtomicU32, Ordering};

const BIAS: u32 = 1 << 30;
/// So far `here` goes before it is moved (C4).
const FAR: i32 = 1 << 28;
/// So far `elsewhere` cannot be from `BIAS`, but for references that were forgotten; then the process ends, as with `Arc`.
const MAX: u32 = BIAS + (1 << 29);
/// In `here`: the counts are settled.
const SETTLED: i32 = i32::MIN;

pub(super) struct Counts {
    here: Cell<i32>,
    elsewhere: AtomicU32,
}

impl Counts {
    /// Counts `references`, all of the owner's.
    pub(super) fn new(references: i32) -> Self {
        Self { here: Cell::new(references), elsewhere: AtomicU32::new(BIAS) }
    }

    /// Counts one more.
    ///
    /// # Safety
    ///
    /// - `is_owner` is said on the owner's thread alone.
    #[inline]
    pub(super) unsafe fn take(&self, is_owner: bool) {
        let here = if is_owner { self.here.get() } else { SETTLED };
        if here != SETTLED {
            self.here.set(here + 1);
            if here == FAR {
                self.rebalance();
            }
            return;
        }
        // Relaxed: whoever takes a reference has one, so nothing is freed meanwhile.
        if self.elsewhere.fetch_add(1, Ordering::Relaxed) > MAX {
            std::process::abort();
        }
    }

    /// Counts one less, and says whether it was the last: then nobody else has the task any more.
    ///
    /// # Safety
    ///
    /// - `is_owner` is said on the owner's thread alone.
    /// - The caller has a reference, and gives it up.
    #[inline]
    #[must_use = "if it says true, the task is to be freed"]
    pub(super) unsafe fn drop_one(&self, is_owner: bool) -> bool {
        let here = if is_owner { self.here.get() } else { SETTLED };
        if here != SETTLED {
            self.here.set(here - 1);
            if here == -FAR {
                self.rebalance();
            }
            return false;
        }
        // Acquire: as below. Whoever has the last one has the task to himself, and nobody counts any more.
        if self.elsewhere.load(Ordering::Acquire) == 1 {
            return true;
        }
        // AcqRel: what others did with the task before they dropped it comes before the freeing (C3).
        self.elsewhere.fetch_sub(1, Ordering::AcqRel) == 1
    }

    /// Moves what has gathered on the owner's side to the other one (C4).
    #[cold]
    #[expect(clippy::cast_sign_loss, reason = "a negative number is added by wrapping")]
    fn rebalance(&self) {
        let here = self.here.replace(0);
        // Relaxed: the sum stays, and the list's reference is in it.
        let sum = self.elsewhere.fetch_add(here as u32, Ordering::Relaxed).wrapping_add(here as u32);
        if sum > MAX {
            std::process::abort();
        }
    }

    /// Settles (C3), giving up `dropped` references of the owner's, and says whether they were the last.
    ///
    /// # Safety
    ///
    /// - The caller is on the owner's thread, and does this once.
    /// - It has `dropped` references, and gives them up.
    #[inline]
    #[must_use = "if it says true, the task is to be freed"]
    pub(super) unsafe fn settle(&self, dropped: i32) -> bool {
        let here = self.here.replace(SETTLED) - dropped;
        // Acquire: as in `drop_one`. Nothing is left on either side, so nobody is there who could change it.
        if here == 0 && self.elsewhere.load(Ordering::Acquire) == BIAS {
            return true;
        }
        let change = (here as u32).wrapping_sub(BIAS);
        self.elsewhere.fetch_add(change, Ordering::AcqRel).wrapping_add(change) == 0
    }
}

#[cfg(all(test, not(loom)))]
#[expect(clippy::multiple_unsafe_ops_per_block, reason = "one thread plays both sides, and counts right")]
mod tests {
    use super::*;

    #[test]
    fn a_waker_taken_here_and_dropped_elsewhere_for_ever_does_not_wrap() {
        let counts = Counts::new(1);
        counts.here.set(FAR - 1);
        counts.elsewhere.store(BIAS - (FAR as u32 - 2), Ordering::Relaxed);
        for _ in 0..10 {
            // SAFETY: one thread, which plays both, and counts right.
            unsafe {
                counts.take(true);
                assert!(!counts.drop_one(false));
            }
        }
        assert!(counts.here.get() < 20, "moved over: {}", counts.here.get());
        // SAFETY: as above: one reference is left, the list's.
        assert!(unsafe { counts.settle(1) }, "and the sum is as before");
    }

    #[test]
    fn whoever_drops_the_last_one_is_told_on_each_side() {
        // SAFETY: one thread, which plays both, and counts right.
        unsafe {
            let counts = Counts::new(2);
            counts.take(false);
            assert!(!counts.settle(1), "two are left");
            assert!(!counts.drop_one(true));
            assert!(counts.drop_one(false));

            let counts = Counts::new(2);
            assert!(!counts.drop_one(false));
            assert!(counts.settle(1), "the other one was dropped elsewhere");

            let counts = Counts::new(1);
            counts.take(false);
            assert!(!counts.settle(1), "one is left elsewhere");
            assert!(counts.drop_one(false));
        }
    }
}

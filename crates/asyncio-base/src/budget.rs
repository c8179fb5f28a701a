//! The cooperative budget: how many ready operations a task may do in one poll.
//!
//! A task whose socket always has bytes, or whose channel always has items, would never return to its executor.
//! Each leaf operation of ours therefore asks here first. An executor of ours grants a budget for each poll
//! ([`with_budget`], or [`Grant`] for many); when it is spent, leaf operations say `Pending` and wake their task, so that it goes to the back
//! of the ready queue.
//!
//! 1. Without a grant the budget is unlimited: under a foreign executor nothing changes.
//! 2. A refused operation has woken its task; no wake-up is lost.
//! 3. Only operations that were *ready* cost: what waits costs nothing.
//! 4. One that calls the operating system costs a unit, one in memory an eighth: a budget stands for time, and a `recv` takes ten times and
//!    more what a channel's message takes. A task that has nothing but messages to handle is so interrupted after 20 µs, not after 3.
//!
//! The idea is tokio's ("Reducing tail latencies with automatic cooperative task yielding", 2020), and so is the
//! number, 128.

use std::cell::Cell;
use std::marker::PhantomData;
use std::task::{Context, Poll};

/// The budget of one poll where nobody has set another, in units: 128 ready leaf operations that call the operating system, or 1,024 in memory.
///
/// Smaller costs throughput (an always-ready reader is requeued more often), larger costs the others latency: 128
/// receives of 64 B take about 0.3 ms.
pub const DEFAULT: u32 = 128;

/// The largest budget that is one: what is more is no limit.
pub const MAX: u32 = (UNLIMITED - 1) / STEPS_PER_UNIT;

/// What is counted with: an operation in memory is one of them.
const STEPS_PER_UNIT: u32 = 8;

const UNLIMITED: u32 = u32::MAX;

thread_local! {
    /// In steps.
    static REMAINING: Cell<u32> = const { Cell::new(UNLIMITED) };
}

/// Grants `units` ready leaf operations to what `poll` does, or eight times as many in memory; more than [`MAX`] is no limit.
///
/// The former budget is restored afterwards, also when `poll` panics.
///
/// # Examples
///
/// ```
/// use asyncio_base::budget;
/// use std::task::{Context, Waker};
///
/// let mut cx = Context::from_waker(Waker::noop());
/// budget::with_budget(1, || {
///     assert!(budget::poll_proceed(&mut cx).is_ready());
///     budget::spend();
///     assert!(budget::poll_proceed(&mut cx).is_pending());
/// });
/// assert!(budget::poll_proceed(&mut cx).is_ready(), "unlimited outside");
/// ```
#[inline]
pub fn with_budget<R>(units: u32, poll: impl FnOnce() -> R) -> R {
    Grant::of(units).during(poll)
}

/// A budget, made once and granted to many polls: by executors.
#[derive(Clone, Copy, Debug)]
pub struct Grant {
    steps: u32,
}

impl Grant {
    /// Makes one of so many units, as [`with_budget`] has them.
    #[inline]
    pub const fn of(units: u32) -> Self {
        Self { steps: units.saturating_mul(STEPS_PER_UNIT) }
    }

    /// Grants it to what `poll` does, as [`with_budget`] does.
    #[inline]
    pub fn during<R>(self, poll: impl FnOnce() -> R) -> R {
        struct Restore(u32);
        impl Drop for Restore {
            #[inline]
            fn drop(&mut self) {
                REMAINING.set(self.0);
            }
        }
        let _restore = Restore(REMAINING.replace(self.steps));
        poll()
    }

    /// Grants it to many polls one after another, each of which begins with [`Granting::renew`].
    ///
    /// # Examples
    ///
    /// ```
    /// use asyncio_base::budget::{self, Grant};
    ///
    /// let granting = Grant::of(5).begin();
    /// for _ in 0..2 {
    ///     granting.renew();
    ///     assert_eq!(budget::remaining(), Some(5));
    ///     budget::spend();
    /// }
    /// drop(granting);
    /// assert_eq!(budget::remaining(), None);
    /// ```
    #[inline]
    pub fn begin(self) -> Granting {
        Granting { steps: self.steps, former: REMAINING.get(), _not_send: PhantomData }
    }
}

/// While it lives, polls of this thread may be granted a budget; then the former one comes back. Made by [`Grant::begin`]. Between two polls
/// there is what the last one has left, unless it was [paused](Self::pause).
#[derive(Debug)]
pub struct Granting {
    steps: u32,
    former: u32,
    /// It is of this thread's budget.
    _not_send: PhantomData<*mut ()>,
}

impl Granting {
    /// Grants the whole budget to what comes next.
    #[inline]
    pub fn renew(&self) {
        REMAINING.set(self.steps);
    }

    /// Brings the former budget back until the next [`renew`](Self::renew).
    #[inline]
    pub fn pause(&self) {
        REMAINING.set(self.former);
    }
}

impl Drop for Granting {
    #[inline]
    fn drop(&mut self) {
        self.pause();
    }
}

/// Runs `poll` without a limit, for work that must not be interrupted.
pub fn unlimited<R>(poll: impl FnOnce() -> R) -> R {
    with_budget(UNLIMITED, poll)
}

/// Asks whether a leaf operation may be tried in this poll. If not, the task has been woken.
#[inline]
pub fn poll_proceed(cx: &mut Context<'_>) -> Poll<()> {
    if REMAINING.get() == 0 {
        cx.waker().wake_by_ref();
        return Poll::Pending;
    }
    Poll::Ready(())
}

/// The same as [`poll_proceed`] and [`spend_steps`], for what does nothing of a user's in between: the budget is looked up once.
///
/// # Examples
///
/// ```
/// use asyncio_base::budget;
/// use std::task::{Context, Poll, Waker};
///
/// let mut cx = Context::from_waker(Waker::noop());
/// budget::with_budget(1, || {
///     for _ in 0..8 {
///         let Poll::Ready(leave) = budget::poll_leave(&mut cx) else { panic!("there are eight") };
///         leave.spend_step();
///     }
///     assert_eq!(budget::remaining(), Some(0));
/// });
/// ```
#[inline]
pub fn poll_leave(cx: &mut Context<'_>) -> Poll<Leave> {
    let remaining = REMAINING.get();
    if remaining == 0 {
        cx.waker().wake_by_ref();
        return Poll::Pending;
    }
    Poll::Ready(Leave { remaining, _not_send: PhantomData })
}

/// The leave to try an operation in memory in this poll, and not longer. Made by [`poll_leave`].
#[derive(Debug)]
#[must_use = "an operation that was ready has to be counted"]
pub struct Leave {
    remaining: u32,
    /// It is of this thread's budget.
    _not_send: PhantomData<*mut ()>,
}

impl Leave {
    /// Says that the operation was ready.
    #[inline]
    pub fn spend_step(self) {
        if self.remaining != UNLIMITED {
            REMAINING.set(self.remaining - 1);
        }
    }
}

/// Says that a leaf operation was ready that called the operating system.
#[inline]
pub fn spend() {
    spend_steps(STEPS_PER_UNIT as usize);
}

/// Says that so many leaf operations were ready that were done in memory.
#[inline]
pub fn spend_steps(steps: usize) {
    let remaining = REMAINING.get();
    if remaining != UNLIMITED {
        REMAINING.set(remaining.saturating_sub(u32::try_from(steps).unwrap_or(u32::MAX)));
    }
}

/// Returns what is left of this poll's budget, in units begun, or `None` where it is unlimited.
pub fn remaining() -> Option<u32> {
    Some(REMAINING.get()).filter(|&steps| steps != UNLIMITED).map(|steps| steps.div_ceil(STEPS_PER_UNIT))
}

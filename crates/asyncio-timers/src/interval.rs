//! [`Interval`]: ticks at a fixed period.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use crate::home::now;
use crate::sleep::{Sleep, sleep_until};

/// Ticks every `period`; the first tick is at once.
///
/// # Panics
///
/// Panics if `period` is zero: such an interval would never let anything else run.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// futures::executor::block_on(async {
///     let mut ticks = asyncio_timers::interval(Duration::from_millis(1));
///     let first = ticks.tick().await;
///     assert_eq!(ticks.tick().await, first + Duration::from_millis(1));
/// });
/// ```
#[track_caller]
pub fn interval(period: Duration) -> Interval {
    Interval::new(period)
}

/// Ticks at a fixed period.
///
/// Ticks are counted from the first one, so lateness does not add up. What happens when a tick was missed is
/// [`MissedTick`]'s to say.
#[derive(Debug)]
pub struct Interval {
    sleep: Sleep,
    period: Duration,
    missed_tick: MissedTick,
}

/// What an [`Interval`] does after its user came too late for a tick.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum MissedTick {
    /// Ticks at once until it has caught up. The default, since no tick is lost.
    #[default]
    Burst,
    /// Ticks one period after the late tick, and so on from there.
    Delay,
    /// Leaves out what was missed and keeps to multiples of the period.
    Skip,
}

impl Interval {
    /// Makes an interval whose first tick is at once.
    ///
    /// # Panics
    ///
    /// Panics if `period` is zero.
    #[track_caller]
    pub fn new(period: Duration) -> Self {
        Self::starting_at(now(), period)
    }

    /// Makes an interval whose first tick is at `start`.
    ///
    /// # Panics
    ///
    /// Panics if `period` is zero.
    #[track_caller]
    pub fn starting_at(start: Instant, period: Duration) -> Self {
        assert!(
            !period.is_zero(),
            "the period of an interval must be longer than zero; to let others run, yield"
        );
        Self { sleep: sleep_until(start), period, missed_tick: MissedTick::default() }
    }

    /// Waits for the next tick and returns when it was due.
    ///
    /// # Cancel safety
    ///
    /// No tick is lost by dropping it: the interval keeps it for the next call.
    pub async fn tick(&mut self) -> Instant {
        poll_fn(|cx| self.poll_tick(cx)).await
    }

    /// Polls for the next tick; see [`tick`](Self::tick).
    #[expect(clippy::missing_panics_doc, reason = "what it expects holds")]
    pub fn poll_tick(&mut self, cx: &mut Context<'_>) -> Poll<Instant> {
        ready!(Pin::new(&mut self.sleep).poll(cx));
        // OK because a sleep that never ends is never ready.
        let due = self.sleep.deadline().expect("a sleep that was ready has a deadline");
        match self.next_after(due) {
            Some(next) => self.sleep.reset(next),
            None => self.sleep = Sleep::never(),
        }
        Poll::Ready(due)
    }

    fn next_after(&self, due: Instant) -> Option<Instant> {
        let next = due.checked_add(self.period)?;
        let now = now();
        if next > now {
            return Some(next);
        }
        match self.missed_tick {
            MissedTick::Burst => Some(next),
            MissedTick::Delay => now.checked_add(self.period),
            MissedTick::Skip => {
                let into_period = (now - due).as_nanos() % self.period.as_nanos();
                // OK because the remainder is less than the period, which is a `Duration`.
                let into_period =
                    Duration::new((into_period / 1_000_000_000) as u64, (into_period % 1_000_000_000) as u32);
                now.checked_add(self.period - into_period)
            }
        }
    }

    /// Starts over: the next tick is one period from now.
    pub fn reset(&mut self) {
        self.sleep.reset_after(self.period);
    }

    /// Says what happens after a missed tick.
    pub fn set_missed_tick(&mut self, missed_tick: MissedTick) {
        self.missed_tick = missed_tick;
    }

    /// Returns what happens after a missed tick.
    pub fn missed_tick(&self) -> MissedTick {
        self.missed_tick
    }

    /// Returns the period.
    pub fn period(&self) -> Duration {
        self.period
    }
}

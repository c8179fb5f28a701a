//! Clocks: what time it is, and how to idle until a deadline.
//!
//! The seam through which a loop gets time. [`MonotonicClock`] is the system's; [`ManualClock`] moves only when it is
//! told to, for tests that take no time. A simulation brings its own.

use std::fmt::Debug;
use std::task::Waker;
use std::time::{Duration, Instant};

use asyncio_base::shim::{Arc, Mutex};

/// What time it is, and how to idle.
///
/// Laws:
/// 1. [`now`](Self::now) never goes back.
/// 2. [`idle`](Self::idle) is asked when nothing is ready; a loop does what it says, and comes back when it is woken.
/// 3. Where time can move while a loop idles other than by waiting, the clock wakes the subscribed loops when it does.
pub trait Clock: Debug + Send + Sync + 'static {
    /// Returns the present.
    fn now(&self) -> Instant;

    /// Says how to idle until `deadline`, or until an event if there is none.
    fn idle(&self, deadline: Option<Instant>) -> Idle;

    /// Moves time to `deadline`, because [`idle`](Self::idle) said [`Idle::Jump`] and no event was waiting.
    fn jump(&self, deadline: Instant) {
        let _ = deadline;
    }

    /// Returns the tick that timers on this clock must have, if it is not for others to choose. A clock that is moved by hand needs the finest
    /// one: what it is moved to exactly has come.
    fn tick(&self) -> Option<Duration> {
        None
    }

    /// Asks to be woken when time is moved by hand.
    fn subscribe(&self, unpark: &Waker) {
        let _ = unpark;
    }

    /// Takes a subscription back.
    fn unsubscribe(&self, unpark: &Waker) {
        let _ = unpark;
    }
}

/// How a loop idles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Idle {
    /// Wait for an event for so long.
    For(Duration),
    /// Wait for an event, however long it takes.
    Forever,
    /// Look for events without waiting; if there is none, [`Clock::jump`] to the deadline.
    Jump,
}

/// The system's monotonic clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct MonotonicClock;

impl Clock for MonotonicClock {
    #[inline]
    fn now(&self) -> Instant {
        Instant::now()
    }

    #[inline]
    fn idle(&self, deadline: Option<Instant>) -> Idle {
        match deadline {
            Some(deadline) => Idle::For(deadline.saturating_duration_since(Instant::now())),
            None => Idle::Forever,
        }
    }
}

/// A clock that moves only when it is told to; clones share one time.
///
/// # Examples
///
/// ```
/// use asyncio_timers::{Clock, ManualClock};
/// use std::time::Duration;
///
/// let clock = ManualClock::new();
/// let start = clock.now();
/// clock.advance(Duration::from_secs(3600));
/// assert_eq!(clock.now() - start, Duration::from_secs(3600));
/// ```
#[derive(Clone, Debug)]
pub struct ManualClock {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    jumps: bool,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    now: Instant,
    subscribers: Vec<Waker>,
}

impl ManualClock {
    /// Makes a clock that stands still until [`advance`](Self::advance) is called, from any thread.
    ///
    /// A loop on it waits for events for ever, and never for time.
    pub fn new() -> Self {
        Self::with_jumps(false)
    }

    /// Makes a clock that jumps to the next deadline whenever its loop has nothing else to do.
    ///
    /// A program that sleeps for an hour under it takes no time.
    pub fn jumping() -> Self {
        Self::with_jumps(true)
    }

    fn with_jumps(jumps: bool) -> Self {
        let state = State { now: Instant::now(), subscribers: Vec::new() };
        Self { shared: Arc::new(Shared { jumps, state: Mutex::new(state) }) }
    }

    /// Moves time on and wakes the loops that stand on this clock. Time stops at the end of what `Instant` can hold.
    pub fn advance(&self, by: Duration) {
        self.move_to(|now| now.checked_add(by).unwrap_or(now));
    }

    fn move_to(&self, to: impl FnOnce(Instant) -> Instant) {
        let mut state = self.shared.state.lock();
        state.now = to(state.now).max(state.now);
        let subscribers = state.subscribers.clone();
        drop(state);
        subscribers.iter().for_each(Waker::wake_by_ref);
    }
}

impl Default for ManualClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Instant {
        self.shared.state.lock().now
    }

    fn idle(&self, deadline: Option<Instant>) -> Idle {
        match deadline {
            Some(deadline) if deadline <= self.now() => Idle::For(Duration::ZERO),
            Some(_) if self.shared.jumps => Idle::Jump,
            _ => Idle::Forever,
        }
    }

    fn jump(&self, deadline: Instant) {
        self.move_to(|_| deadline);
    }

    fn tick(&self) -> Option<Duration> {
        Some(Duration::from_nanos(1))
    }

    fn subscribe(&self, unpark: &Waker) {
        self.shared.state.lock().subscribers.push(unpark.clone());
    }

    fn unsubscribe(&self, unpark: &Waker) {
        let mut state = self.shared.state.lock();
        let place = state.subscribers.iter().position(|waker| waker.will_wake(unpark));
        let waker = place.map(|place| state.subscribers.swap_remove(place));
        drop(state);
        drop(waker);
    }
}

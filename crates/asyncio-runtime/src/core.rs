//! One turn of the loop.
//!
//! - L1: order is strictly first in, first out. Events are looked at when nothing is ready, or after [`POLLS_MAX`] polls or
//!   [`BUSY_MAX`] of them, so that a busy loop still sees its sockets and timers.
//! - L2: before it waits the loop has found nothing ready. A wake from another thread after that finds the reactor waiting or
//!   about to (its signal is sticky), so it is not lost.
//! - L3: closing goes from the top down: futures first, in place, while timers and reactor still stand; then timers; then the reactor. Where
//!   there are several workers, they take these steps together (`crew.rs`).
//! - L4: a panic in a waker of somebody else's is reported, and does not end the loop.

use std::io;
use std::time::{Duration, Instant};

use asyncio_base::lock_watch::WatchGuard;
use asyncio_base::panic::{catch_and_store, discard, message};
use asyncio_base::report;
use asyncio_base::shim::Arc;
use asyncio_executor::{LocalExecutor, Stopped, Watch};
use asyncio_reactor::Reactor;
use asyncio_tasks::{Cleanup, CleanupGuard};
use asyncio_timers::{Idle, Timers};

use crate::event_loop::{Entered, EventLoop};
use crate::lock_registry::LockRegistry;
use crate::meter::{Measuring, Seen};
use crate::runtime::Listening;

/// After so many polls the loop looks at its events, if not for the time before. A look that finds nothing costs about 270 ns; at
/// tokio's 61 that was 12 % of `ping_pong`, at 256 it is 3 %. Polls that take long are bounded by the time.
const POLLS_MAX: usize = 256;
/// After so long a stretch of polls it does so too.
const BUSY_MAX: Duration = Duration::from_micros(100);
/// The clock is read after so many polls, not after each: a reading costs 16 ns.
const POLLS_PER_CLOCK: usize = 16;

pub(crate) struct Core {
    pub(crate) executor: LocalExecutor,
    pub(crate) timers: Timers,
    pub(crate) reactor: Arc<dyn Reactor>,
    pub(crate) event_loop: EventLoop,
    /// Clean-up that no scope waits for any more: that of all workers.
    pub(crate) cleanup: Cleanup,
    /// How long the loop looks for events without waiting, before it waits.
    pub(crate) spin: Duration,
    /// There if the loop is measured.
    pub(crate) observer: Option<Observer>,
}

/// What looks on while a loop runs.
pub(crate) struct Observer {
    pub(crate) watch: Arc<Watch>,
    pub(crate) measuring: Measuring,
    /// In debug mode, on the loop that listens: the locks that are held and waited for.
    pub(crate) locks: Option<(Arc<LockRegistry>, WatchGuard)>,
}

/// While it lives, everything that is spawned, sleeps or opens sockets on this thread does so on this loop.
pub(crate) struct EnterGuard {
    _reports: Listening,
    _cleanup: CleanupGuard,
    _executor: asyncio_executor::EnterGuard,
    _timers: asyncio_timers::EnterGuard,
    _reactor: asyncio_reactor::EnterGuard,
    _running: Entered,
}

/// What came of a stretch of polls.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Busy {
    /// Nothing is ready.
    Idle,
    /// It is time to look at the events.
    Ready,
    /// It is the main future's turn.
    Main,
}

impl Core {
    #[track_caller]
    pub(crate) fn enter(&self) -> EnterGuard {
        if let Some(observer) = &self.observer {
            observer.measuring.go_on();
            observer.watch.tick();
            observer.watch.pause();
        }
        EnterGuard {
            _running: self.event_loop.enter(),
            _reactor: asyncio_reactor::enter(self.reactor.clone()),
            _timers: self.timers.enter(),
            _executor: self.executor.enter(),
            _cleanup: self.cleanup.enter(),
            _reports: self.event_loop.runtime().listen(),
        }
    }

    /// Polls what is ready, for one stretch (L1).
    #[inline]
    pub(crate) fn run_ready(&self, stretch: &mut Stretch) -> Busy {
        loop {
            if stretch.until_clock == 0 {
                if stretch.is_over(&self.timers) {
                    return Busy::Ready;
                }
                if let Some(observer) = &self.observer {
                    observer.watch.tick();
                }
            }
            let ran = self.executor.run_up_to(stretch.until_clock);
            stretch.until_clock -= ran.polls;
            match ran.stopped {
                Stopped::Idle => return Busy::Idle,
                Stopped::Main => {
                    // Its poll counts as any other.
                    stretch.until_clock -= 1;
                    return Busy::Main;
                }
                _ => {}
            }
        }
    }

    /// Looks at the events, and waits for them if nothing is ready, at most for `limit`; then fires the timers. Returns whether
    /// anything happened.
    pub(crate) fn look_at_events(&self, busy: Busy, limit: Option<Duration>) -> io::Result<bool> {
        match &self.observer {
            None => self.look_at_events_only(busy, limit).map(Happened::is_any),
            Some(observer) => self.look_and_measure(observer, busy, limit),
        }
    }

    #[cold]
    fn look_and_measure(&self, observer: &Observer, busy: Busy, limit: Option<Duration>) -> io::Result<bool> {
        observer.watch.pause();
        let locks = observer.locks.as_ref().map(|(locks, _)| locks);
        let limit = limit.into_iter().chain(locks.and_then(|locks| locks.until_next())).min();
        let look = || self.look_at_events_only(busy, limit);
        let seen = |result: &io::Result<Happened>| {
            let happened = result.as_ref().copied().unwrap_or_default();
            Seen {
                io_events: happened.events,
                timers_fired: happened.fired,
                timers: self.timers.len(),
                tasks: self.executor.len(),
                ready: self.executor.ready_count(),
            }
        };
        let result = observer.measuring.look(look, seen);
        observer.watch.tick();
        if let Some(locks) = locks {
            locks.report_overdue();
        }
        result.map(Happened::is_any)
    }

    fn look_at_events_only(&self, busy: Busy, limit: Option<Duration>) -> io::Result<Happened> {
        // Other workers may have something to do. Until the guard is dropped they know that this one has not.
        let resting = if busy == Busy::Idle { self.executor.try_idle() } else { None };
        let idle = if resting.is_some() { self.timers.idle() } else { Idle::For(Duration::ZERO) };
        let wait = match idle {
            Idle::For(wait) => Some(limit.map_or(wait, |limit| wait.min(limit))),
            Idle::Jump => Some(Duration::ZERO),
            // `Forever`, and whatever a later clock may say: an event ends it.
            _ => limit,
        };
        // One that panicked has had an event, or a timer.
        let events = survive(|| self.reactor.turn(wait)).transpose()?.unwrap_or(1);
        if idle == Idle::Jump && events == 0 && !self.executor.is_ready() {
            self.timers.jump();
        }
        let fired = survive(|| self.timers.fire_due()).unwrap_or(1);
        Ok(Happened { events, fired })
    }

    /// Polls what is ready, and nothing that comes meanwhile: one round. A long one is interrupted for a look at the events (L1).
    pub(crate) fn run_batch(&self, stretch: &mut Stretch) -> io::Result<()> {
        let mut left = self.executor.ready_count();
        while left > 0 {
            if stretch.until_clock == 0 && stretch.is_over(&self.timers) {
                self.look_at_events(Busy::Ready, None)?;
                *stretch = Stretch::default();
            }
            let ran = self.executor.run_up_to(stretch.until_clock.min(left));
            stretch.until_clock -= ran.polls;
            match ran.stopped {
                // Other workers have taken the rest.
                Stopped::Idle => break,
                // An entry of a main future is left from an earlier run, whose future is gone.
                Stopped::Main => left -= ran.polls + 1,
                _ => left -= ran.polls,
            }
        }
        Ok(())
    }

    /// The loop is left: others may have what is ready here, and what is done on its thread meanwhile is not its own.
    pub(crate) fn leave(&self) {
        self.executor.step_away();
        if let Some(observer) = &self.observer {
            observer.measuring.leave();
            observer.watch.pause();
        }
    }

    /// Runs a step of closing, in which user code is dropped that may look for its timers and its sockets.
    pub(crate) fn closing_step(&self, step: impl FnOnce()) {
        survive(|| {
            let _reports = self.event_loop.runtime().listen();
            let _executor = self.executor.enter();
            let _timers = self.timers.enter();
            let _reactor = asyncio_reactor::enter(self.reactor.clone());
            let _cleanup = self.cleanup.enter();
            step();
        });
    }

    /// Drops every future of this loop: the first part of closing (L3).
    pub(crate) fn drop_futures(&mut self) {
        self.event_loop.set_closed();
        let executor = &mut self.executor;
        survive(|| {
            let _reports = self.event_loop.runtime().listen();
            let _timers = self.timers.enter();
            let _reactor = asyncio_reactor::enter(self.reactor.clone());
            let _cleanup = self.cleanup.enter();
            executor.close();
        });
    }

    /// Closes timers and reactor: the second part.
    pub(crate) fn close_drivers(&self) {
        survive(|| self.timers.close());
        survive(|| self.reactor.close());
    }
}

/// What came of a look for events.
#[derive(Clone, Copy, Default)]
struct Happened {
    events: usize,
    fired: usize,
}

impl Happened {
    fn is_any(self) -> bool {
        self.events + self.fired > 0
    }
}

/// Polls what is ready for one stretch; says whether anything was.
pub(crate) fn run_stretch(core: &Core) -> bool {
    let was_ready = core.executor.is_ready();
    let mut stretch = Stretch::default();
    // An entry of a main future is left from an earlier run, whose future is gone.
    while core.run_ready(&mut stretch) == Busy::Main {}
    was_ready
}

/// Runs a step that wakes wakers of others. One that panics is reported: it is nobody's here, and the loop goes on (L4).
fn survive<R>(step: impl FnOnce() -> R) -> Option<R> {
    let mut panic = None;
    let result = catch_and_store(&mut panic, step);
    if let Some(panic) = panic {
        report::report("runtime", format_args!("a waker panicked: {}", message(&*panic)));
        discard(panic);
    }
    result
}

/// A loop that has nothing to do, and looks for events for a while before it waits for them.
///
/// Each look is a turn like any other: whatever ends a wait, be it a wake or a timer of another thread, ends this too.
pub(crate) struct Spinning {
    longest: Duration,
    since: Option<Instant>,
}

impl Spinning {
    pub(crate) fn of(core: &Core) -> Self {
        Self { longest: core.spin, since: None }
    }

    /// Says what was polled meanwhile: with anything, the time begins anew.
    #[inline]
    pub(crate) fn ran(&mut self, stretch: &Stretch) {
        if stretch.has_polled() {
            self.since = None;
        }
    }

    /// Returns how long the next look may wait at most.
    #[inline]
    pub(crate) fn limit(&mut self, busy: Busy) -> Option<Duration> {
        if self.longest.is_zero() || busy != Busy::Idle {
            return None;
        }
        let since = *self.since.get_or_insert_with(Instant::now);
        if since.elapsed() < self.longest { Some(Duration::ZERO) } else { None }
    }

    /// Says what came of that look.
    #[inline]
    pub(crate) fn looked(&mut self, busy: Busy, limit: Option<Duration>, has_happened: bool) {
        if busy != Busy::Idle || limit.is_none() || has_happened {
            self.since = None;
        }
    }
}

/// How long the loop has been polling without a look at its events.
pub(crate) struct Stretch {
    /// How many polls until the clock is read.
    until_clock: usize,
    /// How often it has been.
    readings: usize,
    first_reading: Option<Instant>,
}

impl Default for Stretch {
    fn default() -> Self {
        Self { until_clock: POLLS_PER_CLOCK, readings: 0, first_reading: None }
    }
}

impl Stretch {
    fn has_polled(&self) -> bool {
        self.until_clock < POLLS_PER_CLOCK || self.readings > 0
    }

    /// Reads the clock of the loop, and says whether that was long enough. By a clock that stands still only polls count, so that a run by it does not
    /// depend on the machine.
    fn is_over(&mut self, timers: &Timers) -> bool {
        self.until_clock = POLLS_PER_CLOCK;
        self.readings += 1;
        if self.readings == POLLS_MAX / POLLS_PER_CLOCK {
            return true;
        }
        let now = timers.now();
        now.saturating_duration_since(*self.first_reading.get_or_insert(now)) >= BUSY_MAX
    }
}

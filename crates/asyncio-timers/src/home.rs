//! [`Timers`]: a wheel of wakers with its clock, the home of the sleeps of one loop.
//!
//! A [`Sleep`](crate::Sleep) registers at its first pending poll with the home that is entered on that thread, and
//! where none is, with the fallback driver's. The wheel stands behind one mutex, which nobody but the loop's own thread
//! takes, except when a sleep has moved to another thread.
//!
//! 1. H1: wakers are woken, cloned and dropped outside of the lock.
//! 2. H2: an insertion from another thread that becomes the next deadline unparks the home, once somebody has asked it when to fire.
//! 3. H3: closing wakes all that wait; their sleeps find another home at their next poll. No sleep is lost.
//! 4. H4: what waits is taken out by its own sleep, by firing, or by closing, and the latter two are counted. So a sleep that is polled
//!    again by the same waker while the count stands need not take the lock.

use std::cell::RefCell;
use std::fmt;
use std::marker::PhantomData;
use std::task::Waker;
use std::time::{Duration, Instant};

use asyncio_base::panic::{Payload, catch_and_store};
use asyncio_base::shim::{Arc, AtomicU64, Mutex, Ordering};

use crate::clock::{Clock, Idle};
use crate::driver;
use crate::wheel::{DEFAULT_TICK, Key, Wheel};

/// The timers of one loop: a cheap handle, which the loop fires and sleeps register with.
///
/// For those who write a loop of their own. It asks [`next_deadline`](Self::next_deadline) before it waits and calls
/// [`fire_due`](Self::fire_due) after it has.
///
/// # Examples
///
/// ```
/// use asyncio_timers::{Clock, ManualClock, Timers, sleep};
/// use std::{future::Future, pin::Pin, task::{Context, Poll, Waker}, time::Duration};
///
/// let clock = ManualClock::new();
/// let timers = Timers::new(clock.clone(), Waker::noop().clone());
/// let _entered = timers.enter();
///
/// let mut nap = sleep(Duration::from_secs(60));
/// let mut cx = Context::from_waker(Waker::noop());
/// assert!(Pin::new(&mut nap).poll(&mut cx).is_pending());
/// assert!(timers.next_deadline().is_some());
///
/// clock.advance(Duration::from_secs(61));
/// assert_eq!(timers.fire_due(), 1);
/// assert_eq!(Pin::new(&mut nap).poll(&mut cx), Poll::Ready(()));
/// ```
#[derive(Clone)]
pub struct Timers {
    home: Arc<Home>,
}

struct Home {
    clock: Arc<dyn Clock>,
    /// Nanosecond 0 of the wheel.
    origin: Instant,
    /// How long after something fired the next look comes at the earliest, in nanoseconds.
    coalescing: u64,
    /// Counts the times that something fired, and closing: while it stands, whatever was registered still waits (H4).
    changes: AtomicU64,
    /// Wakes whoever waits for `next_deadline` (H2).
    unpark: Waker,
    state: Mutex<State>,
}

struct State {
    wheel: Wheel<Waker>,
    /// The thread that turns this home: the last that asked when to fire, or fired.
    driven_by: usize,
    /// When something fired last.
    fired_at: u64,
    /// Wakers on their way out, kept so that firing does not allocate.
    due: Vec<Waker>,
    closed: bool,
}

/// What [`Timers::update`] found.
pub(crate) enum Updated {
    /// It waits.
    Waiting,
    /// It has fired: its deadline has passed.
    Fired,
    /// The home is closed.
    Closed,
}

impl State {
    fn gone(&self) -> Updated {
        if self.closed { Updated::Closed } else { Updated::Fired }
    }
}

/// What became of a registration.
pub(crate) enum Registered {
    /// It waits.
    Waiting(Key),
    /// The deadline has passed.
    Due,
    /// The home is closed.
    Closed,
}

/// See [`Timers::idle`]. With the default tick, 115 µs; set by `timer_cpu_each` and `timer_lateness_p50`, which pull in opposite
/// directions.
const TICKS_COALESCED: u64 = 7;
/// A coarser tick than the default is coarse enough by itself.
const COALESCED_MAX: u64 = 115_000;

thread_local! {
    static CURRENT: RefCell<Option<Timers>> = const { RefCell::new(None) };
}

impl Timers {
    /// Makes timers on `clock`, with the [default tick](DEFAULT_TICK). `unpark` is woken when a sleep on another
    /// thread needs the loop to wait less long.
    pub fn new(clock: impl Clock, unpark: Waker) -> Self {
        Self::with_tick(Arc::new(clock), unpark, DEFAULT_TICK)
    }

    /// Makes timers with another tick, rounded down to a power of two of nanoseconds; the clock's own, if it [has one](Clock::tick).
    pub fn with_tick(clock: Arc<dyn Clock>, unpark: Waker, tick: Duration) -> Self {
        let origin = clock.now();
        Self::with_origin(clock, unpark, tick, origin)
    }

    /// Makes timers whose wheel counts from `origin`, which may lie far in the past: what a process of that age sees.
    pub fn with_origin(clock: Arc<dyn Clock>, unpark: Waker, tick: Duration, origin: Instant) -> Self {
        let tick = clock.tick().unwrap_or(tick);
        let mut wheel = Wheel::new(tick);
        wheel.advance(nanos_since(origin, clock.now()), &mut Vec::new());
        clock.subscribe(&unpark);
        let coalescing = u64::try_from(tick.as_nanos())
            .unwrap_or(u64::MAX)
            .saturating_mul(TICKS_COALESCED)
            .min(COALESCED_MAX);
        let state = Mutex::new(State { wheel, driven_by: 0, fired_at: 0, due: Vec::new(), closed: false });
        Self { home: Arc::new(Home { clock, origin, coalescing, changes: AtomicU64::new(0), unpark, state }) }
    }

    /// Makes this the home of the sleeps that are first polled on this thread, until the guard is dropped.
    #[must_use = "the home is left when the guard is dropped"]
    pub fn enter(&self) -> EnterGuard {
        // At the end of the thread the thread-local may be gone; then nothing can be entered, or looked up.
        let former = CURRENT.try_with(|current| current.replace(Some(self.clone()))).ok().flatten();
        EnterGuard { former, _not_send: PhantomData }
    }

    /// Returns the home of the fallback driver, which is started if need be and never closed.
    pub(crate) fn fallback() -> Option<Self> {
        driver::timers()
    }

    pub(crate) fn entered() -> Option<Self> {
        CURRENT.try_with(|current| current.borrow().clone()).ok().flatten()
    }

    /// Returns the present by this home's clock.
    pub fn now(&self) -> Instant {
        self.home.clock.now()
    }

    /// Wakes what is due and returns how much it was.
    ///
    /// # Panics
    ///
    /// Goes on with the first panic of a waker, after all others have been woken.
    pub fn fire_due(&self) -> usize {
        let mut state = self.home.state.lock();
        state.driven_by = this_thread();
        if state.wheel.is_empty() {
            return 0;
        }
        let mut due = std::mem::take(&mut state.due);
        let now = self.nanos(self.now());
        state.wheel.advance(now, &mut due);
        if due.is_empty() {
            state.due = due;
            return 0;
        }
        state.fired_at = now;
        self.home.count_change();
        drop(state);
        let count = due.len();
        let panic = wake_all(&mut due);
        self.home.state.lock().due = due;
        if let Some(panic) = panic {
            std::panic::resume_unwind(panic);
        }
        count
    }

    /// Returns when [`fire_due`](Self::fire_due) must be called next.
    pub fn next_deadline(&self) -> Option<Instant> {
        let mut state = self.home.state.lock();
        state.driven_by = this_thread();
        let next = state.wheel.next_deadline()?;
        drop(state);
        self.instant(next)
    }

    /// Asks the clock how to idle until the next deadline.
    ///
    /// A lone sleep is waited for to the tick. Where timers have fired a moment ago, the next look comes no sooner than seven ticks
    /// after: a wake-up of the system costs ten times what a timer does, and a busy loop should fire several in one.
    pub fn idle(&self) -> Idle {
        let mut state = self.home.state.lock();
        state.driven_by = this_thread();
        let next = state.wheel.next_deadline();
        let not_before = state.fired_at.saturating_add(self.home.coalescing);
        drop(state);
        let deadline = next.and_then(|next| self.instant(next.max(not_before)));
        self.home.clock.idle(deadline)
    }

    /// Moves a jumping clock to the next deadline, after [`idle`](Self::idle) said [`Idle::Jump`].
    pub fn jump(&self) {
        if let Some(deadline) = self.next_deadline() {
            self.home.clock.jump(deadline);
        }
    }

    /// Returns how many sleeps wait here.
    pub fn len(&self) -> usize {
        self.home.state.lock().wheel.len()
    }

    /// Says whether no sleep waits here.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Closes the home: all that wait here are woken, and find another home (H3).
    pub fn close(&self) {
        let mut state = self.home.state.lock();
        state.closed = true;
        self.home.count_change();
        let mut waiting = state.wheel.drain();
        drop(state);
        self.home.clock.unsubscribe(&self.home.unpark);
        if let Some(panic) = wake_all(&mut waiting) {
            std::panic::resume_unwind(panic);
        }
    }

    pub(crate) fn insert(&self, deadline: Instant, waker: &Waker) -> Registered {
        let nanos = self.nanos(deadline);
        let waker = waker.clone();
        let mut state = self.home.state.lock();
        if state.closed {
            drop(state);
            drop(waker);
            return Registered::Closed;
        }
        // Whoever waits for it has asked it first, under this lock. Where nobody has, nobody is to be woken.
        let foreign = state.driven_by != 0 && state.driven_by != this_thread();
        let former = if foreign { state.wheel.next_deadline() } else { None };
        let inserted = state.wheel.insert(nanos, waker);
        let unpark = foreign && inserted.is_ok() && state.wheel.next_deadline() < former.or(Some(u64::MAX));
        drop(state);
        if unpark {
            self.home.unpark.wake_by_ref();
        }
        match inserted {
            Ok(key) => Registered::Waiting(key),
            Err(waker) => {
                drop(waker);
                Registered::Due
            }
        }
    }

    /// Says whether `key` still waits, and if so, makes it wake `waker`.
    #[inline]
    pub(crate) fn update(&self, key: Key, waker: &Waker) -> Updated {
        let mut state = self.home.state.lock();
        match state.wheel.get_mut(key) {
            Some(present) if present.will_wake(waker) => Updated::Waiting,
            Some(_) => {
                drop(state);
                self.replace(key, waker.clone())
            }
            None => state.gone(),
        }
    }

    fn replace(&self, key: Key, waker: Waker) -> Updated {
        let mut state = self.home.state.lock();
        // The waker that is not needed is dropped after the lock (H1).
        let (updated, surplus) = match state.wheel.get_mut(key) {
            Some(present) => (Updated::Waiting, std::mem::replace(present, waker)),
            None => (state.gone(), waker),
        };
        drop(state);
        drop(surplus);
        updated
    }

    /// Returns the count of changes, which an [`update`](Self::update) may be spared by.
    #[inline]
    pub(crate) fn changes(&self) -> u64 {
        // Acquire: pairs with the Release in `count_change`, so that a sleep that was woken sees that something fired.
        self.home.changes.load(Ordering::Acquire)
    }

    #[inline]
    pub(crate) fn remove(&self, key: Key) {
        let mut state = self.home.state.lock();
        let waker = state.wheel.remove(key);
        drop(state);
        drop(waker);
    }

    fn instant(&self, nanos: u64) -> Option<Instant> {
        self.home.origin.checked_add(Duration::from_nanos(nanos))
    }

    #[inline]
    fn nanos(&self, instant: Instant) -> u64 {
        nanos_since(self.home.origin, instant)
    }
}

impl Home {
    /// Before the wakers are woken, under the lock.
    fn count_change(&self) {
        self.changes.fetch_add(1, Ordering::Release);
    }
}

impl fmt::Debug for Timers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Timers");
        debug.field("clock", &self.home.clock);
        match self.home.state.try_lock() {
            Some(state) => debug.field("wheel", &state.wheel).field("closed", &state.closed).finish(),
            None => debug.finish_non_exhaustive(),
        }
    }
}

/// Leaves the home that [`Timers::enter`] entered; the former one comes back.
#[derive(Debug)]
pub struct EnterGuard {
    former: Option<Timers>,
    /// It belongs to its thread.
    _not_send: PhantomData<*mut ()>,
}

impl Drop for EnterGuard {
    fn drop(&mut self) {
        // The thread-local may be gone at the end of the thread; then there is nothing to leave.
        let _ = CURRENT.try_with(|current| current.replace(self.former.take()));
    }
}

/// Returns the present by the clock of this thread's loop, or by the system's where no loop is entered.
pub fn now() -> Instant {
    CURRENT
        .try_with(|current| current.borrow().as_ref().map(Timers::now))
        .ok()
        .flatten()
        .unwrap_or_else(Instant::now)
}

/// A number that no two living threads share: the address of a thread-local. Cheaper than `ThreadId`, which counts references.
#[inline]
fn this_thread() -> usize {
    thread_local!(static MARK: u8 = const { 0 });
    MARK.with(|mark| std::ptr::from_ref(mark).addr())
}

/// Wakes all in order, empties the list, and returns the first panic.
fn wake_all(wakers: &mut Vec<Waker>) -> Option<Payload> {
    let mut first_panic = None;
    for waker in wakers.drain(..) {
        catch_and_store(&mut first_panic, || waker.wake());
    }
    first_panic
}

#[inline]
fn nanos_since(origin: Instant, instant: Instant) -> u64 {
    let since = instant.saturating_duration_since(origin);
    since.as_secs().saturating_mul(1_000_000_000).saturating_add(u64::from(since.subsec_nanos()))
}

//! [`Event`]: a flag that can be waited for.
//!
//! - E1: whoever waits when it is set is woken, also if it is cleared at once: each of them carries the number of the clearing before which it came, and a
//!   `set` wakes those that came before it, and no others.

use std::fmt;
use std::future::Future;

use asyncio_base::shim::{AtomicU32, Ordering};

use crate::blocking::wait_blocking;
use crate::lock::Lock;
use crate::wait::{Door, List, Wait, Woken, wake_each};

/// A flag that tasks wait for: asyncio's `Event`.
///
/// When to use it: where many wait for one thing to have happened. When not: where each of them is to get something of its own
/// ([`channel`](crate::channel())), where a value comes with it ([`watch`](crate::watch())), or where the waiting is for a condition on some
/// data ([`Condition`](crate::Condition)).
///
/// # Examples
///
/// ```
/// use asyncio_sync::Event;
/// # futures_lite::future::block_on(async {
/// static STARTED: Event = Event::new();
///
/// assert!(!STARTED.is_set());
/// STARTED.set();
/// STARTED.wait().await; // at once
/// STARTED.clear();
/// # });
/// ```
pub struct Event {
    /// Twice the number of times that it was set, plus one while it is set. Written under the lock, looked at without it.
    state: AtomicU32,
    /// Each carries how often it had been set when it began to wait.
    waiting: Lock<List<u32>>,
}

impl Event {
    const_unless_modelled! {
        /// Makes an event that is not set.
        pub fn new() -> Self {
            Self { state: AtomicU32::new(0), waiting: Lock::new(List::new()) }
        }
    }

    /// Sets it, and wakes all who wait.
    pub fn set(&self) {
        let waiting = self.waiting.lock();
        let before = self.state.load(Ordering::Relaxed);
        if is_set(before) {
            return;
        }
        // Release: whoever sees it set sees what happened before.
        self.state.store(before.wrapping_add(3), Ordering::Release);
        let is_waited_for = !waiting.is_empty();
        drop(waiting);
        if is_waited_for {
            // E1: those that came later carry a later number.
            let came_before = |came: u32| count(before).wrapping_sub(came) % COUNTS < COUNTS / 2;
            wake_each(&self.waiting, |waiting| match waiting.first() {
                Some(came) if came_before(*came) => waiting.choose(|_| ()).map(|(waker, ())| waker),
                _ => None,
            });
        }
    }

    /// Clears it: whoever comes from now on waits until it is set again.
    pub fn clear(&self) {
        let _waiting = self.waiting.lock();
        let before = self.state.load(Ordering::Relaxed);
        // Relaxed: nobody is told of anything.
        self.state.store(before & !1, Ordering::Relaxed);
    }

    /// Says whether it is set.
    #[inline]
    pub fn is_set(&self) -> bool {
        // Acquire: pairs with the Release in `set`.
        is_set(self.state.load(Ordering::Acquire))
    }

    /// Waits until it is set.
    ///
    /// One who waits is woken by the next [`set`](Self::set), also if it is cleared before he runs.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost. It counts as waiting from its first poll on.
    #[inline]
    pub fn wait(&self) -> impl Future<Output = ()> {
        Wait::new(ToSet(self), 0)
    }

    /// Blocks the thread until it is set. For threads on which no loop runs.
    ///
    /// # Panics
    ///
    /// Panics where it would block the thread of an event loop, inside of a task.
    #[track_caller]
    pub fn wait_blocking(&self) {
        if !self.is_set() {
            wait_blocking("wait_blocking", "wait().await", self.wait());
        }
    }

    /// What is known of it at this moment.
    pub fn statistics(&self) -> EventStatistics {
        EventStatistics { is_set: self.is_set(), waiting: self.waiting.lock().len() }
    }
}

const fn is_set(state: u32) -> bool {
    state & 1 == 1
}

/// How often it had been set, modulo [`COUNTS`].
const fn count(state: u32) -> u32 {
    (state >> 1) % COUNTS
}

/// So many sets are told apart: one who waits would have to be passed over by half of them to be taken for another.
const COUNTS: u32 = 1 << 31;

impl Default for Event {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Event")
            .field("is_set", &self.is_set())
            .field("waiting", &self.waiting.peek(List::len))
            .finish()
    }
}

/// What is known of an [`Event`] at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct EventStatistics {
    /// Whether it is set.
    pub is_set: bool,
    /// How many wait for it.
    pub waiting: usize,
}

/// The way to the other side of an event.
struct ToSet<'a>(&'a Event);

impl Door for ToSet<'_> {
    type State = List<u32>;
    type Turn = u32;
    type Output = ();
    const NAME: &'static str = "event.wait";

    #[inline]
    fn lock(&self) -> &Lock<List<u32>> {
        &self.0.waiting
    }

    fn list<'s>(waiting: &'s mut List<u32>, _: &u32) -> &'s mut List<u32> {
        waiting
    }

    #[inline]
    fn looks_shut(&self) -> bool {
        !self.0.is_set()
    }

    #[inline]
    fn enter(&self, _: &mut List<u32>, came: &mut u32, _: &mut Woken) -> Option<()> {
        // Acquire: pairs with the Release in `set`.
        let state = self.0.state.load(Ordering::Acquire);
        *came = count(state);
        is_set(state).then_some(())
    }

    fn chosen(&self, _: &mut u32) {}

    fn leave(&self, _: &mut List<u32>, _: &mut u32, _: bool, _: &mut Woken) {}
}

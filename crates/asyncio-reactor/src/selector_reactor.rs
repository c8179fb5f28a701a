//! [`SelectorReactor`]: a reactor on any [`Selector`].
//!
//! - N1: `signal` is IDLE, WAITING or NOTIFIED. A turn that will wait moves IDLE to WAITING; if it finds NOTIFIED it does
//!   not wait. A notify moves to NOTIFIED and calls the selector only if it found WAITING. So a notify before the
//!   turn shortens it, one during the turn wakes it, and one while the loop is busy costs no system call.
//! - N2: whoever notifies has published its work before; the swap in the turn sees that publication (both are AcqRel).
//! - N3: the registry's lock is held while wakers are collected, and released while they are woken.
//! - N4: under a one-shot selector an event wakes both directions of its descriptor, since neither is watched any more; whoever
//!   is not ready arms its direction again when it polls.

use std::fmt;
use std::io;
use std::time::Duration;

use asyncio_base::panic::{Payload, catch_and_store};
use asyncio_base::shim::{Arc, AtomicBool, AtomicU32, Mutex, MutexGuard, Ordering};
use asyncio_base::{LoopClosed, WakeList};

use crate::reactor::Reactor;
use crate::readiness::{AnyRegistrar, Direction, Readiness, Ready, Registrar};
use crate::registry::Registry;
use crate::selector::{Event, Interest, Mode, Selector};
use crate::state::IoState;
use crate::sys::{self, BorrowedDescriptor, DefaultSelector};

/// A reactor on a [`Selector`], by default the best one of the platform.
///
/// # Examples
///
/// ```
/// use asyncio_reactor::{PollingSelector, Reactor, SelectorReactor};
/// use std::time::Duration;
///
/// # fn main() -> std::io::Result<()> {
/// let reactor = SelectorReactor::new(PollingSelector::new()?)?;
/// reactor.notify();
/// assert_eq!(reactor.turn(None)?, 0, "the notify ended it");
/// assert_eq!(reactor.turn(Some(Duration::ZERO))?, 0);
/// # Ok(())
/// # }
/// ```
pub struct SelectorReactor<S: Selector = DefaultSelector> {
    core: Arc<Core<S>>,
    /// The same, for registrations.
    registrar: AnyRegistrar,
}

struct Core<S> {
    selector: S,
    mode: Mode,
    signal: Signal,
    is_closed: AtomicBool,
    registry: Mutex<Registry>,
    /// Taken by the turn; kept so that a turn does not allocate.
    turn: Mutex<TurnBuffers>,
}

#[derive(Default)]
struct TurnBuffers {
    events: Vec<Event>,
    woken: WakeList,
}

impl<S: Selector> SelectorReactor<S> {
    /// Makes a reactor on `selector`.
    ///
    /// The first one of a process reads, on Linux, what the kernel does about speculative returns, a file below `/sys`; where it may not, it does without.
    ///
    /// # Errors
    ///
    /// None at present; a selector that needs more set-up may fail here later.
    pub fn new(selector: S) -> io::Result<Self> {
        sys::prepare_return_stack();
        let core = Core {
            mode: selector.mode(),
            selector,
            signal: Signal::default(),
            is_closed: AtomicBool::new(false),
            registry: Mutex::default(),
            turn: Mutex::default(),
        };
        let core = Arc::new(core);
        Ok(Self { registrar: AnyRegistrar::new(core.clone()), core })
    }

    /// Returns how many descriptors are watched.
    pub fn len(&self) -> usize {
        self.core.registry.lock().len()
    }

    /// Says whether no descriptor is watched.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<S: Selector> Reactor for SelectorReactor<S> {
    fn turn(&self, wait: Option<Duration>) -> io::Result<usize> {
        let core = &*self.core;
        let mut turn = core.turn.lock();
        let TurnBuffers { events, woken } = &mut *turn;
        events.clear();
        let timeout = core.signal.begin_turn(wait);
        let result = core.selector.wait(events, timeout);
        if timeout != Some(Duration::ZERO) {
            core.signal.end_wait();
        }
        result?;
        if let Some(panic) = core.dispatch(events, woken) {
            drop(turn);
            std::panic::resume_unwind(panic);
        }
        Ok(events.len())
    }

    fn notify(&self) {
        if self.core.signal.notify() {
            // OK because the laws of `Selector` let this fail only where waking cannot work at all.
            self.core.selector.notify().expect("the selector can be woken");
        }
    }

    fn readiness(&self, source: BorrowedDescriptor<'_>) -> io::Result<Readiness> {
        let core = &self.core;
        let state = Arc::new(match core.mode {
            Mode::Edge => IoState::edge_triggered(),
            Mode::OneShot => IoState::new(),
        });
        let mut registry = core.registry.lock();
        // Under the lock, which `close` takes after it has set the flag: no registration escapes it.
        if core.is_closed.load(Ordering::Acquire) {
            return Err(LoopClosed::new().into());
        }
        let key = registry.insert(state.clone());
        drop(registry);
        let interest = match core.mode {
            Mode::Edge => Interest::BOTH,
            Mode::OneShot => Interest::NONE,
        };
        if let Err(error) = core.selector.add(source, key, interest) {
            core.registry.lock().remove(key);
            return Err(error);
        }
        Ok(Readiness::new(state, key, self.registrar.clone()))
    }

    fn close(&self) {
        let core = &*self.core;
        core.is_closed.store(true, Ordering::Release);
        let states = core.registry.lock().drain();
        let mut woken = WakeList::new();
        let mut first_panic = None;
        for state in states {
            state.close();
            while !state.take_wakers(Ready::ERROR, &mut woken) {
                catch_and_store(&mut first_panic, || woken.wake_all());
            }
        }
        catch_and_store(&mut first_panic, || woken.wake_all());
        if let Some(panic) = first_panic {
            std::panic::resume_unwind(panic);
        }
    }

    fn descriptor(&self) -> Option<BorrowedDescriptor<'_>> {
        self.core.selector.descriptor()
    }

    fn prepare_foreign_wait(&self) {
        if self.core.signal.begin_foreign_wait() {
            // It was notified since the turn: whoever waits is to see that.
            self.core.selector.notify().expect("the selector can be woken");
        }
    }
}

impl<S: Selector> Core<S> {
    /// Hands the events on; returns the first panic of a waker.
    #[inline]
    fn dispatch(&self, events: &[Event], woken: &mut WakeList) -> Option<Payload> {
        let mut first_panic = None;
        let is_one_shot = self.mode == Mode::OneShot;
        let mut registry = self.registry.lock();
        for event in events {
            let Some(state) = registry.get(event.key) else { continue };
            let mut conditions = event.ready;
            if is_one_shot {
                state.disarm();
                conditions = Ready::ERROR;
            }
            state.set(event.ready);
            if !state.take_wakers(conditions, woken) {
                registry = self.hand_on_the_rest(registry, event.key, conditions, woken, &mut first_panic);
            }
        }
        drop(registry);
        catch_and_store(&mut first_panic, || woken.wake_all());
        first_panic
    }

    /// The list is full: wakes those in it, until all have been taken. Meanwhile the state may be forgotten.
    #[cold]
    fn hand_on_the_rest<'a>(
        &'a self,
        mut registry: MutexGuard<'a, Registry>,
        key: usize,
        conditions: Ready,
        woken: &mut WakeList,
        first_panic: &mut Option<Payload>,
    ) -> MutexGuard<'a, Registry> {
        loop {
            drop(registry);
            catch_and_store(first_panic, || woken.wake_all());
            registry = self.registry.lock();
            if registry.get(key).is_none_or(|state| state.take_wakers(conditions, woken)) {
                return registry;
            }
        }
    }
}

impl<S: Selector> fmt::Debug for SelectorReactor<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.core.fmt(f)
    }
}

impl<S: Selector> fmt::Debug for Core<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("SelectorReactor");
        debug.field("selector", &self.selector);
        match self.registry.try_lock() {
            Some(registry) => debug.field("descriptors", &registry.len()).finish(),
            None => debug.finish_non_exhaustive(),
        }
    }
}

impl<S: Selector> Registrar for Arc<Core<S>> {
    fn arm(
        &self,
        state: &IoState,
        key: usize,
        source: BorrowedDescriptor<'_>,
        direction: Direction,
    ) -> io::Result<()> {
        state.arm(direction, |watched| {
            let interest = Interest {
                readable: watched.intersects(Ready::of(Direction::Read)),
                writable: watched.intersects(Ready::of(Direction::Write)),
            };
            self.selector.modify(source, key, interest)
        })
    }

    fn forget(&self, key: usize) {
        drop(self.registry.lock().remove(key));
    }

    fn delete(&self, source: BorrowedDescriptor<'_>) -> io::Result<()> {
        self.selector.delete(source)
    }
}

/// Whether a turn waits, and whether it has been notified (N1).
#[derive(Debug, Default)]
pub(crate) struct Signal {
    state: AtomicU32,
}

const IDLE: u32 = 0;
const WAITING: u32 = 1;
const NOTIFIED: u32 = 2;

impl Signal {
    /// Begins a turn and returns how long it may wait.
    #[inline]
    pub(crate) fn begin_turn(&self, wait: Option<Duration>) -> Option<Duration> {
        let target = if wait == Some(Duration::ZERO) { IDLE } else { WAITING };
        // AcqRel: N2.
        match self.state.swap(target, Ordering::AcqRel) {
            NOTIFIED if target == WAITING => {
                // A notify between the two swaps finds WAITING and wakes the selector: one spurious turn later.
                self.state.swap(IDLE, Ordering::AcqRel);
                Some(Duration::ZERO)
            }
            _ => wait,
        }
    }

    /// Ends a turn that may have waited.
    #[inline]
    pub(crate) fn end_wait(&self) {
        self.state.swap(IDLE, Ordering::AcqRel);
    }

    /// Says whether the selector must be woken.
    #[inline]
    #[must_use = "if it says true, the selector must be woken"]
    pub(crate) fn notify(&self) -> bool {
        self.state.swap(NOTIFIED, Ordering::AcqRel) == WAITING
    }

    /// Says that somebody else will wait for the selector; `true` if it must be woken at once.
    #[must_use = "if it says true, the selector must be woken"]
    pub(crate) fn begin_foreign_wait(&self) -> bool {
        self.state.swap(WAITING, Ordering::AcqRel) == NOTIFIED
    }
}

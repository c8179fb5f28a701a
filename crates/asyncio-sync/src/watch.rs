//! [`watch`]: the newest value, for all who want to know.
//!
//! A value behind a lock for readers and writers, and a version that each change raises.
//!
//! - V1: the version is raised by whoever writes the value, while he has it locked; so who reads both under the value's lock has what belongs
//!   together.
//! - V2: it is raised under the state's lock, under which one who waits has looked at it; so no change is missed.
//! - V3: locks are taken in the order value, state. No user's code runs under the state's lock; what runs under the value's is what the user has asked for.

use std::fmt;
use std::future::{Future, poll_fn};
use std::ops::Deref;
use std::task::Waker;

use asyncio_base::budget;
use asyncio_base::shim::{Arc, RwLock, RwLockReadGuard};

use crate::error::{RecvError, SendError};
use crate::lock::Lock;
use crate::wait::{Door, List, Wait, Woken, wake_each};
use crate::watching::Watching;

/// Makes a channel for the newest value of something: receivers see that it has changed, and what it is now.
///
/// When to use it: for settings, progress, a state that others follow. When not: where every value counts ([`broadcast`](crate::broadcast())).
///
/// # Examples
///
/// ```
/// use asyncio_sync::watch;
/// # futures_lite::future::block_on(async {
/// let (sender, mut receiver) = watch(0);
/// sender.send(1)?;
/// sender.send(2)?;
/// receiver.changed().await?;
/// assert_eq!(*receiver.borrow_and_update(), 2, "the first is gone");
/// drop(sender);
/// assert!(receiver.changed().await.is_err());
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
pub fn watch<T>(value: T) -> (Sender<T>, Receiver<T>) {
    let state =
        State { version: 0, senders: 1, receivers: 1, waiting: List::new(), watching: Watching::new() };
    let shared = Arc::new(Shared { value: RwLock::new(value), state: Lock::new(state) });
    (Sender { shared: shared.clone() }, Receiver { shared, seen: 0 })
}

struct Shared<T> {
    value: RwLock<T>,
    state: Lock<State>,
}

struct State {
    /// How often the value has changed (V1, V2).
    version: u64,
    senders: usize,
    receivers: usize,
    /// Each with the version that it has seen.
    waiting: List<u64>,
    /// Senders who wait for all receivers to be gone.
    watching: Watching,
}

impl State {
    /// Chooses one who waits for a change that has come, or for the end.
    fn choose_served(&mut self) -> Option<Waker> {
        let seen = *self.waiting.first()?;
        if seen == self.version && self.senders > 0 {
            return None;
        }
        self.waiting.choose(|_| ()).map(|(waker, ())| waker)
    }

    /// Whether something new is to be seen, or nothing will be; `None` if neither. `seen` is moved on.
    #[inline]
    fn look(&self, seen: &mut u64) -> Option<Result<u64, RecvError>> {
        if *seen != self.version {
            *seen = self.version;
            return Some(Ok(self.version));
        }
        (self.senders == 0).then_some(Err(RecvError))
    }
}

impl<T> Shared<T> {
    fn borrow(&self) -> Ref<'_, T> {
        let value = self.value.read();
        // V1: nobody writes meanwhile.
        let version = self.state.lock().version;
        Ref { value, version }
    }

    /// Looks at the value, which counts as seen; `None` if it is not what `predicate` wants.
    fn borrow_if(&self, seen: &mut u64, predicate: &mut impl FnMut(&T) -> bool) -> Option<Ref<'_, T>> {
        let now = self.borrow();
        *seen = now.version;
        predicate(&now).then_some(now)
    }

    fn wake_served(&self) {
        wake_each(&self.state, State::choose_served);
    }
}

/// A look at the value. While it lives, nobody can change it: it is for short looks, and not across an `await`. Two at a time on one thread may
/// deadlock, if somebody who sends comes between them.
pub struct Ref<'a, T> {
    value: RwLockReadGuard<'a, T>,
    version: u64,
}

impl<T> Ref<'_, T> {
    /// How often the value had changed.
    pub const fn version(this: &Self) -> u64 {
        this.version
    }
}

impl<T> Deref for Ref<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: fmt::Debug> fmt::Debug for Ref<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

/// The sending end of a [`watch`]. Can be cloned.
pub struct Sender<T> {
    shared: Arc<Shared<T>>,
}

impl<T> Sender<T> {
    /// Replaces the value, and wakes all receivers that wait.
    ///
    /// # Errors
    ///
    /// [`SendError`], with the value, if there are no receivers; then nothing is changed. [`send_replace`](Self::send_replace) does not mind.
    pub fn send(&self, value: T) -> Result<(), SendError<T>> {
        if self.is_closed() {
            return Err(SendError(value));
        }
        drop(self.send_replace(value));
        Ok(())
    }

    /// Replaces the value, also if there are no receivers, and returns the former one.
    pub fn send_replace(&self, value: T) -> T {
        let mut value = value;
        self.send_modify(|current| std::mem::swap(current, &mut value));
        value
    }

    /// Changes the value in place.
    ///
    /// `change` runs while the value is locked: it must not use this channel. If it panics, receivers are not told.
    pub fn send_modify(&self, change: impl FnOnce(&mut T)) {
        self.send_if_modified(|value| {
            change(value);
            true
        });
    }

    /// Changes the value in place, and wakes the receivers only if `change` returns `true`, which this returns, too.
    ///
    /// `change` runs while the value is locked: it must not use this channel. If it panics, receivers are not told.
    pub fn send_if_modified(&self, change: impl FnOnce(&mut T) -> bool) -> bool {
        let mut value = self.shared.value.write();
        if !change(&mut value) {
            return false;
        }
        let mut state = self.shared.state.lock();
        state.version += 1;
        let is_waited_for = !state.waiting.is_empty();
        drop(state);
        drop(value);
        if is_waited_for {
            self.shared.wake_served();
        }
        true
    }

    /// Looks at the value.
    pub fn borrow(&self) -> Ref<'_, T> {
        self.shared.borrow()
    }

    /// Makes a receiver, which has seen the present value.
    pub fn subscribe(&self) -> Receiver<T> {
        let mut state = self.shared.state.lock();
        state.receivers += 1;
        let seen = state.version;
        drop(state);
        Receiver { shared: self.shared.clone(), seen }
    }

    /// Waits until all receivers are gone.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    pub fn closed(&self) -> impl Future<Output = ()> {
        Wait::new(ToNobody(&self.shared.state), 0)
    }

    /// Says whether there are no receivers.
    pub fn is_closed(&self) -> bool {
        self.receiver_count() == 0
    }

    /// How many receivers there are.
    pub fn receiver_count(&self) -> usize {
        self.shared.state.lock().receivers
    }

    /// Says whether both send to the same receivers.
    pub fn same_channel(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }

    /// What is known of the channel at this moment.
    pub fn statistics(&self) -> WatchStatistics {
        WatchStatistics::of(&self.shared.state.lock())
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        self.shared.state.lock().senders += 1;
        Self { shared: self.shared.clone() }
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        let mut state = self.shared.state.lock();
        state.senders -= 1;
        let is_last = state.senders == 0;
        drop(state);
        if is_last {
            self.shared.wake_served();
        }
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Sender").field(&self.shared.state.peek(WatchStatistics::of)).finish()
    }
}

/// The receiving end of a [`watch`]. Can be cloned.
pub struct Receiver<T> {
    shared: Arc<Shared<T>>,
    /// The version that it has seen.
    seen: u64,
}

impl<T> Receiver<T> {
    /// Waits for a value that it has not seen, and counts it as seen.
    ///
    /// # Errors
    ///
    /// [`RecvError`] if all senders are gone and it has seen the last value.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost: the value counts as seen only if this is ready.
    pub async fn changed(&mut self) -> Result<(), RecvError> {
        self.seen = Wait::new(ToChange(&self.shared.state), self.seen).await?;
        Ok(())
    }

    /// Waits until the value is as `predicate` wants it, looking at the present one first, and counts it as seen.
    ///
    /// `predicate` runs while the value is locked for reading: it must not send.
    ///
    /// # Errors
    ///
    /// [`RecvError`] if all senders are gone and the last value is not like that.
    ///
    /// # Cancel safety
    ///
    /// No value that `predicate` would want is missed. Those that it has refused count as seen.
    pub async fn wait_for(&mut self, mut predicate: impl FnMut(&T) -> bool) -> Result<Ref<'_, T>, RecvError> {
        let Self { shared, seen } = self;
        loop {
            poll_fn(budget::poll_leave).await.spend_step();
            // By a function of its own: a look that is a local here would keep the future from being `Send`.
            if let Some(wanted) = shared.borrow_if(seen, &mut predicate) {
                return Ok(wanted);
            }
            *seen = Wait::new(ToChange(&shared.state), *seen).await?;
        }
    }

    /// Looks at the value, which counts as seen or not as before.
    pub fn borrow(&self) -> Ref<'_, T> {
        self.shared.borrow()
    }

    /// Looks at the value, and counts it as seen.
    pub fn borrow_and_update(&mut self) -> Ref<'_, T> {
        let value = self.shared.borrow();
        self.seen = value.version;
        value
    }

    /// Says whether there is a value that it has not seen.
    ///
    /// # Errors
    ///
    /// [`RecvError`] if there is none, and all senders are gone.
    pub fn has_changed(&self) -> Result<bool, RecvError> {
        let mut seen = self.seen;
        self.shared.state.lock().look(&mut seen).map_or(Ok(false), |looked| looked.map(|_| true))
    }

    /// Counts the present value as not seen.
    pub fn mark_changed(&mut self) {
        // No version is as far back: it would take centuries.
        self.seen = self.shared.state.lock().version.wrapping_sub(1);
    }

    /// Counts the present value as seen.
    pub fn mark_unchanged(&mut self) {
        self.seen = self.shared.state.lock().version;
    }

    /// Says whether both receive from the same channel.
    pub fn same_channel(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }

    /// What is known of the channel at this moment.
    pub fn statistics(&self) -> WatchStatistics {
        WatchStatistics::of(&self.shared.state.lock())
    }
}

impl<T> Clone for Receiver<T> {
    fn clone(&self) -> Self {
        self.shared.state.lock().receivers += 1;
        Self { shared: self.shared.clone(), seen: self.seen }
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        let mut state = self.shared.state.lock();
        state.receivers -= 1;
        let was_last = state.receivers == 0;
        if was_last {
            state.watching.note();
        }
        drop(state);
        if was_last {
            wake_each(&self.shared.state, |state| state.watching.choose());
        }
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Receiver").field(&self.shared.state.peek(WatchStatistics::of)).finish()
    }
}

/// What is known of a watch at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct WatchStatistics {
    /// How often the value has changed.
    pub version: u64,
    /// How many senders there are.
    pub senders: usize,
    /// How many receivers there are.
    pub receivers: usize,
    /// How many of them wait for a change.
    pub waiting: usize,
}

impl WatchStatistics {
    fn of(state: &State) -> Self {
        Self {
            version: state.version,
            senders: state.senders,
            receivers: state.receivers,
            waiting: state.waiting.len(),
        }
    }
}

/// The way to a value that was not seen.
struct ToChange<'a>(&'a Lock<State>);

impl Door for ToChange<'_> {
    type State = State;
    type Turn = u64;
    type Output = Result<u64, RecvError>;
    const NAME: &'static str = "watch.changed";

    fn lock(&self) -> &Lock<State> {
        self.0
    }

    fn list<'s>(state: &'s mut State, _: &u64) -> &'s mut List<u64> {
        &mut state.waiting
    }

    fn enter(&self, state: &mut State, seen: &mut u64, _: &mut Woken) -> Option<Self::Output> {
        state.look(seen)
    }

    fn chosen(&self, seen: &mut u64) -> Self::Output {
        // OK because it is chosen when there is a change, or none will come, and nobody else moves it on.
        self.0.lock().look(seen).expect("whoever is chosen finds something")
    }

    fn leave(&self, _: &mut State, _: &mut u64, _: bool, _: &mut Woken) {}
}

/// The way to the moment when nobody listens.
struct ToNobody<'a>(&'a Lock<State>);

impl Door for ToNobody<'_> {
    type State = State;
    type Turn = u32;
    type Output = ();
    const NAME: &'static str = "watch.closed";

    fn lock(&self) -> &Lock<State> {
        self.0
    }

    fn list<'s>(state: &'s mut State, _: &u32) -> &'s mut List<u32> {
        state.watching.waiting()
    }

    fn enter(&self, state: &mut State, came: &mut u32, _: &mut Woken) -> Option<()> {
        *came = state.watching.times();
        (state.receivers == 0).then_some(())
    }

    fn chosen(&self, _: &mut u32) {}

    fn leave(&self, _: &mut State, _: &mut u32, _: bool, _: &mut Woken) {}
}

//! [`broadcast`]: every value to every receiver.
//!
//! A ring of the last values. Each value has the number under which it was sent, and counts the receivers that have not seen it; the last one of
//! these takes it out, the others clone it. A receiver knows the number of the value that it sees next.
//!
//! - B1: a value that several are to see lies behind an `Arc`, which is cloned under the lock; the value itself is cloned, and dropped, without it. Two
//!   receivers clone one value at the same time, so the handles are `Send` only where `T` is `Sync` (RUSTSEC-2025-0023 is about that). A value
//!   that one is to see is moved to it.
//! - B2: `unseen` of a value is the number of receivers whose next number is not beyond it. Subscribing, receiving and going keep it so.
//! - B3: the values in the ring are those numbered `sent - ring.len() .. sent`; a receiver whose next number is before them has lagged behind.

use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::task::Waker;

use asyncio_base::shim::Arc;

use crate::blocking::wait_blocking;
use crate::error::{BroadcastError, SendError, TryBroadcastError};
use crate::lock::Lock;
use crate::wait::{Door, List, Wait, Woken, wake_each};
use crate::watching::Watching;

/// Makes a channel that gives every value to every receiver, and keeps the last `capacity` values for those who are slow.
///
/// Sending never waits: a receiver that is more than `capacity` values behind loses the oldest, and is told how many.
///
/// When to use it: for news that all want to hear. When not: where only the newest counts ([`watch`](crate::watch())), or where each value is for
/// one ([`channel`](crate::channel())).
///
/// # Panics
///
/// Panics if `capacity` is 0.
///
/// # Examples
///
/// ```
/// use asyncio_sync::{BroadcastError, broadcast};
/// # futures_lite::future::block_on(async {
/// let (sender, mut one) = broadcast(2);
/// let mut other = sender.subscribe();
/// sender.send("a").unwrap();
/// assert_eq!(one.recv().await, Ok("a"));
/// sender.send("b").unwrap();
/// sender.send("c").unwrap();
/// assert_eq!(other.recv().await, Err(BroadcastError::Lagged(1)), "it was too slow for the first");
/// assert_eq!(other.recv().await, Ok("b"));
/// # });
/// ```
#[track_caller]
pub fn broadcast<T>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    assert!(capacity > 0, "a broadcast keeps at least one value");
    let state = State {
        ring: VecDeque::with_capacity(capacity.min(32)),
        capacity,
        sent: 0,
        senders: 1,
        receivers: 1,
        waiting: List::new(),
        watching: Watching::new(),
    };
    let shared = Arc::new(Lock::new(state));
    (Sender { shared: shared.clone() }, Receiver { shared, next: 0 })
}

struct State<T> {
    ring: VecDeque<Entry<T>>,
    capacity: usize,
    /// How many have been sent, and the number of the next one.
    sent: u64,
    senders: usize,
    receivers: usize,
    /// Each with the number that it waits for.
    waiting: List<u64>,
    /// Senders who wait for all receivers to be gone.
    watching: Watching,
}

struct Entry<T> {
    value: Value<T>,
    unseen: usize,
}

/// A value in the ring.
enum Value<T> {
    /// For one receiver.
    Sole(T),
    /// For several.
    Shared(Arc<T>),
    /// All have seen it.
    Gone,
}

impl<T> Value<T> {
    /// Takes it, for the last who is to see it.
    fn take(&mut self) -> Self {
        std::mem::replace(self, Self::Gone)
    }

    /// Another, for one more who is to see it.
    fn share(&mut self) -> Self {
        let shared = match self.take() {
            Self::Sole(value) => Arc::new(value),
            Self::Shared(shared) => shared,
            Self::Gone => return Self::Gone,
        };
        *self = Self::Shared(shared.clone());
        Self::Shared(shared)
    }
}

impl<T: Clone> Value<T> {
    /// The value itself. Clones it if others are to see it.
    fn into_value(self) -> Option<T> {
        match self {
            Self::Sole(value) => Some(value),
            Self::Shared(shared) => Some(Arc::unwrap_or_clone(shared)),
            Self::Gone => None,
        }
    }
}

/// What a receiver finds.
enum Found<T> {
    Value(Value<T>),
    Lagged(u64),
    Closed,
}

impl<T> State<T> {
    fn oldest(&self) -> u64 {
        self.sent - self.ring.len() as u64
    }

    fn push(&mut self, value: Value<T>) -> Option<Entry<T>> {
        let displaced = if self.ring.len() == self.capacity { self.ring.pop_front() } else { None };
        self.ring.push_back(Entry { value, unseen: self.receivers });
        self.sent += 1;
        displaced
    }

    /// What a receiver that waits for number `next` finds; it is moved on.
    #[inline]
    fn find(&mut self, next: &mut u64) -> Option<Found<T>> {
        if *next == self.sent {
            return (self.senders == 0).then_some(Found::Closed);
        }
        let oldest = self.oldest();
        if *next < oldest {
            let missed = oldest - *next;
            *next = oldest;
            return Some(Found::Lagged(missed));
        }
        let value = self.see(*next);
        *next += 1;
        Some(Found::Value(value))
    }

    /// B2: one more has seen the value of this number.
    #[inline]
    fn see(&mut self, number: u64) -> Value<T> {
        let index = (number - self.oldest()) as usize;
        let entry = &mut self.ring[index];
        entry.unseen -= 1;
        if entry.unseen > 0 {
            return entry.value.share();
        }
        // Whoever has not seen a value has not seen those after it, so this is the oldest.
        debug_assert_eq!(index, 0, "a value was seen by all before an older one");
        self.ring.pop_front().map_or(Value::Gone, |entry| entry.value)
    }

    /// B2: a receiver goes that would have seen what is numbered from `next` on. Returns what nobody else wants to see, to be dropped without the
    /// lock.
    fn unsubscribe(&mut self, next: u64) -> Vec<Entry<T>> {
        self.receivers -= 1;
        if self.receivers == 0 {
            self.watching.note();
        }
        let seen = usize::try_from(next.saturating_sub(self.oldest())).unwrap_or(usize::MAX);
        for entry in self.ring.iter_mut().skip(seen) {
            entry.unseen -= 1;
        }
        // Whoever has not seen a value has not seen those after it, so these are the oldest.
        let unwanted = self.ring.iter().take_while(|entry| entry.unseen == 0).count();
        self.ring.drain(..unwanted).collect()
    }

    /// Chooses one who waits for a value that was sent, or for the end.
    fn choose_served(&mut self) -> Option<Waker> {
        let next = *self.waiting.first()?;
        if next >= self.sent && self.senders > 0 {
            return None;
        }
        self.waiting.choose(|_| ()).map(|(waker, ())| waker)
    }
}

/// The sending end of a [`broadcast`]. Can be cloned.
pub struct Sender<T> {
    shared: Arc<Lock<State<T>>>,
}

impl<T> Sender<T> {
    /// Sends a value to all receivers, and says how many there are. Never waits.
    ///
    /// # Errors
    ///
    /// [`SendError`], with the value, if there are none. There may be some later.
    pub fn send(&self, value: T) -> Result<usize, SendError<T>> {
        let mut state = self.shared.lock();
        let value = match state.receivers {
            0 => {
                drop(state);
                return Err(SendError(value));
            }
            1 => Value::Sole(value),
            _ => {
                // Not under the lock: allocating.
                drop(state);
                let value = Arc::new(value);
                state = self.shared.lock();
                if state.receivers == 0 {
                    drop(state);
                    // It was made a moment ago, and nobody has seen it, so it is ours alone.
                    return Arc::into_inner(value).map_or(Ok(0), |value| Err(SendError(value)));
                }
                Value::Shared(value)
            }
        };
        let receivers = state.receivers;
        let displaced = state.push(value);
        let is_waited_for = !state.waiting.is_empty();
        drop(state);
        if is_waited_for {
            wake_each(&self.shared, State::choose_served);
        }
        drop(displaced);
        Ok(receivers)
    }

    /// Makes a receiver, which sees what is sent from now on.
    pub fn subscribe(&self) -> Receiver<T> {
        subscribe(&self.shared)
    }

    /// Waits until all receivers are gone.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    pub fn closed(&self) -> impl Future<Output = ()> {
        Wait::new(ToNobody(&self.shared), 0)
    }

    /// How many values are kept that not all have seen.
    pub fn len(&self) -> usize {
        self.shared.lock().ring.len()
    }

    /// Says whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many receivers there are.
    pub fn receiver_count(&self) -> usize {
        self.shared.lock().receivers
    }

    /// Says whether both send to the same receivers.
    pub fn same_channel(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }

    /// What is known of the channel at this moment.
    pub fn statistics(&self) -> BroadcastStatistics {
        BroadcastStatistics::of(&self.shared.lock())
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        self.shared.lock().senders += 1;
        Self { shared: self.shared.clone() }
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.senders -= 1;
        let is_last = state.senders == 0;
        drop(state);
        if is_last {
            wake_each(&self.shared, State::choose_served);
        }
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Sender").field(&self.shared.peek(BroadcastStatistics::of)).finish()
    }
}

/// The receiving end of a [`broadcast`]. [`resubscribe`](Self::resubscribe) makes another, which sees what is sent from then on; a clone sees what
/// this one has not seen yet.
pub struct Receiver<T> {
    shared: Arc<Lock<State<T>>>,
    next: u64,
}

impl<T> Receiver<T> {
    /// Makes a receiver that sees what is sent from now on.
    pub fn resubscribe(&self) -> Self {
        subscribe(&self.shared)
    }

    /// How many values are there that it has not seen.
    pub fn len(&self) -> usize {
        let state = self.shared.lock();
        usize::try_from(state.sent - self.next.max(state.oldest())).unwrap_or(usize::MAX)
    }

    /// Says whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Says whether both receive from the same senders.
    pub fn same_channel(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }

    /// Says whether all senders are gone. Something may be left to receive.
    pub fn is_closed(&self) -> bool {
        self.shared.lock().senders == 0
    }

    /// What is known of the channel at this moment.
    pub fn statistics(&self) -> BroadcastStatistics {
        BroadcastStatistics::of(&self.shared.lock())
    }
}

impl<T: Clone> Receiver<T> {
    /// Receives the next value.
    ///
    /// # Errors
    ///
    /// [`BroadcastError::Lagged`] if it was too slow, with how many values it has lost; the next call goes on with the oldest that is left.
    /// [`BroadcastError::Closed`] if all senders are gone, and it has seen everything.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    pub async fn recv(&mut self) -> Result<T, BroadcastError> {
        let (found, next) = Wait::new(ToFind(&self.shared), self.next).await;
        self.next = next;
        match found {
            Found::Value(value) => Ok(seen(value)),
            Found::Lagged(count) => Err(BroadcastError::Lagged(count)),
            Found::Closed => Err(BroadcastError::Closed),
        }
    }

    /// Receives the next value if it is there.
    ///
    /// # Errors
    ///
    /// [`TryBroadcastError`] if it is not, or was lost.
    pub fn try_recv(&mut self) -> Result<T, TryBroadcastError> {
        let found = self.shared.lock().find(&mut self.next);
        match found {
            Some(Found::Value(value)) => Ok(seen(value)),
            Some(Found::Lagged(count)) => Err(TryBroadcastError::Lagged(count)),
            Some(Found::Closed) => Err(TryBroadcastError::Closed),
            None => Err(TryBroadcastError::Empty),
        }
    }

    /// Receives the next value, and blocks the thread until it is there. For threads on which no loop runs.
    ///
    /// # Errors
    ///
    /// The same as for [`recv`](Self::recv).
    ///
    /// # Panics
    ///
    /// Panics where it would block the thread of an event loop, inside of a task.
    #[track_caller]
    pub fn recv_blocking(&mut self) -> Result<T, BroadcastError> {
        match self.try_recv() {
            Ok(value) => Ok(value),
            Err(TryBroadcastError::Lagged(count)) => Err(BroadcastError::Lagged(count)),
            Err(TryBroadcastError::Closed) => Err(BroadcastError::Closed),
            Err(TryBroadcastError::Empty) => wait_blocking("recv_blocking", "recv().await", self.recv()),
        }
    }
}

/// The value that a receiver has found.
fn seen<T: Clone>(value: Value<T>) -> T {
    // OK because of B2: it is there as long as one has not seen it, and this one had not.
    value.into_value().expect("a value is there until all have seen it")
}

fn subscribe<T>(shared: &Arc<Lock<State<T>>>) -> Receiver<T> {
    let mut state = shared.lock();
    state.receivers += 1;
    let next = state.sent;
    drop(state);
    Receiver { shared: shared.clone(), next }
}

impl<T> Clone for Receiver<T> {
    fn clone(&self) -> Self {
        let mut state = self.shared.lock();
        state.receivers += 1;
        let seen = usize::try_from(self.next.saturating_sub(state.oldest())).unwrap_or(usize::MAX);
        // B2: what this one has not seen, one more has not.
        for entry in state.ring.iter_mut().skip(seen) {
            entry.unseen += 1;
            entry.value.share();
        }
        drop(state);
        Self { shared: self.shared.clone(), next: self.next }
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        let unwanted = state.unsubscribe(self.next);
        let was_last = state.receivers == 0;
        drop(state);
        if was_last {
            wake_each(&self.shared, |state| state.watching.choose());
        }
        drop(unwanted);
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Receiver").field(&self.shared.peek(BroadcastStatistics::of)).finish()
    }
}

/// What is known of a broadcast at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BroadcastStatistics {
    /// How many values are kept that not all have seen.
    pub len: usize,
    /// How many it keeps at most.
    pub capacity: usize,
    /// How many have been sent.
    pub sent: u64,
    /// How many senders there are.
    pub senders: usize,
    /// How many receivers there are.
    pub receivers: usize,
    /// How many of them wait.
    pub waiting: usize,
}

impl BroadcastStatistics {
    fn of<T>(state: &State<T>) -> Self {
        Self {
            len: state.ring.len(),
            capacity: state.capacity,
            sent: state.sent,
            senders: state.senders,
            receivers: state.receivers,
            waiting: state.waiting.len(),
        }
    }
}

/// The way to the next value.
struct ToFind<'a, T>(&'a Lock<State<T>>);

impl<T> Door for ToFind<'_, T> {
    type State = State<T>;
    type Turn = u64;
    type Output = (Found<T>, u64);
    const NAME: &'static str = "broadcast.recv";

    #[inline]
    fn lock(&self) -> &Lock<State<T>> {
        self.0
    }

    fn list<'s>(state: &'s mut State<T>, _: &u64) -> &'s mut List<u64> {
        &mut state.waiting
    }

    #[inline]
    fn enter(&self, state: &mut State<T>, next: &mut u64, _: &mut Woken) -> Option<Self::Output> {
        state.find(next).map(|found| (found, *next))
    }

    fn chosen(&self, next: &mut u64) -> Self::Output {
        // OK because it is chosen when its value was sent, or none will be, and nobody else moves it on.
        (self.0.lock().find(next).expect("whoever is chosen finds something"), *next)
    }

    fn leave(&self, _: &mut State<T>, _: &mut u64, _: bool, _: &mut Woken) {}
}

/// The way to the moment when nobody listens.
struct ToNobody<'a, T>(&'a Lock<State<T>>);

impl<T> Door for ToNobody<'_, T> {
    type State = State<T>;
    type Turn = u32;
    type Output = ();
    const NAME: &'static str = "broadcast.closed";

    fn lock(&self) -> &Lock<State<T>> {
        self.0
    }

    fn list<'s>(state: &'s mut State<T>, _: &u32) -> &'s mut List<u32> {
        state.watching.waiting()
    }

    fn enter(&self, state: &mut State<T>, came: &mut u32, _: &mut Woken) -> Option<()> {
        *came = state.watching.times();
        (state.receivers == 0).then_some(())
    }

    fn chosen(&self, _: &mut u32) {}

    fn leave(&self, _: &mut State<T>, _: &mut u32, _: bool, _: &mut Woken) {}
}

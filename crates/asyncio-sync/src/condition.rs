//! [`Condition`]: a lock, and the waiting for what it protects to have changed.
//!
//! - C1: two lists under one lock: those who want the lock, and those who sleep until they are notified. To notify is to move the first sleeper to
//!   the end of the other list: it is woken when it has the lock, and not before, so it never runs in vain.
//! - C2: falling asleep and giving the lock back is one step, so no notification is lost between them.
//! - C3: a waiter who was notified and is dropped before he has the lock has used his notification up only if he was its cause to be
//!   woken: he hands the notification to the next sleeper, and the lock to the next one in line.

#![expect(unsafe_code, reason = "a value in a cell, behind a lock of ours")]

use std::fmt;
use std::future::Future;
use std::ops::{Deref, DerefMut};
use std::panic::{AssertUnwindSafe, Location, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

use asyncio_base::shim::UnsafeCell;

use crate::lock::Lock;
use crate::locking::Locking;
use crate::wait::{Door, List, Wait, Woken};
use crate::watch_locks;

/// A lock around a value, with waiting for the value to change: asyncio's `Condition`.
///
/// When to use it: where tasks wait for a condition on shared data that others change. When not: for a single fact, [`Event`](crate::Event); for
/// items that are handed over, [`Queue`](crate::Queue); for the newest value of something, [`watch`](crate::watch()).
///
/// # Examples
///
/// ```
/// use asyncio_sync::Condition;
/// # futures_lite::future::block_on(async {
/// let stock = Condition::new(0);
/// let buyer = async {
///     let mut guard = stock.lock().await;
///     guard.wait_for(|stock| *stock >= 3).await;
///     *guard -= 3;
/// };
/// let seller = async {
///     for _ in 0..3 {
///         let mut guard = stock.lock().await;
///         *guard += 1;
///         guard.notify(1);
///     }
/// };
/// futures_lite::future::zip(buyer, seller).await;
/// assert_eq!(*stock.lock().await, 0);
/// # });
/// ```
pub struct Condition<T: ?Sized> {
    state: Lock<State>,
    value: UnsafeCell<T>,
}

// SAFETY: as a mutex: it hands a `&mut T` from one thread to another, and never gives out two.
unsafe impl<T: ?Sized + Send> Sync for Condition<T> {}
// SAFETY: it owns its value.
unsafe impl<T: ?Sized + Send> Send for Condition<T> {}

struct State {
    locking: Locking<Turn>,
    sleeping: List<Turn>,
}

/// Where one waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    /// For a notification.
    Sleeping,
    /// For the lock, after a notification.
    Notified,
    /// For the lock, as one who has not slept.
    Locking,
}

impl<T> Condition<T> {
    const_unless_modelled! {
        /// Makes an unlocked condition around `value`.
        pub fn new(value: T) -> Self {
            Self {
                state: Lock::new(State { locking: Locking::new(), sleeping: List::new() }),
                value: UnsafeCell::new(value),
            }
        }
    }

    /// Returns the value inside.
    pub fn into_inner(self) -> T {
        self.value.into_inner()
    }
}

impl<T: ?Sized> Condition<T> {
    /// Locks, as soon as those who came before have had it.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is ready, it loses its place in line and nothing else; if the lock had already been handed to it, the next one gets it.
    #[track_caller]
    pub fn lock(&self) -> impl Future<Output = ConditionGuard<'_, T>> {
        let place = Location::caller();
        let lock = self.wait(Turn::Locking, place);
        async move {
            lock.await;
            ConditionGuard { condition: self, has_lock: true, place }
        }
    }

    /// Locks if nobody has it.
    ///
    /// # Errors
    ///
    /// [`TryLockError`](crate::TryLockError) if somebody has it.
    #[track_caller]
    pub fn try_lock(&self) -> Result<ConditionGuard<'_, T>, crate::TryLockError> {
        let place = Location::caller();
        if !self.state.lock().locking.try_lock() {
            return Err(crate::TryLockError);
        }
        watch_locks::taken(&self.state, place);
        Ok(ConditionGuard { condition: self, has_lock: true, place })
    }

    /// Notifies so many of those who wait, those first who have waited longest. The lock need not be held, but mostly is.
    pub fn notify(&self, count: usize) {
        let mut woken = Woken::new();
        let mut state = self.state.lock();
        // One hold, so that nobody comes in between; and one waker at most, since whoever has the lock then is the only one.
        for _ in 0..count {
            if !state.notify_one(&mut woken) {
                break;
            }
        }
        drop(state);
        woken.wake();
    }

    /// Notifies all who wait.
    pub fn notify_all(&self) {
        self.notify(usize::MAX);
    }

    /// Reaches the value without locking, since `&mut` proves that nobody else can.
    pub fn get_mut(&mut self) -> &mut T {
        // SAFETY: `&mut self`: there is no guard, since each borrows the condition.
        self.value.with_mut(|value| unsafe { &mut *value })
    }

    /// What is known of it at this moment.
    pub fn statistics(&self) -> ConditionStatistics {
        ConditionStatistics::of(&self.state.lock())
    }

    fn wait(&self, turn: Turn, place: &'static Location<'static>) -> Wait<ToLock<'_, T>> {
        Wait::new(ToLock { condition: self, place: (turn == Turn::Locking).then_some(place) }, turn)
    }
}

impl State {
    /// C1. Says whether there was somebody.
    fn notify_one(&mut self, woken: &mut Woken) -> bool {
        // Where nobody has the lock, the sleeper has it at once.
        if !self.sleeping.is_empty() && self.locking.try_lock() {
            let next = self.sleeping.choose(|turn| *turn = Turn::Notified);
            next.into_iter().for_each(|(waker, ())| woken.push(waker));
            return true;
        }
        self.sleeping.move_first_to(self.locking.waiting(), |turn| *turn = Turn::Notified)
    }

    fn unlock(&mut self, woken: &mut Woken) {
        if let Some(next) = self.locking.unlock(|_| ()) {
            woken.push(next);
        }
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for Condition<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Condition");
        match self.try_lock() {
            Ok(guard) => shown.field("value", &&*guard),
            Err(_) => shown.field("value", &format_args!("<locked>")),
        };
        shown.field("statistics", &self.state.peek(ConditionStatistics::of)).finish()
    }
}

/// What is known of a [`Condition`] at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConditionStatistics {
    /// Whether somebody has the lock.
    pub is_locked: bool,
    /// How many wait for the lock.
    pub waiting_to_lock: usize,
    /// How many wait to be notified.
    pub waiting: usize,
}

impl ConditionStatistics {
    fn of(state: &State) -> Self {
        Self {
            is_locked: state.locking.is_locked(),
            waiting_to_lock: state.locking.waiting_count(),
            waiting: state.sleeping.len(),
        }
    }
}

/// The way to the lock, asleep first or not.
struct ToLock<'a, T: ?Sized> {
    condition: &'a Condition<T>,
    /// Where it was asked for, by one who does not sleep first.
    place: Option<&'static Location<'static>>,
}

impl<T: ?Sized> Door for ToLock<'_, T> {
    type State = State;
    type Turn = Turn;
    type Output = ();
    const NAME: &'static str = "condition";

    #[inline]
    fn lock(&self) -> &Lock<State> {
        &self.condition.state
    }

    fn list<'s>(state: &'s mut State, turn: &Turn) -> &'s mut List<Turn> {
        match turn {
            Turn::Sleeping => &mut state.sleeping,
            Turn::Notified | Turn::Locking => state.locking.waiting(),
        }
    }

    fn enter(&self, state: &mut State, turn: &mut Turn, _: &mut Woken) -> Option<()> {
        (*turn == Turn::Locking && state.locking.try_lock()).then_some(())
    }

    fn queued(&self, state: &mut State, woken: &mut Woken) {
        // C2: one step with being queued.
        if self.place.is_none() {
            state.unlock(woken);
        }
    }

    fn chosen(&self, _: &mut Turn) {}

    fn leave(&self, state: &mut State, turn: &mut Turn, was_chosen: bool, woken: &mut Woken) {
        if was_chosen {
            state.unlock(woken);
        }
        // C3.
        if *turn == Turn::Notified {
            state.notify_one(woken);
        }
    }

    fn place(&self) -> Option<&'static Location<'static>> {
        self.place
    }
}

/// Unlocks its [`Condition`] when dropped, and waits for notifications. Made by [`Condition::lock`].
#[must_use = "it is unlocked again at once if the guard is not kept"]
pub struct ConditionGuard<'a, T: ?Sized> {
    condition: &'a Condition<T>,
    /// Not while it waits, nor after a wait that was dropped.
    has_lock: bool,
    place: &'static Location<'static>,
}

// SAFETY: a `&` of it gives out a `&T`, and the condition, which is `Sync` where `T` is `Send`.
unsafe impl<T: ?Sized + Send + Sync> Sync for ConditionGuard<'_, T> {}

impl<'a, T: ?Sized> ConditionGuard<'a, T> {
    /// Gives the lock up, waits to be notified, and has the lock again.
    ///
    /// Between the notification and the return others may have had the lock, so the condition may not hold any more: mostly
    /// [`wait_for`](Self::wait_for) is what is wanted.
    ///
    /// # Cancel safety
    ///
    /// A notification that it had got already goes to the next who waits. **The guard has no lock then**, since taking it again may need
    /// waiting, which a drop cannot do: [`relock`](Self::relock) does it. Until then the value cannot be reached through it (it panics).
    pub async fn wait(&mut self) {
        self.relock().await;
        let sleep = self.condition.wait(Turn::Sleeping, self.place);
        Sleep { guard: self, sleep }.await;
    }

    /// Waits until `predicate` says that the condition holds, looking after each notification.
    ///
    /// # Cancel safety
    ///
    /// The same as for [`wait`](Self::wait).
    pub async fn wait_for(&mut self, mut predicate: impl FnMut(&T) -> bool) {
        self.relock().await;
        while !predicate(self) {
            self.wait().await;
        }
    }

    /// Takes the lock again after a [`wait`](Self::wait) that was dropped, in a timeout for instance. Ready at once if the guard has it.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is ready, it loses its place in line and nothing else.
    ///
    /// # Examples
    ///
    /// ```
    /// use asyncio_sync::Condition;
    /// use futures_lite::future::{block_on, poll_once};
    ///
    /// # block_on(async {
    /// let condition = Condition::new(1);
    /// let mut guard = condition.lock().await;
    /// assert_eq!(poll_once(guard.wait()).await, None, "as a timeout would drop it");
    /// guard.relock().await;
    /// assert_eq!(*guard, 1);
    /// # });
    /// ```
    pub async fn relock(&mut self) {
        if !self.has_lock {
            self.condition.wait(Turn::Locking, self.place).await;
            self.has_lock = true;
        }
    }

    /// Says whether it has the lock, as it always has but after a [`wait`](Self::wait) that was dropped.
    pub const fn has_lock(guard: &Self) -> bool {
        guard.has_lock
    }

    /// Notifies so many of those who wait, those first who have waited longest. They go on once this guard, and those who wait for the lock
    /// already, have given it up.
    pub fn notify(&self, count: usize) {
        self.condition.notify(count);
    }

    /// Notifies all who wait.
    pub fn notify_all(&self) {
        self.condition.notify_all();
    }

    /// The condition that it came from.
    pub fn condition(guard: &Self) -> &'a Condition<T> {
        guard.condition
    }

    #[track_caller]
    fn assert_lock(&self) {
        assert!(
            self.has_lock,
            "the lock of this condition was given up by a `wait` that was dropped; call `relock` on the guard first"
        );
    }
}

impl<T: ?Sized> Deref for ConditionGuard<'_, T> {
    type Target = T;

    #[track_caller]
    fn deref(&self) -> &T {
        self.assert_lock();
        // SAFETY: it has the lock, and nobody else.
        self.condition.value.with(|value| unsafe { &*value })
    }
}

impl<T: ?Sized> DerefMut for ConditionGuard<'_, T> {
    #[track_caller]
    fn deref_mut(&mut self) -> &mut T {
        self.assert_lock();
        // SAFETY: it has the lock, and nobody else; it is borrowed mutably.
        self.condition.value.with_mut(|value| unsafe { &mut *value })
    }
}

impl<T: ?Sized> Drop for ConditionGuard<'_, T> {
    fn drop(&mut self) {
        if self.has_lock {
            watch_locks::released(&self.condition.state);
            let mut woken = Woken::new();
            self.condition.state.lock().unlock(&mut woken);
            woken.wake();
        }
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for ConditionGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.has_lock {
            true => fmt::Debug::fmt(&**self, f),
            false => f.write_str("<not locked>"),
        }
    }
}

pin_project_lite::pin_project! {
    /// Sleeps until it is notified; keeps the guard from being used meanwhile.
    struct Sleep<'g, 'a, T: ?Sized> {
        guard: &'g mut ConditionGuard<'a, T>,
        #[pin]
        sleep: Wait<ToLock<'a, T>>,
    }
}

impl<T: ?Sized> Future for Sleep<'_, '_, T> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut this = self.project();
        // A waker that is cloned or woken in there may panic; the guard has to know all the same whether it has the lock.
        let polled = catch_unwind(AssertUnwindSafe(|| this.sleep.as_mut().poll(cx)));
        let gave_up = this.sleep.has_waited();
        if gave_up && this.guard.has_lock {
            this.guard.has_lock = false;
            watch_locks::released(&this.guard.condition.state);
        }
        match polled {
            Ok(Poll::Ready(())) => {
                this.guard.has_lock = true;
                watch_locks::taken(&this.guard.condition.state, this.guard.place);
                Poll::Ready(())
            }
            Ok(Poll::Pending) => Poll::Pending,
            Err(panic) => resume_unwind(panic),
        }
    }
}

//! [`Mutex`]: one at a time, in the order in which they came.
//!
//! asyncio's `Lock`, around the value that it protects. The value lies in a cell; who may touch it is [`Locking`]'s to say.
//!
//! - M1: a guard exists for whoever `Locking` says has the lock, and for nobody else; so there is at most one, and it alone reaches the cell.

#![expect(unsafe_code, reason = "a value in a cell, behind a lock of ours")]

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::panic::Location;

use asyncio_base::shim::{Arc, UnsafeCell};

use crate::blocking::wait_blocking;
use crate::error::TryLockError;
use crate::lock::Lock;
use crate::locking::Locking;
use crate::wait::{Door, List, Wait, Woken, wake};
use crate::watch_locks;

/// A lock around a value, for tasks: asyncio's `Lock`. First in, first out.
///
/// Whoever gives it back hands it to the first one in line; nobody barges in between. A guard may be held across an `await`.
///
/// When to use it: where the value is held across an `await`. When not: for a short look at some data, [`std::sync::Mutex`] is better: it is
/// cheaper, and cannot be held across an `await` by mistake. For a counter, an atomic.
///
/// There is no poison: a panic while it is held gives the lock back, as asyncio's `async with` does.
///
/// # Examples
///
/// ```
/// use asyncio_sync::Mutex;
/// # futures_lite::future::block_on(async {
/// static LOG: Mutex<Vec<&str>> = Mutex::new(Vec::new());
///
/// let mut log = LOG.lock().await;
/// log.push("one");
/// assert!(LOG.try_lock().is_err(), "it is held");
/// drop(log);
/// assert_eq!(*LOG.lock().await, ["one"]);
/// # });
/// ```
#[doc(alias = "Lock")]
pub struct Mutex<T: ?Sized> {
    locking: Lock<Locking>,
    value: UnsafeCell<T>,
}

// SAFETY: M1: it hands a `&mut T` from one thread to another, as sending the value would, and never gives out two.
unsafe impl<T: ?Sized + Send> Sync for Mutex<T> {}
// SAFETY: it owns its value.
unsafe impl<T: ?Sized + Send> Send for Mutex<T> {}

impl<T> Mutex<T> {
    const_unless_modelled! {
        /// Makes an unlocked mutex around `value`.
        pub fn new(value: T) -> Self {
            Self { locking: Lock::new(Locking::new()), value: UnsafeCell::new(value) }
        }
    }

    /// Returns the value inside.
    pub fn into_inner(self) -> T {
        self.value.into_inner()
    }
}

impl<T: ?Sized> Mutex<T> {
    /// Locks, as soon as those who came before have had it.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is ready, it loses its place in line and nothing else; if the lock had already been handed to it, the next one gets it.
    ///
    /// One task that waits for the same mutex by two futures, and polls only one of them, may wait for ever: the lock may be handed to the
    /// one that is not polled.
    #[track_caller]
    #[inline]
    pub fn lock(&self) -> impl Future<Output = MutexGuard<'_, T>> {
        Wait::new(ToLock { mutex: self, place: Location::caller() }, ())
    }

    /// Locks, and returns a guard that keeps the mutex alive, and so is `'static`.
    ///
    /// # Cancel safety
    ///
    /// The same as for [`lock`](Self::lock).
    ///
    /// # Examples
    ///
    /// ```
    /// use asyncio_sync::{Mutex, OwnedMutexGuard};
    /// use std::sync::Arc;
    /// # futures_lite::future::block_on(async {
    /// let guard: OwnedMutexGuard<u32> = Arc::new(Mutex::new(1)).lock_owned().await;
    /// assert_eq!(*guard, 1);
    /// # });
    /// ```
    #[track_caller]
    pub fn lock_owned(self: Arc<Self>) -> impl Future<Output = OwnedMutexGuard<T>> {
        Wait::new(ToLock { mutex: self, place: Location::caller() }, ())
    }

    /// Locks, and blocks the thread until those who came before have had it. For threads on which no loop runs.
    ///
    /// # Panics
    ///
    /// Panics where it would block the thread of an event loop, inside of a task.
    ///
    /// # Examples
    ///
    /// ```
    /// let mutex = asyncio_sync::Mutex::new(1);
    /// *mutex.lock_blocking() += 1;
    /// assert_eq!(mutex.into_inner(), 2);
    /// ```
    #[track_caller]
    pub fn lock_blocking(&self) -> MutexGuard<'_, T> {
        match self.try_lock() {
            Ok(guard) => guard,
            Err(TryLockError) => wait_blocking("lock_blocking", "lock().await", self.lock()),
        }
    }

    /// Locks if nobody has it.
    ///
    /// # Errors
    ///
    /// [`TryLockError`] if somebody has it.
    #[track_caller]
    #[inline]
    pub fn try_lock(&self) -> Result<MutexGuard<'_, T>, TryLockError> {
        if !self.locking.lock().try_lock() {
            return Err(TryLockError);
        }
        watch_locks::taken(&self.locking, Location::caller());
        Ok(MutexGuard::new(self))
    }

    /// Locks if nobody has it, and returns a guard that is `'static`.
    ///
    /// # Errors
    ///
    /// [`TryLockError`] if somebody has it.
    #[track_caller]
    pub fn try_lock_owned(self: Arc<Self>) -> Result<OwnedMutexGuard<T>, TryLockError> {
        if !self.locking.lock().try_lock() {
            return Err(TryLockError);
        }
        watch_locks::taken(&self.locking, Location::caller());
        Ok(OwnedMutexGuard::new(self))
    }

    /// Reaches the value without locking, since `&mut` proves that nobody else can.
    pub fn get_mut(&mut self) -> &mut T {
        // SAFETY: `&mut self`: there is no guard, since each borrows the mutex or owns a share of it.
        self.value.with_mut(|value| unsafe { &mut *value })
    }

    /// Says whether somebody has it. Not guaranteed to be true a moment later.
    pub fn is_locked(&self) -> bool {
        self.locking.lock().is_locked()
    }

    /// What is known of it at this moment.
    pub fn statistics(&self) -> MutexStatistics {
        MutexStatistics::of(&self.locking.lock())
    }

    #[inline]
    fn unlock(&self) {
        watch_locks::released(&self.locking);
        let next = self.locking.lock().unlock(|()| ());
        if let Some(next) = next {
            wake(next);
        }
    }
}

impl<T: Default> Default for Mutex<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T> From<T> for Mutex<T> {
    fn from(value: T) -> Self {
        Self::new(value)
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for Mutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Mutex");
        match self.try_lock() {
            Ok(value) => shown.field("value", &&*value),
            Err(TryLockError) => shown.field("value", &format_args!("<locked>")),
        };
        shown.field("waiting", &self.locking.peek(Locking::waiting_count)).finish()
    }
}

/// What is known of a [`Mutex`] at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MutexStatistics {
    /// Whether somebody has it.
    pub is_locked: bool,
    /// How many wait for it.
    pub waiting: usize,
}

impl MutexStatistics {
    pub(crate) fn of(locking: &Locking) -> Self {
        Self { is_locked: locking.is_locked(), waiting: locking.waiting_count() }
    }
}

/// One who refers to a mutex, and so to the guard that he gets.
trait Holder: Deref<Target = Mutex<Self::Value>> {
    type Value: ?Sized;
    type Guard;

    /// The caller has just got the lock.
    fn guard(&self) -> Self::Guard;
}

impl<'a, T: ?Sized> Holder for &'a Mutex<T> {
    type Value = T;
    type Guard = MutexGuard<'a, T>;

    #[inline]
    fn guard(&self) -> Self::Guard {
        MutexGuard::new(self)
    }
}

impl<T: ?Sized> Holder for Arc<Mutex<T>> {
    type Value = T;
    type Guard = OwnedMutexGuard<T>;

    fn guard(&self) -> Self::Guard {
        OwnedMutexGuard::new(self.clone())
    }
}

/// The way to a guard.
struct ToLock<M> {
    mutex: M,
    place: &'static Location<'static>,
}

impl<M: Holder> Door for ToLock<M> {
    type State = Locking;
    type Turn = ();
    type Output = M::Guard;
    const NAME: &'static str = "mutex.lock";

    #[inline]
    fn lock(&self) -> &Lock<Locking> {
        &self.mutex.locking
    }

    #[inline]
    fn list<'s>(state: &'s mut Locking, (): &()) -> &'s mut List<()> {
        state.waiting()
    }

    #[inline]
    fn enter(&self, state: &mut Locking, (): &mut (), _: &mut Woken) -> Option<Self::Output> {
        state.try_lock().then(|| self.mutex.guard())
    }

    fn chosen(&self, (): &mut ()) -> Self::Output {
        self.mutex.guard()
    }

    fn leave(&self, state: &mut Locking, (): &mut (), was_chosen: bool, woken: &mut Woken) {
        hand_on(state, was_chosen, woken);
    }

    #[inline]
    fn place(&self) -> Option<&'static Location<'static>> {
        Some(self.place)
    }
}

/// One who waited for a lock goes away; if it was handed to him, the next one gets it.
pub(crate) fn hand_on(state: &mut Locking, was_chosen: bool, woken: &mut Woken) {
    if was_chosen {
        if let Some(next) = state.unlock(|()| ()) {
            woken.push(next);
        }
    }
}

/// Unlocks its [`Mutex`] when dropped. Made by [`Mutex::lock`].
#[must_use = "it is unlocked again at once if the guard is not kept"]
pub struct MutexGuard<'a, T: ?Sized> {
    mutex: &'a Mutex<T>,
    /// It is `Send` and `Sync` as a `&mut T` is.
    value: PhantomData<&'a mut T>,
}

impl<'a, T: ?Sized> MutexGuard<'a, T> {
    /// The caller has just got the lock.
    #[inline]
    fn new(mutex: &'a Mutex<T>) -> Self {
        Self { mutex, value: PhantomData }
    }

    /// The mutex that it came from.
    pub fn mutex(guard: &Self) -> &'a Mutex<T> {
        guard.mutex
    }
}

impl<T: ?Sized> Deref for MutexGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: M1: this is the only guard.
        self.mutex.value.with(|value| unsafe { &*value })
    }
}

impl<T: ?Sized> DerefMut for MutexGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: M1: this is the only guard, and borrowed mutably.
        self.mutex.value.with_mut(|value| unsafe { &mut *value })
    }
}

impl<T: ?Sized> Drop for MutexGuard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        self.mutex.unlock();
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for MutexGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

impl<T: ?Sized + fmt::Display> fmt::Display for MutexGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&**self, f)
    }
}

/// Unlocks its [`Mutex`] when dropped, and keeps it alive. Made by [`Mutex::lock_owned`].
#[must_use = "it is unlocked again at once if the guard is not kept"]
pub struct OwnedMutexGuard<T: ?Sized> {
    mutex: Arc<Mutex<T>>,
    /// It is `Send` and `Sync` as a `&mut T` is.
    value: PhantomData<*mut T>,
}

// SAFETY: it is a `&mut T` and a share of the mutex, which is `Send` where `T` is.
unsafe impl<T: ?Sized + Send> Send for OwnedMutexGuard<T> {}
// SAFETY: a `&` of it gives out a `&T`, and a share of the mutex that it cannot lock.
unsafe impl<T: ?Sized + Send + Sync> Sync for OwnedMutexGuard<T> {}

impl<T: ?Sized> OwnedMutexGuard<T> {
    /// The caller has just got the lock.
    fn new(mutex: Arc<Mutex<T>>) -> Self {
        Self { mutex, value: PhantomData }
    }

    /// The mutex that it came from.
    pub fn mutex(guard: &Self) -> &Arc<Mutex<T>> {
        &guard.mutex
    }
}

impl<T: ?Sized> Deref for OwnedMutexGuard<T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: M1: this is the only guard.
        self.mutex.value.with(|value| unsafe { &*value })
    }
}

impl<T: ?Sized> DerefMut for OwnedMutexGuard<T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: M1: this is the only guard, and borrowed mutably.
        self.mutex.value.with_mut(|value| unsafe { &mut *value })
    }
}

impl<T: ?Sized> Drop for OwnedMutexGuard<T> {
    fn drop(&mut self) {
        self.mutex.unlock();
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for OwnedMutexGuard<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

//! [`RwLock`]: many readers or one writer, in the order in which they came.
//!
//! - R1: there is one writer and no other guard, or any number of readers, of which at most one is upgradable.
//! - R2: one line for all. Whoever is first in it goes as soon as R1 lets him, and nobody before him does; so a stream of readers does not starve
//!   a writer. An upgradable reader who wants to write goes before all others, since they wait for him anyway.
//! - R3: a guard exists for whoever the counts say may have it, and for nobody else.

#![expect(unsafe_code, reason = "a value in a cell, behind a lock of ours")]

mod guards;
mod state;

use std::fmt;
use std::future::Future;
use std::panic::Location;

use asyncio_base::shim::{Arc, UnsafeCell};

use crate::blocking::wait_blocking;
use crate::error::TryLockError;
use crate::lock::Lock;
use crate::wait::wake_each;
use state::State;

pub use guards::{
    OwnedRwLockReadGuard, OwnedRwLockUpgradableReadGuard, OwnedRwLockWriteGuard, RwLockGuard, RwLockHolder,
    RwLockPurpose, RwLockReadGuard, RwLockUpgradableReadGuard, RwLockWriteGuard, ToRead, ToUpgrade, ToWrite,
};

/// A lock around a value that many may read at a time, or one may write. First in, first out.
///
/// A writer who waits is passed by nobody, so readers do not starve him. For the same reason a task that reads must not ask to read once more: it
/// would wait for a writer who waits for it.
///
/// When to use it: where reads are held across an `await`, and are many. When not: for short looks, where [`std::sync::RwLock`], or a
/// [`Mutex`](crate::Mutex), is cheaper; for a value that is replaced as a whole, [`watch`](crate::watch()).
///
/// # Examples
///
/// ```
/// use asyncio_sync::RwLock;
/// # futures_lite::future::block_on(async {
/// static NAMES: RwLock<Vec<&str>> = RwLock::new(Vec::new());
///
/// NAMES.write().await.push("one");
/// let (a, b) = (NAMES.read().await, NAMES.read().await);
/// assert_eq!(*a, *b);
/// assert!(NAMES.try_write().is_err());
/// # });
/// ```
pub struct RwLock<T: ?Sized> {
    state: Lock<State>,
    value: UnsafeCell<T>,
}

// SAFETY: R1: it gives out a `&mut T` or several `&T`, to any thread.
unsafe impl<T: ?Sized + Send + Sync> Sync for RwLock<T> {}
// SAFETY: it owns its value.
unsafe impl<T: ?Sized + Send> Send for RwLock<T> {}

impl<T> RwLock<T> {
    const_unless_modelled! {
        /// Makes an unlocked lock around `value`.
        pub fn new(value: T) -> Self {
            Self { state: Lock::new(State::new()), value: UnsafeCell::new(value) }
        }
    }

    /// Returns the value inside.
    pub fn into_inner(self) -> T {
        self.value.into_inner()
    }
}

impl<T: ?Sized> RwLock<T> {
    /// Reads, as soon as those who came before have had their turn.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is ready, it loses its place in line and nothing else.
    #[track_caller]
    #[inline]
    pub fn read(&self) -> impl Future<Output = RwLockReadGuard<'_, T>> {
        RwLockGuard::wait(self, Location::caller())
    }

    /// Writes, as soon as those who came before have had their turn.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is ready, it loses its place in line and nothing else; readers behind it come in.
    #[track_caller]
    #[inline]
    pub fn write(&self) -> impl Future<Output = RwLockWriteGuard<'_, T>> {
        RwLockGuard::wait(self, Location::caller())
    }

    /// Reads beside others, with the right to become a writer, which one has at a time.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is ready, it loses its place in line and nothing else.
    #[track_caller]
    pub fn upgradable_read(&self) -> impl Future<Output = RwLockUpgradableReadGuard<'_, T>> {
        RwLockGuard::wait(self, Location::caller())
    }

    /// Reads, with a guard that keeps the lock alive, and so is `'static`.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is ready, it loses its place in line and nothing else.
    #[track_caller]
    pub fn read_owned(self: Arc<Self>) -> impl Future<Output = OwnedRwLockReadGuard<T>> {
        RwLockGuard::wait(self, Location::caller())
    }

    /// Writes, with a guard that keeps the lock alive, and so is `'static`.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is ready, it loses its place in line and nothing else.
    #[track_caller]
    pub fn write_owned(self: Arc<Self>) -> impl Future<Output = OwnedRwLockWriteGuard<T>> {
        RwLockGuard::wait(self, Location::caller())
    }

    /// Reads, with the right to become a writer, and a guard that keeps the lock alive.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is ready, it loses its place in line and nothing else.
    #[track_caller]
    pub fn upgradable_read_owned(self: Arc<Self>) -> impl Future<Output = OwnedRwLockUpgradableReadGuard<T>> {
        RwLockGuard::wait(self, Location::caller())
    }

    /// Reads, and blocks the thread until it may. For threads on which no loop runs.
    ///
    /// # Panics
    ///
    /// Panics where it would block the thread of an event loop, inside of a task.
    #[track_caller]
    pub fn read_blocking(&self) -> RwLockReadGuard<'_, T> {
        self.try_read().unwrap_or_else(|_| wait_blocking("read_blocking", "read().await", self.read()))
    }

    /// Writes, and blocks the thread until it may. For threads on which no loop runs.
    ///
    /// # Panics
    ///
    /// Panics where it would block the thread of an event loop, inside of a task.
    #[track_caller]
    pub fn write_blocking(&self) -> RwLockWriteGuard<'_, T> {
        self.try_write().unwrap_or_else(|_| wait_blocking("write_blocking", "write().await", self.write()))
    }

    /// Reads, if that may be now and nobody waits.
    ///
    /// # Errors
    ///
    /// [`TryLockError`] if somebody writes, or waits.
    #[track_caller]
    #[inline]
    pub fn try_read(&self) -> Result<RwLockReadGuard<'_, T>, TryLockError> {
        RwLockGuard::try_new(self, Location::caller())
    }

    /// Writes, if nobody has the lock.
    ///
    /// # Errors
    ///
    /// [`TryLockError`] if somebody has it.
    #[track_caller]
    #[inline]
    pub fn try_write(&self) -> Result<RwLockWriteGuard<'_, T>, TryLockError> {
        RwLockGuard::try_new(self, Location::caller())
    }

    /// Reads with the right to become a writer, if that may be now and nobody waits.
    ///
    /// # Errors
    ///
    /// [`TryLockError`] if somebody writes, has that right, or waits.
    #[track_caller]
    pub fn try_upgradable_read(&self) -> Result<RwLockUpgradableReadGuard<'_, T>, TryLockError> {
        RwLockGuard::try_new(self, Location::caller())
    }

    /// Reaches the value without locking, since `&mut` proves that nobody else can.
    pub fn get_mut(&mut self) -> &mut T {
        // SAFETY: `&mut self`: there is no guard, since each borrows the lock or owns a share of it.
        self.value.with_mut(|value| unsafe { &mut *value })
    }

    /// What is known of it at this moment.
    pub fn statistics(&self) -> RwLockStatistics {
        RwLockStatistics::of(&self.state.lock())
    }

    /// Lets in whoever may come in (R2).
    fn serve(&self) {
        wake_each(&self.state, State::serve_first);
    }
}

impl<T: Default> Default for RwLock<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T> From<T> for RwLock<T> {
    fn from(value: T) -> Self {
        Self::new(value)
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for RwLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("RwLock");
        match self.try_read() {
            Ok(value) => shown.field("value", &&*value),
            Err(TryLockError) => shown.field("value", &format_args!("<locked>")),
        };
        shown.field("statistics", &self.state.peek(RwLockStatistics::of)).finish()
    }
}

/// What is known of a [`RwLock`] at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RwLockStatistics {
    /// How many read.
    pub readers: usize,
    /// Whether somebody writes.
    pub has_writer: bool,
    /// How many wait.
    pub waiting: usize,
}

impl RwLockStatistics {
    fn of(state: &State) -> Self {
        Self { readers: state.readers, has_writer: state.has_writer, waiting: state.line.len() }
    }
}

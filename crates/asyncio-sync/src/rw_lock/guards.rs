//! What a [`RwLock`] gives out: one guard, with the lock borrowed or shared, for reading or for writing.

#![expect(unsafe_code, reason = "a value in a cell, behind a lock of ours")]

use std::cell::Cell;
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::ops::{Deref, DerefMut};
use std::panic::Location;

use asyncio_base::shim::Arc;

use super::RwLock;
use super::state::{State, Want};
use crate::error::TryLockError;
use crate::lock::Lock;
use crate::wait::{Door, List, Wait, Woken};
use crate::watch_locks;

/// A guard that reads, as others may at the same time. Made by [`RwLock::read`].
pub type RwLockReadGuard<'a, T> = RwLockGuard<&'a RwLock<T>, ToRead>;
/// A guard that reads, and keeps the lock alive. Made by [`RwLock::read_owned`].
pub type OwnedRwLockReadGuard<T> = RwLockGuard<Arc<RwLock<T>>, ToRead>;
/// A guard that writes, alone. Made by [`RwLock::write`].
pub type RwLockWriteGuard<'a, T> = RwLockGuard<&'a RwLock<T>, ToWrite>;
/// A guard that writes, alone, and keeps the lock alive. Made by [`RwLock::write_owned`].
pub type OwnedRwLockWriteGuard<T> = RwLockGuard<Arc<RwLock<T>>, ToWrite>;
/// A guard that reads beside others, and may become one that writes. Made by [`RwLock::upgradable_read`].
pub type RwLockUpgradableReadGuard<'a, T> = RwLockGuard<&'a RwLock<T>, ToUpgrade>;
/// A guard that reads, may become one that writes, and keeps the lock alive. Made by [`RwLock::upgradable_read_owned`].
pub type OwnedRwLockUpgradableReadGuard<T> = RwLockGuard<Arc<RwLock<T>>, ToUpgrade>;

/// What a guard is for: reading.
#[derive(Debug)]
pub struct ToRead;
/// What a guard is for: reading, and maybe writing later.
#[derive(Debug)]
pub struct ToUpgrade;
/// What a guard is for: writing.
#[derive(Debug)]
pub struct ToWrite;

/// What a guard is for.
pub trait RwLockPurpose: sealed::Purpose {}
impl RwLockPurpose for ToRead {}
impl RwLockPurpose for ToUpgrade {}
impl RwLockPurpose for ToWrite {}

/// How a guard refers to its lock: `&RwLock<T>` or `Arc<RwLock<T>>`.
pub trait RwLockHolder: Deref<Target = RwLock<Self::Value>> + Clone + sealed::Holder {
    /// What the lock protects.
    type Value: ?Sized;
}

impl<T: ?Sized> RwLockHolder for &RwLock<T> {
    type Value = T;
}

impl<T: ?Sized> RwLockHolder for Arc<RwLock<T>> {
    type Value = T;
}

mod sealed {
    use super::{Arc, RwLock, ToRead, ToUpgrade, ToWrite, Want};

    #[expect(unnameable_types, reason = "sealed: nobody else is to implement it")]
    pub trait Purpose {
        #[expect(private_interfaces, reason = "sealed: nobody else can name or implement it")]
        const WANT: Want;
    }

    #[expect(private_interfaces, reason = "sealed: nobody else can name or implement it")]
    impl Purpose for ToRead {
        const WANT: Want = Want::Read;
    }

    #[expect(private_interfaces, reason = "sealed: nobody else can name or implement it")]
    impl Purpose for ToUpgrade {
        const WANT: Want = Want::ReadUpgradable;
    }

    #[expect(private_interfaces, reason = "sealed: nobody else can name or implement it")]
    impl Purpose for ToWrite {
        const WANT: Want = Want::Write;
    }

    #[expect(unnameable_types, reason = "sealed: nobody else is to implement it")]
    pub trait Holder {}
    impl<T: ?Sized> Holder for &RwLock<T> {}
    impl<T: ?Sized> Holder for Arc<RwLock<T>> {}
}

/// Gives its [`RwLock`] back when dropped. Its six kinds have names of their own, like [`RwLockReadGuard`].
#[must_use = "the lock is given back at once if the guard is not kept"]
pub struct RwLockGuard<H: RwLockHolder, P: RwLockPurpose> {
    lock: H,
    purpose: PhantomData<P>,
}

impl<H: RwLockHolder, P: RwLockPurpose> RwLockGuard<H, P> {
    /// The caller has just got the lock for this purpose.
    #[inline]
    pub(super) fn new(lock: H) -> Self {
        Self { lock, purpose: PhantomData }
    }

    /// The lock that it came from.
    pub fn rw_lock(guard: &Self) -> &H {
        &guard.lock
    }

    /// Makes another guard of it; the caller has told the lock.
    fn turn_into<Q: RwLockPurpose>(self) -> RwLockGuard<H, Q> {
        let this = ManuallyDrop::new(self);
        // SAFETY: `this` is not dropped and not used again.
        let lock = unsafe { std::ptr::read(&this.lock) };
        RwLockGuard { lock, purpose: PhantomData }
    }

    fn become_lesser<Q: RwLockPurpose>(self) -> RwLockGuard<H, Q> {
        self.lock.state.lock().exchange(P::WANT, Q::WANT);
        // The other guard first: a waker may panic.
        let lesser = self.turn_into();
        lesser.lock.serve();
        lesser
    }
}

impl<H: RwLockHolder> RwLockGuard<H, ToWrite> {
    /// Goes on reading, without a moment in which somebody else could write. Readers who are next in line come in.
    ///
    /// # Examples
    ///
    /// ```
    /// # futures_lite::future::block_on(async {
    /// let lock = asyncio_sync::RwLock::new(1);
    /// let mut writer = lock.write().await;
    /// *writer += 1;
    /// let reader = writer.downgrade();
    /// assert_eq!(*lock.read().await, *reader);
    /// # });
    /// ```
    pub fn downgrade(self) -> RwLockGuard<H, ToRead> {
        self.become_lesser()
    }

    /// Goes on reading, and may write again later.
    pub fn downgrade_to_upgradable(self) -> RwLockGuard<H, ToUpgrade> {
        self.become_lesser()
    }
}

impl<H: RwLockHolder> RwLockGuard<H, ToUpgrade> {
    /// Goes on reading, and leaves the right to become a writer to others.
    pub fn downgrade(self) -> RwLockGuard<H, ToRead> {
        self.become_lesser()
    }

    /// Waits until all other readers have gone, and writes. It goes before all others who wait.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is ready, it gives the lock back altogether: it has taken the guard.
    ///
    /// # Examples
    ///
    /// ```
    /// # futures_lite::future::block_on(async {
    /// let lock = asyncio_sync::RwLock::new(1);
    /// let reader = lock.upgradable_read().await;
    /// if *reader == 1 {
    ///     *reader.upgrade().await += 1;
    /// }
    /// assert_eq!(*lock.read().await, 2);
    /// # });
    /// ```
    pub fn upgrade(self) -> impl Future<Output = RwLockGuard<H, ToWrite>> {
        let (lock, guard) = (self.lock.clone(), Cell::new(Some(self)));
        Wait::new(Upgrading { lock, guard }, Want::Upgrade)
    }

    /// Writes, if there are no other readers.
    ///
    /// # Errors
    ///
    /// Gives the guard back if there are.
    pub fn try_upgrade(self) -> Result<RwLockGuard<H, ToWrite>, Self> {
        if !self.lock.state.lock().try_take(Want::Upgrade) {
            return Err(self);
        }
        Ok(self.turn_into())
    }
}

impl<H: RwLockHolder, P: RwLockPurpose> Deref for RwLockGuard<H, P> {
    type Target = H::Value;

    #[inline]
    fn deref(&self) -> &H::Value {
        // SAFETY: R1, R3: while this guard lives, nobody writes but maybe through it, who would have borrowed it mutably.
        self.lock.value.with(|value| unsafe { &*value })
    }
}

impl<H: RwLockHolder> DerefMut for RwLockGuard<H, ToWrite> {
    #[inline]
    fn deref_mut(&mut self) -> &mut H::Value {
        // SAFETY: R1, R3: this is the only guard, and borrowed mutably.
        self.lock.value.with_mut(|value| unsafe { &mut *value })
    }
}

impl<H: RwLockHolder, P: RwLockPurpose> Drop for RwLockGuard<H, P> {
    #[inline]
    fn drop(&mut self) {
        watch_locks::released(&self.lock.state);
        let is_waited_for = self.lock.state.lock().give_back(P::WANT);
        if is_waited_for {
            self.lock.serve();
        }
    }
}

impl<H: RwLockHolder<Value: fmt::Debug>, P: RwLockPurpose> fmt::Debug for RwLockGuard<H, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

impl<H: RwLockHolder<Value: fmt::Display>, P: RwLockPurpose> fmt::Display for RwLockGuard<H, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&**self, f)
    }
}

/// The way to a guard.
pub(super) struct ToShare<H, P> {
    pub(super) lock: H,
    pub(super) place: &'static Location<'static>,
    pub(super) purpose: PhantomData<P>,
}

impl<H: RwLockHolder, P: RwLockPurpose> Door for ToShare<H, P> {
    type State = State;
    type Turn = Want;
    type Output = RwLockGuard<H, P>;
    const NAME: &'static str = match P::WANT {
        Want::Write | Want::Upgrade => "rw_lock.write",
        Want::Read | Want::ReadUpgradable => "rw_lock.read",
    };

    #[inline]
    fn lock(&self) -> &Lock<State> {
        &self.lock.state
    }

    #[inline]
    fn list<'s>(state: &'s mut State, _: &Want) -> &'s mut List<Want> {
        &mut state.line
    }

    #[inline]
    fn enter(&self, state: &mut State, want: &mut Want, _: &mut Woken) -> Option<Self::Output> {
        state.try_take(*want).then(|| self.chosen(want))
    }

    #[inline]
    fn chosen(&self, _: &mut Want) -> Self::Output {
        RwLockGuard::new(self.lock.clone())
    }

    fn leave(&self, state: &mut State, want: &mut Want, was_chosen: bool, _: &mut Woken) {
        if was_chosen {
            state.give_back(*want);
        }
    }

    fn left(&self) {
        // Readers behind a writer who does not want to any more.
        self.lock.serve();
    }

    fn place(&self) -> Option<&'static Location<'static>> {
        Some(self.place)
    }
}

/// The way from reading to writing. The guard is in it until it is through.
struct Upgrading<H: RwLockHolder> {
    lock: H,
    guard: Cell<Option<RwLockGuard<H, ToUpgrade>>>,
}

impl<H: RwLockHolder> Door for Upgrading<H> {
    type State = State;
    type Turn = Want;
    type Output = RwLockGuard<H, ToWrite>;
    const NAME: &'static str = "rw_lock.upgrade";

    fn lock(&self) -> &Lock<State> {
        &self.lock.state
    }

    fn list<'s>(state: &'s mut State, _: &Want) -> &'s mut List<Want> {
        &mut state.line
    }

    fn is_first(_: &Want) -> bool {
        true
    }

    fn enter(&self, state: &mut State, want: &mut Want, _: &mut Woken) -> Option<Self::Output> {
        state.try_take(*want).then(|| self.chosen(want))
    }

    fn chosen(&self, _: &mut Want) -> Self::Output {
        // OK because it is taken here alone, and a wait is through once.
        self.guard.take().expect("the guard is there until the wait is through").turn_into()
    }

    fn leave(&self, state: &mut State, want: &mut Want, was_chosen: bool, _: &mut Woken) {
        // Back to reading, which the guard in here gives back.
        if was_chosen {
            state.give_back(*want);
        }
    }

    fn left(&self) {
        self.lock.serve();
    }
}
impl<H: RwLockHolder, P: RwLockPurpose> RwLockGuard<H, P> {
    /// Takes the lock for this purpose if that may be now.
    #[inline]
    pub(super) fn try_new(lock: H, place: &'static Location<'static>) -> Result<Self, TryLockError> {
        if !lock.state.lock().try_take(P::WANT) {
            return Err(TryLockError);
        }
        watch_locks::taken(&lock.state, place);
        Ok(Self::new(lock))
    }

    /// Waits until the lock may be taken for this purpose.
    #[inline]
    pub(super) fn wait(lock: H, place: &'static Location<'static>) -> Wait<ToShare<H, P>> {
        Wait::new(ToShare { lock, place, purpose: PhantomData }, P::WANT)
    }
}

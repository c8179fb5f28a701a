//! [`Semaphore`]: so many at a time, in the order in which they came.
//!
//! asyncio's `Semaphore` and `BoundedSemaphore`, and AnyIO's `CapacityLimiter`. A count of permits and a list of those who want some. The first in
//! line is served as soon as there are enough for it; whoever wants fewer waits behind it, so that nobody starves who wants many.
//!
//! - P1: of a bounded one, what is available is always its limit less what is held, and nothing while more is held than a lowered limit allows.
//! - P2: whenever the lock is free and nobody is about to take it for that, the first in line wants more than there is.

use std::fmt;
use std::future::Future;
use std::ops::Deref;

use asyncio_base::shim::Arc;

use crate::blocking::wait_blocking;
use crate::error::{AcquireError, OverRelease, TryAcquireError};
use crate::lock::Lock;
use crate::wait::{Door, List, Wait, Woken, wake_each};

/// A count of permits: asyncio's `Semaphore`. First in, first out.
///
/// When to use it: to bound how many do something at the same time. When not: for one at a time around a value, where a
/// [`Mutex`](crate::Mutex) says what it protects.
///
/// The number of permits may be changed while it is in use: [`add_permits`](Self::add_permits), [`forget_permits`](Self::forget_permits),
/// [`set_limit`](Self::set_limit).
///
/// # Examples
///
/// ```
/// use asyncio_sync::{Semaphore, TryAcquireError};
/// # futures_lite::future::block_on(async {
/// let semaphore = Semaphore::new(3);
/// let one = semaphore.acquire().await?;
/// let two = semaphore.acquire_many(2).await?;
/// assert_eq!(semaphore.try_acquire().unwrap_err(), TryAcquireError::NoPermits);
/// drop(two);
/// assert_eq!(semaphore.available_permits(), 2);
/// # Ok::<_, asyncio_sync::AcquireError>(())
/// # }).unwrap();
/// ```
#[doc(alias = "BoundedSemaphore")]
#[doc(alias = "CapacityLimiter")]
pub struct Semaphore {
    state: Lock<State>,
}

struct State {
    available: usize,
    /// How many there may be at most, available and held together.
    limit: Limit,
    is_closed: bool,
    waiting: List<Turn>,
}

/// How many permits there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Limit {
    /// As many as are added.
    None,
    /// So many, of which so many are held.
    Bounded { limit: usize, held: usize },
}

struct Turn {
    wanted: usize,
    was_closed: bool,
}

impl Semaphore {
    /// The most permits that a semaphore can have: `usize::MAX`, since they are only counted.
    pub const MAX_PERMITS: usize = usize::MAX;

    const_unless_modelled! {
        /// Makes a semaphore with so many permits, to which more may be added.
        pub fn new(permits: usize) -> Self {
            Self { state: Lock::new(State::new(permits, Limit::None)) }
        }
    }

    const_unless_modelled! {
        /// Makes a semaphore that never has more than so many permits, available and held: asyncio's `BoundedSemaphore`.
        ///
        /// # Examples
        ///
        /// ```
        /// use asyncio_sync::{OverRelease, Semaphore};
        ///
        /// let semaphore = Semaphore::bounded(3);
        /// assert_eq!(semaphore.add_permits(1), Err(OverRelease));
        /// semaphore.try_acquire().unwrap().forget();
        /// assert_eq!(semaphore.add_permits(1), Ok(()));
        /// ```
        pub fn bounded(permits: usize) -> Self {
            Self { state: Lock::new(State::new(permits, Limit::Bounded { limit: permits, held: 0 })) }
        }
    }

    /// Takes a permit, as soon as those who came before have had theirs.
    ///
    /// # Errors
    ///
    /// [`AcquireError`] if the semaphore is closed, before or meanwhile.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is ready, it loses its place in line and nothing else; permits that it had been given already go to the next one.
    #[inline]
    pub fn acquire(&self) -> impl Future<Output = Result<Permit<'_>, AcquireError>> {
        self.acquire_many(1)
    }

    /// Takes so many permits at once, as soon as those who came before have had theirs and so many are there. If there never are so many, it waits for
    /// ever, and those behind it, too.
    ///
    /// # Errors
    ///
    /// [`AcquireError`] if the semaphore is closed, before or meanwhile.
    ///
    /// # Cancel safety
    ///
    /// The same as for [`acquire`](Self::acquire).
    #[inline]
    pub fn acquire_many(&self, count: usize) -> impl Future<Output = Result<Permit<'_>, AcquireError>> {
        Wait::new(ToAcquire(self), Turn { wanted: count, was_closed: false })
    }

    /// Takes a permit that keeps the semaphore alive, and so is `'static`.
    ///
    /// # Errors
    ///
    /// [`AcquireError`] if the semaphore is closed, before or meanwhile.
    ///
    /// # Cancel safety
    ///
    /// The same as for [`acquire`](Self::acquire).
    pub fn acquire_owned(self: Arc<Self>) -> impl Future<Output = Result<OwnedPermit, AcquireError>> {
        self.acquire_many_owned(1)
    }

    /// Takes so many permits at once, which keep the semaphore alive.
    ///
    /// # Errors
    ///
    /// [`AcquireError`] if the semaphore is closed, before or meanwhile.
    ///
    /// # Cancel safety
    ///
    /// The same as for [`acquire`](Self::acquire).
    pub fn acquire_many_owned(
        self: Arc<Self>,
        count: usize,
    ) -> impl Future<Output = Result<OwnedPermit, AcquireError>> {
        Wait::new(ToAcquire(self), Turn { wanted: count, was_closed: false })
    }

    /// Takes a permit, and blocks the thread until there is one. For threads on which no loop runs.
    ///
    /// # Errors
    ///
    /// [`AcquireError`] if the semaphore is closed, before or meanwhile.
    ///
    /// # Panics
    ///
    /// Panics where it would block the thread of an event loop, inside of a task.
    #[track_caller]
    pub fn acquire_blocking(&self) -> Result<Permit<'_>, AcquireError> {
        match self.try_acquire() {
            Ok(permit) => Ok(permit),
            Err(TryAcquireError::Closed) => Err(AcquireError),
            Err(TryAcquireError::NoPermits) => {
                wait_blocking("acquire_blocking", "acquire().await", self.acquire())
            }
        }
    }

    /// Takes a permit if there is one and nobody waits for it.
    ///
    /// # Errors
    ///
    /// [`TryAcquireError`] if there is none, or the semaphore is closed.
    #[inline]
    pub fn try_acquire(&self) -> Result<Permit<'_>, TryAcquireError> {
        self.try_acquire_many(1)
    }

    /// Takes so many permits if there are as many and nobody waits for them.
    ///
    /// # Errors
    ///
    /// [`TryAcquireError`] if there are not, or the semaphore is closed.
    #[inline]
    pub fn try_acquire_many(&self, count: usize) -> Result<Permit<'_>, TryAcquireError> {
        self.state.lock().try_take(count)?;
        Ok(Permit { semaphore: self, count })
    }

    /// Takes a permit that is `'static`, if there is one and nobody waits for it.
    ///
    /// # Errors
    ///
    /// [`TryAcquireError`] if there is none, or the semaphore is closed.
    pub fn try_acquire_owned(self: Arc<Self>) -> Result<OwnedPermit, TryAcquireError> {
        self.try_acquire_many_owned(1)
    }

    /// Takes so many permits that are `'static`, if there are as many and nobody waits for them.
    ///
    /// # Errors
    ///
    /// [`TryAcquireError`] if there are not, or the semaphore is closed.
    pub fn try_acquire_many_owned(self: Arc<Self>, count: usize) -> Result<OwnedPermit, TryAcquireError> {
        self.state.lock().try_take(count)?;
        Ok(OwnedPermit { semaphore: self, count })
    }

    /// Adds permits, for instance those that were forgotten: asyncio's `release`.
    ///
    /// # Errors
    ///
    /// [`OverRelease`], and nothing changes, if a [bounded](Self::bounded) semaphore would have more than its limit, or any more than
    /// [`MAX_PERMITS`](Self::MAX_PERMITS).
    #[doc(alias = "release")]
    pub fn add_permits(&self, count: usize) -> Result<(), OverRelease> {
        self.state.lock().add(count)?;
        self.serve();
        Ok(())
    }

    /// Takes away up to so many of the available permits, for good, and says how many. Those who wait are not asked.
    ///
    /// Of a bounded semaphore they count as held: they may be added again.
    pub fn forget_permits(&self, count: usize) -> usize {
        let mut state = self.state.lock();
        let taken = count.min(state.available);
        state.available -= taken;
        state.hold(taken);
        taken
    }

    /// Changes how many permits a bounded semaphore has, while it is in use: Trio's and AnyIO's `total_tokens`.
    ///
    /// More are there at once. Fewer are taken from those that are available, and then from those that come back.
    ///
    /// # Examples
    ///
    /// ```
    /// let semaphore = asyncio_sync::Semaphore::bounded(2);
    /// let permit = semaphore.try_acquire().unwrap();
    /// semaphore.set_limit(1);
    /// assert_eq!(semaphore.available_permits(), 0, "the only one is held");
    /// drop(permit);
    /// assert_eq!(semaphore.available_permits(), 1);
    /// ```
    ///
    /// # Panics
    ///
    /// Panics if the semaphore is not [bounded](Self::bounded): how many are held of one that is not is not counted.
    #[track_caller]
    pub fn set_limit(&self, limit: usize) {
        assert!(
            self.state.lock().set_limit(limit),
            "`set_limit` needs a semaphore made by `Semaphore::bounded`"
        );
        self.serve();
    }

    /// How many permits are there now. Not guaranteed to be true a moment later.
    pub fn available_permits(&self) -> usize {
        self.state.lock().available
    }

    /// Closes it: whoever waits, or comes, gets an error. Permits that are held come back as usual.
    pub fn close(&self) {
        self.state.lock().is_closed = true;
        wake_each(&self.state, |state| {
            state.waiting.choose(|turn| turn.was_closed = true).map(|(waker, ())| waker)
        });
    }

    /// Says whether it is closed.
    pub fn is_closed(&self) -> bool {
        self.state.lock().is_closed
    }

    /// What is known of it at this moment.
    pub fn statistics(&self) -> SemaphoreStatistics {
        SemaphoreStatistics::of(&self.state.lock())
    }

    /// Gives permits back that were taken.
    #[inline]
    fn release(&self, count: usize) {
        let mut state = self.state.lock();
        let is_waited_for = state.take_back(count);
        drop(state);
        if is_waited_for {
            self.serve();
        }
    }

    /// Serves those in line, as far as the permits go (P2).
    fn serve(&self) {
        wake_each(&self.state, State::serve_first);
    }
}

impl fmt::Debug for Semaphore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Semaphore").field(&self.state.peek(SemaphoreStatistics::of)).finish()
    }
}

impl State {
    const fn new(available: usize, limit: Limit) -> Self {
        Self { available, limit, is_closed: false, waiting: List::new() }
    }

    #[inline]
    fn try_take(&mut self, count: usize) -> Result<(), TryAcquireError> {
        if self.is_closed {
            return Err(TryAcquireError::Closed);
        }
        if !self.waiting.is_empty() || self.available < count {
            return Err(TryAcquireError::NoPermits);
        }
        self.available -= count;
        self.hold(count);
        Ok(())
    }

    /// Notes that so many are not available any more.
    #[inline]
    fn hold(&mut self, count: usize) {
        if let Limit::Bounded { held, .. } = &mut self.limit {
            *held += count;
        }
    }

    fn serve_first(&mut self) -> Option<std::task::Waker> {
        let wanted = self.waiting.first()?.wanted;
        if wanted > self.available {
            return None;
        }
        self.available -= wanted;
        self.hold(wanted);
        self.waiting.choose(|_| ()).map(|(waker, ())| waker)
    }

    /// Adds permits that nobody held.
    fn add(&mut self, count: usize) -> Result<(), OverRelease> {
        match self.limit {
            Limit::Bounded { held, .. } if count > held => Err(OverRelease),
            Limit::Bounded { .. } => {
                self.take_back(count);
                Ok(())
            }
            Limit::None => {
                self.available = self.available.checked_add(count).ok_or(OverRelease)?;
                Ok(())
            }
        }
    }

    /// Takes permits back from whoever held them. Says whether somebody waits for some.
    #[inline]
    fn take_back(&mut self, count: usize) -> bool {
        match &mut self.limit {
            Limit::Bounded { limit, held } => {
                // More may come back than are held: `add_permits` has made good for one that was not lost after all.
                *held = held.saturating_sub(count);
                self.available = limit.saturating_sub(*held);
            }
            Limit::None => self.available = self.available.saturating_add(count),
        }
        !self.waiting.is_empty()
    }

    fn set_limit(&mut self, new: usize) -> bool {
        let Limit::Bounded { limit, held } = &mut self.limit else { return false };
        *limit = new;
        self.available = new.saturating_sub(*held);
        true
    }
}

/// What is known of a [`Semaphore`] at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SemaphoreStatistics {
    /// How many permits are there.
    pub available: usize,
    /// How many wait for some.
    pub waiting: usize,
    /// How many there may be at most, of a bounded one.
    pub limit: Option<usize>,
    /// Whether it is closed.
    pub is_closed: bool,
}

impl SemaphoreStatistics {
    fn of(state: &State) -> Self {
        let limit = match state.limit {
            Limit::Bounded { limit, .. } => Some(limit),
            Limit::None => None,
        };
        Self { available: state.available, waiting: state.waiting.len(), limit, is_closed: state.is_closed }
    }
}

/// One who refers to a semaphore, and so to the permit that he gets.
trait Holder: Deref<Target = Semaphore> {
    type Permit;

    /// The caller has just got the permits.
    fn permit(&self, count: usize) -> Self::Permit;
}

impl<'a> Holder for &'a Semaphore {
    type Permit = Permit<'a>;

    #[inline]
    fn permit(&self, count: usize) -> Permit<'a> {
        Permit { semaphore: self, count }
    }
}

impl Holder for Arc<Semaphore> {
    type Permit = OwnedPermit;

    fn permit(&self, count: usize) -> OwnedPermit {
        OwnedPermit { semaphore: self.clone(), count }
    }
}

/// The way to a permit.
struct ToAcquire<S>(S);

impl<S: Holder> Door for ToAcquire<S> {
    type State = State;
    type Turn = Turn;
    type Output = Result<S::Permit, AcquireError>;
    const NAME: &'static str = "semaphore.acquire";

    #[inline]
    fn lock(&self) -> &Lock<State> {
        &self.0.state
    }

    #[inline]
    fn list<'s>(state: &'s mut State, _: &Turn) -> &'s mut List<Turn> {
        &mut state.waiting
    }

    #[inline]
    fn enter(&self, state: &mut State, turn: &mut Turn, _: &mut Woken) -> Option<Self::Output> {
        match state.try_take(turn.wanted) {
            Ok(()) => Some(Ok(self.0.permit(turn.wanted))),
            Err(TryAcquireError::Closed) => Some(Err(AcquireError)),
            Err(TryAcquireError::NoPermits) => None,
        }
    }

    fn chosen(&self, turn: &mut Turn) -> Self::Output {
        match turn.was_closed {
            true => Err(AcquireError),
            false => Ok(self.0.permit(turn.wanted)),
        }
    }

    fn leave(&self, state: &mut State, turn: &mut Turn, was_chosen: bool, _: &mut Woken) {
        if was_chosen && !turn.was_closed {
            state.take_back(turn.wanted);
        }
    }

    fn left(&self) {
        // Whoever stood behind one that wanted many may be served now.
        self.0.serve();
    }
}

/// Some permits of a [`Semaphore`], which come back when this is dropped.
#[derive(Debug)]
#[must_use = "the permits come back at once if this is not kept"]
pub struct Permit<'a> {
    semaphore: &'a Semaphore,
    count: usize,
}

/// Some permits of a [`Semaphore`], which come back when this is dropped. It keeps the semaphore alive.
#[derive(Debug)]
#[must_use = "the permits come back at once if this is not kept"]
pub struct OwnedPermit {
    semaphore: Arc<Semaphore>,
    count: usize,
}

impl Permit<'_> {
    /// How many permits these are.
    pub const fn count(&self) -> usize {
        self.count
    }

    /// Keeps them from coming back. [`Semaphore::add_permits`] makes good for them.
    pub fn forget(mut self) {
        self.count = 0;
    }

    /// Splits off so many; `None` if there are fewer.
    #[must_use = "the permits come back at once if this is not kept"]
    pub fn split(&mut self, count: usize) -> Option<Self> {
        self.count = self.count.checked_sub(count)?;
        Some(Self { semaphore: self.semaphore, count })
    }

    /// Takes others over.
    ///
    /// # Panics
    ///
    /// Panics if they are of another semaphore, or more than [`Semaphore::MAX_PERMITS`] together.
    #[track_caller]
    pub fn merge(&mut self, mut other: Self) {
        assert!(std::ptr::eq(self.semaphore, other.semaphore), "permits of two semaphores cannot be merged");
        self.count = self.count.checked_add(other.count).expect("so many permits cannot be counted");
        other.count = 0;
    }
}

impl OwnedPermit {
    /// How many permits these are.
    pub const fn count(&self) -> usize {
        self.count
    }

    /// The semaphore that they came from.
    pub const fn semaphore(&self) -> &Arc<Semaphore> {
        &self.semaphore
    }

    /// Keeps them from coming back. [`Semaphore::add_permits`] makes good for them.
    pub fn forget(mut self) {
        self.count = 0;
    }

    /// Splits off so many; `None` if there are fewer.
    #[must_use = "the permits come back at once if this is not kept"]
    pub fn split(&mut self, count: usize) -> Option<Self> {
        self.count = self.count.checked_sub(count)?;
        Some(Self { semaphore: self.semaphore.clone(), count })
    }

    /// Takes others over.
    ///
    /// # Panics
    ///
    /// Panics if they are of another semaphore, or more than [`Semaphore::MAX_PERMITS`] together.
    #[track_caller]
    pub fn merge(&mut self, mut other: Self) {
        assert!(Arc::ptr_eq(&self.semaphore, &other.semaphore), "permits of two semaphores cannot be merged");
        self.count = self.count.checked_add(other.count).expect("so many permits cannot be counted");
        other.count = 0;
    }
}

impl Drop for Permit<'_> {
    #[inline]
    fn drop(&mut self) {
        if self.count > 0 {
            self.semaphore.release(self.count);
        }
    }
}

impl Drop for OwnedPermit {
    fn drop(&mut self) {
        if self.count > 0 {
            self.semaphore.release(self.count);
        }
    }
}

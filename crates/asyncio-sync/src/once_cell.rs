//! [`OnceCell`]: a value that is made once, by whoever comes first.
//!
//! The value lies in std's `OnceLock`, so reading it is one load. Who may make it is a lock, first in, first out; once it is made, all who wait for
//! it are let go together.
//!
//! - O1: only the maker, of whom there is one at a time, sets the value; so it is set once.
//! - O2: a maker that fails, panics or is dropped hands its turn to the next who waits.

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::sync::OnceLock;

use asyncio_base::shim::{AtomicBool, Ordering};

use crate::blocking::wait_blocking;
use crate::error::SetError;
use crate::lock::Lock;
use crate::locking::Locking;
use crate::wait::{Door, List, Wait, Woken, wake, wake_each};

/// A value that is made once, asynchronously, by whoever asks first.
///
/// When to use it: for what is made at first use, by an `async` function that may fail. When not: where making it needs no `await`,
/// [`std::sync::OnceLock`]; where how it is made is known beforehand, [`Lazy`](crate::Lazy).
///
/// # Examples
///
/// ```
/// use asyncio_sync::OnceCell;
/// # futures_lite::future::block_on(async {
/// static CONFIG: OnceCell<String> = OnceCell::new();
///
/// assert_eq!(CONFIG.get(), None);
/// let config = CONFIG.get_or_init(async || "read from somewhere".to_owned()).await;
/// assert_eq!(config, "read from somewhere");
/// assert!(CONFIG.set("another".into()).is_err());
/// # });
/// ```
pub struct OnceCell<T> {
    value: OnceLock<T>,
    /// Written under the lock, after the value; looked at without it. (std's own flag would do, but models do not see it.)
    is_made: AtomicBool,
    /// Who makes it, and who waits.
    making: Lock<Making>,
}

struct Making {
    locking: Locking,
    /// Those who wait for it without wanting to make it.
    watching: List<()>,
}

impl<T> OnceCell<T> {
    const_unless_modelled! {
        /// Makes a cell without a value.
        pub fn new() -> Self {
            let making = Making { locking: Locking::new(), watching: List::new() };
            Self { value: OnceLock::new(), is_made: AtomicBool::new(false), making: Lock::new(making) }
        }
    }

    /// Returns the value, if it is made.
    #[inline]
    pub fn get(&self) -> Option<&T> {
        // Acquire: pairs with the Release in `MakeTurn::set`.
        if self.is_made.load(Ordering::Acquire) { self.value.get() } else { None }
    }

    /// Returns the value to change, if it is made.
    pub fn get_mut(&mut self) -> Option<&mut T> {
        self.value.get_mut()
    }

    /// Says whether the value is made.
    pub fn is_set(&self) -> bool {
        self.get().is_some()
    }

    /// Returns the value, and makes it by `make` if it is not made. One makes it at a time; the others wait.
    ///
    /// If `make` panics, the next who waits makes it by his own. `make` must not ask for the value itself: it would wait for itself.
    ///
    /// # Cancel safety
    ///
    /// Dropped while it makes the value, it drops what `make` returned, and the next who waits makes it by his own. Nothing else is lost.
    pub async fn get_or_init<F: Future<Output = T>>(&self, make: impl FnOnce() -> F) -> &T {
        let made = self.get_or_try_init(|| async { Ok::<_, Infallible>(make().await) }).await;
        match made {
            Ok(value) => value,
            Err(never) => match never {},
        }
    }

    /// Returns the value, and makes it by `make` if it is not made, which may fail. One makes it at a time; the others wait.
    ///
    /// # Errors
    ///
    /// The error of `make`. The next who waits makes it by his own.
    ///
    /// # Cancel safety
    ///
    /// The same as for [`get_or_init`](Self::get_or_init).
    pub async fn get_or_try_init<E, F: Future<Output = Result<T, E>>>(
        &self,
        make: impl FnOnce() -> F,
    ) -> Result<&T, E> {
        if let Some(value) = self.get() {
            return Ok(value);
        }
        let Some(turn) = Wait::new(ToMake(self), ()).await else { return Ok(self.made()) };
        let value = make().await?;
        Ok(turn.set(value))
    }

    /// Returns the value, and makes it by `make` if it is not made, blocking the thread while another makes it. For threads on which no loop runs.
    ///
    /// # Panics
    ///
    /// Panics where it would block the thread of an event loop, inside of a task.
    #[track_caller]
    pub fn get_or_init_blocking(&self, make: impl FnOnce() -> T) -> &T {
        match self.get() {
            Some(value) => value,
            None => wait_blocking(
                "get_or_init_blocking",
                "get_or_init(..).await",
                self.get_or_init(|| async { make() }),
            ),
        }
    }

    /// Sets the value.
    ///
    /// # Errors
    ///
    /// Gives it back if the cell has one, or if somebody is making one.
    pub fn set(&self, value: T) -> Result<(), SetError<T>> {
        let mut making = self.making.lock();
        if self.is_set() {
            return Err(SetError::AlreadySet(value));
        }
        if !making.locking.try_lock() {
            return Err(SetError::BeingSet(value));
        }
        drop(making);
        MakeTurn { cell: self }.set(value);
        Ok(())
    }

    /// Waits until the value is made, by somebody else.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    pub async fn wait(&self) -> &T {
        if let Some(value) = self.get() {
            return value;
        }
        Wait::new(ToSee(self), ()).await;
        self.made()
    }

    /// Returns the value, if it is made, and ends the cell.
    pub fn into_inner(self) -> Option<T> {
        self.value.into_inner()
    }

    /// Takes the value out, if it is made; the cell is as new.
    pub fn take(&mut self) -> Option<T> {
        std::mem::take(self).into_inner()
    }

    /// What is known of it at this moment.
    pub fn statistics(&self) -> OnceCellStatistics {
        OnceCellStatistics::of(self, &self.making.lock())
    }

    fn made(&self) -> &T {
        // OK because whoever is told that it is made is told after it was set (O1).
        self.get().expect("the value was set before anybody was told of it")
    }
}

impl<T> Default for OnceCell<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> From<T> for OnceCell<T> {
    fn from(value: T) -> Self {
        let cell = Self::new();
        // OK because nobody else has the cell, so it is neither set nor being set.
        cell.set(value).expect("a new cell can be set");
        cell
    }
}

impl<T: fmt::Debug> fmt::Debug for OnceCell<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OnceCell")
            .field("value", &self.get())
            .field("statistics", &self.making.peek(|making| OnceCellStatistics::of(self, making)))
            .finish()
    }
}

/// What is known of a [`OnceCell`] at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct OnceCellStatistics {
    /// Whether the value is made.
    pub is_set: bool,
    /// Whether somebody is making it.
    pub is_being_set: bool,
    /// How many wait for it.
    pub waiting: usize,
}

impl OnceCellStatistics {
    fn of<T>(cell: &OnceCell<T>, making: &Making) -> Self {
        Self {
            is_set: cell.is_set(),
            is_being_set: making.locking.is_locked(),
            waiting: making.locking.waiting_count() + making.watching.len(),
        }
    }
}

/// The right to make the value (O1). Goes to the next who waits when it is dropped (O2).
struct MakeTurn<'a, T> {
    cell: &'a OnceCell<T>,
}

impl<'a, T> MakeTurn<'a, T> {
    fn set(self, value: T) -> &'a T {
        let cell = self.cell;
        // OK because this is the only maker, and there is none after a value was set (O1).
        cell.value.set(value).ok().expect("nobody else sets the value");
        let making = cell.making.lock();
        // Release: whoever sees it sees the value.
        cell.is_made.store(true, Ordering::Release);
        drop(making);
        // `self` lets all go.
        drop(self);
        cell.made()
    }
}

impl<T> Drop for MakeTurn<'_, T> {
    fn drop(&mut self) {
        let mut making = self.cell.making.lock();
        if !self.cell.is_set() {
            let next = making.locking.unlock(|()| ());
            drop(making);
            next.into_iter().for_each(wake);
            return;
        }
        drop(making);
        wake_each(&self.cell.making, Making::choose_any);
    }
}

impl Making {
    /// It is made: all who wait may go.
    fn choose_any(&mut self) -> Option<std::task::Waker> {
        let first = self.watching.choose(|()| ()).map(|(waker, ())| waker);
        first.or_else(|| self.locking.unlock(|()| ()))
    }
}

/// The way to make the value; `None` if it is made.
struct ToMake<'a, T>(&'a OnceCell<T>);

impl<'a, T> Door for ToMake<'a, T> {
    type State = Making;
    type Turn = ();
    type Output = Option<MakeTurn<'a, T>>;
    const NAME: &'static str = "once_cell.get_or_init";

    fn lock(&self) -> &Lock<Making> {
        &self.0.making
    }

    fn list<'s>(making: &'s mut Making, (): &()) -> &'s mut List<()> {
        making.locking.waiting()
    }

    fn enter(&self, making: &mut Making, (): &mut (), _: &mut Woken) -> Option<Self::Output> {
        if self.0.is_set() {
            return Some(None);
        }
        making.locking.try_lock().then(|| Some(MakeTurn { cell: self.0 }))
    }

    fn chosen(&self, (): &mut ()) -> Self::Output {
        match self.0.is_set() {
            true => None,
            false => Some(MakeTurn { cell: self.0 }),
        }
    }

    fn leave(&self, making: &mut Making, (): &mut (), was_chosen: bool, woken: &mut Woken) {
        if !self.0.is_set() {
            crate::mutex::hand_on(&mut making.locking, was_chosen, woken);
        }
    }
}

/// The way to see the value.
struct ToSee<'a, T>(&'a OnceCell<T>);

impl<T> Door for ToSee<'_, T> {
    type State = Making;
    type Turn = ();
    type Output = ();
    const NAME: &'static str = "once_cell.wait";

    fn lock(&self) -> &Lock<Making> {
        &self.0.making
    }

    fn list<'s>(making: &'s mut Making, (): &()) -> &'s mut List<()> {
        &mut making.watching
    }

    fn enter(&self, _: &mut Making, (): &mut (), _: &mut Woken) -> Option<()> {
        self.0.is_set().then_some(())
    }

    fn chosen(&self, (): &mut ()) {}

    fn leave(&self, _: &mut Making, (): &mut (), _: bool, _: &mut Woken) {}
}

//! [`WakeList`]: wakers collected under a lock and woken after it.
//!
//! A waker is user code: it may take any lock, wake a task that comes straight back, or panic. So no layer wakes
//! while it holds a lock. The list is a fixed array, so collecting allocates nothing; whoever fills it unlocks,
//! wakes, and goes on.
//!
//! 1. Wakers are woken in the order in which they were pushed.
//! 2. A waker that panics does not keep the others from being woken; the first panic goes on afterwards.

use std::fmt;
use std::mem::forget;
use std::panic::resume_unwind;
use std::task::Waker;

use crate::panic::catch_and_store;

/// Collects wakers under a lock, to be woken after it.
///
/// # Examples
///
/// ```
/// use asyncio_base::WakeList;
/// use std::task::Waker;
///
/// let mut list = WakeList::new();
/// while !list.is_full() {
///     list.push(Waker::noop().clone());
/// }
/// assert_eq!(list.len(), WakeList::CAPACITY);
/// list.wake_all();
/// assert!(list.is_empty());
/// ```
pub struct WakeList {
    wakers: [Option<Waker>; Self::CAPACITY],
    len: usize,
}

impl WakeList {
    /// How many wakers fit: 32, since 512 bytes of stack are cheap and a longer batch would hold the lock for long.
    pub const CAPACITY: usize = 32;

    /// Makes an empty list.
    #[inline]
    pub const fn new() -> Self {
        Self { wakers: [const { None }; Self::CAPACITY], len: 0 }
    }

    /// Adds a waker.
    ///
    /// # Panics
    ///
    /// Panics if the list is full: whoever collects asks [`is_full`](Self::is_full) first.
    #[inline]
    #[track_caller]
    pub fn push(&mut self, waker: Waker) {
        assert!(self.try_push(waker).is_ok(), "a full wake list was pushed to; wake it first");
    }

    /// Adds a waker, where there is room.
    ///
    /// # Errors
    ///
    /// Gives it back where there is none.
    #[inline]
    pub fn try_push(&mut self, waker: Waker) -> Result<(), Waker> {
        let Some(place) = self.wakers.get_mut(self.len) else { return Err(waker) };
        // There is nothing in it that would have to be dropped.
        forget(place.replace(waker));
        self.len += 1;
        Ok(())
    }

    /// Wakes all and empties the list. Call it without holding a lock.
    ///
    /// # Panics
    ///
    /// Goes on with the first panic of a waker, after all others have been woken.
    #[inline]
    pub fn wake_all(&mut self) {
        if self.len > 0 {
            self.wake_collected();
        }
    }

    fn wake_collected(&mut self) {
        let len = std::mem::take(&mut self.len);
        let mut first_panic = None;
        for waker in self.wakers[..len].iter_mut().filter_map(Option::take) {
            catch_and_store(&mut first_panic, || waker.wake());
        }
        if let Some(panic) = first_panic {
            resume_unwind(panic);
        }
    }

    /// Returns how many wakers are collected.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Says whether no waker is collected.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Says whether the next [`push`](Self::push) would panic.
    #[inline]
    pub const fn is_full(&self) -> bool {
        self.len == Self::CAPACITY
    }
}

impl Default for WakeList {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for WakeList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WakeList").field("len", &self.len).finish_non_exhaustive()
    }
}

//! The lock that ships: a flag, and a cell behind it.
//!
//! - K1: whoever moves the flag from `false` to `true` has the cell, until it stores `false`. Acquire and Release make the accesses of
//!   one holder come before those of the next.
//! - K2: a thread that finds it locked stands back for a while, longer each time, then gives its processor away, and at last sleeps: a
//!   holder that was interrupted gets to run, also where it has a lower priority under a real-time scheduler.
//!
//! Deliberately not here: fairness. Who comes first is decided under this lock, by the wait lists, not by it.

#![expect(unsafe_code, reason = "a cell behind a flag")]

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::time::Duration;

use asyncio_base::shim::{AtomicBool, Ordering, UnsafeCell, thread};

/// How many pauses a thread makes before it looks again; each time twice as many. About a microsecond, which is long beside what is done under the
/// lock: whoever has it goes on undisturbed for a while, and its cache lines stay where they are. `sync_channel_threads` takes 45 ns a message with
/// 64, 60 with 1, and 107 where a thread looks all the time.
const PAUSES_MIN: u32 = 64;
/// After so many it gives its processor away.
const PAUSES_MAX: u32 = 512;
/// How often it does that before it sleeps.
const YIELDS: u32 = 16;
/// How long it sleeps at a time: what the kernel's timer slack makes of any shorter time.
const NAP: Duration = Duration::from_micros(50);

/// Keeps a primitive's state.
pub(crate) struct Lock<T> {
    is_locked: AtomicBool,
    value: UnsafeCell<T>,
}

// SAFETY: K1: it hands a `&mut T` from one thread to another, as sending the value would, and never gives out two.
unsafe impl<T: Send> Sync for Lock<T> {}

impl<T> Lock<T> {
    const_unless_modelled! {
        /// Makes an unlocked lock around `value`.
        pub(crate) fn new(value: T) -> Self {
            Self { is_locked: AtomicBool::new(false), value: UnsafeCell::new(value) }
        }
    }

    /// Locks, as soon as nobody else has it.
    #[inline]
    pub(crate) fn lock(&self) -> LockGuard<'_, T> {
        if !self.take() {
            self.lock_contended();
        }
        LockGuard { lock: self }
    }

    /// Looks at the value if nobody else has the lock.
    pub(crate) fn peek<R>(&self, look: impl FnOnce(&T) -> R) -> Option<R> {
        self.take().then(|| look(&LockGuard { lock: self }))
    }

    /// Takes it if nobody has it.
    #[inline]
    fn take(&self) -> bool {
        // Acquire: K1, pairs with the Release in `LockGuard::drop`.
        self.is_locked.compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed).is_ok()
    }

    #[cold]
    fn lock_contended(&self) {
        let mut pauses = PAUSES_MIN;
        let mut turns = 0_u32;
        loop {
            if pauses <= PAUSES_MAX {
                for _ in 0..pauses {
                    std::hint::spin_loop();
                }
                pauses *= 2;
            } else if turns < YIELDS || cfg!(loom) {
                turns += 1;
                thread::yield_now();
            } else {
                // K2. Not a wait for something that could wake us: unlocking is a plain store, which knows of nobody. A wake would cost every unlock an
                // atomic step, and this comes only where a holder was interrupted for longer than all of the above.
                std::thread::sleep(NAP);
            }
            // Relaxed: a look; `take` decides. Looking leaves the line shared, where trying would move it back and forth.
            if !self.is_locked.load(Ordering::Relaxed) && self.take() {
                return;
            }
        }
    }
}

impl<T> fmt::Debug for Lock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lock").finish_non_exhaustive()
    }
}

/// Unlocks its [`Lock`] when dropped.
pub(crate) struct LockGuard<'a, T> {
    lock: &'a Lock<T>,
}

impl<T> Deref for LockGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: K1: we have the lock, and the result lives no longer than the guard.
        self.lock.value.with(|value| unsafe { &*value })
    }
}

impl<T> DerefMut for LockGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: K1: we have the lock, and `&mut self` makes it the only reference.
        self.lock.value.with_mut(|value| unsafe { &mut *value })
    }
}

impl<T> Drop for LockGuard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        // Release: K1, pairs with the Acquire in `take`.
        self.lock.is_locked.store(false, Ordering::Release);
    }
}

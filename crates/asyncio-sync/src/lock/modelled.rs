//! The lock of the models: the model checker's own, in the shape of `spin.rs`.

use std::fmt;

use asyncio_base::shim;

/// Keeps a primitive's state.
pub(crate) struct Lock<T>(shim::Mutex<T>);

/// Unlocks its [`Lock`] when dropped.
pub(crate) type LockGuard<'a, T> = shim::MutexGuard<'a, T>;

impl<T> Lock<T> {
    /// Makes an unlocked lock around `value`.
    pub(crate) fn new(value: T) -> Self {
        Self(shim::Mutex::new(value))
    }

    /// Locks, as soon as nobody else has it.
    pub(crate) fn lock(&self) -> LockGuard<'_, T> {
        self.0.lock()
    }

    /// Looks at the value if nobody else has the lock.
    pub(crate) fn peek<R>(&self, look: impl FnOnce(&T) -> R) -> Option<R> {
        self.0.try_lock().map(|value| look(&value))
    }
}

impl<T> fmt::Debug for Lock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lock").finish_non_exhaustive()
    }
}

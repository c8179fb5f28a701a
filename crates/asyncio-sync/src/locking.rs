//! [`Locking`]: who has a lock, and who waits for it. [`Mutex`](crate::Mutex), [`Condition`](crate::Condition) and
//! [`OnceCell`](crate::OnceCell) have one each.
//!
//! A lock that is given back goes straight to the first one in line, without being free in between: nobody barges in, and one who waits is next
//! after those before him. Invariant: where it is free, nobody waits.

use std::task::Waker;

use crate::wait::List;

/// Who has a lock, and who waits for it.
pub(crate) struct Locking<T = ()> {
    is_locked: bool,
    waiting: List<T>,
}

impl<T> Locking<T> {
    pub(crate) const fn new() -> Self {
        Self { is_locked: false, waiting: List::new() }
    }

    #[inline]
    pub(crate) fn try_lock(&mut self) -> bool {
        !std::mem::replace(&mut self.is_locked, true)
    }

    /// Hands it to the next one, or makes it free.
    #[inline]
    pub(crate) fn unlock(&mut self, settle: impl FnOnce(&mut T)) -> Option<Waker> {
        let next = self.waiting.choose(settle);
        if next.is_none() {
            self.is_locked = false;
        }
        next.map(|(waker, ())| waker)
    }

    pub(crate) const fn is_locked(&self) -> bool {
        self.is_locked
    }

    #[inline]
    pub(crate) fn waiting(&mut self) -> &mut List<T> {
        &mut self.waiting
    }

    pub(crate) fn waiting_count(&self) -> usize {
        self.waiting.len()
    }
}

//! [`Hot`]: a place for one item that its owner fills, and that anybody may take.

#![expect(unsafe_code, reason = "an item as a pointer that two threads may see and one gets")]

use std::marker::PhantomData;
use std::ptr::{self, NonNull};

use asyncio_base::shim::{AtomicPtr, Ordering};

use super::ring::Raw;

/// Null, or from `into_raw`: whoever swaps it out has it.
pub(super) struct Hot<T: Raw> {
    raw: AtomicPtr<()>,
    item: PhantomData<T>,
}

// SAFETY: items are `Send`, and pass from thread to thread with the pointer.
unsafe impl<T: Raw> Send for Hot<T> {}
// SAFETY: as above.
unsafe impl<T: Raw> Sync for Hot<T> {}

impl<T: Raw> Hot<T> {
    pub(super) fn new() -> Self {
        Self { raw: AtomicPtr::new(ptr::null_mut()), item: PhantomData }
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        // Relaxed: whoever acts on it swaps.
        self.raw.load(Ordering::Relaxed).is_null()
    }

    /// Puts an item here, and returns the one that was. For the owner alone: where it sees nothing, nobody else puts something.
    #[inline]
    pub(super) fn put(&self, item: T) -> Option<T> {
        let raw = item.into_raw().as_ptr();
        if self.is_empty() {
            // Release: what the item holds passes with it.
            self.raw.store(raw, Ordering::Release);
            return None;
        }
        self.swap(raw)
    }

    /// Takes the item.
    #[inline]
    pub(super) fn take(&self) -> Option<T> {
        if self.is_empty() { None } else { self.swap(ptr::null_mut()) }
    }

    fn swap(&self, raw: *mut ()) -> Option<T> {
        // Acquire and Release: what the item holds passes with it.
        let former = NonNull::new(self.raw.swap(raw, Ordering::AcqRel))?;
        // SAFETY: it came from `into_raw`, and whoever swaps it out is the only one who does.
        Some(unsafe { T::from_raw(former) })
    }
}

impl<T: Raw> Drop for Hot<T> {
    fn drop(&mut self) {
        drop(self.take());
    }
}

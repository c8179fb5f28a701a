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

    /// SeqCst: closing is seen after an item was put here, or the item is seen by closing (S2 in `shared.rs`).
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.raw.load(Ordering::SeqCst).is_null()
    }

    /// Puts an item here, and returns the one that was.
    #[inline]
    pub(super) fn replace(&self, item: T) -> Option<T> {
        self.swap(item.into_raw().as_ptr())
    }

    /// Takes the item.
    #[inline]
    pub(super) fn take(&self) -> Option<T> {
        if self.is_empty() { None } else { self.swap(ptr::null_mut()) }
    }

    fn swap(&self, raw: *mut ()) -> Option<T> {
        // SeqCst: as in `is_empty`; what the item holds passes with it.
        let former = NonNull::new(self.raw.swap(raw, Ordering::SeqCst))?;
        // SAFETY: it came from `into_raw`, and whoever swaps it out is the only one who does.
        Some(unsafe { T::from_raw(former) })
    }
}

impl<T: Raw> Drop for Hot<T> {
    fn drop(&mut self) {
        drop(self.take());
    }
}

//! [`OnceBox`]: a place that is filled once, by whoever comes first, and takes 8 bytes: `std::sync::OnceLock` would take 16.

#![expect(unsafe_code, reason = "a box as a pointer that many threads may read")]

use std::marker::PhantomData;
use std::ptr;

use asyncio_base::shim::{AtomicPtr, Ordering};

pub(crate) struct OnceBox<T> {
    /// Null, or of a `Box` that this owns.
    pointer: AtomicPtr<T>,
    owned: PhantomData<Box<T>>,
}

impl<T> OnceBox<T> {
    pub(crate) fn new(value: Option<Box<T>>) -> Self {
        let pointer = value.map_or(ptr::null_mut(), Box::into_raw);
        Self { pointer: AtomicPtr::new(pointer), owned: PhantomData }
    }

    #[inline]
    pub(crate) fn get(&self) -> Option<&T> {
        // Acquire: pairs with the exchange in `get_or_init`, so that what the box holds is seen.
        let pointer = self.pointer.load(Ordering::Acquire);
        // SAFETY: null, or of the box, which stays until `self` is dropped.
        unsafe { pointer.as_ref() }
    }

    pub(crate) fn get_or_init(&self, make: impl FnOnce() -> T) -> &T {
        if let Some(value) = self.get() {
            return value;
        }
        let made = Box::into_raw(Box::new(make()));
        // AcqRel: as in `get`, on both sides.
        let former =
            self.pointer.compare_exchange(ptr::null_mut(), made, Ordering::AcqRel, Ordering::Acquire);
        match former {
            // SAFETY: it has just been put there, and stays until `self` is dropped.
            Ok(_) => unsafe { &*made },
            Err(first) => {
                // SAFETY: nobody has seen it.
                drop(unsafe { Box::from_raw(made) });
                // SAFETY: not null, so of the box that is there.
                unsafe { &*first }
            }
        }
    }
}

impl<T> Drop for OnceBox<T> {
    fn drop(&mut self) {
        // Relaxed: `&mut` says that nobody else is there.
        let pointer = self.pointer.load(Ordering::Relaxed);
        if !pointer.is_null() {
            // SAFETY: it is of a `Box`, which is this one's.
            drop(unsafe { Box::from_raw(pointer) });
        }
    }
}

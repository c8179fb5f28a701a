//! The memory of tasks: a piece that one has left is the next one's of its size.
//!
//! What an allocator keeps at hand is little (glibc's: seven pieces of a size a thread). Where tasks come and go by hundreds it joins each piece that
//! it gets back to its neighbours, and parts them again for the next task. Go keeps the structures of its goroutines for the same reason.
//!
//! - B1: a piece in list `n` has `n` units, was allocated as so many, and is nobody's. Its first word leads to the next one.
//! - B2: the lists are their thread's alone, and end with it. A piece goes to those of the thread that frees it, wherever it was made.
//! - B3: a thread keeps [`KEPT_MAX`] bytes and no more, so that what one burst of tasks took comes back; and nothing where no task was made, so that
//!   who only frees keeps nothing for nobody.
//! - B4: where there is no room for a piece, it goes back, and so does one of another size: what is kept is what is used at present.

#![expect(unsafe_code, reason = "pieces of memory that are nobody's in a list through themselves")]

use std::alloc::{self, Layout};
use std::cell::Cell;
use std::mem::MaybeUninit;
use std::ptr::{self, NonNull};

/// A thousand tasks of 256 bytes.
const KEPT_MAX: usize = 256 << 10;
/// Larger ones are seldom, and to fill them takes longer than to find them.
const UNITS_MAX: usize = 128;
/// The alignment of every task whose future asks for no more: that of an id.
const UNIT: usize = align_of::<u64>();

/// One that is nobody's.
struct Piece {
    next: *mut Piece,
}

const _: () =
    assert!(size_of::<Piece>() <= UNIT && align_of::<Piece>() <= UNIT, "the smallest has room for it");

/// What one thread keeps.
struct Kept {
    /// By their sizes in units.
    lists: [Cell<*mut Piece>; UNITS_MAX + 1],
    bytes: Cell<usize>,
    /// Zero until a task is made here (B3).
    most: Cell<usize>,
    /// The list whose pieces give way (B4).
    hand: Cell<usize>,
}

thread_local! {
    static KEPT: Kept = const { Kept::new() };
}

/// Returns memory for a `T`, which is to be given to [`free`].
#[inline]
pub(super) fn allocate<T>() -> NonNull<MaybeUninit<T>> {
    let kept = const { units::<T>() }.and_then(|units| KEPT.try_with(|kept| kept.take(units)).ok().flatten());
    match kept {
        // It has the size and the alignment (B1).
        Some(piece) => piece.cast(),
        None => NonNull::from(Box::leak(Box::new_uninit())),
    }
}

/// Gives back what [`allocate`] returned.
///
/// # Safety
///
/// - `memory` comes from `allocate::<T>`, and nobody has it any more. There is no `T` in it.
#[inline]
pub(super) unsafe fn free<T>(memory: NonNull<MaybeUninit<T>>) {
    let is_kept = const { units::<T>() }.is_some_and(|units| {
        // SAFETY: as the caller says; a `T` has so many units.
        KEPT.try_with(|kept| unsafe { kept.push(units, memory.cast()) }).unwrap_or(false)
    });
    if !is_kept {
        // SAFETY: as the caller says. From a list or not, it was allocated as a `Box` of this size and alignment.
        drop(unsafe { Box::from_raw(memory.as_ptr()) });
    }
}

/// Returns the size of a `T` in units, if it is one to be kept.
const fn units<T>() -> Option<usize> {
    let (size, is_aligned) = (size_of::<T>(), align_of::<T>() == UNIT);
    // A model sees by its own allocations what is not freed, and a sanitizer what is used afterwards.
    let is_kept = !cfg!(any(loom, shuttle, asan)) && is_aligned && 0 < size && size <= UNITS_MAX * UNIT;
    if is_kept { Some(size / UNIT) } else { None }
}

impl Kept {
    const fn new() -> Self {
        let lists = [const { Cell::new(ptr::null_mut()) }; UNITS_MAX + 1];
        Self { lists, bytes: Cell::new(0), most: Cell::new(0), hand: Cell::new(1) }
    }

    /// Takes one for a task that is made.
    #[inline]
    fn take(&self, units: usize) -> Option<NonNull<Piece>> {
        let piece = self.pop(units);
        if piece.is_none() {
            self.most.set(KEPT_MAX);
        }
        piece
    }

    #[inline]
    fn pop(&self, units: usize) -> Option<NonNull<Piece>> {
        let list = &self.lists[units];
        let piece = NonNull::new(list.get())?;
        // SAFETY: B1, B2: it is nobody's, and its first word is there.
        list.set(unsafe { piece.read() }.next);
        self.bytes.set(self.bytes.get() - units * UNIT);
        Some(piece)
    }

    /// Says whether there is room for it.
    ///
    /// # Safety
    ///
    /// - `piece` has so many units, was allocated as such, and is nobody's.
    #[inline]
    unsafe fn push(&self, units: usize, piece: NonNull<Piece>) -> bool {
        let bytes = self.bytes.get() + units * UNIT;
        if bytes > self.most.get() {
            return self.refuse(units);
        }
        let list = &self.lists[units];
        // SAFETY: as the caller says.
        unsafe { piece.write(Piece { next: list.get() }) };
        list.set(piece.as_ptr());
        self.bytes.set(bytes);
        true
    }

    /// Has one of another size give way, for the next one of this size (B4).
    #[cold]
    fn refuse(&self, units: usize) -> bool {
        let other = self.hand.get();
        if other == units || !self.give_back(other) {
            self.hand.set(other % UNITS_MAX + 1);
        }
        false
    }

    /// Says whether there was one.
    fn give_back(&self, units: usize) -> bool {
        let Some(piece) = self.pop(units) else { return false };
        let layout = Layout::from_size_align(units * UNIT, UNIT).expect("as it was allocated");
        // SAFETY: B1.
        unsafe { alloc::dealloc(piece.as_ptr().cast(), layout) };
        true
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        for units in 1..=UNITS_MAX {
            while self.give_back(units) {}
        }
    }
}

#[cfg(all(test, not(any(loom, shuttle, asan))))]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::{iter, thread};

    use super::*;

    /// On a thread of its own, which keeps nothing yet.
    fn on_a_fresh_thread(test: impl FnOnce() + Send) {
        thread::scope(|scope| scope.spawn(test).join().expect("the test passes"));
    }

    fn kept() -> usize {
        KEPT.with(|kept| kept.bytes.get())
    }

    /// Makes so many at once, and frees them.
    fn burst<T>(count: usize) {
        let many: Vec<_> = (0..count).map(|_| allocate::<T>()).collect();
        for memory in many {
            // SAFETY: it was made above, and there is nothing in it.
            unsafe { free(memory) };
        }
    }

    #[test]
    fn what_one_has_left_is_the_next_ones_of_its_size() {
        on_a_fresh_thread(|| {
            let (nine, other_nine, ten) =
                (allocate::<[u64; 9]>(), allocate::<[i64; 9]>(), allocate::<[u64; 10]>());
            // SAFETY: each was just made, and there is nothing in it.
            unsafe { free(nine) };
            // SAFETY: as above.
            unsafe { free(ten) };
            // SAFETY: as above.
            unsafe { free(other_nine) };
            assert_eq!(kept(), 28 * 8);
            let again = [allocate::<[u64; 9]>(), allocate::<[u64; 9]>()];
            assert_eq!(again, [other_nine.cast(), nine], "the last one first");
            assert_eq!(kept(), 10 * 8);
            for memory in again {
                // SAFETY: as above.
                unsafe { free(memory) };
            }
        });
    }

    #[test]
    fn what_is_aligned_otherwise_or_large_goes_back_at_once() {
        #[repr(align(64))]
        struct Aligned(#[expect(dead_code, reason = "what matters is its place")] [u8; 64]);

        on_a_fresh_thread(|| {
            let aligned = allocate::<Aligned>();
            assert_eq!(aligned.addr().get() % 64, 0);
            // SAFETY: it was just made, and there is nothing in it.
            unsafe { free(aligned) };
            burst::<[u64; 1024]>(1);
            assert_eq!(kept(), 0);
            burst::<[u64; UNITS_MAX * UNIT / 8]>(1);
            assert_eq!(kept(), UNITS_MAX * UNIT);
        });
    }

    #[test]
    fn no_more_is_kept_than_so_much_and_what_is_not_used_any_more_gives_way() {
        on_a_fresh_thread(|| {
            burst::<[u64; 60]>(1);
            burst::<[u64; 50]>(KEPT_MAX / 400 + 10);
            assert!(kept() <= KEPT_MAX && kept() > KEPT_MAX - 400, "{}", kept());
            for _ in 0..20 {
                burst::<[u64; 60]>(100);
            }
            let sixties = iter::from_fn(|| KEPT.with(|kept| kept.give_back(60).then_some(())));
            assert_eq!(sixties.count(), 100, "though all but one were of another size");
        });
    }

    #[test]
    fn where_none_is_made_none_is_kept() {
        // A pointer is not `Send`.
        let addresses: Vec<usize> =
            (0..10).map(|_| allocate::<[u64; 9]>().as_ptr().expose_provenance()).collect();
        on_a_fresh_thread(move || {
            for address in addresses {
                let memory = NonNull::new(ptr::with_exposed_provenance_mut(address)).expect("allocated");
                // SAFETY: it was made above, and there is nothing in it.
                unsafe { free::<[u64; 9]>(memory) };
            }
            assert_eq!(kept(), 0);
        });
    }

    #[test]
    fn a_thread_that_keeps_nothing_any_more_may_still_free() {
        static WAS_OVER: AtomicBool = AtomicBool::new(false);

        struct Last;

        impl Drop for Last {
            fn drop(&mut self) {
                WAS_OVER.store(KEPT.try_with(|_| ()).is_err(), Ordering::SeqCst);
                burst::<[u64; 9]>(2);
            }
        }

        thread_local! {
            static LAST: Last = const { Last };
        }

        on_a_fresh_thread(|| {
            // The first one that is made is the last one that is dropped.
            LAST.with(|_| ());
            burst::<[u64; 9]>(3);
        });
        assert!(WAS_OVER.load(Ordering::SeqCst), "or this test shows nothing");
    }
}

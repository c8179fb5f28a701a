//! The memory of tasks: a piece that one has left is the next one's of its size.
//!
//! What an allocator keeps at hand is little (glibc's: seven pieces of a size a thread). Where tasks come and go by hundreds it joins each piece that it gets back to
//! its neighbours, and parts them again for the next task. CPython keeps the frames of its coroutines for the same reason, and Go the structures of
//! its goroutines.
//!
//! - B1: a piece in list `n` has `n` words, was allocated as so many, and is nobody's. Its first word leads to the next one.
//! - B2: the lists are their thread's alone, and end with it. A piece goes to those of the thread that frees it, wherever it was made.
//! - B3: a thread keeps [`KEPT_MAX`] bytes and no more, so that what one burst of tasks took comes back.

#![expect(unsafe_code, reason = "pieces of memory that are nobody's in a list through themselves")]

use std::alloc::{self, Layout};
use std::cell::Cell;
use std::mem::MaybeUninit;
use std::ptr::{self, NonNull};

/// A thousand tasks of 256 bytes.
const KEPT_MAX: usize = 256 << 10;
/// Larger ones are seldom, and to fill them takes longer than to find them.
const WORDS_MAX: usize = 128;
const WORD: usize = size_of::<*mut Piece>();

/// One that is nobody's.
struct Piece {
    next: *mut Piece,
}

/// What one thread keeps.
struct Kept {
    /// By their sizes in words.
    lists: [Cell<*mut Piece>; WORDS_MAX + 1],
    bytes: Cell<usize>,
}

thread_local! {
    static KEPT: Kept = const { Kept::new() };
}

/// Returns memory for a `T`, which is to be given to [`free`].
#[inline]
pub(super) fn allocate<T>() -> NonNull<MaybeUninit<T>> {
    let kept = const { words::<T>() }.and_then(|words| KEPT.try_with(|kept| kept.pop(words)).ok().flatten());
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
    let is_kept = const { words::<T>() }.is_some_and(|words| {
        // SAFETY: as the caller says; a `T` has so many words.
        KEPT.try_with(|kept| unsafe { kept.push(words, memory.cast()) }).unwrap_or(false)
    });
    if !is_kept {
        // SAFETY: as the caller says. From a list or not, it was allocated as a `Box` of this size and alignment.
        drop(unsafe { Box::from_raw(memory.as_ptr()) });
    }
}

/// Returns the size of a `T` in words, if it is one to be kept.
const fn words<T>() -> Option<usize> {
    let (size, is_aligned) = (size_of::<T>(), align_of::<T>() == WORD);
    // A model sees by its own allocations what is not freed, and a sanitizer what is used afterwards.
    let is_kept = !cfg!(any(loom, shuttle, asan)) && is_aligned && 0 < size && size <= WORDS_MAX * WORD;
    if is_kept { Some(size / WORD) } else { None }
}

impl Kept {
    const fn new() -> Self {
        Self { lists: [const { Cell::new(ptr::null_mut()) }; WORDS_MAX + 1], bytes: Cell::new(0) }
    }

    #[inline]
    fn pop(&self, words: usize) -> Option<NonNull<Piece>> {
        let list = &self.lists[words];
        let piece = NonNull::new(list.get())?;
        // SAFETY: B1, B2: it is nobody's, and its first word is there.
        list.set(unsafe { piece.read() }.next);
        self.bytes.set(self.bytes.get() - words * WORD);
        Some(piece)
    }

    /// Says whether there is room for it.
    ///
    /// # Safety
    ///
    /// - `piece` has so many words, was allocated as such, and is nobody's.
    #[inline]
    unsafe fn push(&self, words: usize, piece: NonNull<Piece>) -> bool {
        let bytes = self.bytes.get() + words * WORD;
        if bytes > KEPT_MAX {
            return false;
        }
        let list = &self.lists[words];
        // SAFETY: as the caller says; a size of no words is none.
        unsafe { piece.write(Piece { next: list.get() }) };
        list.set(piece.as_ptr());
        self.bytes.set(bytes);
        true
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        for words in 1..=WORDS_MAX {
            while let Some(piece) = self.pop(words) {
                let layout = Layout::array::<*mut Piece>(words).expect("as it was allocated");
                // SAFETY: B1.
                unsafe { alloc::dealloc(piece.as_ptr().cast(), layout) };
            }
        }
    }
}

#[cfg(all(test, not(any(loom, shuttle, asan))))]
mod tests {
    use super::*;

    /// On a thread of its own, which keeps nothing yet.
    fn on_a_fresh_thread(test: fn()) {
        std::thread::spawn(test).join().expect("the test passes");
    }

    fn kept() -> usize {
        KEPT.with(|kept| kept.bytes.get())
    }

    #[test]
    fn what_one_has_left_is_the_next_ones_of_its_size() {
        on_a_fresh_thread(|| {
            let (nine, other_nine, ten) =
                (allocate::<[u64; 9]>(), allocate::<[usize; 9]>(), allocate::<[u64; 10]>());
            // SAFETY: each was just made, and there is nothing in it.
            unsafe { free(nine) };
            // SAFETY: as above.
            unsafe { free(ten) };
            // SAFETY: as above.
            unsafe { free(other_nine) };
            assert_eq!(kept(), 28 * WORD);
            let again = [allocate::<[u64; 9]>(), allocate::<[u64; 9]>()];
            assert_eq!(again, [other_nine.cast(), nine], "the last one first");
            assert_eq!(kept(), 10 * WORD);
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
            // SAFETY: as above.
            unsafe { free(allocate::<[u64; WORDS_MAX + 1]>()) };
            assert_eq!(kept(), 0);
            // SAFETY: as above.
            unsafe { free(allocate::<[u64; WORDS_MAX]>()) };
            assert_eq!(kept(), WORDS_MAX * WORD);
        });
    }

    #[test]
    fn no_more_is_kept_than_so_much() {
        on_a_fresh_thread(|| {
            let many: Vec<_> = (0..=KEPT_MAX / (100 * WORD)).map(|_| allocate::<[u64; 100]>()).collect();
            for memory in many {
                // SAFETY: it was made above, and there is nothing in it.
                unsafe { free(memory) };
            }
            assert!(kept() <= KEPT_MAX && kept() > KEPT_MAX - 100 * WORD, "{}", kept());
        });
    }
}

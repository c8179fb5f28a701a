//! [`ReceiveBuffer`]: memory into which much is received, time and again.

use std::cell::Cell;
use std::fmt;
use std::ops::{Deref, DerefMut, Range};
use std::thread::LocalKey;

/// Where it begins. An allocator gives so large a piece 16 bytes behind the beginning of a page, and there a receive of 4 KiB takes a third
/// longer: what is copied begins a page as well, and a processor that compares low bits alone takes a read for one of what was just written.
const ALIGNMENT: usize = 64;

/// Memory for so many bytes, aligned. Pages that are not used are not there.
pub(crate) struct ReceiveBuffer {
    memory: Box<[u8]>,
    /// Where the buffer begins in it.
    start: u32,
    size: u32,
}

impl ReceiveBuffer {
    /// # Panics
    ///
    /// Panics above 4 GiB.
    pub(crate) fn new(size: usize) -> Self {
        let memory = vec![0_u8; size + ALIGNMENT].into_boxed_slice();
        // `align_offset` may give up, which costs time alone.
        let start = memory.as_ptr().align_offset(ALIGNMENT).min(ALIGNMENT) as u32;
        Self { memory, start, size: u32::try_from(size).expect("less than 4 GiB") }
    }

    /// Where its first `n` bytes are in the memory.
    ///
    /// # Panics
    ///
    /// Panics if it has fewer.
    #[inline]
    pub(crate) fn place_of(&self, n: usize) -> Range<usize> {
        assert!(n <= self.size as usize, "more bytes came than there is room for");
        self.start as usize..self.start as usize + n
    }

    /// The bytes in a [place](Self::place_of), or in a part of one.
    #[inline]
    pub(crate) fn at(&self, place: Range<usize>) -> &[u8] {
        &self.memory[place]
    }
}

impl Deref for ReceiveBuffer {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        &self.memory[self.start as usize..self.start as usize + self.size as usize]
    }
}

impl DerefMut for ReceiveBuffer {
    #[inline]
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.memory[self.start as usize..self.start as usize + self.size as usize]
    }
}

/// Where a thread keeps one that is lent.
pub(crate) type Place = LocalKey<Cell<Option<ReceiveBuffer>>>;

/// Lends a thread's own buffer, of `size` bytes, for one receive. Where the thread is ending, and its buffer is gone before the last of its sockets, there is a new one.
pub(crate) fn with_lent<R>(place: &'static Place, size: usize, receive: impl FnOnce(&mut [u8]) -> R) -> R {
    let kept = place.try_with(Cell::take).ok().flatten();
    let mut buffer = kept.unwrap_or_else(|| ReceiveBuffer::new(size));
    let received = receive(&mut buffer);
    let _ = place.try_with(|place| place.set(Some(buffer)));
    received
}

/// Without the bytes, which are nobody's who looks at a program.
impl fmt::Debug for ReceiveBuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReceiveBuffer").field("size", &self.size).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_begins_where_it_is_fast() {
        let mut buffer = ReceiveBuffer::new(100_000);
        assert_eq!((buffer.len(), buffer.as_mut_ptr().addr() % ALIGNMENT), (100_000, 0));
        buffer[99_999] = 1;
        assert_eq!(&buffer[99_998..], [0, 1]);
        let place = buffer.place_of(100_000);
        assert_eq!(buffer.at(place.end - 2..place.end), [0, 1]);
    }
}

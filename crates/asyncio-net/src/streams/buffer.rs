//! [`ReadBuffer`]: the bytes that have been received and not been read; and the large buffers that a thread lends.
//!
//! - B1: a stream without bytes has no buffer. It receives into one that its thread lends, keeps that while bytes are in it, and gives it back with
//!   the last one.
//! - B2: one that has to wait with a part of something copies that part out, and holds no more than it.
//! - B3: bytes come out in the order in which they came in, each once.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::io;
use std::ops::Range;
use std::task::Poll;

use crate::receive_buffer::ReceiveBuffer;

/// How many bytes one receive may bring: what Linux gives in one call from a socket's buffer of the default size, and what asyncio asks for four
/// times of (256 KiB, of which most stay unused).
const LENT: usize = 64 * 1024;
/// So many a thread keeps: a megabyte. More are in use at the same time only where streams are left with bytes unread.
const KEPT_MAX: usize = 16;
/// More than so many bytes are not copied out of a stream's own memory: that is given away, and shrunk where most of it is empty.
const OWN_MAX: usize = 4 * 1024;

thread_local! {
    static LENDING: Lending = const { Lending { last: Cell::new(None), others: RefCell::new(Vec::new()) } };
}

/// The buffers of a thread that nobody has.
struct Lending {
    /// The one that came back last, which goes out first: as long as streams read one after the other there is no other.
    last: Cell<Option<Box<Lent>>>,
    #[expect(clippy::vec_box, reason = "it is the boxes that go to and fro")]
    others: RefCell<Vec<Box<Lent>>>,
}

/// A buffer of a thread's, and which of its bytes are there.
struct Lent {
    buffer: ReceiveBuffer,
    /// Their [place](ReceiveBuffer::place_of).
    bytes: Range<usize>,
}

impl Lent {
    #[inline]
    fn data(&self) -> &[u8] {
        self.buffer.at(self.bytes.clone())
    }
}

#[inline]
fn borrow() -> Box<Lent> {
    // At the end of the thread nothing is kept any more.
    match LENDING.try_with(|lending| lending.last.take()) {
        Ok(Some(lent)) => lent,
        _ => borrow_another(),
    }
}

#[cold]
fn borrow_another() -> Box<Lent> {
    let kept = LENDING.try_with(|lending| lending.others.borrow_mut().pop()).ok().flatten();
    kept.unwrap_or_else(|| Box::new(Lent { buffer: ReceiveBuffer::new(LENT), bytes: 0..0 }))
}

#[inline]
fn give_back(lent: Box<Lent>) {
    if let Ok(Some(former)) = LENDING.try_with(|lending| lending.last.replace(Some(lent))) {
        keep_another(former);
    }
}

#[cold]
fn keep_another(lent: Box<Lent>) {
    let _ = LENDING.try_with(|lending| {
        let mut others = lending.others.borrow_mut();
        if others.len() + 1 < KEPT_MAX {
            others.push(lent);
        }
    });
}

/// The bytes that have been received and not been read. Two words, since every stream has one.
#[derive(Default)]
pub(super) struct ReadBuffer {
    /// Those of the last receive. Read before `own` is there again, so they are the only ones.
    lent: Option<Box<Lent>>,
    /// The stream's own; not while there is a lent one, and never without bytes.
    own: Option<Box<Own>>,
}

/// From `start` on.
#[derive(Default)]
struct Own {
    bytes: Vec<u8>,
    start: usize,
}

impl ReadBuffer {
    /// What is there.
    #[inline]
    pub(super) fn data(&self) -> &[u8] {
        match (&self.lent, &self.own) {
            (Some(lent), _) => lent.data(),
            (None, Some(own)) => &own.bytes[own.start..],
            (None, None) => &[],
        }
    }

    /// How much is there.
    #[inline]
    pub(super) fn len(&self) -> usize {
        match (&self.lent, &self.own) {
            (Some(lent), _) => lent.bytes.len(),
            (None, Some(own)) => own.bytes.len() - own.start,
            (None, None) => 0,
        }
    }

    /// B1.
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.lent.is_none() && self.own.is_none()
    }

    /// Receives some more; says how many. Where it has to wait, it holds no buffer but for what is in it.
    #[inline]
    pub(super) fn poll_fill(
        &mut self,
        receive: impl FnOnce(&mut [u8]) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        // B2, B3: what is there comes before what will be.
        if !self.is_empty() {
            self.keep();
        }
        let mut lent = borrow();
        let received = receive(&mut lent.buffer);
        match (&received, &mut self.own) {
            (Poll::Ready(Ok(n)), None) if *n > 0 => {
                lent.bytes = lent.buffer.place_of(*n);
                self.lent = Some(lent);
            }
            (Poll::Ready(Ok(n)), Some(own)) => {
                own.bytes.extend_from_slice(&lent.buffer[..*n]);
                give_back(lent);
            }
            _ => give_back(lent),
        }
        received
    }

    /// Moves what is there into the stream's own memory, and to its beginning.
    #[cold]
    fn keep(&mut self) {
        if let Some(lent) = self.lent.take() {
            let bytes = lent.data().to_vec();
            self.own = Some(Box::new(Own { bytes, start: 0 }));
            give_back(lent);
        } else if let Some(own) = self.own.as_mut().filter(|own| own.start > 0) {
            own.bytes.drain(..own.start);
            own.start = 0;
            if own.bytes.len() < own.bytes.capacity() / 4 {
                own.bytes.shrink_to(OWN_MAX);
            }
        }
    }

    /// Passes over the first `n` bytes.
    #[inline]
    pub(super) fn consume(&mut self, n: usize) {
        if let Some(lent) = &mut self.lent {
            lent.bytes.start += n;
            if lent.bytes.is_empty() {
                self.lent.take().into_iter().for_each(give_back);
            }
        } else if let Some(own) = &mut self.own {
            own.start += n;
            if own.start == own.bytes.len() {
                self.own = None;
            }
        }
    }

    /// Takes the first `n` bytes out.
    #[inline]
    pub(super) fn take(&mut self, n: usize) -> Vec<u8> {
        if let Some(lent) = &self.lent {
            let bytes = lent.data()[..n].to_vec();
            self.consume(n);
            return bytes;
        }
        self.take_of_own(n)
    }

    fn take_of_own(&mut self, n: usize) -> Vec<u8> {
        let is_whole = |own: &Own| own.start == 0 && n == own.bytes.len() && n > OWN_MAX;
        if self.own.as_deref().is_some_and(is_whole) {
            return self.own.take().unwrap_or_default().bytes;
        }
        let bytes = self.data()[..n].to_vec();
        self.consume(n);
        bytes
    }

    /// Takes all out.
    pub(super) fn take_all(&mut self) -> Vec<u8> {
        self.take(self.len())
    }
}

/// Without the bytes, which are nobody's who looks at a program; and a lent buffer has had others' in it.
impl fmt::Debug for ReadBuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadBuffer").field("len", &self.len()).finish_non_exhaustive()
    }
}

impl Drop for ReadBuffer {
    #[inline]
    fn drop(&mut self) {
        self.lent.take().into_iter().for_each(give_back);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::VecDeque;

    /// B3, beside a queue of bytes, by random steps.
    #[test]
    fn it_is_a_queue_of_bytes() {
        for seed in 0..40_u64 {
            let mut random = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
            let mut below = |bound: usize| {
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                (random % bound as u64) as usize
            };
            let (mut buffer, mut model, mut next) = (ReadBuffer::default(), VecDeque::new(), 0_u8);
            for _ in 0..300 {
                let there = model.len();
                match below(5) {
                    0 => {
                        let n = if below(10) == 0 { LENT } else { below(5000) };
                        let filled = buffer.poll_fill(|room| {
                            for byte in &mut room[..n] {
                                *byte = next;
                                model.push_back(next);
                                next = next.wrapping_add(1);
                            }
                            Poll::Ready(Ok(n))
                        });
                        assert!(matches!(filled, Poll::Ready(Ok(filled)) if filled == n));
                    }
                    1 => {
                        assert!(buffer.poll_fill(|_| Poll::Pending).is_pending());
                        assert!(buffer.lent.is_none(), "B2");
                    }
                    2 => {
                        let error = buffer.poll_fill(|_| Poll::Ready(Err(io::ErrorKind::Other.into())));
                        assert!(matches!(error, Poll::Ready(Err(_))));
                    }
                    3 => {
                        let n = below(there + 1);
                        buffer.consume(n);
                        model.drain(..n);
                    }
                    _ => {
                        let n = below(there + 1);
                        assert!(buffer.take(n).into_iter().eq(model.drain(..n)));
                    }
                }
                assert!(buffer.data().iter().eq(&model));
                assert_eq!((buffer.len(), buffer.is_empty()), (model.len(), model.is_empty()));
                assert!(!model.is_empty() || (buffer.lent.is_none() && buffer.own.is_none()), "B1");
            }
        }
    }

    #[test]
    fn a_thread_lends_again_what_came_back() {
        let mut one = ReadBuffer::default();
        let mut address = 0;
        let mut fill = |buffer: &mut ReadBuffer| {
            let filled = buffer.poll_fill(|room| {
                address = room.as_ptr().addr();
                Poll::Ready(Ok(1))
            });
            assert!(filled.is_ready());
            address
        };
        let first = fill(&mut one);
        let mut two = ReadBuffer::default();
        assert_ne!(fill(&mut two), first, "that one is in use");
        one.consume(1);
        let mut three = ReadBuffer::default();
        assert_eq!(fill(&mut three), first);
        drop(three);
        assert_eq!(fill(&mut one), first, "one that is dropped gives it back, too");
    }

    /// B1: of many that are in use at the same time, so many are kept.
    #[test]
    fn a_thread_keeps_so_many() {
        let kept = || LENDING.with(|lending| lending.others.borrow().len() + 1);
        let mut many: Vec<_> = (0..2 * KEPT_MAX).map(|_| ReadBuffer::default()).collect();
        for buffer in &mut many {
            assert!(buffer.poll_fill(|_| Poll::Ready(Ok(1))).is_ready());
        }
        assert_eq!(kept(), 1, "all are in use");
        for (at, buffer) in many.iter_mut().enumerate() {
            buffer.consume(1);
            assert_eq!(kept(), (at + 1).min(KEPT_MAX));
        }
    }
}

//! [`Outgoing`]: what was written and not sent, and whether that is too much.

use std::fmt;

/// asyncio's, 64 KiB and a quarter of it.
const HIGH: usize = 64 * 1024;
const LOW: usize = HIGH / 4;

/// Bytes that were written and not sent, and the water marks: more than the high one pauses whoever writes, until it is down to the low one.
pub(crate) struct Outgoing {
    /// From `sent` on. Without memory while nothing is unsent.
    queue: Vec<u8>,
    sent: usize,
    high: usize,
    low: usize,
    is_paused: bool,
}

impl Outgoing {
    pub(crate) fn new() -> Self {
        Self { queue: Vec::new(), sent: 0, high: HIGH, low: LOW, is_paused: false }
    }

    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.queue.extend_from_slice(bytes);
        self.look_at_marks();
    }

    /// `n` more bytes are sent.
    pub(crate) fn advance(&mut self, n: usize) {
        self.sent += n;
        if self.sent == self.queue.len() {
            self.sent = 0;
            self.queue = Vec::new();
        } else if self.sent > self.queue.len() / 2 {
            // No more bytes are moved than have been sent.
            self.queue.drain(..self.sent);
            self.sent = 0;
            if self.queue.len() < self.queue.capacity() / 4 {
                self.queue.shrink_to(LOW);
            }
        }
        self.look_at_marks();
    }

    /// Drops what is unsent.
    pub(crate) fn clear(&mut self) {
        self.queue = Vec::new();
        self.sent = 0;
        self.is_paused = false;
    }

    pub(crate) fn set_limits(&mut self, high: usize, low: usize) {
        (self.high, self.low) = (high, low);
        self.look_at_marks();
    }

    pub(crate) fn limits(&self) -> (usize, usize) {
        (self.high, self.low)
    }

    pub(crate) fn unsent(&self) -> &[u8] {
        &self.queue[self.sent..]
    }

    pub(crate) fn len(&self) -> usize {
        self.queue.len() - self.sent
    }

    /// Whether whoever writes is to wait.
    pub(crate) fn is_paused(&self) -> bool {
        self.is_paused
    }

    fn look_at_marks(&mut self) {
        if self.len() > self.high {
            self.is_paused = true;
        } else if self.len() <= self.low {
            self.is_paused = false;
        }
    }
}

/// Without the bytes, which are nobody's who looks at a program.
impl fmt::Debug for Outgoing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outgoing").field("len", &self.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::VecDeque;

    /// Beside a queue of bytes, by random steps.
    #[test]
    fn it_is_a_queue_of_bytes_with_two_marks() {
        for seed in 0..100_u64 {
            let mut random = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
            let mut below = |bound: usize| {
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                (random % bound as u64) as usize
            };
            let (mut outgoing, mut model, mut next) = (Outgoing::new(), VecDeque::new(), 0_u8);
            outgoing.set_limits(100, 20);
            let mut is_paused = false;
            for _ in 0..200 {
                if below(2) == 0 {
                    let bytes: Vec<u8> = (0..below(60)).map(|n| next.wrapping_add(n as u8)).collect();
                    next = next.wrapping_add(bytes.len() as u8);
                    outgoing.push(&bytes);
                    model.extend(bytes);
                } else {
                    let n = below(model.len() + 1);
                    outgoing.advance(n);
                    model.drain(..n);
                }
                is_paused = model.len() > 100 || (is_paused && model.len() > 20);
                assert!(outgoing.unsent().iter().eq(&model), "seed {seed}");
                assert_eq!((outgoing.len(), outgoing.is_paused()), (model.len(), is_paused), "seed {seed}");
                assert!(!model.is_empty() || outgoing.queue.capacity() == 0, "seed {seed}");
            }
        }
    }
}

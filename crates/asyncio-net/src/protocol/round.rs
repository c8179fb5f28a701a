//! [`Round`]: how much one connection may receive in its turn.

/// So many receives, or bytes, and a connection goes to the end of the queue: as much as asyncio takes at once.
const RECEIVES_MAX: usize = 16;
const BYTES_MAX: usize = 256 * 1024;

/// What a step has received.
#[derive(Clone, Copy, Default)]
pub(super) struct Round {
    pub(super) receives: usize,
    bytes: usize,
}

impl Round {
    #[inline]
    pub(super) fn count(&mut self, n: usize) {
        self.receives += 1;
        self.bytes += n;
    }

    #[inline]
    pub(super) fn goes_on(self) -> bool {
        self.receives < RECEIVES_MAX && self.bytes < BYTES_MAX
    }
}

//! [`Watching`]: those who wait for something to become so.
//!
//! It may be so for a moment only. Each who waits carries how often it had become so when he came; whoever makes it so counts once more, under the
//! same hold of the lock, and then wakes those who came before.

use std::task::Waker;

use crate::wait::List;

/// Those who wait for something to become so.
pub(crate) struct Watching {
    /// How often it has become so. Wraps: one who waits would have to be passed over two thousand million times to be taken for another.
    times: u32,
    waiting: List<u32>,
}

impl Watching {
    pub(crate) const fn new() -> Self {
        Self { times: 0, waiting: List::new() }
    }

    /// The list, for those who queue in it; what they carry is [`times`](Self::times).
    pub(crate) fn waiting(&mut self) -> &mut List<u32> {
        &mut self.waiting
    }

    pub(crate) const fn times(&self) -> u32 {
        self.times
    }

    /// It has become so.
    pub(crate) fn note(&mut self) {
        self.times = self.times.wrapping_add(1);
    }

    /// Chooses one who came before it became so.
    pub(crate) fn choose(&mut self) -> Option<Waker> {
        let came = *self.waiting.first()?;
        let came_before = self.times.wrapping_sub(came).wrapping_sub(1) < u32::MAX / 2;
        if !came_before {
            return None;
        }
        self.waiting.choose(|_| ()).map(|(waker, ())| waker)
    }
}

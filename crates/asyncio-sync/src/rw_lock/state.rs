//! Who has a [`RwLock`](super::RwLock), who waits, and who is next: plain sequential code, under the lock's lock.

use std::task::Waker;

use crate::wait::List;

/// What somebody wants of a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Want {
    Read,
    /// To read, and maybe to write later.
    ReadUpgradable,
    Write,
    /// To write, from one who reads upgradably.
    Upgrade,
}

/// Only guards that are forgotten in a loop come so far. A count that wraps would let a writer in beside them.
const READERS_MAX: usize = usize::MAX;

/// Who has it, and who waits.
pub(super) struct State {
    /// The upgradable one included.
    pub(super) readers: usize,
    pub(super) has_upgradable: bool,
    pub(super) has_writer: bool,
    pub(super) line: List<Want>,
}

impl State {
    pub(super) const fn new() -> Self {
        Self { readers: 0, has_upgradable: false, has_writer: false, line: List::new() }
    }

    /// R1.
    #[inline]
    const fn admits(&self, want: Want) -> bool {
        !self.has_writer
            && match want {
                Want::Read => self.readers < READERS_MAX,
                Want::ReadUpgradable => !self.has_upgradable && self.readers < READERS_MAX,
                Want::Write => self.readers == 0,
                // He himself.
                Want::Upgrade => self.readers == 1,
            }
    }

    #[inline]
    pub(super) fn try_take(&mut self, want: Want) -> bool {
        // R2: newcomers go behind those who wait, but for him whom they wait for.
        let may = (self.line.is_empty() || want == Want::Upgrade) && self.admits(want);
        if may {
            self.take(want);
        }
        may
    }

    #[inline]
    fn take(&mut self, want: Want) {
        match want {
            Want::Read => self.readers += 1,
            Want::ReadUpgradable => {
                self.readers += 1;
                self.has_upgradable = true;
            }
            Want::Write => self.has_writer = true,
            Want::Upgrade => {
                self.readers = 0;
                self.has_upgradable = false;
                self.has_writer = true;
            }
        }
    }

    /// Gives back what was taken for `want`. Says whether somebody waits.
    #[inline]
    pub(super) fn give_back(&mut self, want: Want) -> bool {
        match want {
            Want::Read => self.readers -= 1,
            Want::ReadUpgradable => {
                self.readers -= 1;
                self.has_upgradable = false;
            }
            Want::Write => self.has_writer = false,
            // He reads again.
            Want::Upgrade => self.exchange(Want::Write, Want::ReadUpgradable),
        }
        !self.line.is_empty()
    }

    /// From one guard to a lesser one, without a moment between.
    pub(super) fn exchange(&mut self, from: Want, to: Want) {
        self.give_back(from);
        self.take(to);
    }

    /// Serves the first one in line, if it may go.
    pub(super) fn serve_first(&mut self) -> Option<Waker> {
        let want = *self.line.first()?;
        if !self.admits(want) {
            return None;
        }
        self.take(want);
        self.line.choose(|_| ()).map(|(waker, ())| waker)
    }
}

//! [`Sending`]: how far the sending side of a [`Connection`] has come, and what is still to be sent. It lies under the lock of that, whose laws hold here (O2, O4).

use std::io::{self, IoSlice};
use std::task::Waker;

use asyncio_base::shim::{Arc, Weak};

use crate::outgoing::Outgoing;
use crate::server::{Presence, Seat};
use crate::streams::connection::Connection;
use crate::streams::lost::Lost;

/// Small, since every connection has one.
#[derive(Debug)]
pub(super) struct Sending {
    pub(super) phase: Phase,
    /// The [`Mark`]s that are set, a bit each.
    marks: u8,
    /// The number of its place in the server that accepted it, where there is one.
    seat: u32,
    /// The rest of that place, which is left with the connection.
    presence: Option<Presence>,
    /// Only while there is something in it.
    pub(super) rare: Option<Box<Rare>>,
}

/// All of it, with the socket, its lock and its counts, is to fit into 72 bytes: an allocator gives 80 for those, and 96 for more.
#[cfg(all(not(any(loom, shuttle)), target_os = "linux", target_pointer_width = "64"))]
const _: () = assert!(size_of::<Connection>() + 2 * size_of::<usize>() <= 72, "see above");

/// What may be true of a sending side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    /// O1.
    HasFlusher = 1,
    /// Bytes were written after the end, and dropped.
    IsLate = 1 << 1,
    IsAborted = 1 << 2,
    /// What the socket itself keeps is to be sent, too.
    Flushes = 1 << 3,
    /// Something that was written was dropped: the peer must not see an end that looks like one of everything.
    IsCut = 1 << 4,
}

/// What most connections never need.
#[derive(Debug)]
pub(super) struct Rare {
    /// What was written and not sent; O2.
    pub(super) outgoing: Outgoing,
    pub(super) error: Option<Lost>,
    /// Whoever waits in the writer: there is one, since that takes it by `&mut`.
    pub(super) waits: Option<Waker>,
    /// The flusher's, where all is sent and it waits for the socket's own bytes.
    pub(super) flusher: Option<Waker>,
    /// The connection that this one has become.
    pub(super) successor: Weak<Connection>,
    /// The one that has become this: kept for those who know it by that.
    pub(super) former: Option<Arc<Connection>>,
}

/// How far the sending side has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    Open,
    /// Nothing more is written; the peer is to see the end after what is unsent.
    Ending,
    /// The peer sees the end.
    Ended,
    /// The connection is closed after what is unsent.
    Closing,
    Closed,
}

impl Rare {
    fn new() -> Self {
        let (outgoing, successor) = (Outgoing::new(), Weak::new());
        Self { outgoing, error: None, waits: None, flusher: None, successor, former: None }
    }
}

impl Sending {
    pub(super) fn new() -> Self {
        Self { phase: Phase::Open, marks: 0, seat: 0, presence: None, rare: None }
    }

    #[inline]
    pub(super) fn is(&self, mark: Mark) -> bool {
        self.marks & mark as u8 != 0
    }

    #[inline]
    pub(super) fn set(&mut self, mark: Mark) {
        self.marks |= mark as u8;
    }

    pub(super) fn clear(&mut self, mark: Mark) {
        self.marks &= !(mark as u8);
    }

    /// Gives it its place in a server. Once.
    pub(super) fn sit(&mut self, seat: Seat) {
        debug_assert!(self.presence.is_none(), "a client of two servers");
        (self.seat, self.presence) = seat.into_parts();
    }

    pub(super) fn take_seat(&mut self) -> Option<Seat> {
        self.presence.take().map(|presence| Seat::of_parts(self.seat, presence))
    }

    pub(super) fn rare(&mut self) -> &mut Rare {
        self.rare.get_or_insert_with(|| Box::new(Rare::new()))
    }

    /// Gives back what is not needed any more.
    pub(super) fn tidy(&mut self) {
        let is_as_new = |rare: &Rare| {
            let outgoing = &rare.outgoing;
            outgoing.len() == 0
                && outgoing.limits() == Outgoing::new().limits()
                && rare.error.is_none()
                && rare.former.is_none()
        };
        if self.rare.as_deref().is_some_and(|rare| is_as_new(rare) && rare.waits.is_none()) {
            self.rare = None;
        }
    }

    /// Keeps what has not been sent of those bytes.
    #[cold]
    pub(super) fn keep(&mut self, bufs: &[IoSlice<'_>], mut sent: usize) {
        for buf in bufs {
            let passed = sent.min(buf.len());
            sent -= passed;
            self.rare().outgoing.push(&buf[passed..]);
        }
    }

    /// Whether what is written is sent at once, with nothing to look at before.
    #[inline]
    pub(super) fn is_free(&self) -> bool {
        self.phase == Phase::Open && !self.is(Mark::HasFlusher) && self.rare.is_none()
    }

    /// Whether a `drain` has nothing to wait for and nothing to tell: no error, nothing kept, nothing that was written too late.
    #[inline]
    pub(super) fn is_plain(&self) -> bool {
        self.rare.is_none() && !self.is(Mark::IsLate)
    }

    pub(super) fn unsent(&self) -> usize {
        self.rare.as_ref().map_or(0, |rare| rare.outgoing.len())
    }

    pub(super) fn is_paused(&self) -> bool {
        self.rare.as_ref().is_some_and(|rare| rare.outgoing.is_paused())
    }

    #[inline]
    pub(super) fn error(&self) -> Option<&Lost> {
        self.rare.as_ref()?.error.as_ref()
    }

    pub(super) fn has_broken_pipe(&self) -> bool {
        self.error().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
    }

    pub(super) fn take_waits(&mut self) -> Option<Waker> {
        self.rare.as_mut()?.waits.take()
    }

    /// Whether a flusher has something to do.
    pub(super) fn has_work(&self) -> bool {
        self.unsent() > 0 || self.is(Mark::Flushes) || matches!(self.phase, Phase::Ending | Phase::Closing)
    }

    /// O4.
    #[cold]
    pub(super) fn fail(&mut self, error: impl Into<Lost>) {
        let rare = self.rare();
        rare.error.get_or_insert_with(|| error.into());
        let is_cut = rare.outgoing.len() > 0;
        rare.outgoing.clear();
        if is_cut {
            self.set(Mark::IsCut);
        }
    }

    /// Whether what somebody waits for may have come.
    pub(super) fn is_worth_a_wake(&self) -> bool {
        self.error().is_some() || !self.is_paused() || !self.is(Mark::HasFlusher)
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        // Left last, so that a server has not ended before what is in here; and also where a waker of somebody's panics.
        let _seat = self.take_seat();
        self.rare = None;
    }
}

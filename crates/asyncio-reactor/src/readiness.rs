//! [`Readiness`]: what a reactor knows about one descriptor, and the vocabulary of it; [`Registrar`]: the reactor behind it.

use std::fmt::{self, Debug};
use std::io;
use std::ops::{BitAnd, BitOr, BitOrAssign};
use std::task::{Context, Poll};

use asyncio_base::WakeList;
use asyncio_base::shim::Arc;

use crate::state::IoState;
use crate::sys::BorrowedDescriptor;
use crate::waiter::Waiter;

/// A direction of a descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "complete: a descriptor is read or written")]
pub enum Direction {
    /// Receiving, accepting.
    Read,
    /// Sending, connecting.
    Write,
}

/// A set of conditions of a descriptor.
// The bits are epoll's, where it has them so low: its selector need not translate them one by one.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Ready(u8);

impl Ready {
    /// Nothing is known.
    pub const NONE: Self = Self(0);
    /// A read may succeed.
    pub const READABLE: Self = Self(1);
    /// Urgent data has been seen; from then on a read may stop short of what is there.
    pub const URGENT: Self = Self(1 << 1);
    /// A write may succeed.
    pub const WRITABLE: Self = Self(1 << 2);
    /// The sending side is shut down, or failed.
    pub const WRITE_CLOSED: Self = Self(1 << 3);
    /// The peer has shut down its sending side, or may have: a short read does not mean that nothing more comes.
    pub const READ_CLOSED: Self = Self(1 << 4);
    /// Everything that an error makes ready.
    pub const ERROR: Self =
        Self(Self::READABLE.0 | Self::WRITABLE.0 | Self::READ_CLOSED.0 | Self::WRITE_CLOSED.0);

    /// Returns the conditions under which an operation in `direction` is worth a try.
    #[inline]
    pub const fn of(direction: Direction) -> Self {
        match direction {
            Direction::Read => Self(Self::READABLE.0 | Self::READ_CLOSED.0),
            Direction::Write => Self(Self::WRITABLE.0 | Self::WRITE_CLOSED.0),
        }
    }

    /// Says whether one of `others` is in this set.
    #[inline]
    pub const fn intersects(self, others: Self) -> bool {
        self.0 & others.0 != 0
    }

    /// Says whether the set is empty.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub(crate) const fn bits(self) -> u8 {
        self.0
    }

    pub(crate) const fn from_bits(bits: u8) -> Self {
        Self(bits)
    }
}

impl BitOr for Ready {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitOrAssign for Ready {
    fn bitor_assign(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

impl BitAnd for Ready {
    type Output = Self;

    fn bitand(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}

impl Debug for Ready {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const NAMES: [(Ready, &str); 5] = [
            (Ready::READABLE, "readable"),
            (Ready::WRITABLE, "writable"),
            (Ready::READ_CLOSED, "read_closed"),
            (Ready::WRITE_CLOSED, "write_closed"),
            (Ready::URGENT, "urgent"),
        ];
        let names = NAMES.iter().filter(|(ready, _)| self.intersects(*ready)).map(|(_, name)| name);
        f.debug_set().entries(names).finish()
    }
}

/// What was known when an operation was tried: the conditions, and how many events had come until then.
///
/// Clearing takes it along, so that an event that came *during* the operation is never erased (tokio #6133 was that).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    pub(crate) word: u32,
}

impl Seen {
    /// Returns the conditions.
    #[inline]
    pub fn ready(self) -> Ready {
        Ready::from_bits(self.word as u8)
    }
}

/// What a reactor knows about one descriptor, as its one registration: made by [`Reactor::readiness`](crate::Reactor::readiness).
///
/// Whoever holds it tries the operation first. If the system says "would block", the holder [clears](Self::clear) what it
/// saw and [polls](Self::poll_ready) again. [`OsSocket`](crate::OsSocket) does so.
///
/// Laws, which hold where the reactor tells the [`IoState`] of every event, and closes it when it is closed itself:
/// 1. After `Pending` each [`Waiter`] that polled in this direction is woken by the next event of that direction; any
///    number may wait, none is lost, and a dropped one leaves nothing behind.
/// 2. `clear` with an outdated [`Seen`] changes nothing.
/// 3. After the reactor was closed, `poll_ready` gives [`LoopClosed`](asyncio_base::LoopClosed), also to those that wait.
/// 4. An event of an earlier owner of the descriptor's number is never seen.
pub struct Readiness {
    state: Arc<IoState>,
    key: usize,
    /// `None` once it is deregistered.
    registrar: Option<AnyRegistrar>,
}

impl Readiness {
    /// Makes what a reactor returns of a descriptor that it watches from now on, by a key of its own choice.
    pub fn new(state: Arc<IoState>, key: usize, registrar: AnyRegistrar) -> Self {
        Self { state, key, registrar: Some(registrar) }
    }

    /// Waits until an operation in `direction` is worth a try. `source` is the descriptor it was made for.
    ///
    /// # Errors
    ///
    /// Fails with `LoopClosed` after the reactor was closed, and with what the selector says when it cannot watch.
    #[inline]
    pub fn poll_ready(
        &self,
        cx: &mut Context<'_>,
        waiter: &mut Waiter,
        source: BorrowedDescriptor<'_>,
        direction: Direction,
    ) -> Poll<io::Result<Seen>> {
        let poll = self.state.poll_ready(cx, waiter, direction);
        if poll.is_pending() && !self.state.is_edge_triggered() {
            self.arm(source, direction)?;
        }
        poll
    }

    /// Says what is known, if by that an operation in `direction` is worth a try. Nobody waits; but where events do not come without being asked
    /// for, the next one of either direction is: a try after that asks anew.
    ///
    /// # Errors
    ///
    /// As [`poll_ready`](Self::poll_ready).
    #[inline]
    pub fn try_ready(
        &self,
        source: BorrowedDescriptor<'_>,
        direction: Direction,
    ) -> io::Result<Option<Seen>> {
        if let Some(verdict) = self.state.verdict(direction) {
            return verdict.map(Some);
        }
        if !self.state.is_edge_triggered() {
            self.arm(source, direction)?;
        }
        Ok(None)
    }

    fn arm(&self, source: BorrowedDescriptor<'_>, direction: Direction) -> io::Result<()> {
        match &self.registrar {
            Some(registrar) => registrar.inner.0.arm(&self.state, self.key, source, direction),
            None => Ok(()),
        }
    }

    /// Says that the system would have blocked an operation in `direction` tried after `seen`.
    #[inline]
    pub fn clear(&self, direction: Direction, seen: Seen) {
        self.state.clear(direction, seen);
    }

    /// Makes an event of both directions.
    pub(crate) fn wake_all(&self) {
        let mut woken = WakeList::new();
        self.state.set(Ready::READABLE | Ready::WRITABLE);
        while !self.state.take_wakers(Ready::ERROR, &mut woken) {
            woken.wake_all();
        }
        woken.wake_all();
    }

    /// Stops watching, before the descriptor is closed or given away. Those that wait stay silent.
    ///
    /// # Errors
    ///
    /// Fails with what the selector says; the descriptor is not watched any more in any case.
    pub fn deregister(mut self, source: BorrowedDescriptor<'_>) -> io::Result<()> {
        let Some(registrar) = self.registrar.take() else { return Ok(()) };
        registrar.inner.0.forget(self.key);
        registrar.inner.0.delete(source)
    }
}

impl Drop for Readiness {
    fn drop(&mut self) {
        // Without the descriptor: events of it find nobody from now on.
        self.registrar.take().into_iter().for_each(|registrar| registrar.inner.0.forget(self.key));
    }
}

impl Debug for Readiness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Readiness")
            .field("state", &self.state)
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

/// A reactor as its registrations know it: whom they ask for events, and who takes them back.
pub trait Registrar: Debug + Send + Sync + 'static {
    /// Somebody has to wait for `direction`, where events do not come without being asked for (the state is not
    /// [edge-triggered](IoState::edge_triggered)): asks for the next.
    ///
    /// # Errors
    ///
    /// Fails with what the selector says when it cannot watch.
    fn arm(
        &self,
        state: &IoState,
        key: usize,
        source: BorrowedDescriptor<'_>,
        direction: Direction,
    ) -> io::Result<()>;

    /// Events with this key find nobody from now on. Also after the reactor was closed.
    fn forget(&self, key: usize);

    /// Has the selector stop watching a descriptor whose key is forgotten. Also after the reactor was closed: the
    /// descriptor may be given to another one.
    ///
    /// # Errors
    ///
    /// Fails with what the selector says.
    fn delete(&self, source: BorrowedDescriptor<'_>) -> io::Result<()>;
}

/// A [`Registrar`] of any kind, in one word, since every connection has one. Clones are of the same one. The registrar must not hold the reactor that holds this.
#[derive(Clone)]
pub struct AnyRegistrar {
    inner: Arc<Thick>,
}

struct Thick(Box<dyn Registrar>);

impl AnyRegistrar {
    /// Makes what a reactor gives to all its registrations.
    pub fn new(registrar: impl Registrar) -> Self {
        Self { inner: Arc::new(Thick(Box::new(registrar))) }
    }
}

impl Debug for AnyRegistrar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.0.fmt(f)
    }
}

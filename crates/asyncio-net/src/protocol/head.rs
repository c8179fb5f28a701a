//! [`Head`]: what a connection has beside its protocol. It is all that a transport reaches, so a call of one knows its kind and its place.
//!
//! The laws are those of a [`Link`](super::link::Link). A head does not have the protocol: so that may keep its transport, and nothing goes in a circle.

use std::cell::{Cell, RefCell};
use std::io::{self, IoSlice};
use std::task::{Context, Poll, Waker};

use asyncio_base::shim::Arc;
use asyncio_reactor::{Direction, Received, Socket};

use crate::outgoing::Outgoing;
use crate::protocol::Flags;
use crate::protocol::driver::Key;
#[cfg(feature = "tls")]
use crate::protocol::wire::Around;
use crate::protocol::wire::{Kept, Wire};
use crate::server::{Presence, Seat};

/// A connection of a protocol without that. Kept small, since every connection has one: so its place in a server lies in parts beside the flags.
pub(super) struct Head {
    pub(super) wire: RefCell<Wire>,
    /// Notes the connection with the driver, and is its waker.
    pub(super) key: Arc<Key>,
    /// Its place in the server that accepted it, of the number `seat`.
    presence: Cell<Option<Presence>>,
    seat: Cell<u32>,
    pub(super) flags: Cell<Flags>,
}

impl Head {
    pub(super) fn new(key: Arc<Key>, socket: Arc<dyn Socket>, flags: Flags, seat: Option<Seat>) -> Self {
        let (seat, presence) = seat.map(Seat::into_parts).unwrap_or_default();
        Self {
            wire: RefCell::new(Wire::new(socket)),
            key,
            presence: Cell::new(presence),
            seat: Cell::new(seat),
            flags: Cell::new(flags),
        }
    }

    /// Takes its place in the server, to leave it.
    fn seat(&self) -> Option<Seat> {
        self.presence.take().map(|presence| Seat::of_parts(self.seat.get(), presence))
    }

    /// Has the driver look at it soon.
    pub(super) fn schedule(&self) {
        self.key.note();
    }

    pub(super) fn key(&self) -> &Key {
        &self.key
    }

    pub(super) fn waker(&self) -> Waker {
        Waker::from(self.key.clone())
    }

    #[inline]
    pub(super) fn has(&self, flags: Flags) -> bool {
        self.flags.get().has(flags)
    }

    #[inline]
    pub(super) fn set(&self, flags: Flags) {
        self.flags.set(self.flags.get().with(flags));
    }

    #[inline]
    pub(super) fn unset(&self, flags: Flags) {
        self.flags.set(self.flags.get().without(flags));
    }

    /// Returns the socket, until the connection is lost.
    pub(super) fn socket(&self) -> Option<Arc<dyn Socket>> {
        self.wire.borrow().socket.clone()
    }

    pub(super) fn unsent(&self) -> usize {
        self.wire.borrow().unsent()
    }

    pub(super) fn limits(&self) -> (usize, usize) {
        self.wire.borrow().outgoing().map_or_else(|| Outgoing::new().limits(), Outgoing::limits)
    }

    pub(super) fn set_limits(&self, high: usize, low: usize) {
        self.wire.borrow_mut().rare().outgoing.set_limits(high, low);
        self.look_at_marks();
    }

    /// Sends, and keeps what the system does not take.
    #[inline]
    pub(super) fn write(&self, bytes: &[u8]) {
        self.write_by(|wire| wire.send_or_keep(&self.key, bytes));
    }

    /// The same, of several buffers.
    pub(super) fn writev(&self, bufs: &[IoSlice<'_>]) {
        self.write_by(|wire| wire.send_or_keep_all(&self.key, bufs));
    }

    #[inline]
    fn write_by(&self, write: impl FnOnce(&mut Wire) -> io::Result<Kept>) {
        if self.flags.get().has_any(Flags::CLOSING.with(Flags::ENDS)) {
            assert!(self.has(Flags::CLOSING), "a protocol wrote after `write_eof`");
            return;
        }
        let written = write(&mut self.wire.borrow_mut());
        match written {
            Ok(Kept::Nothing) => {}
            Ok(Kept::Some) => self.look_at_marks(),
            Err(error) => {
                self.fail(error);
                self.schedule();
            }
        }
    }

    /// The peer sees the end after what is unsent.
    pub(super) fn write_eof(&self) {
        if !self.has(Flags::ENDS) && !self.has(Flags::CLOSING) {
            self.set(Flags::ENDS);
            self.schedule();
        }
    }

    pub(super) fn close(&self) {
        if !self.has(Flags::CLOSING) {
            self.set(Flags::CLOSING);
            self.wire.borrow_mut().receiving.leave();
            self.schedule();
        }
    }

    pub(super) fn abort(&self) {
        if !self.has(Flags::ABORTED) && !self.has(Flags::LOST) {
            self.set(Flags::CLOSING.with(Flags::ABORTED));
            self.drop_unsent();
            self.schedule();
        }
    }

    pub(super) fn pause_reading(&self) {
        self.set(Flags::READING_PAUSED);
        self.wire.borrow_mut().receiving.leave();
    }

    pub(super) fn resume_reading(&self) {
        if self.has(Flags::READING_PAUSED) {
            self.unset(Flags::READING_PAUSED);
            self.schedule();
        }
    }

    /// Puts another socket around this one, behind what is unsent, and receives nothing until it is [done](Self::shaken).
    #[cfg(feature = "tls")]
    pub(super) fn begin_shaking(&self, around: Around) -> io::Result<()> {
        self.set(Flags::SHAKING);
        let begun = self.wire.borrow_mut().change(around);
        self.schedule();
        begun
    }

    /// Waits until the other socket is there.
    #[cfg(feature = "tls")]
    pub(super) fn poll_changed(&self, cx: &Context<'_>) -> Poll<io::Result<Arc<dyn Socket>>> {
        let is_over = self.has(Flags::LOST) || self.has(Flags::ABORTED);
        let waker = cx.waker().clone();
        let mut wire = self.wire.borrow_mut();
        if is_over || !wire.is_changing() {
            let socket = wire.socket.clone().filter(|_| !is_over);
            return Poll::Ready(socket.ok_or_else(|| io::ErrorKind::NotConnected.into()));
        }
        let former = wire.rare().changed.replace(waker);
        drop(wire);
        drop(former);
        Poll::Pending
    }

    /// Receives again.
    #[cfg(feature = "tls")]
    pub(super) fn shaken(&self) {
        self.unset(Flags::SHAKING);
        self.schedule();
    }

    /// Waits for `connection_made`.
    pub(super) fn poll_made(&self, cx: &Context<'_>) -> Poll<io::Result<()>> {
        if self.has(Flags::MADE) {
            return Poll::Ready(Ok(()));
        }
        if self.has(Flags::LOST) {
            let error = self.wire.borrow_mut().rare.take().and_then(|rare| rare.error);
            return Poll::Ready(Err(error.unwrap_or_else(|| io::ErrorKind::NotConnected.into())));
        }
        let waker = cx.waker().clone();
        let former = self.wire.borrow_mut().rare().made.replace(waker);
        drop(former);
        Poll::Pending
    }

    /// The connection has an error, and ends at once.
    #[cold]
    pub(super) fn fail(&self, error: io::Error) {
        self.wire.borrow_mut().rare().error.get_or_insert(error);
        self.set(Flags::CLOSING.with(Flags::ABORTED));
        self.drop_unsent();
    }

    pub(super) fn drop_unsent(&self) {
        self.wire.borrow_mut().rare.iter_mut().for_each(|rare| rare.outgoing.clear());
        self.unset(Flags::PAUSED);
    }

    /// Notes whether what is unsent is too much.
    pub(super) fn note_marks(&self) {
        if self.wire.borrow().is_paused() {
            self.set(Flags::PAUSED);
        } else {
            self.unset(Flags::PAUSED);
        }
    }

    /// The same, where somebody calls the transport: outside of a callback somebody has to look whether the protocol is to be told (K3).
    pub(super) fn look_at_marks(&self) {
        self.note_marks();
        if !self.has(Flags::IN_CALLBACK) && self.flags.get().has_news_of_marks() {
            self.schedule();
        }
    }

    /// Sends what is unsent, and then the end, if there is to be one.
    #[inline(never)]
    pub(super) fn send_rest(&self) {
        // Not in the midst of a handshake.
        let ends = self.has(Flags::ENDS) && !self.has(Flags::ENDED) && !self.has(Flags::SHAKING);
        let waker = self.waker();
        let sent = self.wire.borrow_mut().poll_send_rest(&mut Context::from_waker(&waker), ends);
        match sent {
            Poll::Ready(Ok(())) if ends => self.set(Flags::ENDED),
            Poll::Ready(Err(error)) => self.fail(error),
            _ => {}
        }
        let mut wire = self.wire.borrow_mut();
        let is_changing = wire.is_changing();
        let changed = wire.rare.as_mut().filter(|_| !is_changing).and_then(|rare| rare.changed.take());
        drop(wire);
        changed.into_iter().for_each(Waker::wake);
        // The protocol is told after what has come.
        self.note_marks();
    }

    /// Whether the next event notes the connection anew, without being asked for.
    #[inline]
    pub(super) fn is_told_of_more(&self, received: Received) -> bool {
        received.is_drained && self.wire.borrow().receiving.stands(Direction::Read)
    }

    /// Whether it has [left](Self::give_up) all it has.
    pub(super) fn has_given_up(&self) -> bool {
        self.has(Flags::LOST) && self.wire.borrow().socket.is_none()
    }

    /// Leaves what a connection has that is lost; or that is to be now, though the protocol was not told.
    pub(super) fn give_up(&self) {
        self.set(Flags::LOST.with(Flags::CLOSING));
        let mut wire = self.wire.borrow_mut();
        wire.receiving.leave();
        let (socket, mut rare) = (wire.socket.take(), wire.rare.take());
        let made = rare.as_mut().and_then(|rare| rare.made.take());
        let changed = rare.as_mut().and_then(|rare| rare.changed.take());
        if made.is_some() {
            // The error is for whoever waits.
            std::mem::swap(&mut wire.rare, &mut rare);
        }
        // Before anybody's waker, which may panic: whoever keeps a transport keeps no place in the server.
        let seat = self.seat();
        drop(wire);
        made.into_iter().chain(changed).for_each(Waker::wake);
        drop((socket, seat, rare));
    }
}

impl Drop for Head {
    fn drop(&mut self) {
        drop(self.seat());
    }
}

#[cfg(all(test, target_pointer_width = "64"))]
mod tests {
    use super::*;

    /// With its counts 88 bytes, for which an allocator that deals in sixteens takes 96.
    #[test]
    fn it_is_small() {
        assert!(size_of::<Head>() <= 72, "{}", size_of::<Head>());
    }
}

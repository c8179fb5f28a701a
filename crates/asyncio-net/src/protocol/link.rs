//! [`Link`]: one connection of a protocol, and what happens to it, step by step.
//!
//! - K1: callbacks run in [`step`](Link::step) alone, one after the other. What they do to the transport shows in the flags and in the socket; the step looks
//!   at it when they return. So nothing of the link is borrowed while a callback runs, but the protocol itself.
//! - K2: `connection_made` comes first, `connection_lost` last, each once; the socket is closed behind it.
//! - K3: the protocol is told that it may not write right after the callback that wrote too much, and that it may again, in turns.
//!   A connection of which nothing is known but that it is made has a step of its own, since nearly every one is such; it leaves that by the first flag.
//! - K4: a panic in a callback is an error of the connection, which ends at once. `connection_lost` is told of it.

use std::cell::{Cell, RefCell};
use std::io::{self, IoSlice};
use std::net::Shutdown;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};

use asyncio_base::panic::{Payload, catch_and_store, into_message};
use asyncio_base::report::Report;
use asyncio_base::shim::Arc;
use asyncio_reactor::{Direction, Received, Socket};

use crate::outgoing::Outgoing;
use crate::protocol::callbacks::OnEof;
use crate::protocol::driven::Driven;
use crate::protocol::driver::{Key, Wishes};
use crate::protocol::round::Round;
#[cfg(feature = "tls")]
use crate::protocol::wire::Around;
use crate::protocol::wire::{Kept, Wire};
use crate::protocol::{Flags, Transport};
use crate::server::{Seat, Ticket};

/// One connection of a protocol.
pub(super) struct Link<P: ?Sized> {
    wire: RefCell<Wire>,
    /// Notes the connection with the driver, and is its waker.
    key: Arc<Key>,
    flags: Cell<Flags>,
    /// Its place in the server that accepted it.
    seat: Cell<Option<Seat>>,
    protocol: RefCell<P>,
}

impl<P: Driven> Link<P> {
    pub(super) fn new(
        key: Arc<Key>,
        socket: Arc<dyn Socket>,
        protocol: P,
        ticket: Option<Ticket<'_>>,
    ) -> Self {
        let seat = ticket.map(|ticket| ticket.sit(&key).0);
        let flags = if protocol.is_buffered() { Flags::BUFFERED } else { Flags::NONE };
        Self {
            wire: RefCell::new(Wire::new(socket)),
            key,
            flags: Cell::new(flags),
            seat: Cell::new(seat),
            protocol: RefCell::new(protocol),
        }
    }

    /// Looks at the protocol, between two callbacks.
    pub(super) fn with<R>(&self, f: impl FnOnce(&mut P) -> R) -> Option<R> {
        Some(f(&mut *self.protocol.try_borrow_mut().ok()?))
    }
}

impl<P: Driven + ?Sized> Link<P> {
    /// Has the driver look at it soon.
    pub(super) fn schedule(&self) {
        self.key.note();
    }

    pub(super) fn key(&self) -> &Key {
        &self.key
    }

    fn waker(&self) -> Waker {
        Waker::from(self.key.clone())
    }

    pub(super) fn has(&self, flags: Flags) -> bool {
        self.flags.get().has(flags)
    }

    fn set(&self, flags: Flags) {
        self.flags.set(self.flags.get().with(flags));
    }

    fn unset(&self, flags: Flags) {
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
    fn fail(&self, error: io::Error) {
        self.wire.borrow_mut().rare().error.get_or_insert(error);
        self.set(Flags::CLOSING.with(Flags::ABORTED));
        self.drop_unsent();
    }

    fn drop_unsent(&self) {
        self.wire.borrow_mut().rare.iter_mut().for_each(|rare| rare.outgoing.clear());
        self.unset(Flags::PAUSED);
    }

    /// Notes whether what is unsent is too much.
    fn note_marks(&self) {
        if self.wire.borrow().is_paused() {
            self.set(Flags::PAUSED);
        } else {
            self.unset(Flags::PAUSED);
        }
    }

    /// The same, where somebody calls the transport: outside of a callback somebody has to look whether the protocol is to be told (K3).
    fn look_at_marks(&self) {
        self.note_marks();
        if !self.has(Flags::IN_CALLBACK) && self.flags.get().has_news_of_marks() {
            self.schedule();
        }
    }

    /// Calls back, then tells of the water marks (K3).
    #[inline]
    fn call<R>(&self, name: &str, f: impl FnOnce(&mut P) -> R) -> Option<R> {
        let result = self.call_once(name, f);
        self.tell_marks_if_new();
        result
    }

    #[inline]
    fn tell_marks_if_new(&self) {
        if self.flags.get().has_news_of_marks() {
            self.tell_marks();
        }
    }

    /// Tells of the water marks, as long as there is news.
    #[cold]
    fn tell_marks(&self) {
        // A protocol that writes whenever it is told anything is told the rest by the next step.
        for _ in 0..3 {
            if !self.flags.get().has_news_of_marks() || self.has(Flags::ABORTED) {
                return;
            }
            if self.has(Flags::PAUSED) {
                self.set(Flags::TOLD_PAUSED);
                self.call_once("pause_writing", P::pause_writing);
            } else {
                self.unset(Flags::TOLD_PAUSED);
                self.call_once("resume_writing", P::resume_writing);
            }
        }
        self.schedule();
    }

    fn call_once<R>(&self, name: &str, f: impl FnOnce(&mut P) -> R) -> Option<R> {
        let mut panic = None;
        self.set(Flags::IN_CALLBACK);
        let result = catch_and_store(&mut panic, || f(&mut *self.protocol.borrow_mut()));
        self.unset(Flags::IN_CALLBACK);
        if let Some(payload) = panic {
            self.panicked(name, payload);
        }
        result
    }

    /// K4.
    #[cold]
    fn panicked(&self, name: &str, payload: Payload) {
        let text = into_message(payload);
        let what = format_args!("`{name}` of a protocol panicked, and its connection is closed: {text}");
        Report::new("net", what).panicked().send();
        self.fail(io::Error::other(format!("`{name}` panicked: {text}")));
    }
}

impl Link<dyn Driven> {
    /// Does what is to be done; says whether the connection is over.
    #[inline]
    pub(super) fn step(&self, this: &Rc<Self>, wishes: Wishes, buffer: &mut [u8]) -> bool {
        if self.flags.get() == Flags::PLAIN && wishes.is_turn_alone() {
            self.step_plainly(this, wishes, buffer)
        } else {
            self.step_in_full(this, wishes, buffer)
        }
    }

    /// The step of a connection of which nothing is known but that it is made: it receives. One look at the flags behind each callback shows whether
    /// that has changed; then the step goes on as any other.
    fn step_plainly(&self, this: &Rc<Self>, wishes: Wishes, buffer: &mut [u8]) -> bool {
        let mut round = Round::default();
        while round.goes_on() {
            let mut wire = self.wire.borrow_mut();
            if round.receives == 0 && wire.rare.is_some() {
                drop(wire);
                return self.step_in_full(this, wishes, buffer);
            }
            let received = wire.poll_receive(&self.key, buffer);
            // If the callback has it leave, and flags show nothing of that, it has paused and resumed reading, which notes the connection.
            let is_told = wire.receiving.stands(Direction::Read);
            drop(wire);
            let received = match received {
                Poll::Ready(Ok(received)) if received.n > 0 => received,
                Poll::Pending => return false,
                Poll::Ready(end) => return self.after_the_last(end),
            };
            round.count(received.n);
            let mut panic = None;
            self.flags.set(Flags::PLAIN.with(Flags::IN_CALLBACK));
            catch_and_store(&mut panic, || self.protocol.borrow_mut().received(received.n, buffer));
            if panic.is_some() || self.flags.get() != Flags::PLAIN.with(Flags::IN_CALLBACK) {
                return self.after_a_callback(panic, received, buffer, round);
            }
            self.flags.set(Flags::PLAIN);
            // The next event notes the connection anew, without being asked for.
            if received.is_drained && is_told {
                return false;
            }
        }
        self.schedule();
        false
    }

    /// Goes on with a step in which a callback has done something to the transport, or has panicked.
    #[cold]
    fn after_a_callback(
        &self,
        panic: Option<Payload>,
        received: Received,
        buffer: &mut [u8],
        round: Round,
    ) -> bool {
        self.unset(Flags::IN_CALLBACK);
        if let Some(payload) = panic {
            self.panicked("data_received", payload);
        }
        self.tell_marks_if_new();
        if !self.is_told_of_more(received) {
            self.receive(buffer, round);
        }
        self.end_step()
    }

    /// Goes on with a step in which the end has come, or an error.
    #[cold]
    fn after_the_last(&self, end: io::Result<Received>) -> bool {
        match end {
            Ok(_) => self.end_of_peer(),
            Err(error) => self.fail(error),
        }
        self.end_step()
    }

    #[inline(never)]
    fn step_in_full(&self, this: &Rc<Self>, wishes: Wishes, buffer: &mut [u8]) -> bool {
        if self.has(Flags::LOST) {
            return true;
        }
        if wishes.has(Wishes::CLOSE | Wishes::ABORT) {
            self.grant(wishes);
        }
        if !self.has(Flags::MADE) {
            match self.make(this) {
                Some(true) => {}
                Some(false) => return false,
                None => return true,
            }
        }
        let has_rest = self.has(Flags::ENDS) || self.wire.borrow().rare.is_some();
        if has_rest && !self.has(Flags::ABORTED) {
            self.send_rest();
        }
        self.receive(buffer, Round::default());
        self.end_step()
    }

    fn end_step(&self) -> bool {
        // Where nothing has come, the marks may be news all the same.
        self.tell_marks_if_new();
        self.has(Flags::CLOSING) && self.poll_lost().is_ready()
    }

    /// Does what a server wants.
    #[cold]
    fn grant(&self, wishes: Wishes) {
        if wishes.has(Wishes::CLOSE) {
            self.close();
        }
        if wishes.has(Wishes::ABORT) {
            self.abort();
        }
    }

    /// Tells the protocol that the connection is made, once it can be used; says whether the step goes on, or is the last (`None`).
    #[inline(never)]
    fn make(&self, this: &Rc<Self>) -> Option<bool> {
        let shaken = self.wire.borrow_mut().poll_handshake(&self.key);
        match shaken {
            Poll::Ready(Ok(())) => {}
            Poll::Pending if !self.has(Flags::CLOSING) => return Some(false),
            // One that is to be closed before has never been made.
            Poll::Pending => return None,
            // For whoever waits; what a client of a server says instead of shaking hands is its own affair.
            Poll::Ready(Err(error)) => {
                self.fail(error);
                return None;
            }
        }
        self.call("connection_made", |protocol| protocol.connection_made(Transport::of(this)));
        self.set(Flags::MADE);
        let waits = self.wire.borrow_mut().rare.as_mut().and_then(|rare| rare.made.take());
        let is_waited_for = waits.is_some();
        if let Some(waits) = waits {
            // Whoever made the connection has it before anything else happens to it.
            waits.wake();
            self.schedule();
        }
        Some(!is_waited_for)
    }

    /// Sends what is unsent, and then the end, if there is to be one.
    #[inline(never)]
    fn send_rest(&self) {
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
    fn is_told_of_more(&self, received: Received) -> bool {
        received.is_drained && self.wire.borrow().receiving.stands(Direction::Read)
    }

    /// Receives what there is, within limits.
    fn receive(&self, buffer: &mut [u8], mut round: Round) {
        while round.goes_on() {
            if self.flags.get().has_any(Flags::NO_READING) {
                return;
            }
            let received = if self.has(Flags::BUFFERED) {
                self.receive_into_its_own(buffer.len())
            } else {
                self.wire.borrow_mut().poll_receive(&self.key, buffer)
            };
            match received {
                Poll::Ready(Ok(Received { n: 0, .. })) => return self.end_of_peer(),
                Poll::Ready(Ok(received)) => {
                    self.call("data_received", |protocol| protocol.received(received.n, buffer));
                    round.count(received.n);
                    if self.is_told_of_more(received) {
                        return;
                    }
                }
                Poll::Ready(Err(error)) => return self.fail(error),
                Poll::Pending => return,
            }
        }
        self.schedule();
    }

    #[inline(never)]
    fn receive_into_its_own(&self, size_hint: usize) -> Poll<io::Result<Received>> {
        // What else it is to be told comes after the bytes.
        let received = self.call_once("get_buffer", |protocol| {
            let buffer = protocol.buffer(size_hint);
            if self.flags.get().has_any(Flags::NO_READING) {
                return Poll::Pending;
            }
            if buffer.is_empty() {
                let why = "`get_buffer` of a protocol gave an empty buffer";
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidInput, why)));
            }
            self.wire.borrow_mut().poll_receive(&self.key, buffer)
        });
        // It has panicked.
        received.unwrap_or(Poll::Pending)
    }

    #[inline(never)]
    fn end_of_peer(&self) {
        self.set(Flags::EOF);
        self.wire.borrow_mut().receiving.leave();
        if self.call("eof_received", |protocol| protocol.eof_received()) == Some(OnEof::Close) {
            self.close();
        }
    }

    /// Ends the connection, once everything is sent (K2).
    #[inline(never)]
    fn poll_lost(&self) -> Poll<()> {
        if !self.has(Flags::ABORTED) {
            if self.unsent() > 0 {
                return Poll::Pending;
            }
            let waker = self.waker();
            let ended = self.wire.borrow_mut().poll_end(&mut Context::from_waker(&waker));
            if let Err(error) = ready!(ended) {
                self.fail(error);
            }
        }
        let is_aborted = self.has(Flags::ABORTED);
        self.set(Flags::LOST);
        let rare = self.wire.borrow_mut().rare.take();
        let (error, changed) = rare.map_or((None, None), |rare| (rare.error, rare.changed));
        changed.into_iter().for_each(Waker::wake);
        self.call_once("connection_lost", |protocol| protocol.connection_lost(error));
        if let Some(socket) = self.wire.borrow().socket.as_ref() {
            if is_aborted {
                // The peer may be gone.
                let _ = socket.reset();
            } else if Arc::strong_count(socket) > 1 {
                // It is not closed by being dropped here.
                let _ = socket.shutdown(Shutdown::Both);
            }
        }
        Poll::Ready(())
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
        drop(wire);
        made.into_iter().chain(changed).for_each(Waker::wake);
        drop((socket, self.seat.take(), rare));
    }
}

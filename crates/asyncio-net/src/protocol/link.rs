//! [`Link`]: one connection of a protocol, and what happens to it, step by step.
//!
//! - K1: callbacks run in [`step`](Link::step) alone, one after the other. What they do to the transport shows in the flags and in the socket; the step looks
//!   at it when they return. So nothing of the link is borrowed while a callback runs, but the protocol itself.
//! - K2: `connection_made` comes first, `connection_lost` last, each once; the socket is closed behind it.
//! - K3: the protocol is told that it may not write right after the callback that wrote too much, and that it may again, in turns.
//! - K4: a panic in a callback is an error of the connection, which ends at once. `connection_lost` is told of it.
//!
//! A connection of which nothing is known but that it is made has a step of its own, since nearly every one is such; it leaves that by the first flag.

use std::cell::RefCell;
use std::io;
use std::net::Shutdown;
use std::ops::Deref;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};

use asyncio_base::panic::{Payload, catch_and_store, into_message};
use asyncio_base::report::Report;
use asyncio_base::shim::Arc;
use asyncio_reactor::{Direction, Received, Socket};

use crate::protocol::callbacks::OnEof;
use crate::protocol::driven::Driven;
use crate::protocol::driver::{Key, Wishes};
use crate::protocol::head::Head;
use crate::protocol::round::Round;
use crate::protocol::{Flags, Transport};
use crate::server::Ticket;

/// One connection of a protocol.
pub(super) struct Link<P: ?Sized> {
    head: Rc<Head>,
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
        let head = Rc::new(Head::new(key, socket, flags, seat));
        Self { head, protocol: RefCell::new(protocol) }
    }

    /// Looks at the protocol, between two callbacks.
    pub(super) fn with<R>(&self, f: impl FnOnce(&mut P) -> R) -> Option<R> {
        Some(f(&mut *self.protocol.try_borrow_mut().ok()?))
    }
}

impl<P: ?Sized> Link<P> {
    pub(super) fn head(&self) -> &Rc<Head> {
        &self.head
    }
}

/// A link is a head with its protocol.
impl<P: ?Sized> Deref for Link<P> {
    type Target = Head;

    #[inline]
    fn deref(&self) -> &Head {
        &self.head
    }
}

impl<P: ?Sized> Drop for Link<P> {
    fn drop(&mut self) {
        // Its driver may have gone without a word; transports are not to find a connection that nobody has.
        if !self.head.has_given_up() {
            self.head.give_up();
        }
    }
}

impl<P: Driven + ?Sized> Link<P> {
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
    pub(super) fn step(&self, wishes: Wishes, buffer: &mut [u8]) -> bool {
        if self.flags.get() == Flags::PLAIN && wishes.is_turn_alone() {
            self.step_plainly(wishes, buffer)
        } else {
            self.step_in_full(wishes, buffer)
        }
    }

    /// The step of a connection of which nothing is known but that it is made: it receives. One look at the flags behind each callback shows whether
    /// that has changed; then the step goes on as any other.
    fn step_plainly(&self, wishes: Wishes, buffer: &mut [u8]) -> bool {
        let mut round = Round::default();
        while round.goes_on() {
            let mut wire = self.wire.borrow_mut();
            if round.receives == 0 && wire.rare.is_some() {
                drop(wire);
                return self.step_in_full(wishes, buffer);
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
    fn step_in_full(&self, wishes: Wishes, buffer: &mut [u8]) -> bool {
        if self.has(Flags::LOST) {
            return true;
        }
        if wishes.has(Wishes::CLOSE | Wishes::ABORT) {
            self.grant(wishes);
        }
        if !self.has(Flags::MADE) {
            match self.make() {
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
    fn make(&self) -> Option<bool> {
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
        self.call("connection_made", |protocol| protocol.connection_made(Transport::of(&self.head)));
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
}

//! [`Wire`]: the socket under a protocol. It tries the system first, and keeps what that does not take.

use std::io::{self, IoSlice};
use std::net::Shutdown;
use std::task::{Context, Poll, Waker, ready};

use asyncio_base::budget;
use asyncio_base::panic::{catch_and_store, into_message};
use asyncio_base::shim::Arc;
use asyncio_reactor::{Received, SendMsg, Socket, Waiter};

use crate::outgoing::Outgoing;
use crate::protocol::driver::Key;

/// The socket of a connection, who waits for it, and what is still to be sent.
pub(super) struct Wire {
    /// `None` once it is lost.
    pub(super) socket: Option<Arc<dyn Socket>>,
    pub(super) receiving: Waiter,
    /// Only while there is something in it.
    pub(super) rare: Option<Box<Rare>>,
}

/// What a write has left.
pub(super) enum Kept {
    Nothing,
    /// Or it has gone out in the end; the marks are to be looked at.
    Some,
}

/// What hardly any connection has at a time.
pub(super) struct Rare {
    pub(super) outgoing: Outgoing,
    sending: Waiter,
    pub(super) error: Option<io::Error>,
    /// Whoever waits for `connection_made`.
    pub(super) made: Option<Waker>,
    /// Another socket is to be put around this one, once everything is sent.
    change: Option<Change>,
    /// Whoever waits for that.
    pub(super) changed: Option<Waker>,
}

/// Another socket, and what is to go by it.
struct Change {
    around: Around,
    later: Vec<u8>,
}

/// Puts a socket around another one.
pub(super) type Around = Box<dyn FnOnce(Arc<dyn Socket>) -> io::Result<Arc<dyn Socket>>>;

impl Rare {
    fn new() -> Box<Self> {
        Box::new(Self {
            outgoing: Outgoing::new(),
            sending: Waiter::new(),
            error: None,
            made: None,
            change: None,
            changed: None,
        })
    }

    /// Whether it is as at the beginning.
    fn is_empty(&self) -> bool {
        let is_as_new = self.outgoing.len() == 0 && self.outgoing.limits() == Outgoing::new().limits();
        let is_waited_for = self.made.is_some() || self.change.is_some() || self.changed.is_some();
        is_as_new && self.error.is_none() && !is_waited_for
    }
}

impl Wire {
    pub(super) fn new(socket: Arc<dyn Socket>) -> Self {
        Self { socket: Some(socket), receiving: Waiter::standing(), rare: None }
    }

    pub(super) fn rare(&mut self) -> &mut Rare {
        self.rare.get_or_insert_with(Rare::new)
    }

    pub(super) fn outgoing(&self) -> Option<&Outgoing> {
        self.rare.as_ref().map(|rare| &rare.outgoing)
    }

    pub(super) fn unsent(&self) -> usize {
        let of =
            |rare: &Rare| rare.outgoing.len() + rare.change.as_ref().map_or(0, |change| change.later.len());
        self.rare.as_deref().map_or(0, of)
    }

    /// Whether whoever writes is to wait.
    pub(super) fn is_paused(&self) -> bool {
        let of = |rare: &Rare| {
            let later = rare.change.as_ref().map_or(0, |change| change.later.len());
            rare.outgoing.is_paused() || later > rare.outgoing.limits().0
        };
        self.rare.as_deref().is_some_and(of)
    }

    pub(super) fn is_changing(&self) -> bool {
        self.rare.as_ref().is_some_and(|rare| rare.change.is_some())
    }

    /// Puts another socket around this one, behind what is unsent; what is written from now on goes by that.
    #[cfg(feature = "tls")]
    pub(super) fn change(&mut self, around: Around) -> io::Result<()> {
        self.receiving.leave();
        self.rare().change = Some(Change { around, later: Vec::new() });
        if self.rare().outgoing.len() == 0 { self.make_change() } else { Ok(()) }
    }

    /// Everything is sent.
    fn make_change(&mut self) -> io::Result<()> {
        let Some(Change { around, later }) = self.rare.as_mut().and_then(|rare| rare.change.take()) else {
            return Ok(());
        };
        self.rare().sending.leave();
        if let Some(socket) = self.socket.clone() {
            // A configuration of a user's may panic.
            let mut panic = None;
            let changed = catch_and_store(&mut panic, || around(socket));
            let panicked =
                || io::Error::other(format!("TLS: {}", panic.map(into_message).unwrap_or_default()));
            self.socket = Some(changed.ok_or_else(panicked)??);
        }
        if !later.is_empty() {
            self.rare().outgoing.push(&later);
        }
        Ok(())
    }

    pub(super) fn poll_handshake(&mut self, key: &Arc<Key>) -> Poll<io::Result<()>> {
        let Some(socket) = &self.socket else { return Poll::Pending };
        let waker = Waker::from(key.clone());
        socket.poll_handshake(&mut Context::from_waker(&waker), &mut self.receiving)
    }

    #[inline]
    pub(super) fn poll_receive(&mut self, key: &Arc<Key>, buf: &mut [u8]) -> Poll<io::Result<Received>> {
        let Some(socket) = &self.socket else { return Poll::Pending };
        // For nobody first: a waker of the key has to be counted, and a waiter that stands hardly ever needs it again.
        match socket.try_recv(buf) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.poll_receive_for(key, buf),
            received => Poll::Ready(received),
        }
    }

    #[inline(never)]
    fn poll_receive_for(&mut self, key: &Arc<Key>, buf: &mut [u8]) -> Poll<io::Result<Received>> {
        let Some(socket) = &self.socket else { return Poll::Pending };
        let waker = Waker::from(key.clone());
        socket.poll_recv_one(&mut Context::from_waker(&waker), &mut self.receiving, buf)
    }

    /// Sends what the system takes at once, and keeps the rest.
    #[inline]
    pub(super) fn send_or_keep(&mut self, key: &Arc<Key>, bytes: &[u8]) -> io::Result<Kept> {
        let (Some(socket), None, false) = (&self.socket, &self.rare, bytes.is_empty()) else {
            return self.send_or_keep_all(key, &[IoSlice::new(bytes)]);
        };
        match socket.try_send(bytes) {
            Ok(n) if n == bytes.len() => Ok(Kept::Nothing),
            Ok(n) => self.keep(key, &[IoSlice::new(bytes)], n, true),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.keep(key, &[IoSlice::new(bytes)], 0, true)
            }
            Err(error) => Err(error),
        }
    }

    /// The same, of several buffers, in one call of the system.
    pub(super) fn send_or_keep_all(&mut self, key: &Arc<Key>, bufs: &[IoSlice<'_>]) -> io::Result<Kept> {
        let whole: usize = bufs.iter().map(|buf| buf.len()).sum();
        if let Some(change) = self.rare.as_mut().and_then(|rare| rare.change.as_mut()) {
            bufs.iter().for_each(|buf| change.later.extend_from_slice(buf));
            return Ok(Kept::Some);
        }
        let is_first = self.outgoing().is_none_or(|outgoing| outgoing.len() == 0);
        let mut sent = 0;
        if let (true, true, Some(socket)) = (is_first, whole > 0, &self.socket) {
            // Nobody's: whoever has to wait does so when the rest is kept.
            let (mut cx, mut waiter) = (Context::from_waker(Waker::noop()), Waiter::new());
            // The driver has no budget; a task that writes hears of it where it waits.
            match budget::unlimited(|| socket.poll_send(&mut cx, &mut waiter, &SendMsg::new(bufs))) {
                Poll::Ready(n) => sent = n?,
                Poll::Pending => {}
            }
        }
        if sent == whole {
            return Ok(Kept::Nothing);
        }
        self.keep(key, bufs, sent, is_first)
    }

    #[cold]
    fn keep(
        &mut self,
        key: &Arc<Key>,
        bufs: &[IoSlice<'_>],
        mut sent: usize,
        is_first: bool,
    ) -> io::Result<Kept> {
        for buf in bufs {
            let passed = sent.min(buf.len());
            sent -= passed;
            self.rare().outgoing.push(&buf[passed..]);
        }
        if is_first {
            // So that the socket knows who waits.
            let waker = Waker::from(key.clone());
            let mut cx = Context::from_waker(&waker);
            if let Poll::Ready(result) = budget::unlimited(|| self.poll_send_rest(&mut cx, false)) {
                result?;
            }
        }
        Ok(Kept::Some)
    }

    pub(super) fn poll_send_rest(&mut self, cx: &mut Context<'_>, ends: bool) -> Poll<io::Result<()>> {
        loop {
            let Some(socket) = &self.socket else { return Poll::Ready(Ok(())) };
            if let Some(rare) = &mut self.rare {
                while rare.outgoing.len() > 0 {
                    let n = ready!(socket.poll_send_one(cx, &mut rare.sending, rare.outgoing.unsent()))?;
                    rare.outgoing.advance(n);
                }
            }
            if !self.is_changing() {
                break;
            }
            self.make_change()?;
        }
        if ends {
            ready!(self.poll_by(|socket, waiter| socket.poll_flush(cx, waiter)))?;
            // One that is not connected any more has ended.
            self.socket.iter().for_each(|socket| drop(socket.shutdown(Shutdown::Write)));
        }
        if self.rare.as_ref().is_some_and(|rare| rare.is_empty()) {
            self.rare = None;
        }
        Poll::Ready(Ok(()))
    }

    pub(super) fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_by(|socket, waiter| socket.poll_end(cx, waiter))
    }

    /// Polls the socket with the waiter of this direction, which is kept only where it waits.
    fn poll_by(
        &mut self,
        poll: impl FnOnce(&dyn Socket, &mut Waiter) -> Poll<io::Result<()>>,
    ) -> Poll<io::Result<()>> {
        let Some(socket) = &self.socket else { return Poll::Ready(Ok(())) };
        let mut waiter = self.rare.as_mut().map(|rare| std::mem::take(&mut rare.sending)).unwrap_or_default();
        let polled = poll(&**socket, &mut waiter);
        if polled.is_pending() {
            self.rare().sending = waiter;
        }
        polled
    }
}

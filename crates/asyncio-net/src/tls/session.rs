//! [`Session`]: what is known of one TLS connection, and how its bytes go to and from the socket below.
//!
//! - T1: rustls decides; here bytes are moved. What it has to send goes out before anything new is taken, so no more waits than one send's worth.
//! - T2: the end is clean only behind the peer's close_notify. An end of the socket before that is an error, now and whenever it is asked again.
//! - T3: a fault ends the connection for both directions: the alert is sent if the socket takes it, and every later call says what it was. What came before it
//!   is read before; and one of sending leaves reading as it is, to its own end.
//! - T4: a handshake has until its deadline, which begins with its first poll.
//! - T5: whoever ends the connection takes what still comes, so nobody else reads of it any more, who would get some of it.
//! - T6: a server of TLS 1.3 sends tickets to a client, which may be there only to write. A socket that is closed with them unread, or before they come, resets the connection, and
//!   what is on its way to the server is lost. So a client's that has said goodbye and is dropped stays for two seconds, or until the server ends too, or
//!   says something: that nobody reads it is then as on any other connection.

use std::cell::Cell;
use std::fmt;
use std::future::Future;
use std::io::{self, BufRead, IoSlice, IoSliceMut, Read, Write};
use std::net::Shutdown;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use asyncio_base::panic::{catch_and_store, into_message};
use asyncio_base::report::Report;
use asyncio_base::shim::Arc;
use asyncio_reactor::{Received, RecvMsg, SendMsg, Socket, Waiter};
use asyncio_timers::{Sleep, sleep};
use rustls::{Connection, IoState, ProtocolVersion};

use crate::receive_buffer::{ReceiveBuffer, with_lent};

/// How much is received in one call, and so is kept for one who does not read: two records, each as long as it may be (RFC 8446, 5.2).
const RECEIVED_AT_ONCE: usize = 2 * (5 + 16_384 + 256);

thread_local! {
    // Lent for one receive, as what is left over is little.
    static RECEIVING: Cell<Option<ReceiveBuffer>> = const { Cell::new(None) };
}

/// One TLS connection, under the lock of its socket.
pub(super) struct Session {
    pub(super) connection: Connection,
    /// What was received and rustls has not taken yet.
    received: Vec<u8>,
    /// The socket below has ended.
    has_ended: bool,
    /// T3.
    fault: Option<Fault>,
    /// That of sending alone.
    send_fault: Option<Fault>,
    /// close_notify is on its way.
    pub(super) is_closed: bool,
    /// T5.
    is_leaving: bool,
    /// The peer's close_notify has come, and nothing stands before it.
    has_heard_goodbye: bool,
    /// What to do with the socket below, once all is sent.
    pub(super) then: Option<Shutdown>,
    /// For whoever has to send in order to read.
    sending: Waiter,
    /// T4; the handshake's, and after it that of the end.
    deadline: Option<Pin<Box<Sleep>>>,
    pub(super) has_flusher: bool,
    /// The flusher's, for whoever drops the socket: from then on there is a [deadline](Self::poll_orphaned) for the rest.
    pub(super) flusher: Option<Waker>,
    pub(super) is_orphaned: bool,
}

/// An error that is told more than once.
#[derive(Clone, Debug)]
struct Fault(io::ErrorKind, Arc<str>);

impl Fault {
    fn new(error: &io::Error) -> Self {
        Self(error.kind(), error.to_string().into())
    }

    fn check(fault: Option<&Self>) -> io::Result<()> {
        fault.map_or(Ok(()), |Self(kind, text)| Err(io::Error::new(*kind, text.to_string())))
    }
}

/// So many reads that bring nothing to read, and others have their turn.
const ROUNDS_MAX: usize = 16;

impl Session {
    pub(super) fn new(connection: Connection) -> Self {
        Self {
            connection,
            received: Vec::new(),
            has_ended: false,
            fault: None,
            send_fault: None,
            is_closed: false,
            is_leaving: false,
            has_heard_goodbye: false,
            then: None,
            sending: Waiter::new(),
            deadline: None,
            has_flusher: false,
            flusher: None,
            is_orphaned: false,
        }
    }

    /// Whether what is left cannot be sent.
    pub(super) fn has_send_fault(&self) -> bool {
        self.send_fault.is_some()
    }

    /// T3: gives the error, and notes it.
    pub(super) fn fail(&mut self, error: io::Error) -> io::Error {
        self.fault.get_or_insert_with(|| Fault::new(&error));
        self.sending.leave();
        self.deadline = None;
        error
    }

    /// T3, of sending.
    fn fail_to_send(&mut self, error: io::Error) -> io::Error {
        self.send_fault.get_or_insert_with(|| Fault::new(&error));
        error
    }

    /// Shakes hands (T4).
    pub(super) fn poll_handshake(
        &mut self,
        cx: &mut Context<'_>,
        waiter: &mut Waiter,
        socket: &dyn Socket,
        limit: Duration,
    ) -> Poll<io::Result<()>> {
        if !self.connection.is_handshaking() {
            return Poll::Ready(Ok(()));
        }
        Fault::check(self.fault.as_ref())?;
        Fault::check(self.send_fault.as_ref())?;
        loop {
            if self.poll_deadline(cx, limit).is_ready() {
                let _ = socket.reset();
                let what = format!("the TLS handshake has not ended within {limit:?}");
                return Poll::Ready(Err(self.fail(io::Error::new(io::ErrorKind::TimedOut, what))));
            }
            // What goes out may be all that the peer waits for, and where it has to wait, its answer cannot come either.
            if let Poll::Ready(Err(error)) = self.poll_flush_in_between(cx, socket) {
                return Poll::Ready(Err(self.fail(error)));
            }
            if !self.connection.is_handshaking() {
                break;
            }
            let is_there = ready!(self.poll_receive(cx, waiter, socket));
            if is_there.is_err() {
                // The peer learns why, if the socket takes it.
                let _ = self.poll_flush_in_between(cx, socket);
            }
            if !is_there? {
                let what = "the peer has ended the connection in the midst of the TLS handshake";
                return Poll::Ready(Err(self.fail(io::Error::new(io::ErrorKind::UnexpectedEof, what))));
            }
        }
        waiter.leave();
        self.deadline = None;
        Poll::Ready(Ok(()))
    }

    fn poll_deadline(&mut self, cx: &mut Context<'_>, limit: Duration) -> Poll<()> {
        if limit == Duration::MAX {
            return Poll::Pending;
        }
        self.deadline.get_or_insert_with(|| Box::pin(sleep(limit))).as_mut().poll(cx)
    }

    /// Sends what rustls has to send, and then does what is to be done with the socket below.
    pub(super) fn poll_flush(
        &mut self,
        cx: &mut Context<'_>,
        waiter: &mut Waiter,
        socket: &dyn Socket,
    ) -> Poll<io::Result<()>> {
        Fault::check(self.send_fault.as_ref())?;
        while self.connection.wants_write() {
            let mut sink = Sink { cx, waiter, socket };
            match self.connection.write_tls(&mut sink) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Poll::Pending,
                Err(error) => return Poll::Ready(Err(self.fail_to_send(error))),
            }
        }
        ready!(socket.poll_flush(cx, waiter)).map_err(|error| self.fail_to_send(error))?;
        if let Some(how) = self.then.take() {
            // One that is not connected any more has ended.
            let _ = socket.shutdown(how);
        }
        Poll::Ready(Ok(()))
    }

    /// The same, for whoever does something else.
    fn poll_flush_in_between(&mut self, cx: &mut Context<'_>, socket: &dyn Socket) -> Poll<io::Result<()>> {
        let mut waiter = std::mem::take(&mut self.sending);
        let flushed = self.poll_flush(cx, &mut waiter, socket);
        if flushed.is_pending() {
            self.sending = waiter;
        }
        flushed
    }

    /// Receives some bytes and has rustls look at them; says whether there were any.
    fn poll_receive(
        &mut self,
        cx: &mut Context<'_>,
        waiter: &mut Waiter,
        socket: &dyn Socket,
    ) -> Poll<io::Result<bool>> {
        if !self.received.is_empty() {
            let received = std::mem::take(&mut self.received);
            return Poll::Ready(self.take_in(&received).map(|()| true));
        }
        if self.has_ended {
            return Poll::Ready(Ok(false));
        }
        with_lent(&RECEIVING, RECEIVED_AT_ONCE, |buffer| {
            let mut bufs = [IoSliceMut::new(buffer)];
            let received = ready!(socket.poll_recv(cx, waiter, &mut RecvMsg::new(&mut bufs)));
            Poll::Ready(match received {
                Ok(Received { n: 0, .. }) => {
                    self.has_ended = true;
                    // That is how rustls hears of it.
                    let heard = self.connection.read_tls(&mut io::empty());
                    heard.map(|_| false).map_err(|error| self.fail(error))
                }
                Ok(received) => self.take_in(&buffer[..received.n]).map(|()| true),
                Err(error) => Err(self.fail(error)),
            })
        })
    }

    /// Has rustls look at bytes, up to the first that somebody can read.
    fn take_in(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            // It says that it is full only while somebody can read.
            let n = self.connection.read_tls(&mut bytes).map_err(|error| self.fail(error))?;
            if n == 0 {
                // Behind the peer's close_notify nothing counts.
                break;
            }
            let state = self.process()?;
            if state.plaintext_bytes_to_read() > 0 {
                self.received.extend_from_slice(bytes);
                break;
            }
        }
        Ok(())
    }

    /// Has rustls look at what it has taken. What may panic in there is a user's: who shows which certificate, and who is trusted.
    fn process(&mut self) -> io::Result<IoState> {
        let mut panic = None;
        let state = match catch_and_store(&mut panic, || self.connection.process_new_packets()) {
            Some(Ok(state)) => return Ok(state),
            Some(Err(error)) => format!("TLS: {error}"),
            None => {
                let text = panic.map(into_message).unwrap_or_default();
                Report::new("net", format_args!("what TLS was configured with panicked: {text}"))
                    .panicked()
                    .send();
                format!("TLS: what it was configured with panicked: {text}")
            }
        };
        Err(self.fail(io::Error::new(io::ErrorKind::InvalidData, state)))
    }

    /// Receives what the peer has sent, decrypted.
    pub(super) fn poll_recv(
        &mut self,
        cx: &mut Context<'_>,
        waiter: &mut Waiter,
        socket: &dyn Socket,
        message: &mut RecvMsg<'_, '_>,
    ) -> Poll<io::Result<Received>> {
        if self.is_leaving {
            // T5. The end that is told is the peer's own all the same (T2).
            ready!(self.poll_goodbye(cx, waiter, socket))?;
            return Poll::Ready(Ok(Received::new(0)));
        }
        self.poll_read(cx, waiter, socket, message)
    }

    fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        waiter: &mut Waiter,
        socket: &dyn Socket,
        message: &mut RecvMsg<'_, '_>,
    ) -> Poll<io::Result<Received>> {
        for _ in 0..ROUNDS_MAX {
            match self.read_plain(message) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    return Poll::Ready(Err(self.cut_short()));
                }
                result => return Poll::Ready(result.map(Received::new)),
            }
            Fault::check(self.fault.as_ref())?;
            let is_there = self.poll_receive(cx, waiter, socket);
            if self.connection.wants_write() || matches!(is_there, Poll::Ready(Err(_))) {
                // An alert, or new keys: they go if they can, and if not, with the next bytes.
                let _ = self.poll_flush_in_between(cx, socket);
            }
            match ready!(is_there) {
                Ok(true) => {}
                // Nothing comes any more: it was a clean end, or none.
                Ok(false) => {
                    let read = self.read_plain(message);
                    return Poll::Ready(read.map(Received::new).map_err(|_| self.cut_short()));
                }
                // What came in front of the fault is read before it is told.
                Err(error) => match self.read_plain(message) {
                    Ok(n) if n > 0 => return Poll::Ready(Ok(Received::new(n))),
                    _ => return Poll::Ready(Err(error)),
                },
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// T2.
    fn cut_short(&mut self) -> io::Error {
        let what = "the connection has ended without TLS's close_notify: what came may be cut short";
        self.fail(io::Error::new(io::ErrorKind::UnexpectedEof, what))
    }

    /// Reads what is decrypted; "would block" where there is nothing yet.
    fn read_plain(&mut self, message: &mut RecvMsg<'_, '_>) -> io::Result<usize> {
        let mut reader = self.connection.reader();
        if message.peek {
            let bytes = reader.fill_buf()?;
            let mut left = bytes;
            let read = message.bufs.iter_mut().map(|buf| left.read(buf)).sum::<io::Result<usize>>()?;
            return Ok(read);
        }
        let mut read = 0;
        for buf in message.bufs.iter_mut().filter(|buf| !buf.is_empty()) {
            match reader.read(buf) {
                Ok(n) => {
                    read += n;
                    if n < buf.len() {
                        break;
                    }
                }
                // What has come is handed on first.
                Err(_) if read > 0 => break,
                Err(error) => return Err(error),
            }
        }
        Ok(read)
    }

    /// Encrypts and sends; what the socket does not take is kept, and has to be flushed by somebody (T1).
    pub(super) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        waiter: &mut Waiter,
        socket: &dyn Socket,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.is_closed {
            let what = "bytes were written after TLS's close_notify";
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::BrokenPipe, what)));
        }
        Fault::check(self.fault.as_ref())?;
        ready!(self.poll_flush(cx, waiter, socket))?;
        // As much as it has room for, 64 KiB.
        let n = self.connection.writer().write_vectored(bufs)?;
        if self.connection.protocol_version() == Some(ProtocolVersion::TLSv1_2) {
            // Where its keys are worn out rustls takes bytes, and says goodbye instead of encrypting them.
            let state = self.process()?;
            if state.tls_bytes_to_write() < n {
                let what = "the keys of this TLS 1.2 connection are worn out";
                return Poll::Ready(Err(self.fail(io::Error::new(io::ErrorKind::BrokenPipe, what))));
            }
        }
        Poll::Ready(Ok(n))
    }

    /// Says goodbye to the peer: nothing is written any more. Not where it would be taken for the end of something that is not whole; behind an alert rustls says none.
    pub(super) fn close(&mut self) {
        if !std::mem::replace(&mut self.is_closed, true) && self.send_fault.is_none() {
            self.connection.send_close_notify();
        }
    }

    /// Says goodbye, and waits for the peer's, whatever comes before it (RFC 8446, section 6.1); not longer than `limit`.
    pub(super) fn poll_end(
        &mut self,
        cx: &mut Context<'_>,
        waiter: &mut Waiter,
        socket: &dyn Socket,
        limit: Duration,
    ) -> Poll<io::Result<()>> {
        self.is_leaving = true;
        if self.connection.is_handshaking() {
            // There is nobody to whom it could be said.
            return Poll::Ready(Ok(()));
        }
        if self.send_fault.is_some() {
            // What was taken and not sent is lost, of which whoever wrote it hears.
            let is_whole = !self.connection.wants_write();
            return Poll::Ready(if is_whole { Ok(()) } else { Fault::check(self.send_fault.as_ref()) });
        }
        self.close();
        if self.poll_deadline(cx, limit).is_ready() {
            if self.connection.wants_write() {
                // It would be kept for one who does not read.
                let _ = socket.reset();
            }
            let what = format!("the peer has not answered TLS's close_notify within {limit:?}");
            return Poll::Ready(Err(self.fail(io::Error::new(io::ErrorKind::TimedOut, what))));
        }
        ready!(self.poll_flush(cx, waiter, socket))?;
        if self.fault.is_some() {
            // Nothing comes any more, and what was written has gone out.
            return Poll::Ready(Ok(()));
        }
        // Whoever has said all that he wanted need not hear that the other says nothing.
        let _ = ready!(self.poll_goodbye(cx, waiter, socket));
        self.deadline = None;
        Poll::Ready(Ok(()))
    }

    /// Passes over what the peer still says, up to its goodbye.
    fn poll_goodbye(
        &mut self,
        cx: &mut Context<'_>,
        waiter: &mut Waiter,
        socket: &dyn Socket,
    ) -> Poll<io::Result<()>> {
        let mut unread = [0; 4096];
        for _ in 0..ROUNDS_MAX {
            if self.has_heard_goodbye {
                return Poll::Ready(Ok(()));
            }
            let mut bufs = [IoSliceMut::new(&mut unread)];
            let read = ready!(self.poll_read(cx, waiter, socket, &mut RecvMsg::new(&mut bufs)))?;
            self.has_heard_goodbye = read.n == 0;
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Whether the socket below must not be closed yet (T6).
    pub(super) fn lingers(&self) -> bool {
        let may_be_sent_tickets = matches!(self.connection, Connection::Client(_))
            && self.connection.protocol_version() == Some(ProtocolVersion::TLSv1_3);
        let is_whole = self.fault.is_none()
            && self.send_fault.is_none()
            && !self.connection.is_handshaking()
            && !self.connection.wants_write();
        let has_ended = self.has_ended || self.has_heard_goodbye;
        may_be_sent_tickets && is_whole && self.is_closed && !has_ended
    }

    /// Takes in what TLS itself sends, up to the peer's goodbye, or the first byte for somebody who is gone.
    pub(super) fn poll_linger(
        &mut self,
        cx: &mut Context<'_>,
        waiter: &mut Waiter,
        socket: &dyn Socket,
    ) -> Poll<()> {
        let mut unread = [0];
        let mut bufs = [IoSliceMut::new(&mut unread)];
        self.poll_read(cx, waiter, socket, &mut RecvMsg::new(&mut bufs)).map(drop)
    }

    /// Nobody has the socket any more: what is left of it has so long to go out.
    pub(super) fn poll_orphaned(
        &mut self,
        cx: &mut Context<'_>,
        socket: &dyn Socket,
        limit: Duration,
    ) -> Poll<()> {
        if !self.is_orphaned {
            return Poll::Pending;
        }
        ready!(self.poll_deadline(cx, limit));
        let _ = socket.reset();
        let what = "it was not sent in time";
        self.fail_to_send(io::Error::new(io::ErrorKind::TimedOut, what));
        Poll::Ready(())
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("is_handshaking", &self.connection.is_handshaking())
            .field("is_closed", &self.is_closed)
            .field("fault", &self.fault.as_ref().or(self.send_fault.as_ref()))
            .finish_non_exhaustive()
    }
}

/// The socket below, as rustls writes to it.
struct Sink<'a, 'b> {
    cx: &'a mut Context<'b>,
    waiter: &'a mut Waiter,
    socket: &'a dyn Socket,
}

impl Write for Sink<'_, '_> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(buf)])
    }

    fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        match self.socket.poll_send(self.cx, self.waiter, &SendMsg::new(bufs)) {
            Poll::Ready(result) => result,
            Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

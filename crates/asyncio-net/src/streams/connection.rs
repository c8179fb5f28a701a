//! [`Connection`]: one socket under a reader and a writer, and what is still to be sent.
//!
//! - O1: a write tries the socket first. Only what it does not take is kept; then one task, the *flusher*, sends it, and no one else sends until it is
//!   through. So bytes leave in the order in which they were written, and a connection that keeps up has no task.
//! - O2: more than the high-water mark of unsent bytes pauses the writer, whose `drain` waits until they are down to the low one.
//! - O3: what was written before the end (`write_eof`, `close`, a dropped writer) is sent before it. The end of the loop that sends it waits for that as
//!   for clean-up: within the grace period. Where no loop runs a thread of ours sends it, which no end of anything waits for.
//! - O4: the first error of sending ends it: what is unsent is dropped, and every later `drain` says why.
//!
//! The lock is held while the socket is tried, with the flusher's own waker or with none, never with a waker of a user's. A socket of a user's must not wake
//! the other end of itself from inside of a call.

use std::io::{self, IoSlice};
use std::net::Shutdown;
use std::ops::{Deref, DerefMut};
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use asyncio_base::shim::{Arc, AtomicBool, AtomicU8, Mutex, MutexGuard, Ordering};
use asyncio_base::{budget, report, wait_point};
use asyncio_reactor::{SendMsg, Socket, Waiter};
use asyncio_tasks::{guard, spawn_background};

use crate::outgoing::Outgoing;
use crate::server::{Client, Seat};
use crate::streams::lost::Lost;
use crate::streams::sending::{Mark, Phase, Sending};

/// One socket, and what is still to be sent.
#[derive(Debug)]
pub(crate) struct Connection {
    socket: Arc<dyn Socket>,
    /// Locked by [`lock`](Self::lock) alone, which keeps `is_plain` right.
    sending: Mutex<Sending>,
    /// Whether a `drain` has nothing to wait for and nothing to tell, as [`Sending::is_plain`] has it. Written under the lock, whenever that is left with another
    /// answer; read without it.
    is_plain: AtomicBool,
    /// An [`End`]: the reader's, which has it here because there is room for a byte.
    end: AtomicU8,
}

/// How the incoming bytes have ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    NotYet,
    Clean,
    /// [`Connection::error`] says why.
    Failed,
}

impl Connection {
    pub(crate) fn new(socket: Arc<dyn Socket>) -> Arc<Self> {
        let (sending, is_plain) = (Mutex::new(Sending::new()), AtomicBool::new(true));
        Arc::new(Self { socket, sending, is_plain, end: AtomicU8::new(End::NotYet as u8) })
    }

    #[inline]
    pub(super) fn end(&self) -> End {
        // The reader alone writes it, by `&mut` of itself.
        match self.end.load(Ordering::Relaxed) {
            0 => End::NotYet,
            1 => End::Clean,
            _ => End::Failed,
        }
    }

    pub(super) fn set_end(&self, end: End) {
        self.end.store(end as u8, Ordering::Relaxed);
    }

    #[inline]
    fn lock(&self) -> Locked<'_> {
        Locked { sending: self.sending.lock(), is_plain: &self.is_plain }
    }

    /// Gives it its place in a server. Once.
    pub(crate) fn sit(&self, seat: Seat) {
        self.lock().sit(seat);
    }

    /// Makes another one around the same socket, whose place in a server it has from now on. This one is over, and ends nothing.
    #[cfg(feature = "tls")]
    pub(super) fn give_to(self: &Arc<Self>, socket: Arc<dyn Socket>) -> Arc<Self> {
        let other = Self::new(socket);
        other.lock().rare().former = Some(self.clone());
        let mut sending = self.lock();
        sending.rare().successor = Arc::downgrade(&other);
        sending.phase = Phase::Closed;
        let seat = sending.take_seat();
        drop(sending);
        if let Some(seat) = seat {
            seat.give(&other);
            other.sit(seat);
        }
        other
    }

    #[inline]
    pub(super) fn socket(&self) -> &Arc<dyn Socket> {
        &self.socket
    }

    /// Sends, and keeps what is not sent at once.
    pub(super) fn write(self: &Arc<Self>, bytes: &[u8]) {
        let sending = self.lock();
        if !sending.is_free() || bytes.is_empty() {
            return self.write_all(sending, &[IoSlice::new(bytes)]);
        }
        match self.socket.try_send(bytes) {
            Ok(n) if n == bytes.len() => {}
            sent => self.keep_rest(sending, &[IoSlice::new(bytes)], sent),
        }
    }

    /// The same, of several buffers.
    pub(super) fn writev(self: &Arc<Self>, bufs: &[IoSlice<'_>]) {
        self.write_all(self.lock(), bufs);
    }

    /// Sends bytes wherever the sending has come to.
    fn write_all(self: &Arc<Self>, mut sending: Locked<'_>, bufs: &[IoSlice<'_>]) {
        let whole: usize = bufs.iter().map(|buf| buf.len()).sum();
        if sending.phase != Phase::Open {
            if whole > 0 {
                sending.set(Mark::IsLate);
            }
            return;
        }
        if sending.error().is_some() || whole == 0 {
            return;
        }
        if sending.is(Mark::HasFlusher) {
            return sending.keep(bufs, 0);
        }
        let (mut cx, mut waiter) = (Context::from_waker(Waker::noop()), Waiter::new());
        // A task that may do no more in this poll hears of it in its `drain`.
        match budget::unlimited(|| self.socket.poll_send(&mut cx, &mut waiter, &SendMsg::new(bufs))) {
            Poll::Ready(Ok(n)) if n == whole => {}
            Poll::Ready(sent) => self.keep_rest(sending, bufs, sent),
            Poll::Pending => self.keep_rest(sending, bufs, Ok(0)),
        }
    }

    /// Keeps what was not sent, for a flusher; or the error.
    #[cold]
    fn keep_rest(self: &Arc<Self>, mut sending: Locked<'_>, bufs: &[IoSlice<'_>], sent: io::Result<usize>) {
        match sent {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => sending.fail(error),
            sent => {
                sending.keep(bufs, sent.unwrap_or(0));
                self.flush(sending);
            }
        }
    }

    /// Has a flusher send what is left, if something is.
    fn flush(self: &Arc<Self>, mut sending: Locked<'_>) {
        if sending.is(Mark::HasFlusher) || !sending.has_work() {
            return;
        }
        sending.set(Mark::HasFlusher);
        drop(sending);
        // O3: where the task is cancelled, or cannot begin, the clean-up goes on with it.
        let mut flusher = guard(Flusher::new(self.clone()), Flusher::finish);
        spawn_background(async move {
            flusher.step().await;
            drop(flusher.into_inner());
        });
    }

    /// Nothing more is written; the peer sees the end after what is unsent.
    pub(super) fn write_eof(self: &Arc<Self>) {
        self.enter(Phase::Ending);
    }

    /// Says whether its end was neither asked for nor has come.
    pub(super) fn is_open(&self) -> bool {
        let sending = self.lock();
        sending.phase == Phase::Open && sending.error().is_none()
    }

    /// Closes the connection after what is unsent.
    pub(crate) fn close(self: &Arc<Self>) {
        match self.successor() {
            Some(successor) => successor.close(),
            None => self.enter(Phase::Closing),
        }
    }

    fn successor(&self) -> Option<Arc<Self>> {
        self.lock().rare.as_ref()?.successor.upgrade()
    }

    fn enter(self: &Arc<Self>, phase: Phase) {
        let mut sending = self.lock();
        if sending.phase >= phase {
            return;
        }
        sending.phase = phase;
        if sending.is(Mark::HasFlusher) {
            // It may wait for what the socket keeps, which has no limit.
            let flusher = sending.rare.as_mut().and_then(|rare| rare.flusher.take());
            drop(sending);
            flusher.into_iter().for_each(Waker::wake);
            return;
        }
        // Nothing is unsent, or a flusher would be there. A reactor may keep bytes of its own.
        let (mut cx, mut waiter) = (Context::from_waker(Waker::noop()), Waiter::new());
        match budget::unlimited(|| self.poll_end(&mut sending, &mut cx, &mut waiter)) {
            Poll::Ready(()) => {
                let waits = sending.take_waits();
                drop(sending);
                waits.into_iter().for_each(Waker::wake);
            }
            Poll::Pending => self.flush(sending),
        }
    }

    /// Closes the connection at once: what is unsent is dropped, and the peer sees a reset.
    pub(crate) fn abort(&self) {
        if let Some(successor) = self.successor() {
            return successor.abort();
        }
        let mut sending = self.lock();
        if sending.phase == Phase::Closed {
            return;
        }
        sending.fail(io::Error::new(io::ErrorKind::ConnectionAborted, "it was aborted from this side"));
        sending.set(Mark::IsAborted);
        sending.phase = Phase::Closed;
        // The connection may be gone already; then there is nobody to tell.
        let _ = self.socket.reset();
        let waits = sending.take_waits();
        drop(sending);
        waits.into_iter().for_each(Waker::wake);
    }

    /// Everything is sent: brings the phase to its end.
    fn poll_end(&self, sending: &mut Sending, cx: &mut Context<'_>, waiter: &mut Waiter) -> Poll<()> {
        let (how, then) = match sending.phase {
            Phase::Ending => (Shutdown::Write, Phase::Ended),
            Phase::Closing => (Shutdown::Both, Phase::Closed),
            Phase::Open | Phase::Ended | Phase::Closed => return Poll::Ready(()),
        };
        if sending.error().is_none() {
            let ended = match how {
                Shutdown::Both => self.socket.poll_end(cx, waiter),
                _ => self.socket.poll_flush(cx, waiter),
            };
            if let Err(error) = ready!(ended) {
                sending.fail(error);
            }
        }
        sending.phase = then;
        // One that is not connected any more is closed already.
        let _ = if sending.is(Mark::IsCut) { self.socket.reset() } else { self.socket.shutdown(how) };
        Poll::Ready(())
    }

    /// Sends until everything is sent and the phase is at its end.
    fn poll_flush(&self, cx: &mut Context<'_>, waiter: &mut Waiter) -> Poll<()> {
        let mut sending = self.lock();
        let (unsent, had_error) = (sending.unsent(), sending.error().is_some());
        let poll = self.poll_flush_locked(&mut sending, cx, waiter);
        let is_given_up = !had_error && sending.error().is_some_and(Lost::is_loop_closed);
        // Above, nothing but the flusher's own waker is touched under the lock; this is another's.
        let waits = if sending.is_worth_a_wake() { sending.take_waits() } else { None };
        sending.tidy();
        if poll.is_pending() && sending.unsent() == 0 && sending.phase < Phase::Closing {
            // Whoever closes meanwhile has it wait for something else, which may have a limit.
            sending.rare().flusher = Some(cx.waker().clone());
        }
        drop(sending);
        waits.into_iter().for_each(Waker::wake);
        if is_given_up {
            // Its writer may be gone: then nobody would hear of it.
            let what =
                format_args!("a connection is given up with {unsent} bytes unsent, since its loop is closed");
            report::report("net", what);
        }
        poll
    }

    fn poll_flush_locked(
        &self,
        sending: &mut Sending,
        cx: &mut Context<'_>,
        waiter: &mut Waiter,
    ) -> Poll<()> {
        while let Some(rare) = sending.rare.as_mut().filter(|rare| rare.outgoing.len() > 0) {
            match ready!(self.socket.poll_send_one(cx, waiter, rare.outgoing.unsent())) {
                Ok(n) => rare.outgoing.advance(n),
                Err(error) => sending.fail(error),
            }
        }
        // Whoever ends the connection flushes by that.
        if sending.is(Mark::Flushes) && sending.phase == Phase::Open && sending.error().is_none() {
            match self.socket.poll_flush(cx, waiter) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => sending.fail(error),
                Poll::Pending => return Poll::Pending,
            }
        }
        sending.clear(Mark::Flushes);
        ready!(self.poll_end(sending, cx, waiter));
        sending.clear(Mark::HasFlusher);
        Poll::Ready(())
    }

    /// Waits until the writer may go on.
    #[inline]
    pub(super) fn poll_drain(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Acquire: pairs with the Release in `Locked`. Whoever drains has written before, by itself; what others do, as a reader that fails (O4), may come a
        // moment later, as it might with the lock.
        if self.is_plain.load(Ordering::Acquire) {
            return Poll::Ready(Ok(()));
        }
        self.poll_drained(cx)
    }

    #[inline(never)]
    fn poll_drained(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_until(cx, |sending| match sending.error().map(Lost::to_io) {
            None if sending.is(Mark::IsLate) => Some(Err(too_late())),
            None => (!sending.is_paused()).then_some(Ok(())),
            Some(error) => Some(Err(error)),
        })
    }

    /// Waits until everything is with the system.
    pub(super) fn poll_flushed(self: &Arc<Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.flush_socket();
        self.poll_until(cx, |sending| match sending.error().map(Lost::to_io) {
            None if sending.is(Mark::HasFlusher) => None,
            None if sending.is(Mark::IsLate) => Some(Err(too_late())),
            None => Some(Ok(())),
            Some(error) => Some(Err(error)),
        })
    }

    /// Has what the socket itself keeps sent, as one of TLS does.
    fn flush_socket(self: &Arc<Self>) {
        let mut sending = self.lock();
        if sending.is(Mark::HasFlusher) || sending.phase != Phase::Open || sending.error().is_some() {
            return;
        }
        let (mut cx, mut waiter) = (Context::from_waker(Waker::noop()), Waiter::new());
        match budget::unlimited(|| self.socket.poll_flush(&mut cx, &mut waiter)) {
            Poll::Ready(Ok(())) => {}
            Poll::Ready(Err(error)) => sending.fail(error),
            Poll::Pending => {
                sending.set(Mark::Flushes);
                self.flush(sending);
            }
        }
    }

    /// Waits until the connection is closed, or has failed. One that was aborted is closed.
    pub(super) fn poll_closed(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_until(cx, |sending| match sending.error().map(Lost::to_io) {
            _ if sending.is(Mark::HasFlusher) => None,
            Some(error) if !sending.is(Mark::IsAborted) => Some(Err(error)),
            _ if sending.phase != Phase::Closed => None,
            None if sending.is(Mark::IsLate) => Some(Err(too_late())),
            _ => Some(Ok(())),
        })
    }

    /// Says whether something may be written.
    pub(super) fn check_open(&self) -> io::Result<()> {
        if self.lock().phase == Phase::Open { Ok(()) } else { Err(too_late()) }
    }

    fn poll_until<T>(&self, cx: &mut Context<'_>, look: impl Fn(&Sending) -> Option<T>) -> Poll<T> {
        if let Some(seen) = look(&self.lock()) {
            return Poll::Ready(seen);
        }
        let waker = cx.waker().clone();
        let mut sending = self.lock();
        let seen = look(&sending);
        let left = if seen.is_some() { Some(waker) } else { sending.rare().waits.replace(waker) };
        drop(sending);
        drop(left);
        match seen {
            Some(seen) => Poll::Ready(seen),
            None => {
                wait_point::here("writer");
                Poll::Pending
            }
        }
    }

    /// The reader has seen that the connection has failed: so has the writer. Whichever was first knows why, but that a broken pipe says less than what the
    /// reader is told.
    #[cold]
    pub(super) fn fail(&self, error: io::Error) {
        let mut sending = self.lock();
        let former = if sending.has_broken_pipe() { sending.rare().error.take() } else { None };
        sending.fail(error);
        let waits = sending.take_waits();
        drop(sending);
        drop(former);
        waits.into_iter().for_each(Waker::wake);
    }

    /// Whether what looks like the peer's end is none: the system tells an error of the connection once, and it was the writer that was told.
    pub(super) fn has_failed(&self) -> bool {
        let sending = self.lock();
        // A broken pipe comes behind the end of the peer, or of our own: the end was one.
        sending.error().is_some() && !sending.has_broken_pipe()
    }

    /// Why it has failed.
    #[cold]
    pub(super) fn error(&self) -> io::Error {
        let error = self.lock().error().cloned();
        error.map_or_else(|| io::ErrorKind::NotConnected.into(), |error| error.to_io())
    }

    pub(super) fn is_closing(&self) -> bool {
        self.lock().phase >= Phase::Closing
    }

    pub(super) fn unsent(&self) -> usize {
        self.lock().unsent()
    }

    pub(super) fn limits(&self) -> (usize, usize) {
        let sending = self.lock();
        sending.rare.as_ref().map_or_else(|| Outgoing::new().limits(), |rare| rare.outgoing.limits())
    }

    pub(super) fn set_limits(&self, high: usize, low: usize) {
        let mut sending = self.lock();
        sending.rare().outgoing.set_limits(high, low);
        let waits = if sending.is_paused() { None } else { sending.take_waits() };
        drop(sending);
        waits.into_iter().for_each(Waker::wake);
    }
}

/// The sending side, while it is locked. Whatever was done to it, `is_plain` is right when it is unlocked.
struct Locked<'a> {
    sending: MutexGuard<'a, Sending>,
    is_plain: &'a AtomicBool,
}

impl Deref for Locked<'_> {
    type Target = Sending;

    #[inline]
    fn deref(&self) -> &Sending {
        &self.sending
    }
}

impl DerefMut for Locked<'_> {
    #[inline]
    fn deref_mut(&mut self) -> &mut Sending {
        &mut self.sending
    }
}

impl Drop for Locked<'_> {
    #[inline]
    fn drop(&mut self) {
        // Relaxed: it is written under the lock alone, which is left behind this.
        if self.sending.is_plain() != self.is_plain.load(Ordering::Relaxed) {
            // Release: whoever sees it sees what was done before.
            self.is_plain.store(self.sending.is_plain(), Ordering::Release);
        }
    }
}

impl Client for Connection {
    fn close(self: Arc<Self>) {
        Self::close(&self);
    }

    fn abort(self: Arc<Self>) {
        Self::abort(&self);
    }
}

fn too_late() -> io::Error {
    io::Error::new(io::ErrorKind::BrokenPipe, "bytes were written after the end")
}

/// Sends what is unsent, and brings the phase to its end. It belongs to the task that does so, or to the clean-up after it.
struct Flusher {
    connection: Arc<Connection>,
    waiter: Waiter,
    is_through: bool,
}

impl Flusher {
    fn new(connection: Arc<Connection>) -> Self {
        Self { connection, waiter: Waiter::new(), is_through: false }
    }

    async fn step(&mut self) {
        std::future::poll_fn(|cx| Pin::new(&mut *self).poll_step(cx)).await;
    }

    fn poll_step(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        ready!(this.connection.poll_flush(cx, &mut this.waiter));
        this.is_through = true;
        Poll::Ready(())
    }

    async fn finish(mut self) {
        if !self.is_through {
            self.step().await;
        }
    }
}

impl Drop for Flusher {
    /// The time for clean-up is over, or its loop is closed.
    fn drop(&mut self) {
        if self.is_through {
            return;
        }
        let mut sending = self.connection.lock();
        let unsent = sending.unsent();
        sending.clear(Mark::HasFlusher);
        // The peer is not to take what has come for everything.
        let _ = self.connection.socket.reset();
        sending.phase = Phase::Closed;
        sending.fail(io::Error::new(io::ErrorKind::ConnectionAborted, "the loop ended before all was sent"));
        let waits = sending.take_waits();
        drop(sending);
        waits.into_iter().for_each(Waker::wake);
        if unsent > 0 {
            report::report("net", format_args!("a connection is given up with {unsent} bytes unsent"));
        }
    }
}

//! [`TlsSocket`]: TLS as a [`Socket`] around another one. So whatever stands on sockets (streams, protocols, servers) has TLS without knowing it.

use std::any::Any;
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::net::Shutdown;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use asyncio_base::shim::{Arc, Mutex, MutexGuard};
use asyncio_base::{budget, report};
use asyncio_reactor::{
    OptionName, Received, RecvMsg, SendMsg, SockAddr, Socket, SocketOption, UCred, Waiter,
};
use asyncio_tasks::{guard, spawn_background};
use rustls::Connection;

use super::info::TlsInfo;
use super::linger::linger;
use super::session::Session;

/// How long things may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) handshake: Duration,
    pub(super) shutdown: Duration,
}

impl Default for Limits {
    /// asyncio's.
    fn default() -> Self {
        Self { handshake: Duration::from_secs(60), shutdown: Duration::from_secs(30) }
    }
}

/// TLS around a connected socket.
pub(crate) struct TlsSocket {
    shared: Arc<Shared>,
}

pub(super) struct Shared {
    below: Arc<dyn Socket>,
    limits: Limits,
    pub(super) session: Mutex<Session>,
}

impl TlsSocket {
    pub(super) fn new(
        below: Arc<dyn Socket>,
        connection: impl Into<Connection>,
        limits: Limits,
    ) -> Arc<Self> {
        let session = Mutex::new(Session::new(connection.into()));
        Arc::new(Self { shared: Arc::new(Shared { below, limits, session }) })
    }

    /// Waits until the handshake is over.
    pub(crate) async fn handshake(&self) -> io::Result<()> {
        let mut waiter = Waiter::new();
        poll_fn(|cx| self.poll_handshake(cx, &mut waiter)).await
    }

    /// What is known of the connection.
    pub(super) fn info(&self) -> TlsInfo {
        TlsInfo::of_connection(&self.shared.session.lock().connection)
    }
}

impl Shared {
    pub(super) fn below(&self) -> &dyn Socket {
        &*self.below
    }

    fn poll_handshake(
        &self,
        session: &mut Session,
        cx: &mut Context<'_>,
        waiter: &mut Waiter,
    ) -> Poll<io::Result<()>> {
        session.poll_handshake(cx, waiter, self.below(), self.limits.handshake)
    }

    /// Has what is left sent in the background.
    fn flush(self: &Arc<Self>, mut session: MutexGuard<'_, Session>) {
        let (mut cx, mut waiter) = (Context::from_waker(Waker::noop()), Waiter::new());
        // Whoever may do no more in this poll hears of it elsewhere.
        let flushed = budget::unlimited(|| session.poll_flush(&mut cx, &mut waiter, self.below()));
        if flushed.is_ready() || std::mem::replace(&mut session.has_flusher, true) {
            return;
        }
        drop(session);
        let mut flusher = guard(Flusher { shared: self.clone(), is_through: false }, Flusher::finish);
        spawn_background(async move {
            flusher.run().await;
            drop(flusher.into_inner());
        });
    }
}

/// Sends what is left. It belongs to the task that does so, or to the clean-up after it.
struct Flusher {
    shared: Arc<Shared>,
    is_through: bool,
}

impl Flusher {
    async fn run(&mut self) {
        let (mut waiter, mut lingers) = (Waiter::new(), false);
        poll_fn(|cx| {
            let mut session = self.shared.session.lock();
            // An error is told by whatever is called next.
            let flushed = session.poll_flush(cx, &mut waiter, self.shared.below()).map(drop);
            let is_over = flushed.is_ready()
                || session.poll_orphaned(cx, self.shared.below(), self.shared.limits.shutdown).is_ready();
            session.has_flusher = !is_over;
            // Decided under this lock: whoever drops the socket later sees that nobody flushes, and decides.
            lingers = is_over && session.is_orphaned && session.lingers();
            let former =
                if is_over { session.flusher.take() } else { session.flusher.replace(cx.waker().clone()) };
            let is_late = is_over && flushed.is_pending();
            drop(session);
            drop(former);
            if is_late {
                let limit = self.shared.limits.shutdown;
                report::report("net", format_args!("a TLS connection that nobody has any more is given up: its rest was not taken within {limit:?}"));
            }
            if is_over { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        self.is_through = true;
        if lingers {
            linger(self.shared.clone());
        }
    }

    async fn finish(mut self) {
        if !self.is_through {
            self.run().await;
        }
    }
}

impl Drop for Flusher {
    /// The time for clean-up is over, or its loop is closed.
    fn drop(&mut self) {
        if self.is_through {
            return;
        }
        let mut session = self.shared.session.lock();
        session.has_flusher = false;
        let what = "the loop ended before all was sent";
        session.fail(io::Error::new(io::ErrorKind::ConnectionAborted, what));
        drop(session);
        // The peer is not to take what has come for everything.
        let _ = self.shared.below.reset();
        report::report("net", format_args!("a TLS connection is given up with bytes unsent"));
    }
}

impl Socket for TlsSocket {
    fn bind(&self, addr: &SockAddr) -> io::Result<()> {
        self.shared.below.bind(addr)
    }

    fn listen(&self, _backlog: u32) -> io::Result<()> {
        Err(unsupported("a TLS connection does not listen"))
    }

    fn poll_accept(
        &self,
        _cx: &mut Context<'_>,
        _waiter: &mut Waiter,
    ) -> Poll<io::Result<(Arc<dyn Socket>, SockAddr)>> {
        Poll::Ready(Err(unsupported("a TLS connection does not accept")))
    }

    fn poll_connect(
        &self,
        _cx: &mut Context<'_>,
        _waiter: &mut Waiter,
        _addr: &SockAddr,
    ) -> Poll<io::Result<()>> {
        Poll::Ready(Err(unsupported("a TLS connection is connected already")))
    }

    fn poll_handshake(&self, cx: &mut Context<'_>, waiter: &mut Waiter) -> Poll<io::Result<()>> {
        let mut session = self.shared.session.lock();
        ready!(self.shared.poll_handshake(&mut session, cx, waiter))?;
        // The last of it, on which the peer waits.
        self.shared.flush(session);
        Poll::Ready(Ok(()))
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        waiter: &mut Waiter,
        message: &mut RecvMsg<'_, '_>,
    ) -> Poll<io::Result<Received>> {
        ready!(budget::poll_proceed(cx));
        let mut session = self.shared.session.lock();
        ready!(self.shared.poll_handshake(&mut session, cx, waiter))?;
        let received = ready!(session.poll_recv(cx, waiter, self.shared.below(), message))?;
        budget::spend();
        Poll::Ready(Ok(received))
    }

    fn poll_send(
        &self,
        cx: &mut Context<'_>,
        waiter: &mut Waiter,
        message: &SendMsg<'_, '_>,
    ) -> Poll<io::Result<usize>> {
        if message.addr.is_some() || !message.rights.is_empty() {
            return Poll::Ready(Err(unsupported("TLS carries bytes alone")));
        }
        ready!(budget::poll_proceed(cx));
        let mut session = self.shared.session.lock();
        ready!(self.shared.poll_handshake(&mut session, cx, waiter))?;
        let n = ready!(session.poll_write(cx, waiter, self.shared.below(), message.bufs))?;
        self.shared.flush(session);
        budget::spend();
        Poll::Ready(Ok(n))
    }

    fn poll_flush(&self, cx: &mut Context<'_>, waiter: &mut Waiter) -> Poll<io::Result<()>> {
        let mut session = self.shared.session.lock();
        session.poll_flush(cx, waiter, self.shared.below())
    }

    fn poll_close(&self, cx: &mut Context<'_>, waiter: &mut Waiter) -> Poll<io::Result<()>> {
        let mut session = self.shared.session.lock();
        ready!(self.shared.poll_handshake(&mut session, cx, waiter))?;
        if !session.is_closed {
            session.close();
            session.then = Some(Shutdown::Write);
        }
        session.poll_flush(cx, waiter, self.shared.below())
    }

    fn poll_end(&self, cx: &mut Context<'_>, waiter: &mut Waiter) -> Poll<io::Result<()>> {
        let mut session = self.shared.session.lock();
        session.poll_end(cx, waiter, self.shared.below(), self.shared.limits.shutdown)
    }

    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        if how == Shutdown::Read {
            return self.shared.below.shutdown(how);
        }
        let mut session = self.shared.session.lock();
        session.close();
        if session.has_send_fault() {
            drop(session);
            return self.shared.below.shutdown(how);
        }
        // Of two that were asked for before the first was done, both.
        let how = if session.then.is_some_and(|other| other != how) { Shutdown::Both } else { how };
        session.then = Some(how);
        self.shared.flush(session);
        Ok(())
    }

    fn reset(&self) -> io::Result<()> {
        let mut session = self.shared.session.lock();
        let what = "the TLS connection was reset from this side";
        session.fail(io::Error::new(io::ErrorKind::ConnectionAborted, what));
        drop(session);
        self.shared.below.reset()
    }

    fn local_addr(&self) -> io::Result<SockAddr> {
        self.shared.below.local_addr()
    }

    fn peer_addr(&self) -> io::Result<SockAddr> {
        self.shared.below.peer_addr()
    }

    fn peer_cred(&self) -> io::Result<UCred> {
        self.shared.below.peer_cred()
    }

    fn set_option(&self, option: SocketOption) -> io::Result<()> {
        self.shared.below.set_option(option)
    }

    fn option(&self, name: OptionName) -> io::Result<SocketOption> {
        self.shared.below.option(name)
    }

    fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.shared.below.take_error()
    }

    // No descriptor: what were written to it would be no TLS.

    fn extension(&self) -> Option<&dyn Any> {
        Some(self)
    }
}

fn unsupported(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, what)
}

impl Drop for TlsSocket {
    fn drop(&mut self) {
        let mut session = self.shared.session.lock();
        session.is_orphaned = true;
        let flusher = session.flusher.take();
        // A flusher sees to it when it is through.
        let lingers = !session.has_flusher && session.lingers();
        drop(session);
        if lingers {
            linger(self.shared.clone());
        }
        flusher.into_iter().for_each(Waker::wake);
    }
}

impl fmt::Debug for TlsSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("TlsSocket");
        debug.field("below", &self.shared.below);
        match self.shared.session.try_lock() {
            Some(session) => debug.field("session", &*session).finish(),
            None => debug.finish_non_exhaustive(),
        }
    }
}

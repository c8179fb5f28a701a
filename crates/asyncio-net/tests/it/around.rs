//! [`Around`]: a socket of the system that is not only that.

use std::fmt;
use std::io;
use std::net::Shutdown;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};

use asyncio_reactor::{
    BorrowedDescriptor, OptionName, Received, RecvMsg, SendMsg, SockAddr, Socket, SocketOption, Waiter,
};

/// A socket of the system, and around it what a test needs. It sends from no pipe, and no datagrams that are to be taken apart.
pub(crate) struct Around {
    below: Arc<dyn Socket>,
    received: AtomicUsize,
    /// It receives into no pipe either.
    pub(crate) refuses_reading: bool,
    /// Done when a receive finds nothing, for the first time.
    pub(crate) when_empty: Mutex<Option<Box<dyn FnOnce() + Send>>>,
}

impl Around {
    pub(crate) fn new(below: Arc<dyn Socket>) -> Self {
        Self { below, received: AtomicUsize::new(0), refuses_reading: false, when_empty: Mutex::new(None) }
    }

    /// How many bytes have been received.
    #[cfg(feature = "tls")]
    pub(crate) fn received(&self) -> usize {
        self.received.load(Ordering::Relaxed)
    }
}

impl fmt::Debug for Around {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Around").field("below", &self.below).finish_non_exhaustive()
    }
}

impl Socket for Around {
    fn bind(&self, addr: &SockAddr) -> io::Result<()> {
        self.below.bind(addr)
    }

    fn listen(&self, backlog: u32) -> io::Result<()> {
        self.below.listen(backlog)
    }

    fn poll_accept(
        &self,
        cx: &mut Context<'_>,
        waiter: &mut Waiter,
    ) -> Poll<io::Result<(Arc<dyn Socket>, SockAddr)>> {
        self.below.poll_accept(cx, waiter)
    }

    fn poll_connect(
        &self,
        cx: &mut Context<'_>,
        waiter: &mut Waiter,
        addr: &SockAddr,
    ) -> Poll<io::Result<()>> {
        self.below.poll_connect(cx, waiter, addr)
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        waiter: &mut Waiter,
        message: &mut RecvMsg<'_, '_>,
    ) -> Poll<io::Result<Received>> {
        let received = self.below.poll_recv(cx, waiter, message);
        if received.is_pending() {
            let when_empty = self.when_empty.lock().unwrap().take();
            when_empty.into_iter().for_each(|f| f());
        }
        let received = ready!(received)?;
        self.received.fetch_add(received.n, Ordering::Relaxed);
        Poll::Ready(Ok(received))
    }

    fn poll_send(
        &self,
        cx: &mut Context<'_>,
        waiter: &mut Waiter,
        message: &SendMsg<'_, '_>,
    ) -> Poll<io::Result<usize>> {
        self.below.poll_send(cx, waiter, message)
    }

    fn poll_recv_to_pipe(
        &self,
        cx: &mut Context<'_>,
        waiter: &mut Waiter,
        pipe: BorrowedDescriptor<'_>,
        count: usize,
    ) -> Poll<io::Result<usize>> {
        if self.refuses_reading {
            return Poll::Ready(Err(io::ErrorKind::Unsupported.into()));
        }
        self.below.poll_recv_to_pipe(cx, waiter, pipe, count)
    }

    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.below.shutdown(how)
    }

    fn local_addr(&self) -> io::Result<SockAddr> {
        self.below.local_addr()
    }

    fn peer_addr(&self) -> io::Result<SockAddr> {
        self.below.peer_addr()
    }

    fn set_option(&self, option: SocketOption) -> io::Result<()> {
        self.below.set_option(option)
    }

    fn option(&self, name: OptionName) -> io::Result<SocketOption> {
        self.below.option(name)
    }

    fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.below.take_error()
    }
}

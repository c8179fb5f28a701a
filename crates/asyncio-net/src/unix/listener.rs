//! [`UnixListener`]: takes connections.

use std::future::poll_fn;
use std::io;
use std::os::unix::net::SocketAddr;
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use asyncio_base::shim::Arc;
use asyncio_reactor::{Domain, SockAddr, Socket, Type, adopt, socket};
use futures_core::Stream;

use crate::accept::Accepting;
use crate::unix::{UnixStream, at, bind_with_mode, path_address, std_address, system_address};

/// Takes connections at a path, or at an abstract name.
///
/// The file of a path stays when the listener is dropped; binding to it again fails until it is removed. Errors of accepting are met as
/// [`TcpListener`](crate::TcpListener) meets them.
///
/// # Examples
///
/// ```
/// use asyncio_net::{UnixListener, UnixStream};
///
/// # fn main() -> std::io::Result<()> {
/// let path = std::env::temp_dir().join(format!("asyncio-listener-{}", std::process::id()));
/// asyncio_executor::block_on(async {
///     let listener = UnixListener::bind(&path)?;
///     let _client = UnixStream::connect(&path).await?;
///     let (_server, from) = listener.accept().await?;
///     assert!(from.is_unnamed());
///     std::fs::remove_file(&path)
/// })
/// # }
/// ```
#[derive(Debug)]
pub struct UnixListener {
    socket: Arc<dyn Socket>,
}

/// As [`TcpListener`](crate::TcpListener) has it.
const BACKLOG: u32 = 1024;

impl UnixListener {
    /// Listens at a path, which must not exist yet.
    ///
    /// # Errors
    ///
    /// Fails with what the system says, as in "address in use"; the error names the path.
    pub fn bind(path: impl AsRef<Path>) -> io::Result<Self> {
        let path = path.as_ref();
        let addr = path_address(path)?;
        Self::bind_to(&addr).map_err(|error| at(path, "listening at", error))
    }

    /// Listens at a path, whose file has this mode (0o600: its owner alone may connect) from its birth, whatever the umask is: nobody else can slip in before it is set.
    ///
    /// # Errors
    ///
    /// As [`bind`](Self::bind), and with `Unsupported` elsewhere than on Linux: there only a directory of mode 0700 keeps others out.
    pub fn bind_with_mode(path: impl AsRef<Path>, mode: u32) -> io::Result<Self> {
        let path = path.as_ref();
        let (addr, socket) = (path_address(path)?, socket(Domain::UNIX, Type::STREAM, None)?);
        bind_with_mode(&*socket, &addr, path, mode)
            .and_then(|()| socket.listen(BACKLOG))
            .map_err(|error| at(path, "listening at", error))?;
        Ok(Self { socket })
    }

    /// Listens at an address, which may be an abstract name.
    ///
    /// # Errors
    ///
    /// Fails with what the system says, and where the address is without a name.
    pub fn bind_addr(addr: &SocketAddr) -> io::Result<Self> {
        Self::bind_to(&system_address(addr)?)
    }

    fn bind_to(addr: &SockAddr) -> io::Result<Self> {
        let socket = socket(Domain::UNIX, Type::STREAM, None)?;
        socket.bind(addr)?;
        socket.listen(BACKLOG)?;
        Ok(Self { socket })
    }

    /// Takes over a listener of std's.
    ///
    /// # Errors
    ///
    /// Fails where it cannot be made non-blocking.
    pub fn from_std(listener: std::os::unix::net::UnixListener) -> io::Result<Self> {
        adopt(listener.into()).map(Self::from_socket)
    }

    /// Gives the listener to std, still non-blocking.
    ///
    /// # Errors
    ///
    /// Fails where the socket is not the operating system's.
    pub fn into_std(self) -> io::Result<std::os::unix::net::UnixListener> {
        self.socket.into_descriptor().map(std::os::unix::net::UnixListener::from)
    }

    /// Makes a listener of a listening socket of any reactor.
    pub fn from_socket(socket: Arc<dyn Socket>) -> Self {
        Self { socket }
    }

    /// Returns the socket below.
    pub fn socket(&self) -> &Arc<dyn Socket> {
        &self.socket
    }

    /// Accepts a connection, and says where it came from. Several tasks may accept at the same time.
    ///
    /// # Errors
    ///
    /// Fails only where the listener itself is broken or its loop is closed.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost by dropping it: a connection that was not returned waits in the queue.
    pub async fn accept(&self) -> io::Result<(UnixStream, SocketAddr)> {
        let mut accepting = Accepting::default();
        poll_fn(|cx| self.poll_accepting(cx, &mut accepting)).await
    }

    /// Returns the connections as a stream that never ends.
    pub fn incoming(&self) -> Incoming<'_> {
        Incoming { listener: self, accepting: Accepting::default() }
    }

    fn poll_accepting(
        &self,
        cx: &mut Context<'_>,
        accepting: &mut Accepting,
    ) -> Poll<io::Result<(UnixStream, SocketAddr)>> {
        let (socket, addr) = ready!(accepting.poll(cx, &self.socket))?;
        Poll::Ready(Ok((UnixStream::from_socket(socket), std_address(&addr)?)))
    }

    /// Returns the address it listens at.
    ///
    /// # Errors
    ///
    /// Fails with what the system says.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        std_address(&self.socket.local_addr()?)
    }
}

impl std::os::fd::AsFd for UnixListener {
    /// # Panics
    ///
    /// Panics on a reactor whose sockets are not the operating system's.
    #[track_caller]
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.socket.descriptor().expect("this reactor's sockets have no descriptors")
    }
}

impl From<UnixListener> for Arc<dyn Socket> {
    fn from(listener: UnixListener) -> Self {
        listener.socket
    }
}

/// The connections of a listener, as a stream. Made by [`UnixListener::incoming`].
#[derive(Debug)]
#[must_use = "a stream does nothing unless it is polled"]
pub struct Incoming<'a> {
    listener: &'a UnixListener,
    accepting: Accepting,
}

impl Stream for Incoming<'_> {
    type Item = io::Result<UnixStream>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        let accepted = ready!(this.listener.poll_accepting(cx, &mut this.accepting));
        Poll::Ready(Some(accepted.map(|(stream, _)| stream)))
    }
}

//! [`TcpListener`]: takes connections.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use asyncio_base::shim::Arc;
use asyncio_reactor::{Domain, Socket, SocketOption, Type, adopt, socket};
use futures_core::Stream;

use crate::about::about;
use crate::accept::{Accepting, take_queue};
use crate::addr::ToSocketAddrs;
use crate::tcp::stream::TcpStream;
use crate::tcp::to_ip;

/// Takes TCP connections.
///
/// Where the process is out of descriptors accepting pauses with a warning, and goes on when there are some again. A client that is gone
/// before it could be accepted is passed over.
///
/// # Examples
///
/// ```
/// use asyncio_net::{TcpListener, TcpStream};
///
/// # fn main() -> std::io::Result<()> {
/// asyncio_executor::block_on(async {
///     let listener = TcpListener::bind("127.0.0.1:0").await?;
///     let client = TcpStream::connect(listener.local_addr()?).await?;
///     let (_server, from) = listener.accept().await?;
///     assert_eq!(from, client.local_addr()?);
///     Ok(())
/// })
/// # }
/// ```
#[derive(Debug)]
pub struct TcpListener {
    socket: Arc<dyn Socket>,
}

/// How many connections may wait to be accepted: what `listen(2)` lets systems hold by default (`somaxconn`), and std's and tokio's order.
const BACKLOG: u32 = 1024;

/// Whether a listener has its address to itself.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sharing {
    Alone,
    Shared,
}

impl TcpListener {
    /// Listens at the first of the addresses that can be had. Port 0 lets the system choose.
    ///
    /// The address may be used again while old connections linger on it (`SO_REUSEADDR`, on Unix). It may be called before the loop runs:
    /// the listener binds to a loop when it first waits.
    ///
    /// # Errors
    ///
    /// Fails with the last address's error, which names the address; or where the name cannot be resolved.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost by dropping it.
    pub async fn bind(addrs: impl ToSocketAddrs) -> io::Result<Self> {
        Self::bind_with(addrs, Sharing::Alone).await
    }

    /// As [`bind`](Self::bind), at an address that other listeners made so share: the kernel gives each its part of the connections
    /// (`SO_REUSEPORT`), evenly on Linux and on FreeBSD. One for each worker, and no worker accepts for the others.
    ///
    /// A listener of this kind that is dropped turns those away who are in its own queue; [`close`](Self::close) does not.
    ///
    /// # Errors
    ///
    /// As `bind`; and with `Unsupported` on Windows.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost by dropping it.
    ///
    /// # Examples
    ///
    /// A server on every worker:
    ///
    /// ```
    /// use asyncio_net::{TcpListener, TcpStream};
    /// use asyncio_tasks::spawn_pinned;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let mut runner = asyncio_runtime::Runner::builder().workers(2).build()?;
    /// let workers = runner.event_loops().len();
    /// runner.run(async {
    ///     let first = TcpListener::bind_shared("127.0.0.1:0").await?;
    ///     let addr = first.local_addr()?;
    ///     for worker in 0..workers {
    ///         let serve = move || async move {
    ///             let listener = TcpListener::bind_shared(addr).await?;
    ///             loop {
    ///                 let (stream, _) = listener.accept().await?;
    ///                 asyncio_tasks::spawn_local(async move { drop(stream) }).detach();
    ///             }
    ///             # #[expect(unreachable_code)]
    ///             # Ok::<(), std::io::Error>(())
    ///         };
    ///         spawn_pinned(worker, serve)?.detach();
    ///     }
    ///     TcpStream::connect(addr).await?;
    ///     assert!(first.close()?.len() <= 1);
    ///     Ok(())
    /// })
    /// # }
    /// ```
    pub async fn bind_shared(addrs: impl ToSocketAddrs) -> io::Result<Self> {
        Self::bind_with(addrs, Sharing::Shared).await
    }

    async fn bind_with(addrs: impl ToSocketAddrs, sharing: Sharing) -> io::Result<Self> {
        let mut last = io::Error::new(io::ErrorKind::InvalidInput, "there is no address to listen at");
        for addr in addrs.to_socket_addrs().await? {
            match Self::bind_to(addr, sharing) {
                Ok(listener) => return Ok(listener),
                Err(error) => last = about(format_args!("listening at {addr}"), error),
            }
        }
        Err(last)
    }

    fn bind_to(addr: SocketAddr, sharing: Sharing) -> io::Result<Self> {
        let socket = socket(Domain::for_address(addr), Type::STREAM, None)?;
        // On Windows the same name means something else: taking an address from another program.
        if cfg!(not(windows)) {
            socket.set_option(SocketOption::ReuseAddr(true))?;
        }
        if sharing == Sharing::Shared {
            socket.set_option(SocketOption::ReusePort(true))?;
        }
        socket.bind(&addr.into())?;
        socket.listen(BACKLOG)?;
        Ok(Self { socket })
    }

    /// Stops listening, and returns the connections that clients had made already: those in the queue are not turned away.
    ///
    /// New ones are held off first, as far as the system does that (`listen(2)` with a backlog of none: on Linux, all but one), so that those
    /// who come meanwhile try again, and reach another listener of the [same address](Self::bind_shared) if there is one. A client whose
    /// handshake was not at its end when the listener goes is turned away. Where the process is out of descriptors the rest of the queue is,
    /// and that is reported.
    ///
    /// # Errors
    ///
    /// Fails where the listener's socket is still shared, and with `Unsupported` where it is not the operating system's.
    pub fn close(self) -> io::Result<Vec<(TcpStream, SocketAddr)>> {
        let queue = take_queue(self.socket, BACKLOG)?;
        queue.into_iter().map(|(socket, addr)| Ok((TcpStream::from_socket(socket), to_ip(&addr)?))).collect()
    }

    /// Takes over a listener of std's.
    ///
    /// # Errors
    ///
    /// Fails where it cannot be made non-blocking.
    pub fn from_std(listener: std::net::TcpListener) -> io::Result<Self> {
        adopt(listener.into()).map(Self::from_socket)
    }

    /// Gives the listener to std, still non-blocking.
    ///
    /// # Errors
    ///
    /// Fails where the socket is not the operating system's.
    pub fn into_std(self) -> io::Result<std::net::TcpListener> {
        self.socket.into_descriptor().map(std::net::TcpListener::from)
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
    pub async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
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
    ) -> Poll<io::Result<(TcpStream, SocketAddr)>> {
        let (socket, addr) = ready!(accepting.poll(cx, &self.socket))?;
        Poll::Ready(Ok((TcpStream::from_socket(socket), to_ip(&addr)?)))
    }

    /// Returns the address it listens at.
    ///
    /// # Errors
    ///
    /// Fails with what the system says.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        to_ip(&self.socket.local_addr()?)
    }
}

#[cfg(unix)]
impl std::os::fd::AsFd for TcpListener {
    /// # Panics
    ///
    /// Panics on a reactor whose sockets are not the operating system's.
    #[track_caller]
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.socket.descriptor().expect("this reactor's sockets have no descriptors")
    }
}

impl From<TcpListener> for Arc<dyn Socket> {
    fn from(listener: TcpListener) -> Self {
        listener.socket
    }
}

/// The connections of a listener, as a stream. Made by [`TcpListener::incoming`].
#[derive(Debug)]
#[must_use = "a stream does nothing unless it is polled"]
pub struct Incoming<'a> {
    listener: &'a TcpListener,
    accepting: Accepting,
}

impl Stream for Incoming<'_> {
    type Item = io::Result<TcpStream>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        let accepted = ready!(this.listener.poll_accepting(cx, &mut this.accepting));
        Poll::Ready(Some(accepted.map(|(stream, _)| stream)))
    }
}

//! [`TcpStream`]: one connection.

use std::fs::File;
use std::future::poll_fn;
use std::io;
use std::net::{Shutdown, SocketAddr};
use std::ops::RangeBounds;
use std::task::{Context, Poll};
use std::time::Duration;

use asyncio_base::shim::Arc;
use asyncio_reactor::{OptionName, Socket, SocketOption, adopt};

use crate::addr::ToSocketAddrs;
use crate::connect::ConnectOptions;
use crate::halves::{Half, ReadHalf, WriteHalf, impl_async_read, impl_async_write};
use crate::send_file::send_file;
use crate::streams::{self, StreamReader, StreamWriter};
use crate::tcp::{OwnedReadHalf, OwnedWriteHalf, to_ip};

/// A TCP connection, with [`futures_io::AsyncRead`] and [`futures_io::AsyncWrite`].
///
/// Dropping it closes the connection. [`split`](Self::split) and [`into_split`](Self::into_split) give the two directions to two tasks.
///
/// # Cancel safety
///
/// A read or a write by the traits loses nothing when it is dropped: what was moved was returned. Combinators over several of them
/// (`read_exact`, `write_all`) lose count when dropped in the middle, not bytes.
///
/// # Examples
///
/// ```
/// use asyncio_net::{TcpListener, TcpStream};
/// use futures_lite::{AsyncReadExt, AsyncWriteExt};
///
/// # fn main() -> std::io::Result<()> {
/// asyncio_executor::block_on(async {
///     let listener = TcpListener::bind("127.0.0.1:0").await?;
///     let mut stream = TcpStream::connect(listener.local_addr()?).await?;
///     let (mut peer, _) = listener.accept().await?;
///     stream.write_all(b"ping").await?;
///     stream.close().await?;
///     let mut text = String::new();
///     peer.read_to_string(&mut text).await?;
///     assert_eq!(text, "ping");
///     Ok(())
/// })
/// # }
/// ```
#[derive(Debug)]
pub struct TcpStream {
    read: Half,
    write: Half,
}

impl TcpStream {
    /// Connects to the first of the addresses that accepts: all addresses of a name are tried, staggered (RFC 8305, "Happy Eyeballs"). Whether and how is
    /// set by [`ConnectOptions`].
    ///
    /// # Errors
    ///
    /// Fails where the name cannot be resolved, and where no address accepts: with that one's error if there is one address, or else with
    /// [`ConnectFailed`](crate::ConnectFailed), which has all of them. Each names its address.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost by dropping it: all attempts are given up.
    pub async fn connect(addrs: impl ToSocketAddrs) -> io::Result<Self> {
        ConnectOptions::new().connect(addrs).await
    }

    /// Takes over a connection of std's.
    ///
    /// # Errors
    ///
    /// Fails where it cannot be made non-blocking.
    pub fn from_std(stream: std::net::TcpStream) -> io::Result<Self> {
        adopt(stream.into()).map(Self::from_socket)
    }

    /// Gives the connection to std, still non-blocking.
    ///
    /// # Errors
    ///
    /// Fails where the socket is not the operating system's.
    pub fn into_std(self) -> io::Result<std::net::TcpStream> {
        let Self { read, write } = self;
        drop(write);
        let Half { socket, .. } = read;
        socket.into_descriptor().map(std::net::TcpStream::from)
    }

    /// Makes a stream of a connected socket of any reactor.
    pub fn from_socket(socket: Arc<dyn Socket>) -> Self {
        Self { read: Half::new(socket.clone()), write: Half::new(socket) }
    }

    /// Returns the socket below.
    pub fn socket(&self) -> &Arc<dyn Socket> {
        &self.read.socket
    }

    pub(crate) fn halves(&mut self) -> (&mut Half, &mut Half) {
        (&mut self.read, &mut self.write)
    }

    /// Receives without taking the bytes out; 0 is the end.
    ///
    /// # Errors
    ///
    /// Fails with what the system says.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost by dropping it.
    pub async fn peek(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        poll_fn(|cx| self.poll_peek(cx, buf)).await
    }

    /// Polls for [`peek`](Self::peek).
    pub fn poll_peek(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        self.read.poll_peek(cx, buf)
    }

    /// Sends a part of a file, up to its end at most, and returns how many bytes: asyncio's `sendfile`. The system copies them by itself where it can (Linux); elsewhere, and under TLS, they are
    /// read by another thread. The position of the file does not matter, and stays.
    ///
    /// # Errors
    ///
    /// Fails where the file cannot be read, and with what the connection says.
    ///
    /// # Cancel safety
    ///
    /// How much was sent is lost if it is dropped.
    pub async fn send_file(&mut self, file: &File, range: impl RangeBounds<u64>) -> io::Result<u64> {
        send_file(&**self.socket(), file, range).await
    }

    /// Lends the two directions, to be used at the same time in one task.
    pub fn split(&mut self) -> (ReadHalf<'_>, WriteHalf<'_>) {
        (ReadHalf::new(&mut self.read), WriteHalf::new(&mut self.write))
    }

    /// Gives the two directions to two owners.
    pub fn into_split(self) -> (OwnedReadHalf, OwnedWriteHalf) {
        (OwnedReadHalf::new(self.read), OwnedWriteHalf::new(self.write))
    }

    /// Gives the two directions as asyncio has them: a reader that knows lines and separators, and a writer that never waits to write.
    pub fn into_streams(self) -> (StreamReader, StreamWriter) {
        let Self { read, .. } = self;
        streams::of_socket(read.socket)
    }

    /// Shuts one direction down, or both.
    ///
    /// # Errors
    ///
    /// Fails with what the system says, as in "not connected".
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.socket().shutdown(how)
    }

    /// Returns this side's address.
    ///
    /// # Errors
    ///
    /// Fails with what the system says.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        to_ip(&self.socket().local_addr()?)
    }

    /// Returns the peer's address.
    ///
    /// # Errors
    ///
    /// Fails with what the system says, as in "not connected".
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        to_ip(&self.socket().peer_addr()?)
    }

    /// Sends small segments at once, or collects them (Nagle's algorithm, the system's default).
    ///
    /// # Errors
    ///
    /// Fails with what the system says.
    pub fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        self.socket().set_option(SocketOption::NoDelay(nodelay))
    }

    /// Says whether small segments are sent at once.
    ///
    /// # Errors
    ///
    /// Fails with what the system says.
    pub fn nodelay(&self) -> io::Result<bool> {
        Ok(self.socket().option(OptionName::NoDelay)? == SocketOption::NoDelay(true))
    }

    /// Says how long closing waits for unsent bytes; zero makes it a reset.
    ///
    /// # Errors
    ///
    /// Fails with what the system says.
    pub fn set_linger(&self, linger: Option<Duration>) -> io::Result<()> {
        self.socket().set_option(SocketOption::Linger(linger))
    }

    /// Sets how many hops a packet may take.
    ///
    /// # Errors
    ///
    /// Fails with what the system says.
    pub fn set_ttl(&self, ttl: u32) -> io::Result<()> {
        self.socket().set_option(SocketOption::Ttl(ttl))
    }

    /// Takes the pending error of the socket.
    ///
    /// # Errors
    ///
    /// Fails where the error cannot be asked for.
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.socket().take_error()
    }
}

impl From<TcpStream> for Arc<dyn Socket> {
    fn from(stream: TcpStream) -> Self {
        stream.read.socket
    }
}

impl_async_read!(TcpStream, read);
impl_async_write!(TcpStream, write);

#[cfg(unix)]
impl std::os::fd::AsFd for TcpStream {
    /// # Panics
    ///
    /// Panics on a reactor whose sockets are not the operating system's.
    #[track_caller]
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.socket().descriptor().expect("this reactor's sockets have no descriptors")
    }
}

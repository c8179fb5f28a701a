//! [`UnixStream`]: one connection.

use std::fs::File;
use std::future::poll_fn;
use std::io;
use std::net::Shutdown;
use std::ops::RangeBounds;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::net::SocketAddr;
use std::path::Path;
use std::task::{Context, Poll};

use asyncio_base::shim::Arc;
use asyncio_reactor::{Socket, Type, adopt, socket_pair};

use crate::halves::{Half, ReadHalf, WriteHalf, impl_async_read, impl_async_write};
use crate::send_file::send_file;
use crate::streams::{self, StreamReader, StreamWriter};
use crate::unix::busy::connected;
use crate::unix::{
    OwnedReadHalf, OwnedWriteHalf, UCred, at, path_address, rights, std_address, system_address,
};

/// A connection between two processes of one machine, with [`futures_io::AsyncRead`] and [`futures_io::AsyncWrite`].
///
/// Dropping it closes the connection. [`split`](Self::split) and [`into_split`](Self::into_split) give the two directions to two tasks.
///
/// # Cancel safety
///
/// As [`TcpStream`](crate::TcpStream) has it: a dropped read or write loses nothing.
///
/// # Examples
///
/// ```
/// use asyncio_net::UnixStream;
/// use futures_lite::{AsyncReadExt, AsyncWriteExt};
///
/// # fn main() -> std::io::Result<()> {
/// asyncio_executor::block_on(async {
///     let (mut one, mut other) = UnixStream::pair()?;
///     one.write_all(b"ping").await?;
///     let mut buf = [0; 4];
///     other.read_exact(&mut buf).await?;
///     assert_eq!(&buf, b"ping");
///     Ok(())
/// })
/// # }
/// ```
#[derive(Debug)]
pub struct UnixStream {
    read: Half,
    write: Half,
}

impl UnixStream {
    /// Connects to a path. Where the listener's queue is full it waits, and tries again.
    ///
    /// # Errors
    ///
    /// Fails with what the system says, as in "not found" and "connection refused"; the error names the path.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost by dropping it: the attempt is given up.
    pub async fn connect(path: impl AsRef<Path>) -> io::Result<Self> {
        let path = path.as_ref();
        let addr = path_address(path)?;
        let socket =
            connected(Type::STREAM, &addr).await.map_err(|error| at(path, "connecting to", error))?;
        Ok(Self::from_socket(socket))
    }

    /// Connects to an address, which may be an abstract name.
    ///
    /// # Errors
    ///
    /// Fails with what the system says, and where the address is without a name.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost by dropping it: the attempt is given up.
    pub async fn connect_addr(addr: &SocketAddr) -> io::Result<Self> {
        connected(Type::STREAM, &system_address(addr)?).await.map(Self::from_socket)
    }

    /// Makes two streams that are connected with each other. asyncio's `socketpair`.
    ///
    /// # Errors
    ///
    /// Fails where the process is out of descriptors.
    pub fn pair() -> io::Result<(Self, Self)> {
        let (one, other) = socket_pair(Type::STREAM)?;
        Ok((Self::from_socket(one), Self::from_socket(other)))
    }

    /// Takes over a connection of std's.
    ///
    /// # Errors
    ///
    /// Fails where it cannot be made non-blocking.
    pub fn from_std(stream: std::os::unix::net::UnixStream) -> io::Result<Self> {
        adopt(stream.into()).map(Self::from_socket)
    }

    /// Gives the connection to std, still non-blocking.
    ///
    /// # Errors
    ///
    /// Fails where the socket is not the operating system's.
    pub fn into_std(self) -> io::Result<std::os::unix::net::UnixStream> {
        let Self { read, write } = self;
        drop(write);
        let Half { socket, .. } = read;
        socket.into_descriptor().map(std::os::unix::net::UnixStream::from)
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
        poll_fn(|cx: &mut Context<'_>| -> Poll<_> { self.read.poll_peek(cx, buf) }).await
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

    /// Sends some of the bytes, and descriptors with them; returns how many bytes, at least one. The descriptors go with the first byte, once: what is left of the bytes is sent
    /// without them. They stay ours too, and may be closed afterwards.
    ///
    /// # Errors
    ///
    /// Fails with what the connection says, and with `InvalidInput` for more than 253 descriptors, which is what one message can carry (Linux), and for descriptors without a
    /// byte.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost by dropping it: either all of the descriptors went, and it has returned, or none.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::io::{Read, Seek, Write};
    /// use std::os::fd::AsFd;
    ///
    /// use asyncio_net::UnixStream;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// # let path = std::env::temp_dir().join(format!("asyncio-passed-{}", std::process::id()));
    /// asyncio_executor::block_on(async {
    ///     let (mut one, mut other) = UnixStream::pair()?;
    ///     let mut file = std::fs::File::options().read(true).write(true).create(true).open(&path)?;
    ///     file.write_all(b"as it is")?;
    ///     one.send_with_fds(b"a file", &[file.as_fd()]).await?;
    ///
    ///     let mut buf = [0; 16];
    ///     let (n, mut fds) = other.recv_with_fds(&mut buf).await?;
    ///     assert_eq!(&buf[..n], b"a file");
    ///     let mut same = std::fs::File::from(fds.remove(0));
    ///     same.rewind()?;
    ///     let mut text = String::new();
    ///     same.read_to_string(&mut text)?;
    ///     assert_eq!(text, "as it is");
    /// #   std::fs::remove_file(&path)?;
    ///     Ok(())
    /// })
    /// # }
    /// ```
    pub async fn send_with_fds(&mut self, buf: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<usize> {
        rights::send(&**self.socket(), buf, fds).await
    }

    /// Receives bytes, 0 of them at the end, and the descriptors that came with them, closed on exec. Bytes of two messages with descriptors are never in one answer.
    ///
    /// A read that does not ask for descriptors closes those that come.
    ///
    /// # Errors
    ///
    /// Fails with what the connection says, and where descriptors were lost because this process can have no more of them; then the others are closed, and the bytes are gone too.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost by dropping it: bytes and descriptors that were not returned are still in the socket.
    pub async fn recv_with_fds(&mut self, buf: &mut [u8]) -> io::Result<(usize, Vec<OwnedFd>)> {
        rights::recv(&**self.socket(), buf).await
    }

    /// Says who the peer was when it connected, or when it began to listen.
    ///
    /// # Errors
    ///
    /// Fails where there is no peer, and where the system does not tell.
    pub fn peer_cred(&self) -> io::Result<UCred> {
        self.socket().peer_cred()
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
        std_address(&self.socket().local_addr()?)
    }

    /// Returns the peer's address.
    ///
    /// # Errors
    ///
    /// Fails with what the system says, as in "not connected".
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        std_address(&self.socket().peer_addr()?)
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

impl From<UnixStream> for Arc<dyn Socket> {
    fn from(stream: UnixStream) -> Self {
        stream.read.socket
    }
}

impl_async_read!(UnixStream, read);
impl_async_write!(UnixStream, write);

impl std::os::fd::AsFd for UnixStream {
    /// # Panics
    ///
    /// Panics on a reactor whose sockets are not the operating system's.
    #[track_caller]
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.socket().descriptor().expect("this reactor's sockets have no descriptors")
    }
}

//! [`TlsStream`]: one connection under TLS.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;

use asyncio_base::shim::Arc;
use asyncio_reactor::Socket;

use super::info::TlsInfo;
use super::socket::TlsSocket;
use super::{OwnedReadHalf, OwnedWriteHalf};
use crate::halves::{Half, ReadHalf, WriteHalf, impl_async_read, impl_async_write};
use crate::streams::{self, StreamReader, StreamWriter};
use crate::tcp::to_ip;

/// A connection under TLS, with [`futures_io::AsyncRead`] and [`futures_io::AsyncWrite`]. Made by [`TlsConnector::connect`](super::TlsConnector::connect) and
/// [`TlsAcceptor::accept`](super::TlsAcceptor::accept).
///
/// The end of it is the peer's close_notify; one that comes without is an error, `UnexpectedEof`, after everything that came before, for it may have been cut short by
/// somebody else. Closing it by `AsyncWrite` ends this direction: close_notify is sent, and the other direction goes on. Dropped without that, the peer sees such an
/// error. [`close`](Self::close) ends both directions. A client that has ended its direction and is dropped stays in the background until the server ends too, or says something, for two
/// seconds at most, and one after its loop has ended: its server may be sending it tickets, and a connection that is closed on them would lose what is on its way there. Whoever wants to know that the server has heard
/// all waits for its end, by reading or by `close`.
///
/// Bytes that the system does not take are kept, up to 64 KiB, and sent in the background: an error of that is told by the next call.
///
/// # Cancel safety
///
/// A read or a write by the traits loses nothing when it is dropped: what was moved was returned.
#[derive(Debug)]
pub struct TlsStream {
    tls: Arc<TlsSocket>,
    read: Half,
    write: Half,
}

impl TlsStream {
    pub(super) fn new(tls: Arc<TlsSocket>) -> Self {
        let socket: Arc<dyn Socket> = tls.clone();
        Self { tls, read: Half::new(socket.clone()), write: Half::new(socket) }
    }

    /// Returns what the peers have agreed on.
    pub fn info(&self) -> TlsInfo {
        self.tls.info()
    }

    /// Returns the socket, which encrypts.
    pub fn socket(&self) -> &Arc<dyn Socket> {
        &self.read.socket
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

    /// Ends the connection: sends close_notify, waits for the peer's, and closes. What the peer has sent before that is lost.
    ///
    /// # Errors
    ///
    /// Fails with `TimedOut` where the peer does not answer within the limit for it, and with what the connection says.
    ///
    /// # Cancel safety
    ///
    /// The connection is closed if it is dropped.
    pub async fn close(mut self) -> io::Result<()> {
        poll_fn(|cx| self.write.poll_end(cx)).await?;
        self.tls.shutdown(std::net::Shutdown::Both)
    }

    /// Returns this side's address.
    ///
    /// # Errors
    ///
    /// Fails with what the system says, and where it is not an IP address.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        to_ip(&self.socket().local_addr()?)
    }

    /// Returns the peer's address.
    ///
    /// # Errors
    ///
    /// Fails with what the system says, and where it is not an IP address.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        to_ip(&self.socket().peer_addr()?)
    }
}

impl From<TlsStream> for Arc<dyn Socket> {
    fn from(stream: TlsStream) -> Self {
        stream.read.socket
    }
}

impl_async_read!(TlsStream, read);
impl_async_write!(TlsStream, write);

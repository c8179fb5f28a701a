//! The two directions of a stream: lent for one task, or owned by two.

use std::fmt;
use std::io;
use std::net::{Shutdown, SocketAddr};
use std::task::{Context, Poll};

use asyncio_base::shim::Arc;

use crate::tcp::half::{Half, impl_async_read, impl_async_write};
use crate::tcp::stream::TcpStream;
use crate::tcp::to_ip;

/// The reading direction, lent by [`TcpStream::split`].
#[derive(Debug)]
pub struct ReadHalf<'a> {
    half: &'a mut Half,
}

impl<'a> ReadHalf<'a> {
    pub(crate) fn new(half: &'a mut Half) -> Self {
        Self { half }
    }
}

/// The writing direction, lent by [`TcpStream::split`].
#[derive(Debug)]
pub struct WriteHalf<'a> {
    half: &'a mut Half,
}

impl<'a> WriteHalf<'a> {
    pub(crate) fn new(half: &'a mut Half) -> Self {
        Self { half }
    }
}

/// The reading direction, owned. Made by [`TcpStream::into_split`].
#[derive(Debug)]
pub struct OwnedReadHalf {
    half: Half,
}

impl OwnedReadHalf {
    pub(crate) fn new(half: Half) -> Self {
        Self { half }
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
        std::future::poll_fn(|cx: &mut Context<'_>| -> Poll<_> { self.half.poll_peek(cx, buf) }).await
    }

    /// Returns the peer's address.
    ///
    /// # Errors
    ///
    /// Fails with what the system says, as in "not connected".
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        to_ip(&self.half.socket.peer_addr()?)
    }

    /// Puts the two directions of one connection together again.
    ///
    /// # Errors
    ///
    /// Gives both back if they are not of the same connection.
    pub fn reunite(self, mut other: OwnedWriteHalf) -> Result<TcpStream, ReuniteError> {
        if !Arc::ptr_eq(&self.half.socket, &other.half.socket) {
            return Err(ReuniteError(self, other));
        }
        other.shuts_down = false;
        Ok(TcpStream::from_socket(self.half.socket.clone()))
    }
}

/// The writing direction, owned. Made by [`TcpStream::into_split`].
///
/// Dropping it shuts the direction down: the peer sees the end.
#[derive(Debug)]
pub struct OwnedWriteHalf {
    half: Half,
    /// Cleared when the halves are put together again.
    shuts_down: bool,
}

impl OwnedWriteHalf {
    pub(crate) fn new(half: Half) -> Self {
        Self { half, shuts_down: true }
    }

    /// Returns the peer's address.
    ///
    /// # Errors
    ///
    /// Fails with what the system says, as in "not connected".
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        to_ip(&self.half.socket.peer_addr()?)
    }
}

impl Drop for OwnedWriteHalf {
    fn drop(&mut self) {
        if self.shuts_down {
            // The connection may be gone already, and then the peer knows.
            let _ = self.half.socket.shutdown(Shutdown::Write);
        }
    }
}

/// The halves that [`OwnedReadHalf::reunite`] was given are of two connections. Both are inside.
#[derive(Debug)]
pub struct ReuniteError(pub OwnedReadHalf, pub OwnedWriteHalf);

impl fmt::Display for ReuniteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the two halves are of different connections")
    }
}

impl std::error::Error for ReuniteError {}

impl_async_read!(ReadHalf<'_>, half);
impl_async_write!(WriteHalf<'_>, half);
impl_async_read!(OwnedReadHalf, half);
impl_async_write!(OwnedWriteHalf, half);

//! TCP: [`TcpListener`], [`TcpStream`], and the two halves of a stream.

mod listener;
mod stream;

pub use listener::{Incoming, TcpListener};
pub use stream::TcpStream;

pub use crate::halves::{ReadHalf, WriteHalf};

use std::io;
use std::net::SocketAddr;

use asyncio_reactor::SockAddr;

use crate::halves;

/// The reading direction of a [`TcpStream`], owned.
pub type OwnedReadHalf = halves::OwnedReadHalf<TcpStream>;
/// The writing direction of a [`TcpStream`], owned.
pub type OwnedWriteHalf = halves::OwnedWriteHalf<TcpStream>;
/// The halves are of two connections.
pub type ReuniteError = halves::ReuniteError<TcpStream>;

impl OwnedReadHalf {
    /// Puts the two directions of one connection together again.
    ///
    /// # Errors
    ///
    /// Gives both back if they are not of the same connection.
    pub fn reunite(self, other: OwnedWriteHalf) -> Result<TcpStream, ReuniteError> {
        self.reunited(other).map(TcpStream::from_socket)
    }

    /// Returns the peer's address.
    ///
    /// # Errors
    ///
    /// Fails with what the system says, as in "not connected".
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        to_ip(&self.socket().peer_addr()?)
    }
}

impl OwnedWriteHalf {
    /// Returns the peer's address.
    ///
    /// # Errors
    ///
    /// Fails with what the system says, as in "not connected".
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        to_ip(&self.socket().peer_addr()?)
    }
}

/// Turns a system's address into an IP address with a port.
pub(crate) fn to_ip(addr: &SockAddr) -> io::Result<SocketAddr> {
    addr.as_socket()
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "the address is not an IP address"))
}

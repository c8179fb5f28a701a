//! TCP: [`TcpListener`], [`TcpStream`], and the two halves of a stream.

mod listener;
mod split;
mod stream;

mod accept;
mod connect;
mod half;

pub use listener::{Incoming, TcpListener};
pub use split::{OwnedReadHalf, OwnedWriteHalf, ReadHalf, ReuniteError, WriteHalf};
pub use stream::TcpStream;

use std::io;
use std::net::SocketAddr;

use asyncio_reactor::SockAddr;

/// Turns a system's address into an IP address with a port.
fn to_ip(addr: &SockAddr) -> io::Result<SocketAddr> {
    addr.as_socket()
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "the address is not an IP address"))
}

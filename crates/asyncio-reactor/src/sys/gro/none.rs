//! Where datagrams come as they were sent.

use std::io;

use socket2::Socket;

pub(crate) fn set_gro(_socket: &Socket, _on: bool) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

pub(crate) fn gro(_socket: &Socket) -> io::Result<bool> {
    Err(io::ErrorKind::Unsupported.into())
}

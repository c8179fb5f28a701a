//! `UDP_GRO` (udp(7)): what comes from one sender at once is put together. `Unsupported` before Linux 5.0, and by a socket that is not UDP's.

use std::io;

use socket2::Socket;

use crate::sys::number;

pub(crate) fn set_gro(socket: &Socket, on: bool) -> io::Result<()> {
    number::set(socket, libc::SOL_UDP, libc::UDP_GRO, on.into())
}

pub(crate) fn gro(socket: &Socket) -> io::Result<bool> {
    Ok(number::get(socket, libc::SOL_UDP, libc::UDP_GRO)? != 0)
}

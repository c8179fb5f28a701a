//! Non-blocking, closed on exec, without a signal: systems that take these as flags of the call itself.

use std::io;
use std::os::fd::OwnedFd;

use rustix::net::{RecvFlags, SendFlags, SocketFlags};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use super::to_sock_addr;
use crate::sys::called;

/// A closed peer is an error, not a signal.
pub(crate) const SENDING: SendFlags = SendFlags::NOSIGNAL;
/// Descriptors that come along are closed on exec.
pub(crate) const RECEIVING: RecvFlags = RecvFlags::CMSG_CLOEXEC;

pub(crate) fn new_socket(domain: Domain, ty: Type, protocol: Option<Protocol>) -> io::Result<Socket> {
    // Closed on exec: socket2 does that.
    Socket::new(domain, ty.nonblocking(), protocol)
}

/// Makes a socket of somebody else's fit for ours.
pub(crate) fn prepare(socket: &Socket) -> io::Result<()> {
    socket.set_nonblocking(true)
}

/// Makes a descriptor that came along fit for use.
#[expect(clippy::unnecessary_wraps, reason = "elsewhere it takes a call, which may fail")]
pub(crate) fn prepare_received(_descriptor: &OwnedFd) -> io::Result<()> {
    Ok(())
}

/// Accepts with `accept4`.
pub(crate) fn accept(socket: &Socket) -> io::Result<(Socket, SockAddr)> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let (accepted, addr) = called(rustix::net::acceptfrom_with(socket, flags))?;
    // A Unix peer that is bound to nothing may come without any address.
    let addr = addr.map_or_else(|| SockAddr::unix(""), to_sock_addr)?;
    Ok((Socket::from(accepted), addr))
}

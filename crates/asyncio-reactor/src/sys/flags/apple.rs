//! Non-blocking, closed on exec, without a signal: Apple's systems, where each is a call of its own after the other.
//!
//! Between the two calls a thread that forks and executes lets the descriptor through; std has the same gap there.

use std::io;
use std::os::fd::OwnedFd;

use rustix::io::{FdFlags, fcntl_setfd};
use rustix::net::{RecvFlags, SendFlags};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

/// The socket itself is told (`SO_NOSIGPIPE`).
pub(crate) const SENDING: SendFlags = SendFlags::empty();
/// Descriptors are told afterwards.
pub(crate) const RECEIVING: RecvFlags = RecvFlags::empty();

pub(crate) fn new_socket(domain: Domain, ty: Type, protocol: Option<Protocol>) -> io::Result<Socket> {
    // Closed on exec, and without a signal: socket2 does that.
    let socket = Socket::new(domain, ty, protocol)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// Makes a socket of somebody else's fit for ours.
pub(crate) fn prepare(socket: &Socket) -> io::Result<()> {
    match socket.set_nosigpipe(true) {
        // Its peer has gone already; the first write says so.
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => {}
        result => result?,
    }
    socket.set_nonblocking(true)
}

/// Makes a descriptor that came along fit for use.
pub(crate) fn prepare_received(descriptor: &OwnedFd) -> io::Result<()> {
    Ok(fcntl_setfd(descriptor, FdFlags::CLOEXEC)?)
}

pub(crate) fn accept(socket: &Socket) -> io::Result<(Socket, SockAddr)> {
    // Closed on exec, and without a signal: socket2 does that.
    let (accepted, addr) = socket.accept()?;
    accepted.set_nonblocking(true)?;
    Ok((accepted, addr))
}

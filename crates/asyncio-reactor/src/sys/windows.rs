//! Sockets on Windows, through `socket2`.

#![expect(unsafe_code, reason = "bytes that are initialised, lent as bytes that may not be")]

use std::io::{self, IoSliceMut};
use std::net::Shutdown;
use std::os::windows::io::{AsSocket, BorrowedSocket, OwnedSocket};

use socket2::{Domain, MaybeUninitSlice, Protocol, SockAddr, Socket, Type};

use crate::socket::{Received, RecvMsg, SendMsg};

/// As many as there are.
pub(crate) const SLICES_MAX: usize = usize::MAX;

/// A descriptor, borrowed: a socket's handle.
pub type BorrowedDescriptor<'a> = BorrowedSocket<'a>;
/// A descriptor, owned: a socket's handle.
pub type OwnedDescriptor = OwnedSocket;

/// `MSG_PEEK` of winsock2.h.
const PEEK: i32 = 2;

/// Whatever has a descriptor.
pub trait AsDescriptor: AsSocket {
    /// Lends it.
    fn as_descriptor(&self) -> BorrowedDescriptor<'_> {
        self.as_socket()
    }
}

impl<T: AsSocket> AsDescriptor for T {}

pub(crate) fn borrow(socket: &Socket) -> BorrowedDescriptor<'_> {
    socket.as_socket()
}

pub(crate) fn new_socket(domain: Domain, ty: Type, protocol: Option<Protocol>) -> io::Result<Socket> {
    // Not inherited by child processes: socket2 does that.
    let socket = Socket::new(domain, ty, protocol)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// Makes a socket of somebody else's fit for ours.
pub(crate) fn prepare(socket: &Socket) -> io::Result<()> {
    socket.set_nonblocking(true)
}

/// Ends a direction, or both.
pub(crate) fn shutdown(socket: &Socket, how: Shutdown) -> io::Result<()> {
    socket.shutdown(how)
}

/// The system does not tell: it is taken for the default of the socket's type.
#[expect(clippy::unnecessary_wraps, reason = "elsewhere it takes a call, which may fail")]
pub(crate) fn protocol(_socket: &Socket) -> io::Result<Option<Protocol>> {
    Ok(None)
}

pub(crate) fn accept(socket: &Socket) -> io::Result<(Socket, SockAddr)> {
    let (accepted, addr) = socket.accept()?;
    accepted.set_nonblocking(true)?;
    Ok((accepted, addr))
}

pub(crate) fn connect(socket: &Socket, addr: &SockAddr) -> io::Result<()> {
    socket.connect(addr)
}

/// A connect that goes on in the background is `WSAEWOULDBLOCK` here.
pub(crate) fn is_connect_pending(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock
}

pub(crate) fn recv(
    socket: &Socket,
    message: &mut RecvMsg<'_, '_>,
    _is_datagram: bool,
) -> io::Result<Received> {
    let flags = if message.peek { PEEK } else { 0 };
    let mut bufs: Vec<MaybeUninitSlice<'_>> = message.bufs.iter_mut().map(lend).collect();
    // A datagram that was longer than the buffers comes with its beginning and a flag, as elsewhere.
    let (n, seen) = match &mut message.addr {
        None => socket.recv_vectored_with_flags(&mut bufs, flags)?,
        Some(addr) => {
            let (n, seen, from) = socket.recv_from_vectored_with_flags(&mut bufs, flags)?;
            **addr = Some(from);
            (n, seen)
        }
    };
    Ok(Received { is_truncated: seen.is_truncated(), ..Received::new(n) })
}

/// Receives bytes alone.
pub(crate) fn recv_plain(socket: &Socket, buf: &mut [u8]) -> io::Result<Received> {
    recv(socket, &mut RecvMsg::new(&mut [IoSliceMut::new(buf)]), false)
}

fn lend<'a>(buf: &'a mut IoSliceMut<'_>) -> MaybeUninitSlice<'a> {
    let bytes: *mut [u8] = &mut **buf;
    // SAFETY: the same bytes for the same time, and `MaybeUninit<u8>` is laid out as `u8` is. socket2 promises of the calls above to write
    // nothing that is not initialised.
    MaybeUninitSlice::new(unsafe { &mut *(bytes as *mut [std::mem::MaybeUninit<u8>]) })
}

/// Sends bytes alone.
pub(crate) fn send_plain(socket: &Socket, bytes: &[u8]) -> io::Result<usize> {
    socket.send(bytes)
}

pub(crate) fn send(socket: &Socket, message: &SendMsg<'_, '_>) -> io::Result<usize> {
    if !message.rights.is_empty() {
        let error = "sockets do not carry descriptors on this platform";
        return Err(io::Error::new(io::ErrorKind::Unsupported, error));
    }
    match message.addr {
        None => socket.send_vectored(message.bufs),
        Some(addr) => socket.send_to_vectored(message.bufs, addr),
    }
}

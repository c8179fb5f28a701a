//! Sockets on Unix: through `rustix` where bytes move (its calls take plain slices), through `socket2` elsewhere.

use std::io;
use std::mem::MaybeUninit;
use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SocketAddrAny, SocketAddrUnix,
};
use socket2::{Protocol, SockAddr, Socket, Type};

use crate::readiness::Direction;
use crate::socket::{Ancillary, Received, RecvMsg, SendMsg};
use crate::sys::called;

#[cfg(target_vendor = "apple")]
#[path = "flags/apple.rs"]
mod flags;
#[cfg(not(target_vendor = "apple"))]
#[path = "flags/in_one_call.rs"]
mod flags;

pub(crate) use flags::{accept, new_socket, prepare};

/// A descriptor, borrowed.
pub type BorrowedDescriptor<'a> = BorrowedFd<'a>;
/// A descriptor, owned.
pub type OwnedDescriptor = OwnedFd;

/// How many descriptors one message may bring: Linux's `SCM_MAX_FD`.
const RIGHTS_MAX: usize = 253;
/// The size of Linux's `sockaddr_un`: a family, and a path of 108 bytes.
#[cfg(any(target_os = "linux", target_os = "android"))]
const SOCKADDR_UN: usize = 110;
/// How many slices one call takes: Linux's `IOV_MAX`. More of them are a short read or write, not an error.
pub(crate) const SLICES_MAX: usize = 1024;

/// Whatever has a descriptor.
pub trait AsDescriptor: AsFd {
    /// Lends it.
    fn as_descriptor(&self) -> BorrowedDescriptor<'_> {
        self.as_fd()
    }
}

impl<T: AsFd> AsDescriptor for T {}

pub(crate) fn borrow(socket: &Socket) -> BorrowedDescriptor<'_> {
    socket.as_fd()
}

/// The protocol of a socket; where the system does not tell, it is taken for the default of its type.
#[cfg(any(target_os = "linux", target_os = "android", target_os = "freebsd"))]
pub(crate) fn protocol(socket: &Socket) -> io::Result<Option<Protocol>> {
    socket.protocol()
}

#[cfg(not(any(target_os = "linux", target_os = "android", target_os = "freebsd")))]
#[expect(clippy::unnecessary_wraps, reason = "elsewhere it takes a call, which may fail")]
pub(crate) fn protocol(_socket: &Socket) -> io::Result<Option<Protocol>> {
    Ok(None)
}

pub(crate) fn connect(socket: &Socket, addr: &SockAddr) -> io::Result<()> {
    socket.connect(addr)
}

/// `EINTR` too: POSIX lets an interrupted connect go on in the background.
pub(crate) fn is_connect_pending(error: &io::Error) -> bool {
    let errno = rustix::io::Errno::from_io_error(error);
    errno.is_some_and(|errno| [rustix::io::Errno::INPROGRESS, rustix::io::Errno::INTR].contains(&errno))
}

/// Ends a direction, or both.
pub(crate) fn shutdown(socket: &Socket, how: Shutdown) -> io::Result<()> {
    let how = match how {
        Shutdown::Read => rustix::net::Shutdown::Read,
        Shutdown::Write => rustix::net::Shutdown::Write,
        Shutdown::Both => rustix::net::Shutdown::Both,
    };
    Ok(called(rustix::net::shutdown(socket, how))?)
}

/// `is_datagram` says that these are datagrams of UDP.
#[inline]
#[cfg_attr(
    not(any(target_os = "linux", target_os = "android")),
    expect(unused_variables, reason = "only Linux tells of a call for datagrams how long they were")
)]
pub(crate) fn recv(
    socket: &Socket,
    message: &mut RecvMsg<'_, '_>,
    is_datagram: bool,
) -> io::Result<Received> {
    let peek = if message.peek { RecvFlags::PEEK } else { RecvFlags::empty() };
    match (&mut *message.bufs, &mut message.addr, &message.ancillary) {
        ([buf], None, None) => {
            let (n, _) = called(rustix::net::recv(socket, &mut **buf, peek))?;
            Ok(Received::new(n))
        }
        // Linux tells how long it was (recv(2), `MSG_TRUNC`); the call does less than recvmsg(2).
        #[cfg(any(target_os = "linux", target_os = "android"))]
        ([buf], Some(place), None) if is_datagram => {
            let (_, n, addr) = called(rustix::net::recvfrom(socket, &mut **buf, peek | RecvFlags::TRUNC))?;
            **place = addr.map(to_sock_addr).transpose()?;
            Ok(Received { is_truncated: n > buf.len(), ..Received::new(n.min(buf.len())) })
        }
        _ => recv_msg(socket, message, peek),
    }
}

/// Receives bytes alone.
#[inline]
pub(crate) fn recv_plain(socket: &Socket, buf: &mut [u8]) -> io::Result<Received> {
    let (n, _) = called(rustix::net::recv(socket, buf, RecvFlags::empty()))?;
    Ok(Received::new(n))
}

#[inline(never)]
fn recv_msg(socket: &Socket, message: &mut RecvMsg<'_, '_>, peek: RecvFlags) -> io::Result<Received> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(RIGHTS_MAX))];
    let mut control = match message.ancillary {
        Some(_) => RecvAncillaryBuffer::new(&mut space),
        None => RecvAncillaryBuffer::default(),
    };
    let flags = peek | flags::RECEIVING;
    let count = message.bufs.len().min(SLICES_MAX);
    let result = called(rustix::net::recvmsg(socket, &mut message.bufs[..count], &mut control, flags))?;
    if let Some(ancillary) = &mut message.ancillary {
        collect_rights(&mut control, ancillary)?;
    }
    if let Some(addr) = &mut message.addr {
        **addr = result.address.map(to_sock_addr).transpose()?;
    }
    Ok(Received {
        is_truncated: result.flags.contains(ReturnFlags::TRUNC),
        is_ancillary_truncated: result.flags.contains(ReturnFlags::CTRUNC),
        ..Received::new(result.bytes)
    })
}

fn collect_rights(control: &mut RecvAncillaryBuffer<'_>, ancillary: &mut Ancillary) -> io::Result<()> {
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            for right in rights {
                flags::prepare_received(&right)?;
                ancillary.rights.push(right);
            }
        }
    }
    Ok(())
}

#[inline]
pub(crate) fn send(socket: &Socket, message: &SendMsg<'_, '_>) -> io::Result<usize> {
    match (message.bufs, message.addr, message.rights) {
        _ if message.segment_size.is_some() => Err(io::ErrorKind::Unsupported.into()),
        ([buf], None, []) => send_plain(socket, buf),
        ([buf], Some(addr), []) => send_to(socket, buf, addr),
        _ => send_msg(socket, message),
    }
}

/// Sends bytes alone.
#[inline]
pub(crate) fn send_plain(socket: &Socket, bytes: &[u8]) -> io::Result<usize> {
    Ok(called(rustix::net::send(socket, bytes, flags::SENDING))?)
}

// Never inlined, both: their room on the stack would be made for every message.
#[inline(never)]
fn send_to(socket: &Socket, bytes: &[u8], addr: &SockAddr) -> io::Result<usize> {
    Ok(called(rustix::net::sendto(socket, bytes, flags::SENDING, &from_sock_addr(addr)?))?)
}

#[inline(never)]
fn send_msg(socket: &Socket, message: &SendMsg<'_, '_>) -> io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(RIGHTS_MAX))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let has_rights = !message.rights.is_empty();
    // The space for so many has room for one more, by its alignment.
    let is_too_many = message.rights.len() > RIGHTS_MAX;
    if is_too_many || (has_rights && !control.push(SendAncillaryMessage::ScmRights(message.rights))) {
        let error = "more descriptors than one message can carry: 253";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, error));
    }
    if message.bufs.len() > SLICES_MAX && socket.r#type()? != Type::STREAM {
        let error = "more slices than one datagram can be sent from: 1024";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, error));
    }
    let bufs = &message.bufs[..message.bufs.len().min(SLICES_MAX)];
    Ok(match message.addr {
        None => called(rustix::net::sendmsg(socket, bufs, &mut control, flags::SENDING))?,
        Some(addr) => called(rustix::net::sendmsg_addr(
            socket,
            &from_sock_addr(addr)?,
            bufs,
            &mut control,
            flags::SENDING,
        ))?,
    })
}

fn to_sock_addr(addr: SocketAddrAny) -> io::Result<SockAddr> {
    if let Ok(addr) = std::net::SocketAddr::try_from(addr.clone()) {
        return Ok(addr.into());
    }
    #[cfg(any(target_os = "linux", target_os = "android"))]
    if addr.addr_len() as usize > SOCKADDR_UN {
        // Linux lets a path fill `sun_path` without a zero at its end, and then says one byte more than there is (unix(7), BUGS).
        // Neither rustix nor std can hold such a path; its owner stays without a name.
        return SockAddr::unix("");
    }
    let addr = SocketAddrUnix::try_from(addr)?;
    // rustix reads an address without a name as an abstract name of no bytes.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    if let Some(name) = addr.abstract_name().filter(|name| !name.is_empty()) {
        // An abstract name is a path that begins with a zero (unix(7)).
        return SockAddr::unix(std::ffi::OsStr::from_bytes(&[b"\0", name].concat()));
    }
    let path = addr.path_bytes().unwrap_or_default();
    // rustix leaves the zero at the end of a path that fills the place but for that.
    let path = path.strip_suffix(b"\0").unwrap_or(path);
    SockAddr::unix(std::ffi::OsStr::from_bytes(path))
}

fn from_sock_addr(addr: &SockAddr) -> io::Result<SocketAddrAny> {
    if let Some(addr) = addr.as_socket() {
        return Ok(addr.into());
    }
    #[cfg(any(target_os = "linux", target_os = "android"))]
    if let Some(name) = addr.as_abstract_namespace() {
        return Ok(SocketAddrUnix::new_abstract_name(name)?.into());
    }
    let path = addr.as_pathname().ok_or_else(|| {
        io::Error::new(
            io::ErrorKind::Unsupported,
            "sending to an address that is neither an IP address nor a Unix socket's",
        )
    })?;
    Ok(SocketAddrUnix::new(path)?.into())
}

/// Asks the system, without waiting, whether an operation in this direction would not block: poll(2).
pub(crate) fn is_ready_now(source: BorrowedFd<'_>, direction: Direction) -> io::Result<bool> {
    let flags = match direction {
        Direction::Read => rustix::event::PollFlags::IN,
        Direction::Write => rustix::event::PollFlags::OUT,
    };
    loop {
        let mut fds = [rustix::event::PollFd::from_borrowed_fd(source, flags)];
        match rustix::event::poll(&mut fds, Some(&rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 })) {
            Ok(_) if fds[0].revents().contains(rustix::event::PollFlags::NVAL) => {
                return Err(rustix::io::Errno::BADF.into());
            }
            // `HUP` and `ERR` come unasked: then a call would not block either.
            Ok(_) => return Ok(!fds[0].revents().is_empty()),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

//! Several datagrams in one call: recvmmsg(2), sendmmsg(2); and several in one message, which the kernel takes apart and puts together (`UDP_SEGMENT`, `UDP_GRO`, udp(7)).
//! rustix does not have the first, and takes descriptors of its own making for the second.

#![expect(unsafe_code, reason = "the kernel is handed pointers into arrays that live here")]

use std::io;
use std::mem::zeroed;
use std::num::NonZeroU16;
use std::os::fd::AsRawFd;
use std::ptr;
use std::sync::OnceLock;

use libc::{c_int, iovec, mmsghdr, msghdr};
use rustix::io::Errno;
use socket2::{SockAddr, SockAddrStorage, Socket};

use crate::socket::{Received, RecvMsg, SendMsg};
use crate::sys::number;

/// How many messages one call takes; more are a shorter batch. 64 headers, addresses and controls are 20 KiB of stack.
const BATCH_MAX: usize = 64;

/// Room for control messages: the size of segments, and what else an owner of the descriptor may have asked for, as times.
#[derive(Clone, Copy)]
#[repr(C, align(8))]
struct Control([u8; 128]);

impl Control {
    const NONE: Self = Self([0; 128]);
}

/// A header that says nothing yet.
fn empty() -> mmsghdr {
    // SAFETY: a `mmsghdr` of zeros is one with null pointers and no lengths.
    unsafe { zeroed() }
}

/// Receives as many as there are, at least one; the caller has looked that there are any, and that this is a socket of UDP: nothing comes along that has to be closed.
pub(crate) fn recv_many(
    socket: &Socket,
    messages: &mut [RecvMsg<'_, '_>],
    received: &mut [Received],
) -> io::Result<usize> {
    let count = messages.len().min(received.len()).min(BATCH_MAX);
    let mut addrs: [SockAddrStorage; BATCH_MAX] = std::array::from_fn(|_| SockAddrStorage::zeroed());
    let mut controls = [Control::NONE; BATCH_MAX];
    let mut headers = [const { None::<mmsghdr> }; BATCH_MAX].map(|_| empty());
    for (((header, message), addr), control) in
        headers.iter_mut().zip(&mut messages[..count]).zip(&mut addrs).zip(&mut controls)
    {
        // `IoSliceMut` is an `iovec` on Unix, as std promises.
        header.msg_hdr.msg_iov = message.bufs.as_mut_ptr().cast::<iovec>();
        header.msg_hdr.msg_iovlen = message.bufs.len().min(super::SLICES_MAX) as _;
        header.msg_hdr.msg_name = ptr::from_mut(addr).cast();
        header.msg_hdr.msg_namelen = addr.size_of();
        header.msg_hdr.msg_control = ptr::from_mut(control).cast();
        header.msg_hdr.msg_controllen = size_of::<Control>() as _;
    }
    // SAFETY: each of the `count` headers points to slices, to an address and to a control that live until the call returns, and are nobody else's: the slices are
    // borrowed mutably by `messages`, the others are local.
    let n = unsafe {
        libc::recvmmsg(
            socket.as_raw_fd(),
            headers.as_mut_ptr(),
            count as _,
            libc::MSG_DONTWAIT as _,
            ptr::null_mut(),
        )
    };
    let n = usize::try_from(n).map_err(|_| io::Error::last_os_error())?;
    for (((header, message), addr), received) in
        headers.iter().zip(&mut *messages).zip(addrs).zip(received).take(n)
    {
        *received = Received {
            is_truncated: header.msg_hdr.msg_flags & libc::MSG_TRUNC != 0,
            segment_size: segment_size(&header.msg_hdr),
            ..Received::new(header.msg_len as usize)
        };
        if let Some(place) = &mut message.addr {
            **place = address(addr, &header.msg_hdr);
        }
    }
    Ok(n)
}

/// Who sent it; an address without a length is none.
fn address(addr: SockAddrStorage, header: &msghdr) -> Option<SockAddr> {
    let len = header.msg_namelen;
    // SAFETY: it was zeroed, and the kernel has written an address of this length into it.
    (len > 0).then(|| unsafe { SockAddr::new(addr, len) })
}

/// The size of the datagrams that were put together, if any were.
fn segment_size(header: &msghdr) -> Option<NonZeroU16> {
    // SAFETY: the header's control, and how long it is, are as the kernel has left them.
    let mut control = unsafe { libc::CMSG_FIRSTHDR(header) };
    loop {
        // SAFETY: where it is not null, a whole header of a control message lies there.
        let message = unsafe { control.as_ref() }?;
        if (message.cmsg_level, message.cmsg_type) == (libc::SOL_UDP, libc::UDP_GRO) {
            break;
        }
        // SAFETY: the control is one of this header.
        control = unsafe { libc::CMSG_NXTHDR(header, control) };
    }
    // SAFETY: where the number of this kind lies, behind the header.
    let number = unsafe { libc::CMSG_DATA(control) }.cast::<c_int>();
    // SAFETY: it is there, and the control has room for it.
    let size = unsafe { number.read_unaligned() };
    u16::try_from(size).ok().and_then(NonZeroU16::new)
}

/// Sends as many as the system takes, at least one; the caller has looked that none passes descriptors, and that there are any.
///
/// `Unsupported` says that the first was to be taken apart and could not be.
pub(crate) fn send_many(socket: &Socket, messages: &[SendMsg<'_, '_>]) -> io::Result<usize> {
    if messages.iter().any(|message| message.segment_size.is_some()) && !takes_apart(socket) {
        return Err(io::ErrorKind::Unsupported.into());
    }
    let count = messages.len().min(BATCH_MAX);
    let mut controls = [Control::NONE; BATCH_MAX];
    let mut headers = [const { None::<mmsghdr> }; BATCH_MAX].map(|_| empty());
    for ((header, message), control) in headers.iter_mut().zip(&messages[..count]).zip(&mut controls) {
        // `IoSlice` is an `iovec` on Unix, as std promises; the kernel only reads it.
        header.msg_hdr.msg_iov = message.bufs.as_ptr().cast_mut().cast::<iovec>();
        header.msg_hdr.msg_iovlen = message.bufs.len() as _;
        if let Some(addr) = message.addr {
            header.msg_hdr.msg_name = addr.as_ptr().cast_mut().cast();
            header.msg_hdr.msg_namelen = addr.len();
        }
        if let Some(size) = message.segment_size {
            set_segment_size(&mut header.msg_hdr, control, size);
        }
    }
    let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
    // SAFETY: each of the `count` headers points to slices and to an address that `messages` borrows until the call returns, and to a local control; the kernel writes to
    // none of them, but for the length that was sent, into the header.
    let n = unsafe { libc::sendmmsg(socket.as_raw_fd(), headers.as_mut_ptr(), count as _, flags as _) };
    usize::try_from(n).map_err(|_| refused(&messages[0], Errno::from_raw_os_error(errno())))
}

/// Whether the kernel knows how to take a message apart: one that does not (before Linux 4.18) would pass over it, and send one long datagram.
fn takes_apart(socket: &Socket) -> bool {
    static IS_KNOWN: OnceLock<()> = OnceLock::new();
    if IS_KNOWN.get().is_some() {
        return true;
    }
    let is_known = number::get(socket, libc::SOL_UDP, libc::UDP_SEGMENT).is_ok();
    if is_known {
        let _ = IS_KNOWN.set(());
    }
    is_known
}

fn errno() -> i32 {
    io::Error::last_os_error().raw_os_error().unwrap_or_default()
}

/// A message that has to be taken apart is refused in these words by a socket or a network card that cannot do it, and where its parts are longer than the way lets pass whole.
fn refused(message: &SendMsg<'_, '_>, error: Errno) -> io::Error {
    let cannot = [Errno::INVAL, Errno::IO, Errno::MSGSIZE, Errno::OPNOTSUPP, Errno::NOPROTOOPT];
    if message.segment_size.is_some() && cannot.contains(&error) {
        return io::ErrorKind::Unsupported.into();
    }
    error.into()
}

fn set_segment_size(header: &mut msghdr, control: &mut Control, size: NonZeroU16) {
    header.msg_control = ptr::from_mut(control).cast();
    // SAFETY: a computation.
    header.msg_controllen = unsafe { libc::CMSG_SPACE(size_of::<u16>() as _) } as _;
    // SAFETY: the control has room for one message.
    let first = unsafe { libc::CMSG_FIRSTHDR(header) };
    // SAFETY: it is not null, since there is room; and nobody else's.
    let message = unsafe { &mut *first };
    message.cmsg_level = libc::SOL_UDP;
    message.cmsg_type = libc::UDP_SEGMENT;
    // SAFETY: a computation.
    message.cmsg_len = unsafe { libc::CMSG_LEN(size_of::<u16>() as _) } as _;
    // SAFETY: where the number of this kind lies, behind the header.
    let number = unsafe { libc::CMSG_DATA(first) }.cast::<u16>();
    // SAFETY: the control has room for it.
    unsafe { number.write_unaligned(size.get()) };
}

//! Several datagrams in one call: recvmmsg(2), sendmmsg(2). rustix does not have the first, and takes descriptors of its own making for the second.

#![expect(unsafe_code, reason = "the kernel is handed pointers into arrays that live here")]

use std::io;
use std::mem::zeroed;
use std::os::fd::AsRawFd;
use std::ptr;

use libc::{iovec, mmsghdr, msghdr};
use socket2::{SockAddr, SockAddrStorage, Socket};

use crate::socket::{Received, RecvMsg, SendMsg};

/// How many datagrams one call takes; more are a shorter batch. 64 headers and addresses are 12 KiB of stack.
const BATCH_MAX: usize = 64;

/// A header that says nothing yet.
fn empty() -> mmsghdr {
    // SAFETY: a `mmsghdr` of zeros is one with null pointers and no lengths.
    unsafe { zeroed() }
}

/// Receives as many as there are, at least one; the caller has looked that none asks for descriptors, and that there are any.
pub(crate) fn recv_many(
    socket: &Socket,
    messages: &mut [RecvMsg<'_, '_>],
    received: &mut [Received],
) -> io::Result<usize> {
    let count = messages.len().min(received.len()).min(BATCH_MAX);
    let mut addrs: [SockAddrStorage; BATCH_MAX] = std::array::from_fn(|_| SockAddrStorage::zeroed());
    let mut headers = [const { None::<mmsghdr> }; BATCH_MAX].map(|_| empty());
    for ((header, message), addr) in headers.iter_mut().zip(&mut messages[..count]).zip(&mut addrs) {
        // `IoSliceMut` is an `iovec` on Unix, as std promises.
        header.msg_hdr.msg_iov = message.bufs.as_mut_ptr().cast::<iovec>();
        header.msg_hdr.msg_iovlen = message.bufs.len().min(super::SLICES_MAX) as _;
        header.msg_hdr.msg_name = ptr::from_mut(addr).cast();
        header.msg_hdr.msg_namelen = addr.size_of();
    }
    // SAFETY: each of the `count` headers points to slices and to an address that live until the call returns, and are nobody else's: the slices are borrowed
    // mutably by `messages`, the addresses are local.
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

/// Sends as many as the system takes, at least one; the caller has looked that none passes descriptors, and that there are any.
pub(crate) fn send_many(socket: &Socket, messages: &[SendMsg<'_, '_>]) -> io::Result<usize> {
    let count = messages.len().min(BATCH_MAX);
    let mut headers = [const { None::<mmsghdr> }; BATCH_MAX].map(|_| empty());
    for (header, message) in headers.iter_mut().zip(&messages[..count]) {
        // `IoSlice` is an `iovec` on Unix, as std promises; the kernel only reads it.
        header.msg_hdr.msg_iov = message.bufs.as_ptr().cast_mut().cast::<iovec>();
        header.msg_hdr.msg_iovlen = message.bufs.len() as _;
        if let Some(addr) = message.addr {
            header.msg_hdr.msg_name = addr.as_ptr().cast_mut().cast();
            header.msg_hdr.msg_namelen = addr.len();
        }
    }
    let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
    // SAFETY: each of the `count` headers points to slices and to an address that `messages` borrows until the call returns; the kernel writes to none of them, but for
    // the length that was sent, into the header.
    let n = unsafe { libc::sendmmsg(socket.as_raw_fd(), headers.as_mut_ptr(), count as _, flags as _) };
    usize::try_from(n).map_err(|_| io::Error::last_os_error())
}

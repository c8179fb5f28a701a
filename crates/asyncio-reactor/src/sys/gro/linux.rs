//! `UDP_GRO` (udp(7)): what comes from one sender at once is put together. Neither socket2 nor rustix has it.

#![expect(unsafe_code, reason = "the kernel reads and writes a number that lives here")]

use std::io;
use std::os::fd::AsRawFd;
use std::ptr;

use libc::{c_int, socklen_t};
use socket2::Socket;

const LEN: socklen_t = size_of::<c_int>() as socklen_t;

pub(crate) fn set_gro(socket: &Socket, on: bool) -> io::Result<()> {
    let on = c_int::from(on);
    // SAFETY: the kernel reads one number, which lives here.
    let result = unsafe {
        libc::setsockopt(socket.as_raw_fd(), libc::SOL_UDP, libc::UDP_GRO, ptr::from_ref(&on).cast(), LEN)
    };
    if result == 0 { Ok(()) } else { Err(error()) }
}

pub(crate) fn gro(socket: &Socket) -> io::Result<bool> {
    let (mut on, mut len): (c_int, _) = (0, LEN);
    // SAFETY: the kernel writes one number, which lives here and of which it knows the size.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_UDP,
            libc::UDP_GRO,
            ptr::from_mut(&mut on).cast(),
            &mut len,
        )
    };
    if result == 0 { Ok(on != 0) } else { Err(error()) }
}

/// A kernel before 5.0, and a socket that is not UDP's, do not know it.
fn error() -> io::Error {
    let error = io::Error::last_os_error();
    match error.raw_os_error() {
        Some(libc::ENOPROTOOPT | libc::EOPNOTSUPP) => io::ErrorKind::Unsupported.into(),
        _ => error,
    }
}

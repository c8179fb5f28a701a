//! Options that are a number, of which neither socket2 nor rustix knows: getsockopt(2), setsockopt(2).

#![expect(unsafe_code, reason = "the kernel reads and writes a number that lives here")]

use std::io;
use std::os::fd::AsRawFd;
use std::ptr;

use libc::{c_int, socklen_t};
use socket2::Socket;

const LEN: socklen_t = size_of::<c_int>() as socklen_t;

/// # Errors
///
/// Fails with what the system says, and with `Unsupported` where the kernel, or this kind of socket, does not know the option.
pub(super) fn set(socket: &Socket, level: c_int, name: c_int, value: c_int) -> io::Result<()> {
    // SAFETY: the kernel reads one number, which lives here.
    let result =
        unsafe { libc::setsockopt(socket.as_raw_fd(), level, name, ptr::from_ref(&value).cast(), LEN) };
    if result == 0 { Ok(()) } else { Err(error()) }
}

/// # Errors
///
/// As those of [`set`].
pub(super) fn get(socket: &Socket, level: c_int, name: c_int) -> io::Result<c_int> {
    let (mut value, mut len): (c_int, _) = (0, LEN);
    let place = ptr::from_mut(&mut value).cast();
    // SAFETY: the kernel writes one number, which lives here and of which it knows the size.
    let result = unsafe { libc::getsockopt(socket.as_raw_fd(), level, name, place, &mut len) };
    if result == 0 { Ok(value) } else { Err(error()) }
}

fn error() -> io::Error {
    let error = io::Error::last_os_error();
    match error.raw_os_error() {
        Some(libc::ENOPROTOOPT | libc::EOPNOTSUPP) => io::ErrorKind::Unsupported.into(),
        _ => error,
    }
}

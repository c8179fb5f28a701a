//! getpeereid(3).

#![expect(unsafe_code, reason = "the system writes into numbers that live here")]

use std::io;
use std::os::fd::AsRawFd;

use socket2::Socket;

use crate::credentials::UCred;

pub(crate) fn peer_cred(socket: &Socket) -> io::Result<UCred> {
    let (mut uid, mut gid) = (0, 0);
    // SAFETY: two numbers are written, to two places that live here.
    match unsafe { libc::getpeereid(socket.as_raw_fd(), &mut uid, &mut gid) } {
        0 => Ok(UCred::new(uid, gid, None)),
        _ => Err(io::Error::last_os_error()),
    }
}

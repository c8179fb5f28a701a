//! `SO_PEERCRED` (unix(7)). Not by rustix, for which 0, the PID of a peer in a namespace that ours does not see, is no number that can be.

#![expect(unsafe_code, reason = "the kernel writes into a structure that lives here")]

use std::io;
use std::os::fd::AsRawFd;
use std::ptr;

use socket2::Socket;

use crate::credentials::UCred;

pub(crate) fn peer_cred(socket: &Socket) -> io::Result<UCred> {
    let mut peer = libc::ucred { pid: 0, uid: 0, gid: 0 };
    let mut len = size_of::<libc::ucred>() as libc::socklen_t;
    // SAFETY: the kernel writes at most `len` bytes to `peer`, which has so many, lives here, and may hold any.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERCRED,
            ptr::from_mut(&mut peer).cast(),
            &mut len,
        )
    };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    // Where there is no peer, the kernel says that it is nobody at all.
    if peer.uid == u32::MAX && peer.pid == 0 {
        return Err(io::ErrorKind::NotConnected.into());
    }
    Ok(UCred::new(peer.uid, peer.gid, Some(peer.pid).filter(|pid| *pid != 0)))
}

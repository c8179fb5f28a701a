//! Abstract names of Unix sockets (unix(7)): a path that begins with a zero.

use std::ffi::OsStr;
use std::io;
#[cfg(target_os = "android")]
use std::os::android::net::SocketAddrExt;
#[cfg(target_os = "linux")]
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::SocketAddr;

use asyncio_reactor::SockAddr;

/// Turns std's address into a system's, if it is an abstract name.
pub(super) fn to_system(addr: &SocketAddr) -> Option<io::Result<SockAddr>> {
    let path = [b"\0", addr.as_abstract_name()?].concat();
    Some(SockAddr::unix(OsStr::from_bytes(&path)))
}

/// Turns a system's address into std's, if it is an abstract name.
pub(super) fn to_std(addr: &SockAddr) -> Option<io::Result<SocketAddr>> {
    addr.as_abstract_namespace().map(SocketAddr::from_abstract_name)
}

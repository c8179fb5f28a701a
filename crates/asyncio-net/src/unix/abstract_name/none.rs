//! Abstract names of Unix sockets, where there are none.

use std::io;
use std::os::unix::net::SocketAddr;

use asyncio_reactor::SockAddr;

pub(super) fn to_system(_addr: &SocketAddr) -> Option<io::Result<SockAddr>> {
    None
}

pub(super) fn to_std(_addr: &SockAddr) -> Option<io::Result<SocketAddr>> {
    None
}

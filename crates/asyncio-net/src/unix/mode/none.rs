//! Elsewhere the file of a socket has the mode that the umask gives it, and that is the whole process's.

use std::io;
use std::path::Path;

use asyncio_reactor::{SockAddr, Socket};

pub(crate) fn bind(_socket: &dyn Socket, _addr: &SockAddr, _path: &Path, _mode: u32) -> io::Result<()> {
    let error = "this system gives the file of a socket no mode of its own at its birth: have it in a directory of mode 0700";
    Err(io::Error::new(io::ErrorKind::Unsupported, error))
}

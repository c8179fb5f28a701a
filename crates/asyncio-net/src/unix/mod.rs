//! Unix sockets: [`UnixListener`], [`UnixStream`], [`UnixDatagram`], by paths, by abstract names, or by nothing.
//!
//! What TCP does not have: [who the peer is](UnixStream::peer_cred), [descriptors](UnixStream::send_with_fds) that go along with bytes, and
//! [modes](UnixListener::bind_with_mode) that say who may connect.

mod busy;
mod datagram;
mod listener;
mod rights;
mod stream;

#[cfg(any(target_os = "linux", target_os = "android"))]
#[path = "abstract_name/linux.rs"]
mod abstract_name;
#[cfg(not(any(target_os = "linux", target_os = "android")))]
#[path = "abstract_name/none.rs"]
mod abstract_name;

#[cfg(any(target_os = "linux", target_os = "android"))]
#[path = "mode/linux.rs"]
mod mode;
#[cfg(not(any(target_os = "linux", target_os = "android")))]
#[path = "mode/none.rs"]
mod mode;

pub use asyncio_reactor::UCred;
pub use datagram::UnixDatagram;
pub use listener::{Incoming, UnixListener};
pub use stream::UnixStream;

pub use crate::halves::{ReadHalf, WriteHalf};

use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::SocketAddr;
use std::path::Path;

use asyncio_base::closed_world;
use asyncio_reactor::{SockAddr, Socket};

use crate::about::about;
use crate::halves;

/// Binds a socket to a path whose file has this mode from its birth. In a simulation its name is no file, and the mode is looked at alone.
pub(crate) fn bind_with_mode(socket: &dyn Socket, addr: &SockAddr, path: &Path, mode: u32) -> io::Result<()> {
    if mode & !0o777 != 0 {
        let error = format!("{mode:o} is no mode of a socket's file: it has nine bits");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, error));
    }
    if closed_world::is_entered() { socket.bind(addr) } else { mode::bind(socket, addr, path, mode) }
}

/// The reading direction of a [`UnixStream`], owned.
pub type OwnedReadHalf = halves::OwnedReadHalf<UnixStream>;
/// The writing direction of a [`UnixStream`], owned.
pub type OwnedWriteHalf = halves::OwnedWriteHalf<UnixStream>;
/// The halves are of two connections.
pub type ReuniteError = halves::ReuniteError<UnixStream>;

impl OwnedReadHalf {
    /// Puts the two directions of one connection together again.
    ///
    /// # Errors
    ///
    /// Gives both back if they are not of the same connection.
    pub fn reunite(self, other: OwnedWriteHalf) -> Result<UnixStream, ReuniteError> {
        self.reunited(other).map(UnixStream::from_socket)
    }
}

/// Turns a path into a system's address.
pub(crate) fn path_address(path: &Path) -> io::Result<SockAddr> {
    if path.as_os_str().is_empty() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the path of a Unix socket is empty"));
    }
    if path.as_os_str().as_bytes().contains(&0) {
        // The system would take what stands before it for the path, or an abstract name if nothing does.
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "the path of a Unix socket contains a zero byte",
        ));
    }
    SockAddr::unix(path).map_err(|error| at(path, "the path of a Unix socket", error))
}

/// Turns std's address into a system's.
fn system_address(addr: &SocketAddr) -> io::Result<SockAddr> {
    if let Some(path) = addr.as_pathname() {
        return path_address(path);
    }
    if let Some(addr) = abstract_name::to_system(addr) {
        return addr;
    }
    Err(io::Error::new(io::ErrorKind::InvalidInput, "the address of a Unix socket without a name"))
}

/// Turns a system's address into std's.
fn std_address(addr: &SockAddr) -> io::Result<SocketAddr> {
    if !addr.is_unix() {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the address is not a Unix socket's"));
    }
    if let Some(addr) = abstract_name::to_std(addr) {
        return addr;
    }
    // No path at all is a socket without a name; so is one whose path std cannot hold.
    SocketAddr::from_pathname(addr.as_pathname().unwrap_or(Path::new("")))
        .or_else(|_| SocketAddr::from_pathname(""))
}

/// An error that says which path it is about.
pub(crate) fn at(path: &Path, what: &str, error: io::Error) -> io::Error {
    about(format_args!("{what} {}", path.display()), error)
}

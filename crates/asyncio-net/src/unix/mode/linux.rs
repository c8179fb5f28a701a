//! On Linux the file of a socket is born with the mode that the socket itself has by then, less the umask: so there is no moment at which it has another one.

use std::fs::Permissions;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use asyncio_reactor::{SockAddr, Socket};
use rustix::fs::{FileType, Mode, OFlags};

/// Binds the socket to a path whose file has this mode from its birth.
pub(crate) fn bind(socket: &dyn Socket, addr: &SockAddr, path: &Path, mode: u32) -> io::Result<()> {
    let descriptor = socket.descriptor().ok_or_else(|| {
        io::Error::new(
            io::ErrorKind::Unsupported,
            "this reactor's sockets have no descriptors, and so no modes",
        )
    })?;
    rustix::fs::fchmod(descriptor, Mode::from_raw_mode(mode))?;
    socket.bind(addr)?;
    give_back_what_the_umask_took(path, mode).inspect_err(|_| {
        // Nobody could know that it is there.
        let _ = std::fs::remove_file(path);
    })
}

fn give_back_what_the_umask_took(path: &Path, mode: u32) -> io::Result<()> {
    // The file itself: not what a link leads to that somebody has put there meanwhile.
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = rustix::fs::open(path, flags, Mode::empty())?;
    let stat = rustix::fs::fstat(&file)?;
    // Not one of another name that somebody has put there meanwhile either.
    let is_ours = FileType::from_raw_mode(stat.st_mode) == FileType::Socket && stat.st_nlink == 1;
    if is_ours && stat.st_mode & 0o777 != mode {
        // fchmod(2) does not take a descriptor of this kind; its name in /proc does.
        let itself = format!("/proc/self/fd/{}", file.as_raw_fd());
        std::fs::set_permissions(itself, Permissions::from_mode(mode))?;
    }
    Ok(())
}

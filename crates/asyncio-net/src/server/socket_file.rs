//! The file of a Unix socket: one that a server left behind when it died makes room, and ours goes when the server closes.

use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use asyncio_base::shim::Arc;
use asyncio_reactor::{Domain, SockAddr, Socket, Type, socket};

use crate::server::ServerOptions;
use crate::unix::{at, bind_with_mode, path_address};

/// The file of a listener; removed when this is dropped, unless another one has its name by then.
#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
    /// Device and number.
    inode: (u64, u64),
}

impl SocketFile {
    fn of(path: &Path) -> io::Result<Self> {
        // One that is relative must not be another after a change of the directory.
        Ok(Self { path: std::path::absolute(path)?, inode: inode(path)? })
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if inode(&self.path).is_ok_and(|inode| inode == self.inode) {
            // It may be gone since we looked.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

fn inode(path: &Path) -> io::Result<(u64, u64)> {
    let metadata = std::fs::symlink_metadata(path)?;
    Ok((metadata.dev(), metadata.ino()))
}

impl ServerOptions {
    /// Listens at a path. In another world than the system's, that of a simulation, its name is no file.
    pub(super) async fn listen_unix(&self, path: &Path) -> io::Result<(Arc<dyn Socket>, Option<SocketFile>)> {
        let addr = path_address(path)?;
        let about = |error| at(path, "listening at", error);
        let socket = socket(Domain::UNIX, Type::STREAM, None)?;
        let has_file = socket.descriptor().is_some();
        if has_file {
            remove_if_dead(path, &addr).await.map_err(about)?;
        }
        match self.mode {
            Some(mode) => bind_with_mode(&*socket, &addr, path, mode),
            None => socket.bind(&addr),
        }
        .map_err(about)?;
        let file = has_file.then(|| SocketFile::of(path)).transpose().map_err(about)?;
        socket.listen(self.backlog).map_err(about)?;
        Ok((socket, file))
    }
}

/// Removes the file of a socket at which nobody listens any more.
async fn remove_if_dead(path: &Path, addr: &SockAddr) -> io::Result<()> {
    if !std::fs::symlink_metadata(path).is_ok_and(|metadata| metadata.file_type().is_socket()) {
        return Ok(());
    }
    match socket(Domain::UNIX, Type::STREAM, None)?.connect(addr).await {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => std::fs::remove_file(path),
        // Somebody is there, also where his queue is full; binding will say so.
        _ => Ok(()),
    }
}

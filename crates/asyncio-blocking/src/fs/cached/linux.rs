//! What is in memory already, without waiting for what is not: openat2(2), preadv2(2).

use std::fs::File;
use std::io::IoSliceMut;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags, fstat, openat2};
use rustix::io::{ReadWriteFlags, preadv2};

/// More of it is copied on a thread: this takes as long as a hundred ready tasks do.
pub(in crate::fs) const SIZE_MAX: usize = 64 * 1024;

/// Where a file is read from that moves by itself.
const CURSOR: u64 = u64::MAX;

/// Reads a whole file, if it is small, and all of it is in memory. Whatever else it is, is not said.
pub(in crate::fs) fn read(path: &Path) -> Option<Vec<u8>> {
    // To open what is no file may block, or do something to somebody: so it is looked at before. In between it may become another, which cannot be helped.
    size(&open(path, OFlags::PATH)?)?;
    // Where others have a lease of it, it is for a thread to wait: so this does not.
    let file = open(path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY)?;
    // It may be another file by now.
    let size = size(&file)?;
    let mut bytes = vec![0; size];
    let n = preadv2(&file, &mut [IoSliceMut::new(&mut bytes)], 0, ReadWriteFlags::NOWAIT).ok()?;
    // Less is what a file has of which a part is in memory, or which is made by reading it.
    (n == size).then_some(bytes)
}

/// How large a file is, if it is one, and small. One of no size may be made by reading it.
fn size(file: &OwnedFd) -> Option<usize> {
    let seen = fstat(file).ok()?;
    let size = usize::try_from(seen.st_size).ok()?;
    let is_file = FileType::from_raw_mode(seen.st_mode) == FileType::RegularFile;
    (is_file && (1..=SIZE_MAX).contains(&size)).then_some(size)
}

fn open(path: &Path, flags: OFlags) -> Option<OwnedFd> {
    openat2(CWD, path, flags | OFlags::CLOEXEC, Mode::empty(), ResolveFlags::CACHED).ok()
}

/// Reads from where the file is, what is in memory; `None` where nothing is, and at the end, which Linux 5.9 and 5.10 may tell where it is not (preadv2(2)).
pub(in crate::fs) fn read_some(file: &File, buf: &mut [u8]) -> Option<usize> {
    let room = buf.len().min(SIZE_MAX);
    preadv2(file, &mut [IoSliceMut::new(&mut buf[..room])], CURSOR, ReadWriteFlags::NOWAIT)
        .ok()
        .filter(|n| *n > 0)
}

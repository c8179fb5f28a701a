//! A pipe and a terminal have a file of their own, by which they are opened a second time. proc(5).

use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use rustix::fs::{FileType, Mode, OFlags};

use crate::io::pipe::{PipeReader, PipeWriter};

pub(in crate::io) fn reader(standard: &impl AsFd) -> Option<PipeReader> {
    PipeReader::new(open(standard, OFlags::RDONLY)?).ok()
}

pub(in crate::io) fn writer(standard: &impl AsFd) -> Option<PipeWriter> {
    PipeWriter::new(open(standard, OFlags::WRONLY)?).ok()
}

fn open(standard: &impl AsFd, direction: OFlags) -> Option<OwnedFd> {
    let standard = standard.as_fd();
    let kind = FileType::from_raw_mode(rustix::fs::fstat(standard).ok()?.st_mode);
    if !matches!(kind, FileType::Fifo | FileType::CharacterDevice) {
        return None;
    }
    // Not to become the terminal that this process is controlled by.
    let flags = direction | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    rustix::fs::open(format!("/proc/self/fd/{}", standard.as_raw_fd()), flags, Mode::empty()).ok()
}

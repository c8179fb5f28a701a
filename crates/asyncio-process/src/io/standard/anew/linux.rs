//! A pipe and a terminal have a file of their own, by which they are opened a second time. proc(5).

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

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
    // Another device may be a new one when it is opened again: the other side of a terminal is.
    let is_terminal =
        || kind == FileType::CharacterDevice && rustix::termios::isatty(standard) && !is_other_side(standard);
    if kind != FileType::Fifo && !is_terminal() {
        return None;
    }
    // Not to become the terminal that this process is controlled by.
    let flags = direction | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    rustix::fs::open(format!("/proc/self/fd/{}", standard.as_raw_fd()), flags, Mode::empty()).ok()
}

/// Says whether it is the side of a terminal that a program is behind: it has a number to be given away by, ioctl_tty(2).
fn is_other_side(standard: BorrowedFd<'_>) -> bool {
    rustix::pty::ptsname(standard, Vec::new()).is_ok()
}

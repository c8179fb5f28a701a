//! A pipe of the kernel, in which bytes are between two sockets. Each thread keeps some that are not in use, and empty.

use std::cell::RefCell;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::pipe::{PipeFlags, fcntl_getpipe_size, fcntl_setpipe_size, pipe_with};

/// How much a pipe is to hold. All pipes of a user may hold 64 MiB together (`/proc/sys/fs/pipe-user-pages-soft`): this is for 256 of them.
const SIZE: usize = 256 * 1024;
/// How much it has to hold, to be worth its calls.
const SIZE_MIN: usize = 64 * 1024;
/// How many a thread keeps.
const KEPT_MAX: usize = 8;

thread_local! {
    static KEPT: RefCell<Vec<Pipe>> = const { RefCell::new(Vec::new()) };
}

#[derive(Debug)]
pub(super) struct Pipe {
    reader: OwnedFd,
    writer: OwnedFd,
    size: usize,
}

impl Pipe {
    /// An empty one; none if the process can have no more descriptors, or its user no more than a small one.
    pub(super) fn take() -> Option<Self> {
        let kept = KEPT.try_with(|kept| kept.borrow_mut().pop()).ok().flatten();
        kept.or_else(|| Self::new().ok())
    }

    fn new() -> io::Result<Self> {
        let (reader, writer) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        // It may be refused to somebody who has many of them; then it has 64 KiB, or even 4.
        let _ = fcntl_setpipe_size(&writer, SIZE);
        let size = fcntl_getpipe_size(&writer)?;
        if size < SIZE_MIN {
            return Err(io::ErrorKind::QuotaExceeded.into());
        }
        Ok(Self { reader, writer, size })
    }

    /// Keeps it for the next one who takes one. It must be empty.
    pub(super) fn give_back(self) {
        let _ = KEPT.try_with(|kept| {
            let mut kept = kept.borrow_mut();
            if kept.len() < KEPT_MAX {
                kept.push(self);
            }
        });
    }

    pub(super) fn reader(&self) -> BorrowedFd<'_> {
        self.reader.as_fd()
    }

    pub(super) fn writer(&self) -> BorrowedFd<'_> {
        self.writer.as_fd()
    }

    /// Takes out what is known to be in it.
    pub(super) fn read_exact(&self, mut buf: &mut [u8]) -> io::Result<()> {
        while !buf.is_empty() {
            let n = rustix::io::retry_on_intr(|| rustix::io::read(&self.reader, &mut *buf))?;
            if n == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            buf = &mut buf[n..];
        }
        Ok(())
    }

    /// How many bytes it holds at most.
    pub(super) fn size(&self) -> usize {
        self.size
    }
}

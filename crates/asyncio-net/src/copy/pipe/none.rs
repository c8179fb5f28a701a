//! Where the kernel does not move bytes by itself there is no pipe.

use std::io;

use asyncio_reactor::BorrowedDescriptor;

#[derive(Debug)]
pub(super) enum Pipe {}

impl Pipe {
    pub(super) fn take() -> Option<Self> {
        None
    }

    pub(super) fn give_back(self) {
        match self {}
    }

    pub(super) fn reader(&self) -> BorrowedDescriptor<'_> {
        match *self {}
    }

    pub(super) fn writer(&self) -> BorrowedDescriptor<'_> {
        match *self {}
    }

    pub(super) fn read_exact(&self, _buf: &mut [u8]) -> io::Result<()> {
        match *self {}
    }

    pub(super) fn size(&self) -> usize {
        match *self {}
    }
}

//! [`ReadEnd`]: the end of a pipe that is read, as a socket that only receives.

use std::io::{self, IoSliceMut};
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::task::{Context, Poll};

use asyncio_base::shim::Arc;
use asyncio_reactor::{
    BorrowedDescriptor, Direction, OptionName, OwnedDescriptor, Received, RecvMsg, SendMsg, Socket,
    SocketOption, Waiter, Watched,
};
use rustix::buffer::spare_capacity;
use socket2::SockAddr;

use super::{no_socket, other_direction, still_shared};

/// How much is read at once behind what there is: what a pipe of the default size holds.
const CHUNK: usize = 64 * 1024;
/// Linux's `IOV_MAX`: more are a short read.
const SLICES_MAX: usize = 1024;

/// The end of a pipe that is read.
#[derive(Debug)]
pub(super) struct ReadEnd {
    watched: Watched<OwnedFd>,
}

impl ReadEnd {
    pub(super) fn new(descriptor: OwnedFd) -> io::Result<Self> {
        rustix::io::ioctl_fionbio(&descriptor, true)?;
        Ok(Self { watched: Watched::new(descriptor) })
    }

    pub(super) fn get_ref(&self) -> &OwnedFd {
        self.watched.get_ref()
    }

    pub(super) fn into_inner(self: Arc<Self>) -> io::Result<OwnedFd> {
        Ok(Arc::into_inner(self).ok_or_else(still_shared)?.watched.into_inner())
    }

    /// Reads behind what is in `bytes`; says how many, which are none at the end.
    pub(super) fn poll_read_behind(
        &self,
        cx: &mut Context<'_>,
        waiter: &mut Waiter,
        bytes: &mut Vec<u8>,
    ) -> Poll<io::Result<usize>> {
        bytes.reserve(CHUNK);
        self.watched.poll_io(cx, waiter, Direction::Read, |descriptor| {
            Ok(rustix::io::read(descriptor, spare_capacity(bytes))?)
        })
    }

    fn read(&self, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        match bufs {
            [buf] => Ok(rustix::io::read(self.get_ref(), &mut **buf)?),
            bufs => {
                let count = bufs.len().min(SLICES_MAX);
                Ok(rustix::io::readv(self.get_ref(), &mut bufs[..count])?)
            }
        }
    }
}

impl Socket for ReadEnd {
    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        waiter: &mut Waiter,
        message: &mut RecvMsg<'_, '_>,
    ) -> Poll<io::Result<Received>> {
        if message.peek {
            return Poll::Ready(Err(no_socket()));
        }
        let read = self.watched.poll_io(cx, waiter, Direction::Read, |_| self.read(message.bufs));
        read.map_ok(Received::new)
    }

    fn poll_send(
        &self,
        _cx: &mut Context<'_>,
        _waiter: &mut Waiter,
        _message: &SendMsg<'_, '_>,
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Err(other_direction()))
    }

    /// What it does not send has ended, and what comes is nobody's once it is dropped.
    fn shutdown(&self, _how: Shutdown) -> io::Result<()> {
        Ok(())
    }

    fn descriptor(&self) -> Option<BorrowedDescriptor<'_>> {
        Some(std::os::fd::AsFd::as_fd(self.get_ref()))
    }

    fn into_descriptor(self: Arc<Self>) -> io::Result<OwnedDescriptor> {
        self.into_inner()
    }

    super::nothing_of_a_socket!();
}

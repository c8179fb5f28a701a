//! [`WriteEnd`]: the end of a pipe that is written, as a socket that only sends.

use std::io::{self, IoSlice};
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::task::{Context, Poll};

use asyncio_base::shim::{Arc, Mutex};
use asyncio_reactor::{
    Direction, OptionName, OwnedDescriptor, Received, RecvMsg, SendMsg, Socket, SocketOption, Waiter, Watched,
};
use rustix::event::{PollFd, PollFlags, Timespec};
use socket2::SockAddr;

use super::{ends, no_socket, other_direction, still_shared};

/// Linux's `IOV_MAX`: more are a short write.
const SLICES_MAX: usize = 1024;

/// The end of a pipe that is written. The reader sees the end when it is closed, which is when it is shut down.
#[derive(Debug)]
pub(super) struct WriteEnd {
    /// Taken by the end. Whoever writes has a share of it, so that no lock is held meanwhile.
    watched: Mutex<Option<Arc<Watched<OwnedFd>>>>,
}

impl WriteEnd {
    pub(super) fn new(descriptor: OwnedFd) -> io::Result<Self> {
        rustix::io::ioctl_fionbio(&descriptor, true)?;
        Ok(Self { watched: Mutex::new(Some(Arc::new(Watched::new(descriptor)))) })
    }

    /// Whoever waits to write is told.
    pub(super) fn close(&self) {
        let closed = self.watched.lock().take();
        closed.iter().for_each(|closed| closed.wake_all());
    }

    pub(super) fn is_closed(&self) -> bool {
        self.watched.lock().is_none()
    }

    pub(super) fn into_inner(self: Arc<Self>) -> io::Result<OwnedFd> {
        let watched =
            Arc::into_inner(self).ok_or_else(still_shared)?.watched.into_inner().ok_or_else(closed)?;
        Ok(Arc::into_inner(watched).ok_or_else(still_shared)?.into_inner())
    }

    fn watched(&self) -> io::Result<Arc<Watched<OwnedFd>>> {
        self.watched.lock().clone().ok_or_else(closed)
    }
}

fn closed() -> io::Error {
    io::Error::new(io::ErrorKind::BrokenPipe, "this end of the pipe is closed")
}

fn write(descriptor: &OwnedFd, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
    match bufs {
        [buf] => Ok(rustix::io::write(descriptor, buf)?),
        bufs => Ok(rustix::io::writev(descriptor, &bufs[..bufs.len().min(SLICES_MAX)])?),
    }
}

/// Fails once nobody reads any more, which the system tells as an error of this end.
fn has_reader(descriptor: &OwnedFd) -> io::Result<()> {
    let mut fds = [PollFd::new(descriptor, PollFlags::empty())];
    rustix::event::poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 0 }))?;
    if fds[0].revents().intersects(PollFlags::ERR | PollFlags::HUP) {
        Err(io::ErrorKind::BrokenPipe.into())
    } else {
        Ok(())
    }
}

impl Socket for WriteEnd {
    /// Nothing comes; it ends when the reader has gone.
    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        waiter: &mut Waiter,
        message: &mut RecvMsg<'_, '_>,
    ) -> Poll<io::Result<Received>> {
        if message.peek {
            return Poll::Ready(Err(other_direction()));
        }
        // Closed by us, it has come to its end.
        let Ok(watched) = self.watched() else { return Poll::Ready(Ok(Received::new(0))) };
        let poll = watched.poll_io(cx, waiter, Direction::Read, |descriptor| {
            has_reader(descriptor)?;
            Err(io::ErrorKind::WouldBlock.into())
        });
        // Whoever closes it wakes those that wait; one that has come to wait since looks himself.
        if poll.is_pending() && self.is_closed() { Poll::Ready(Ok(Received::new(0))) } else { poll }
    }

    fn poll_send(
        &self,
        cx: &mut Context<'_>,
        waiter: &mut Waiter,
        message: &SendMsg<'_, '_>,
    ) -> Poll<io::Result<usize>> {
        if !message.rights.is_empty() || message.addr.is_some() {
            return Poll::Ready(Err(no_socket()));
        }
        self.watched()?.poll_io(cx, waiter, Direction::Write, |descriptor| write(descriptor, message.bufs))
    }

    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        if ends(how, Shutdown::Write) {
            self.close();
        }
        Ok(())
    }

    fn into_descriptor(self: Arc<Self>) -> io::Result<OwnedDescriptor> {
        self.into_inner()
    }

    super::nothing_of_a_socket!();
}

//! [`PipeReader`].

use std::io::{self, IoSliceMut};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use asyncio_base::shim::Arc;
use asyncio_net::{StreamReader, TcpStream};
use asyncio_reactor::{RecvMsg, Socket, Waiter};
use futures_io::AsyncRead;

use super::check;
use super::read_end::ReadEnd;

/// The end of a pipe, a named pipe, a terminal or the like that is read: asyncio's `connect_read_pipe`.
///
/// It is an [`AsyncRead`]; [`into_stream`](Self::into_stream) makes it a [`StreamReader`], which knows lines; and
/// [`connect_accepted_socket`](asyncio_net::protocol::connect_accepted_socket) takes it for a protocol.
///
/// # Cancel safety
///
/// A read that is dropped has taken nothing.
#[derive(Debug)]
pub struct PipeReader {
    end: Arc<ReadEnd>,
    waiter: Waiter,
}

impl PipeReader {
    /// Takes over a descriptor, and has it not block. Whoever has the same open file, such as the shell that has started this program, sees that, too.
    ///
    /// # Errors
    ///
    /// Fails for a file on a disk, which is always ready and blocks nevertheless, and where the system does not let it not block.
    pub fn new(descriptor: impl Into<OwnedFd>) -> io::Result<Self> {
        let descriptor: OwnedFd = descriptor.into();
        check(&descriptor)?;
        Self::of_pipe(descriptor)
    }

    /// Takes over what is known to be a pipe.
    pub(crate) fn of_pipe(descriptor: impl Into<OwnedFd>) -> io::Result<Self> {
        Ok(Self { end: Arc::new(ReadEnd::new(descriptor.into())?), waiter: Waiter::new() })
    }

    /// Makes it a reader that knows lines, separators and counts.
    pub fn into_stream(self) -> StreamReader {
        TcpStream::from_socket(self.into()).into_streams().0
    }

    /// Gives the descriptor back, as one that blocks: for a child, or for a thread.
    ///
    /// # Errors
    ///
    /// Fails where the system does not let it block.
    pub fn into_blocking(self) -> io::Result<OwnedFd> {
        let Self { end, waiter } = self;
        drop(waiter);
        let descriptor = end.into_inner()?;
        rustix::io::ioctl_fionbio(&descriptor, false)?;
        Ok(descriptor)
    }

    /// Reads behind what is in `bytes`; says how many, which are none at the end.
    pub(crate) fn poll_read_behind(
        &mut self,
        cx: &mut Context<'_>,
        bytes: &mut Vec<u8>,
    ) -> Poll<io::Result<usize>> {
        self.end.poll_read_behind(cx, &mut self.waiter, bytes)
    }
}

impl AsFd for PipeReader {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.end.get_ref().as_fd()
    }
}

impl From<PipeReader> for Arc<dyn Socket> {
    fn from(reader: PipeReader) -> Self {
        reader.end
    }
}

impl AsyncRead for PipeReader {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        self.poll_read_vectored(cx, &mut [IoSliceMut::new(buf)])
    }

    fn poll_read_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let received = ready!(this.end.poll_recv(cx, &mut this.waiter, &mut RecvMsg::new(bufs)))?;
        Poll::Ready(Ok(received.n))
    }
}

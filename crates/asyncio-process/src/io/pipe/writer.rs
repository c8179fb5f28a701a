//! [`PipeWriter`].

use std::io::{self, IoSlice};
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::task::{Context, Poll};

use asyncio_base::shim::Arc;
use asyncio_net::{StreamWriter, TcpStream};
use asyncio_reactor::{SendMsg, Socket, Waiter};
use futures_io::AsyncWrite;

use super::check;
use super::write_end::WriteEnd;

/// The end of a pipe, a named pipe, a terminal or the like that is written: asyncio's `connect_write_pipe`.
///
/// It is an [`AsyncWrite`], and written at once: a flush has nothing to do. [`into_stream`](Self::into_stream) makes it a [`StreamWriter`], which never waits to
/// write; and [`connect_accepted_socket`](asyncio_net::protocol::connect_accepted_socket) takes it for a protocol, which is told when nobody reads any more.
///
/// A write that nobody will read is an error, `BrokenPipe`, where the process ignores SIGPIPE, as every program of Rust's does unless it says otherwise.
///
/// # Cancel safety
///
/// A write that is dropped has written nothing.
#[derive(Debug)]
pub struct PipeWriter {
    end: Arc<WriteEnd>,
    waiter: Waiter,
}

impl PipeWriter {
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
        Ok(Self { end: Arc::new(WriteEnd::new(descriptor.into())?), waiter: Waiter::new() })
    }

    /// Makes it a writer that never waits to write.
    pub fn into_stream(self) -> StreamWriter {
        TcpStream::from_socket(self.into()).into_streams().1
    }

    /// Gives the descriptor back, as one that blocks: for a child, or for a thread.
    ///
    /// # Errors
    ///
    /// Fails where it was closed, and where the system does not let it block.
    pub fn into_blocking(self) -> io::Result<OwnedFd> {
        let Self { end, waiter } = self;
        drop(waiter);
        let descriptor = end.into_inner()?;
        rustix::io::ioctl_fionbio(&descriptor, false)?;
        Ok(descriptor)
    }

    /// Has the reader come to the end.
    pub(crate) fn close(&self) {
        self.end.close();
    }
}

impl PipeWriter {
    pub(crate) fn is_closed(&self) -> bool {
        self.end.is_closed()
    }
}

impl From<PipeWriter> for Arc<dyn Socket> {
    fn from(writer: PipeWriter) -> Self {
        writer.end
    }
}

impl AsyncWrite for PipeWriter {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.end.poll_send(cx, &mut this.waiter, &SendMsg::new(bufs))
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// Has the reader come to the end.
    fn poll_close(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.close();
        Poll::Ready(Ok(()))
    }
}

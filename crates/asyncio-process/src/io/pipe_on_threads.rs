//! The pipes to a child where they cannot be waited for: on threads.

use std::io::{self, Read, Write};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use asyncio_base::shim::Mutex;
use futures_io::{AsyncRead, AsyncWrite};

use super::threaded::{ThreadedReader, ThreadedWriter};

#[derive(Debug)]
pub(crate) struct PipeReader(ThreadedReader);

#[derive(Debug)]
pub(crate) struct PipeWriter(Mutex<Option<ThreadedWriter>>);

impl PipeReader {
    #[expect(clippy::unnecessary_wraps, reason = "elsewhere it may fail")]
    pub(crate) fn of_pipe(pipe: impl Read + Send + 'static) -> io::Result<Self> {
        Ok(Self(ThreadedReader::new("asyncio-pipe", pipe)))
    }

    pub(crate) fn poll_read_behind(
        &mut self,
        cx: &mut Context<'_>,
        bytes: &mut Vec<u8>,
    ) -> Poll<io::Result<usize>> {
        let mut buf = [0; 8 * 1024];
        let read = ready!(self.0.poll_read(cx, &mut buf))?;
        bytes.extend_from_slice(&buf[..read]);
        Poll::Ready(Ok(read))
    }
}

impl PipeWriter {
    #[expect(clippy::unnecessary_wraps, reason = "elsewhere it may fail")]
    pub(crate) fn of_pipe(pipe: impl Write + Send + 'static) -> io::Result<Self> {
        Ok(Self(Mutex::new(Some(ThreadedWriter::new("asyncio-pipe", pipe)))))
    }

    /// Has the reader come to the end, after what was written.
    pub(crate) fn close(&self) {
        let closed = self.0.lock().take();
        drop(closed);
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.0.lock().is_none()
    }

    fn writer(&mut self) -> io::Result<&mut ThreadedWriter> {
        self.0.get_mut().as_mut().ok_or_else(|| io::ErrorKind::BrokenPipe.into())
    }
}

impl AsyncRead for PipeReader {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        self.0.poll_read(cx, buf)
    }
}

impl AsyncWrite for PipeWriter {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.get_mut().writer()?.poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().writer()?.poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.as_mut().poll_flush(cx))?;
        self.close();
        Poll::Ready(Ok(()))
    }
}

//! What hyper asks of a connection and of an executor, in terms of ours. All there is between the two.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use asyncio::net::{StreamReader, StreamWriter};
use hyper::rt::{Executor, Read, ReadBufCursor, Write};

/// A connection.
pub struct Io {
    pub reader: StreamReader,
    pub writer: StreamWriter,
}

impl Read for Io {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        use futures_io::AsyncBufRead;
        let mut reader = Pin::new(&mut self.reader);
        let bytes = ready!(reader.as_mut().poll_fill_buf(cx))?;
        let n = bytes.len().min(buf.remaining());
        buf.put_slice(&bytes[..n]);
        reader.consume(n);
        Poll::Ready(Ok(()))
    }
}

// Not vectored: hyper then puts a head and a small body into one buffer, which is sent for less than two are.
impl Write for Io {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        futures_io::AsyncWrite::poll_write(Pin::new(&mut self.writer), cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        futures_io::AsyncWrite::poll_flush(Pin::new(&mut self.writer), cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        futures_io::AsyncWrite::poll_close(Pin::new(&mut self.writer), cx)
    }
}

/// Runs what hyper spawns, which is one task for each HTTP/2 request, on the loop of the connection.
#[derive(Clone, Copy)]
pub struct OnLoop;

impl<F: Future<Output: 'static> + 'static> Executor<F> for OnLoop {
    fn execute(&self, future: F) {
        asyncio::spawn_local(future).detach();
    }
}

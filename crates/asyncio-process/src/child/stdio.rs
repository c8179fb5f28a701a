//! [`ChildStdin`], [`ChildStdout`], [`ChildStderr`]: the pipes between this process and a child.

use std::io::{self, IoSlice, IoSliceMut};
use std::pin::Pin;
#[cfg(unix)]
use std::process::Stdio;
use std::task::{Context, Poll};

use futures_io::{AsyncRead, AsyncWrite};

use crate::io::{PipeReader, PipeWriter};

/// What a child reads: asyncio's `Process.stdin`.
///
/// The child comes to the end when this is dropped or closed, and when [`Child::wait`](crate::Child::wait) finds it still in the child. A write to a child that reads no more is
/// an error, `BrokenPipe`.
///
/// # Cancel safety
///
/// A write that is dropped has written nothing.
#[derive(Debug)]
pub struct ChildStdin {
    pipe: PipeWriter,
}

/// What a child writes: asyncio's `Process.stdout`.
///
/// # Cancel safety
///
/// A read that is dropped has taken nothing.
#[derive(Debug)]
pub struct ChildStdout {
    pipe: PipeReader,
}

/// What a child writes about what goes wrong: asyncio's `Process.stderr`.
///
/// # Cancel safety
///
/// A read that is dropped has taken nothing.
#[derive(Debug)]
pub struct ChildStderr {
    pipe: PipeReader,
}

impl ChildStdin {
    pub(super) fn new(pipe: std::process::ChildStdin) -> io::Result<Self> {
        Ok(Self { pipe: PipeWriter::of_pipe(pipe)? })
    }

    pub(super) fn close(&self) {
        self.pipe.close();
    }

    /// By us.
    pub(super) fn is_closed(&self) -> bool {
        self.pipe.is_closed()
    }

    /// Gives the pipe.
    #[cfg(unix)]
    pub fn into_pipe(self) -> PipeWriter {
        self.pipe
    }

    /// Makes it a writer that never waits to write, as asyncio's is.
    #[cfg(unix)]
    pub fn into_stream(self) -> asyncio_net::StreamWriter {
        self.pipe.into_stream()
    }
}

impl AsyncWrite for ChildStdin {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.pipe).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.pipe).poll_write_vectored(cx, bufs)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.pipe).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.pipe).poll_close(cx)
    }
}

#[cfg(unix)]
impl TryFrom<ChildStdin> for Stdio {
    type Error = io::Error;

    /// Gives the pipe to another child, which writes what the first one reads.
    fn try_from(stream: ChildStdin) -> io::Result<Self> {
        Ok(stream.pipe.into_blocking()?.into())
    }
}

macro_rules! read_by_us {
    ($stream:ident) => {
        impl $stream {
            pub(super) fn new(pipe: std::process::$stream) -> io::Result<Self> {
                Ok(Self { pipe: PipeReader::of_pipe(pipe)? })
            }

            pub(super) fn poll_read_behind(
                &mut self,
                cx: &mut Context<'_>,
                bytes: &mut Vec<u8>,
            ) -> Poll<io::Result<usize>> {
                self.pipe.poll_read_behind(cx, bytes)
            }

            #[cfg(unix)]
            /// Gives the pipe.
            pub fn into_pipe(self) -> PipeReader {
                self.pipe
            }

            /// Makes it a reader that knows lines, separators and counts, as asyncio's does.
            #[cfg(unix)]
            pub fn into_stream(self) -> asyncio_net::StreamReader {
                self.pipe.into_stream()
            }
        }

        impl AsyncRead for $stream {
            fn poll_read(
                mut self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                buf: &mut [u8],
            ) -> Poll<io::Result<usize>> {
                Pin::new(&mut self.pipe).poll_read(cx, buf)
            }

            fn poll_read_vectored(
                mut self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                bufs: &mut [IoSliceMut<'_>],
            ) -> Poll<io::Result<usize>> {
                Pin::new(&mut self.pipe).poll_read_vectored(cx, bufs)
            }
        }

        #[cfg(unix)]
        impl TryFrom<$stream> for Stdio {
            type Error = io::Error;

            /// Gives the pipe to another child, which reads what the first one writes: the shell's `|`.
            fn try_from(stream: $stream) -> io::Result<Self> {
                Ok(stream.pipe.into_blocking()?.into())
            }
        }
    };
}

read_by_us!(ChildStdout);
read_by_us!(ChildStderr);

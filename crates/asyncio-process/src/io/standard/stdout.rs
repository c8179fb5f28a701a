//! [`stdout`] and [`stderr`].

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::OnceLock;
use std::task::{Context, Poll, ready};

use futures_io::AsyncWrite;

use super::{AnewWriter, anew};
use crate::io::threaded::ThreadedWriter;

/// Returns the standard output of this process.
///
/// Where it is written on a thread, as a file is, a write takes 64 KiB before it waits, and the end of the process waits for nobody: flush before that. It does not
/// mix with [`print!`] within a line.
///
/// # Examples
///
/// ```
/// use asyncio_process::io::stdout;
/// use futures_lite::AsyncWriteExt;
///
/// # fn main() -> std::io::Result<()> {
/// asyncio_runtime::run(async {
///     let mut out = stdout();
///     out.write_all(b"a line\n").await?;
///     out.flush().await
/// })
/// # }
/// ```
pub fn stdout() -> Stdout {
    static ON_THREAD: OnceLock<ThreadedWriter> = OnceLock::new();
    let on_thread = || ON_THREAD.get_or_init(|| ThreadedWriter::new("asyncio-stdout", io::stdout()));
    Stdout { sink: Sink::new(anew::writer(&io::stdout()), on_thread) }
}

/// Returns the standard error output of this process; as [`stdout`] otherwise.
pub fn stderr() -> Stderr {
    static ON_THREAD: OnceLock<ThreadedWriter> = OnceLock::new();
    let on_thread = || ON_THREAD.get_or_init(|| ThreadedWriter::new("asyncio-stderr", io::stderr()));
    Stderr { sink: Sink::new(anew::writer(&io::stderr()), on_thread) }
}

/// The standard output of this process. Made by [`stdout`].
///
/// # Cancel safety
///
/// A write that is dropped while it waits has written nothing.
#[derive(Debug)]
pub struct Stdout {
    sink: Sink,
}

/// The standard error output of this process. Made by [`stderr`].
///
/// # Cancel safety
///
/// A write that is dropped while it waits has written nothing.
#[derive(Debug)]
pub struct Stderr {
    sink: Sink,
}

#[derive(Debug)]
enum Sink {
    Anew(AnewWriter),
    Thread(&'static ThreadedWriter),
}

impl Sink {
    fn new(anew: Option<AnewWriter>, on_thread: impl FnOnce() -> &'static ThreadedWriter) -> Self {
        anew.map_or_else(|| Self::Thread(on_thread()), Self::Anew)
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, bufs: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        match self {
            Self::Anew(writer) => Pin::new(writer).poll_write_vectored(cx, bufs),
            Self::Thread(writer) => {
                let first = bufs.iter().find(|buf| !buf.is_empty());
                writer.poll_write(cx, first.map_or(&[], |buf| buf))
            }
        }
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Anew(writer) => Pin::new(writer).poll_flush(cx),
            Self::Thread(writer) => writer.poll_flush(cx),
        }
    }

    /// The process goes on having it; this handle has no more.
    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_flush(cx))?;
        match self {
            Self::Anew(writer) => Pin::new(writer).poll_close(cx),
            Self::Thread(_) => Poll::Ready(Ok(())),
        }
    }
}

macro_rules! impl_async_write {
    ($stream:ident) => {
        impl AsyncWrite for $stream {
            fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
                self.get_mut().sink.poll_write(cx, &[IoSlice::new(buf)])
            }

            fn poll_write_vectored(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                bufs: &[IoSlice<'_>],
            ) -> Poll<io::Result<usize>> {
                self.get_mut().sink.poll_write(cx, bufs)
            }

            fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                self.get_mut().sink.poll_flush(cx)
            }

            fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                self.get_mut().sink.poll_close(cx)
            }
        }
    };
}

impl_async_write!(Stdout);
impl_async_write!(Stderr);

//! [`stdin`].

use std::io::{self, IoSliceMut};
use std::pin::Pin;
use std::sync::OnceLock;
use std::task::{Context, Poll};

use futures_io::AsyncRead;

use super::{AnewReader, anew};
use crate::io::threaded::ThreadedReader;

static ON_THREAD: OnceLock<ThreadedReader> = OnceLock::new();

/// Returns the standard input of this process.
///
/// A pending read holds neither a runtime nor the process at its end. Nothing is lost by dropping this: what was not given to anybody is there for the next one.
/// It does not mix with [`std::io::stdin`], which reads ahead.
///
/// # Examples
///
/// ```no_run
/// use asyncio_process::io::stdin;
/// use futures_lite::{AsyncBufReadExt, StreamExt, io::BufReader};
///
/// # fn main() -> std::io::Result<()> {
/// asyncio_runtime::run(async {
///     let mut lines = BufReader::new(stdin()).lines();
///     while let Some(line) = lines.next().await {
///         println!("{}", line?.to_uppercase());
///     }
///     Ok(())
/// })
/// # }
/// ```
pub fn stdin() -> Stdin {
    Stdin { source: anew::reader(&io::stdin()).map_or_else(Source::on_thread, Source::Anew) }
}

/// The standard input of this process. Made by [`stdin`].
///
/// # Cancel safety
///
/// A read that is dropped has taken nothing.
#[derive(Debug)]
pub struct Stdin {
    source: Source,
}

#[derive(Debug)]
enum Source {
    Anew(AnewReader),
    Thread(&'static ThreadedReader),
}

impl Source {
    fn on_thread() -> Self {
        Self::Thread(ON_THREAD.get_or_init(|| ThreadedReader::new("asyncio-stdin", io::stdin())))
    }
}

impl AsyncRead for Stdin {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().source {
            Source::Anew(reader) => Pin::new(reader).poll_read(cx, buf),
            Source::Thread(reader) => reader.poll_read(cx, buf),
        }
    }

    fn poll_read_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().source {
            Source::Anew(reader) => Pin::new(reader).poll_read_vectored(cx, bufs),
            Source::Thread(reader) => {
                let first = bufs.iter_mut().find(|buf| !buf.is_empty());
                reader.poll_read(cx, first.map_or(&mut [], |buf| buf))
            }
        }
    }
}

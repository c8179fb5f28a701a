//! The two directions of a stream: lent for one task, or owned by two.
//!
//! One source for all streams; [`tcp`](crate::tcp) and [`unix`](crate::unix) name theirs.

mod half;

use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::net::Shutdown;
use std::task::{Context, Poll};

use asyncio_base::shim::Arc;
use asyncio_reactor::Socket;

pub(crate) use self::half::{Half, impl_async_read, impl_async_write};

/// The reading direction, lent by a stream's `split`.
#[derive(Debug)]
pub struct ReadHalf<'a> {
    half: &'a mut Half,
}

impl<'a> ReadHalf<'a> {
    pub(crate) fn new(half: &'a mut Half) -> Self {
        Self { half }
    }
}

/// The writing direction, lent by a stream's `split`.
#[derive(Debug)]
pub struct WriteHalf<'a> {
    half: &'a mut Half,
}

impl<'a> WriteHalf<'a> {
    pub(crate) fn new(half: &'a mut Half) -> Self {
        Self { half }
    }
}

/// The reading direction of an `S`, owned. Made by its `into_split`.
#[derive(Debug)]
pub struct OwnedReadHalf<S> {
    half: Half,
    of: PhantomData<fn() -> S>,
}

impl<S> OwnedReadHalf<S> {
    pub(crate) fn new(half: Half) -> Self {
        Self { half, of: PhantomData }
    }

    pub(crate) fn socket(&self) -> &Arc<dyn Socket> {
        &self.half.socket
    }

    /// Receives without taking the bytes out; 0 is the end.
    ///
    /// # Errors
    ///
    /// Fails with what the system says.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost by dropping it.
    pub async fn peek(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        std::future::poll_fn(|cx: &mut Context<'_>| -> Poll<_> { self.half.poll_peek(cx, buf) }).await
    }

    /// Returns the one socket of two halves, and leaves it open in both directions.
    pub(crate) fn reunited(self, mut other: OwnedWriteHalf<S>) -> Result<Arc<dyn Socket>, ReuniteError<S>> {
        if !Arc::ptr_eq(&self.half.socket, &other.half.socket) {
            return Err(ReuniteError(self, other));
        }
        other.shuts_down = false;
        Ok(self.half.socket.clone())
    }
}

/// The writing direction of an `S`, owned. Made by its `into_split`.
///
/// Dropping it shuts the direction down: the peer sees the end.
#[derive(Debug)]
pub struct OwnedWriteHalf<S> {
    half: Half,
    /// Cleared when the halves are put together again.
    shuts_down: bool,
    of: PhantomData<fn() -> S>,
}

impl<S> OwnedWriteHalf<S> {
    pub(crate) fn new(half: Half) -> Self {
        Self { half, shuts_down: true, of: PhantomData }
    }

    pub(crate) fn socket(&self) -> &Arc<dyn Socket> {
        &self.half.socket
    }
}

impl<S> Drop for OwnedWriteHalf<S> {
    fn drop(&mut self) {
        if self.shuts_down {
            // The connection may be gone already, and then the peer knows.
            let _ = self.half.socket.shutdown(Shutdown::Write);
        }
    }
}

/// The halves that were to be put together are of two connections. Both are inside.
#[derive(Debug)]
pub struct ReuniteError<S>(pub OwnedReadHalf<S>, pub OwnedWriteHalf<S>);

impl<S> fmt::Display for ReuniteError<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the two halves are of different connections")
    }
}

impl<S: fmt::Debug> std::error::Error for ReuniteError<S> {}

impl_async_read!(ReadHalf<'_>, half);
impl_async_write!(WriteHalf<'_>, half);
impl_async_read!(OwnedReadHalf<S>, half, S);
impl_async_write!(OwnedWriteHalf<S>, half, S);

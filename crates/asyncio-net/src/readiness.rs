//! [`Readiness`]: any descriptor that the system can wait for, on the loop.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::task::{Context, Poll};

use asyncio_reactor::{Direction, Waiter, Watched, current};

/// Waits for a descriptor of any kind: a pipe, a device, a socket of a C library. asyncio's `add_reader` and `add_writer`.
///
/// What [`readable`](Self::readable) and [`writable`](Self::writable) say is true at the time they say it: they ask the system, which costs
/// one system call. Nothing has to be told afterwards, and nothing has to be read to the end; what is left makes the next call ready at
/// once. The descriptor stays as it is: whether it blocks is its owner's business.
///
/// It is watched by the loop that runs where it is made, or by the fallback's thread.
///
/// # Examples
///
/// ```
/// use asyncio_net::Readiness;
/// use std::io::{Read, Write};
/// use std::os::unix::net::UnixStream;
///
/// # fn main() -> std::io::Result<()> {
/// asyncio_executor::block_on(async {
///     let (one, mut other) = UnixStream::pair()?;
///     let one = Readiness::new(one)?;
///     one.writable().await?;
///     other.write_all(b"ping")?;
///     one.readable().await?;
///     let mut buf = [0; 4];
///     one.get_ref().read_exact(&mut buf)?;
///     assert_eq!(&buf, b"ping");
///     Ok(())
/// })
/// # }
/// ```
pub struct Readiness<T: AsFd> {
    watched: Watched<T>,
}

impl<T: AsFd> Readiness<T> {
    /// Watches a descriptor.
    ///
    /// # Errors
    ///
    /// Fails where the system cannot wait for it ("operation not permitted" for a regular file), where it is watched already, and with
    /// `LoopClosed`.
    pub fn new(source: T) -> io::Result<Self> {
        let watched = Watched::new(source);
        watched.bind(&*current()?)?;
        Ok(Self { watched })
    }

    /// Waits until a read would not block: there are bytes, or the end, or an error.
    ///
    /// # Errors
    ///
    /// Fails with `LoopClosed`, and with "bad descriptor" where it was closed behind our back.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost by dropping it.
    pub async fn readable(&self) -> io::Result<()> {
        self.ready(Direction::Read).await
    }

    /// Waits until a write of some bytes would not block: there is room, or an error. On a descriptor that blocks, a write of more than
    /// there is room for waits for the rest, and holds the loop.
    ///
    /// # Errors
    ///
    /// Fails with `LoopClosed`, and where the system cannot be asked.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost by dropping it.
    pub async fn writable(&self) -> io::Result<()> {
        self.ready(Direction::Write).await
    }

    async fn ready(&self, direction: Direction) -> io::Result<()> {
        let mut waiter = Waiter::new();
        poll_fn(|cx| self.poll_ready(cx, &mut waiter, direction)).await
    }

    /// Polls for [`readable`](Self::readable) or [`writable`](Self::writable).
    ///
    /// # Errors
    ///
    /// As they do.
    pub fn poll_ready(
        &self,
        cx: &mut Context<'_>,
        waiter: &mut Waiter,
        direction: Direction,
    ) -> Poll<io::Result<()>> {
        self.watched.poll_ready(cx, waiter, direction)
    }

    /// Returns the descriptor's owner.
    pub fn get_ref(&self) -> &T {
        self.watched.get_ref()
    }

    /// Stops watching, and gives the descriptor's owner back.
    pub fn into_inner(self) -> T {
        self.watched.into_inner()
    }
}

impl<T: AsFd> AsFd for Readiness<T> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.get_ref().as_fd()
    }
}

impl<T: AsFd + fmt::Debug> fmt::Debug for Readiness<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Readiness").field(&self.watched).finish()
    }
}

//! [`Watched`]: a descriptor of any kind that does not block, with its place at a reactor.

use std::fmt;
use std::io;
use std::sync::OnceLock;
use std::task::{Context, Poll, ready};

use asyncio_base::budget;
use asyncio_base::shim::Mutex;

use crate::reactor::{Reactor, current};
use crate::readiness::{Direction, Readiness};
use crate::sys::AsDescriptor;
use crate::waiter::Waiter;

/// A descriptor that does not block, and its place at a reactor: for pipes, terminals, and whatever else is read and written by calls of its own.
///
/// - The call is tried first. Only one that would block has the descriptor watched, by the reactor of the thread that polls it: the loop that is entered
///   there, or the fallback.
/// - It is watched until this is dropped. After that reactor was closed, whoever waits gets [`LoopClosed`](asyncio_base::LoopClosed).
/// - Any number may wait at once, each with a [`Waiter`] of its own.
///
/// When to use it: for a layer of one's own over descriptors. When not: for sockets, which are [`Socket`](crate::Socket)s.
///
/// # Examples
///
/// ```
/// # #[cfg(unix)]
/// # fn main() -> std::io::Result<()> {
/// use asyncio_reactor::{Direction, Waiter, Watched};
/// use std::future::poll_fn;
/// use std::io::{Read, Write};
/// use std::os::unix::net::UnixStream;
///
/// let (one, mut other) = UnixStream::pair()?;
/// one.set_nonblocking(true)?;
/// let (one, mut waiter, mut buf) = (Watched::new(one), Waiter::new(), [0; 4]);
/// other.write_all(b"ping")?;
/// futures::executor::block_on(poll_fn(|cx| {
///     one.poll_io(cx, &mut waiter, Direction::Read, |mut one| one.read(&mut buf))
/// }))?;
/// assert_eq!(&buf, b"ping");
/// # Ok(())
/// # }
/// # #[cfg(not(unix))]
/// # fn main() {}
/// ```
pub struct Watched<T: AsDescriptor> {
    /// Set at the first call that has to wait.
    registration: OnceLock<Readiness>,
    /// Held while registering: one descriptor cannot be added to one selector twice.
    registering: Mutex<()>,
    /// `None` only after [`into_inner`](Self::into_inner).
    source: Option<T>,
}

impl<T: AsDescriptor> Watched<T> {
    /// Makes what is watched once it has to wait. The descriptor must not block: that is its owner's business.
    pub fn new(source: T) -> Self {
        Self { registration: OnceLock::new(), registering: Mutex::new(()), source: Some(source) }
    }

    /// Has it watched by this reactor from now on, instead of by the one of the thread where it first waits.
    ///
    /// # Errors
    ///
    /// Fails with `LoopClosed`, and with what the system says of a descriptor that cannot be watched, or is already.
    #[expect(clippy::missing_panics_doc, reason = "it does not panic")]
    pub fn bind(&self, reactor: &dyn Reactor) -> io::Result<()> {
        let _registering = self.registering.lock();
        if self.registration.get().is_none() {
            let readiness = reactor.readiness(self.get_ref().as_descriptor())?;
            // OK because nobody else sets it while the lock is held.
            self.registration.set(readiness).expect("registered once, under the lock");
        }
        Ok(())
    }

    /// Tries `operation` until it does not block any more. One that is interrupted is tried again.
    ///
    /// # Errors
    ///
    /// Fails as the operation does, with `LoopClosed`, and where the descriptor cannot be watched.
    #[inline]
    pub fn poll_io<R>(
        &self,
        cx: &mut Context<'_>,
        waiter: &mut Waiter,
        direction: Direction,
        mut operation: impl FnMut(&T) -> io::Result<R>,
    ) -> Poll<io::Result<R>> {
        ready!(budget::poll_proceed(cx));
        let source = self.get_ref();
        loop {
            let registration = self.registration.get();
            let seen = match registration {
                Some(readiness) => {
                    Some(ready!(readiness.poll_ready(cx, waiter, source.as_descriptor(), direction))?)
                }
                None => None,
            };
            match operation(source) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => match (registration, seen) {
                    (Some(readiness), Some(seen)) => readiness.clear(direction, seen),
                    _ => self.bind(&*current()?)?,
                },
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => {
                    budget::spend();
                    return Poll::Ready(result);
                }
            }
        }
    }

    /// Waits until an operation would not block, by asking the system: what it says is true at the time. Here alone the descriptor may be one that blocks.
    ///
    /// # Errors
    ///
    /// Fails with `LoopClosed`, where the descriptor cannot be watched, and where it is not open.
    #[cfg(unix)]
    pub fn poll_ready(
        &self,
        cx: &mut Context<'_>,
        waiter: &mut Waiter,
        direction: Direction,
    ) -> Poll<io::Result<()>> {
        self.poll_io(cx, waiter, direction, |source| {
            let is_ready = crate::sys::is_ready_now(source.as_descriptor(), direction)?;
            if is_ready { Ok(()) } else { Err(io::ErrorKind::WouldBlock.into()) }
        })
    }

    /// Wakes everybody who waits, in both directions: for an owner that ends what they wait for. Each polls again, and finds that out.
    pub fn wake_all(&self) {
        self.registration.get().into_iter().for_each(Readiness::wake_all);
    }

    /// Returns the descriptor's owner.
    #[expect(clippy::missing_panics_doc, reason = "it does not panic")]
    #[inline]
    pub fn get_ref(&self) -> &T {
        self.source.as_ref().expect("taken out only by `into_inner`, which takes this by value")
    }

    /// Stops watching, and gives the descriptor's owner back.
    #[expect(clippy::missing_panics_doc, reason = "it does not panic")]
    pub fn into_inner(mut self) -> T {
        self.deregister();
        self.source.take().expect("taken out only here")
    }

    fn deregister(&mut self) {
        if let (Some(source), Some(registration)) = (&self.source, self.registration.take()) {
            // The descriptor may have been closed behind our back; it is not watched any more in any case.
            let _ = registration.deregister(source.as_descriptor());
        }
    }
}

impl<T: AsDescriptor> Drop for Watched<T> {
    fn drop(&mut self) {
        self.deregister();
    }
}

impl<T: AsDescriptor + fmt::Debug> fmt::Debug for Watched<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watched")
            .field("source", &self.source)
            .field("readiness", &self.registration.get())
            .finish_non_exhaustive()
    }
}

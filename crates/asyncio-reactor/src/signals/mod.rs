//! [`SignalSource`]: a signal of the process, as an event. For `asyncio-signal` and the runtime, and for a reactor's user without either.
//!
//! A handler of a signal may do next to nothing. What it may do differs by platform: where there is `fork` it writes a byte into a pipe, which a
//! reactor watches; on Windows it runs on a thread of its own, and wakes.

#[cfg(unix)]
mod unix;
#[cfg(unix)]
use unix as imp;

#[cfg(not(unix))]
mod threaded;
#[cfg(not(unix))]
use threaded as imp;

mod default;

use std::fmt;
use std::io;
use std::task::{Context, Poll};

use asyncio_base::closed_world;

use self::default::Suspended;
use crate::reactor::Reactor;

/// What a signal does that comes a second time while it is listened to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SecondTime {
    /// The same as the first one.
    IsReceived,
    /// What it does where nobody listens: for most, it ends the process.
    Kills,
}

/// A signal of the process, as an event. While there is one, the signal does not do what it does by default; when the last one is gone, it does again.
///
/// # Examples
///
/// ```
/// use asyncio_reactor::{SecondTime, SignalSource};
///
/// # fn main() -> std::io::Result<()> {
/// let source = SignalSource::ctrl_c(SecondTime::IsReceived)?;
/// drop(source);
/// # Ok(())
/// # }
/// ```
pub struct SignalSource {
    inner: imp::Source,
    _suspended: Suspended,
}

impl SignalSource {
    /// Listens to the signal with this number.
    ///
    /// # Errors
    ///
    /// Fails for a number that is none, or is of a signal that cannot be listened to (`SIGKILL`, `SIGSEGV`), and where the process is out of descriptors.
    pub fn new(signal: i32, second: SecondTime) -> io::Result<Self> {
        if signal_hook::consts::FORBIDDEN.contains(&signal) {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("signal {signal} cannot be listened to"),
            ));
        }
        closed_world::check("a signal")?;
        // First, so that it is last in the drop of what was made if the rest fails.
        let suspended = Suspended::new(signal)?;
        Ok(Self { inner: imp::Source::new(signal, second)?, _suspended: suspended })
    }

    /// Listens to what a terminal sends on Ctrl-C.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn ctrl_c(second: SecondTime) -> io::Result<Self> {
        Self::new(signal_hook::consts::SIGINT, second)
    }

    /// Has this reactor hear of it from now on, instead of that of the thread where it first waits.
    ///
    /// # Errors
    ///
    /// Fails with `LoopClosed`, and where the reactor cannot watch.
    pub fn bind(&self, reactor: &dyn Reactor) -> io::Result<()> {
        self.inner.bind(reactor)
    }

    /// Waits until the signal has come since it was last received, or since this was made. Several that come before one is received are one.
    ///
    /// # Errors
    ///
    /// Fails with `LoopClosed`, and where the reactor cannot watch.
    pub fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.inner.poll_recv(cx)
    }
}

impl fmt::Debug for SignalSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignalSource").finish_non_exhaustive()
    }
}

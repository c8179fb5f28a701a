//! [`signal`]: the signals that Unix has. signal(7).

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use asyncio_base::{is_loop_closed, report, wait_point};
use asyncio_reactor::{SecondTime, SignalSource};
use futures_core::Stream;
use signal_hook::consts;

/// Which signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SignalKind(i32);

impl SignalKind {
    /// Any, by its number.
    pub const fn from_raw(number: i32) -> Self {
        Self(number)
    }

    /// Returns the number.
    pub const fn as_raw(self) -> i32 {
        self.0
    }

    /// `SIGHUP`: the terminal is gone; for a server, to read its configuration again.
    pub const fn hangup() -> Self {
        Self(consts::SIGHUP)
    }

    /// `SIGINT`: Ctrl-C.
    pub const fn interrupt() -> Self {
        Self(consts::SIGINT)
    }

    /// `SIGQUIT`: Ctrl-\.
    pub const fn quit() -> Self {
        Self(consts::SIGQUIT)
    }

    /// `SIGALRM`: a timer of the process.
    pub const fn alarm() -> Self {
        Self(consts::SIGALRM)
    }

    /// `SIGTERM`: to end in good order.
    pub const fn terminate() -> Self {
        Self(consts::SIGTERM)
    }

    /// `SIGPIPE`: a write to nobody.
    pub const fn pipe() -> Self {
        Self(consts::SIGPIPE)
    }

    /// `SIGCHLD`: a child has ended, or has stopped.
    pub const fn child() -> Self {
        Self(consts::SIGCHLD)
    }

    /// `SIGUSR1`: whatever the program says.
    pub const fn user_defined1() -> Self {
        Self(consts::SIGUSR1)
    }

    /// `SIGUSR2`: whatever the program says.
    pub const fn user_defined2() -> Self {
        Self(consts::SIGUSR2)
    }

    /// `SIGWINCH`: the terminal has another size.
    pub const fn window_change() -> Self {
        Self(consts::SIGWINCH)
    }
}

impl From<i32> for SignalKind {
    fn from(number: i32) -> Self {
        Self(number)
    }
}

impl From<SignalKind> for i32 {
    fn from(kind: SignalKind) -> Self {
        kind.0
    }
}

/// Listens to a signal: a stream with an item each time that it has come.
///
/// When the last listener is gone, the signal does again what it did before the first one: what it does by default, nothing if it was ignored, or what somebody's handler
/// does. A handler that another library registers only then does not keep the default from coming; one that it has had before does.
///
/// # Errors
///
/// Fails for a number that is none, or is of a signal that cannot be listened to, and where the process is out of descriptors.
///
/// # Examples
///
/// ```
/// use asyncio_signal::unix::{SignalKind, signal};
///
/// let error = signal(SignalKind::from_raw(9)).unwrap_err();
/// assert_eq!(error.to_string(), "signal 9 cannot be listened to");
/// ```
pub fn signal(kind: SignalKind) -> io::Result<Signal> {
    Ok(Signal { source: SignalSource::new(kind.0, SecondTime::IsReceived)? })
}

/// Made by [`signal`].
#[must_use = "it listens while it is kept"]
pub struct Signal {
    source: SignalSource,
}

impl Signal {
    /// Waits until the signal has come since it was last received, or since this was made. Gives `None` when it can be heard of no more: the loop where it was
    /// first waited for is closed, or its reactor cannot watch, which is reported.
    ///
    /// # Cancel safety
    ///
    /// One that came is not lost by dropping it.
    pub async fn recv(&mut self) -> Option<()> {
        poll_fn(|cx| self.poll_recv(cx)).await
    }

    /// Polls for [`recv`](Self::recv).
    pub fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Option<()>> {
        match self.source.poll_recv(cx) {
            Poll::Ready(Ok(())) => Poll::Ready(Some(())),
            Poll::Ready(Err(error)) => {
                if !is_loop_closed(&error) {
                    report::report("signal", format_args!("a signal cannot be waited for any more: {error}"));
                }
                Poll::Ready(None)
            }
            Poll::Pending => {
                wait_point::here("signal");
                Poll::Pending
            }
        }
    }
}

impl Stream for Signal {
    type Item = ();

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<()>> {
        self.poll_recv(cx)
    }
}

impl fmt::Debug for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signal").field("source", &self.source).finish()
    }
}

//! [`ctrl_c`]: what a terminal sends.

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use asyncio_base::wait_point;
use asyncio_reactor::{SecondTime, SignalSource};
use futures_core::Stream;

/// Listens to Ctrl-C: a future of the next one, and a stream of all.
///
/// # Errors
///
/// What is awaited fails where the signal cannot be listened to, and with `LoopClosed`.
///
/// # Cancel safety
///
/// One that came is not lost by dropping a wait, for as long as this is kept.
///
/// # Examples
///
/// ```
/// use futures_lite::FutureExt;
///
/// # fn main() -> std::io::Result<()> {
/// asyncio_runtime::run(async {
///     // A server that is done at once, or serves until Ctrl-C.
///     async { Ok(()) }.or(asyncio_signal::ctrl_c()).await
/// })
/// # }
/// ```
pub fn ctrl_c() -> CtrlC {
    CtrlC { source: SignalSource::ctrl_c(SecondTime::IsReceived) }
}

/// Made by [`ctrl_c`].
#[must_use = "it listens while it is kept"]
pub struct CtrlC {
    /// Or why there is none.
    source: io::Result<SignalSource>,
}

impl CtrlC {
    fn poll_next_one(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.source {
            Ok(source) => {
                let poll = source.poll_recv(cx);
                if poll.is_pending() {
                    wait_point::here("signal");
                }
                poll
            }
            Err(error) => Poll::Ready(Err(io::Error::new(error.kind(), error.to_string()))),
        }
    }
}

impl Future for CtrlC {
    type Output = io::Result<()>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_next_one(cx)
    }
}

impl Stream for CtrlC {
    type Item = io::Result<()>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<()>>> {
        self.poll_next_one(cx).map(Some)
    }
}

impl fmt::Debug for CtrlC {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CtrlC").finish_non_exhaustive()
    }
}

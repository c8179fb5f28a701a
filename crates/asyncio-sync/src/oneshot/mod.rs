//! [`oneshot`]: one value, from one to another.
//!
//! One allocation, which whoever is last frees; a value that is sent before it is waited for costs one atomic step for sending, and a load for
//! receiving. The argument is in `state.rs`.

mod cell;
mod state;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use asyncio_base::{budget, wait_point};

use crate::blocking::wait_blocking;
use crate::error::{RecvError, TryRecvError};
use cell::{Look, ReceiverSide, SenderSide};

/// Makes a channel for one value.
///
/// When to use it: to answer a request. When not: where many wait for the answer (`asyncio::completion`, [`OnceCell`](crate::OnceCell)).
///
/// # Examples
///
/// ```
/// use asyncio_sync::oneshot;
/// # futures_lite::future::block_on(async {
/// let (sender, receiver) = oneshot();
/// assert_eq!(sender.send(1), Ok(()));
/// assert_eq!(receiver.await, Ok(1));
///
/// let (sender, receiver) = oneshot();
/// drop(receiver);
/// assert_eq!(sender.send(2), Err(2), "nobody waits, so it comes back");
/// # });
/// ```
pub fn oneshot<T>() -> (Sender<T>, Receiver<T>) {
    let (sender, receiver) = cell::new();
    (Sender { side: Some(sender) }, Receiver { side: Some(receiver) })
}

/// The sending end of a [`oneshot`].
pub struct Sender<T> {
    /// Taken when the value is sent.
    side: Option<SenderSide<T>>,
}

impl<T> Sender<T> {
    /// Sends the value. Never waits.
    ///
    /// # Errors
    ///
    /// Gives the value back if the receiver is gone or closed.
    #[inline]
    pub fn send(mut self, value: T) -> Result<(), T> {
        match self.side.take() {
            Some(side) => side.send(value),
            None => Err(value),
        }
    }

    /// Waits until nobody wants the value any more.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    pub fn closed(&mut self) -> impl Future<Output = ()> {
        std::future::poll_fn(|cx| self.poll_closed(cx))
    }

    /// Waits until nobody wants the value any more.
    pub fn poll_closed(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let polled = self.side.as_mut().map_or(Poll::Ready(()), |side| side.poll_closed(cx.waker()));
        if polled.is_pending() {
            wait_point::here("oneshot.closed");
        }
        polled
    }

    /// Says whether nobody wants the value any more.
    pub fn is_closed(&self) -> bool {
        self.side.as_ref().is_none_or(SenderSide::is_closed)
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").field("is_closed", &self.is_closed()).finish_non_exhaustive()
    }
}

/// The receiving end of a [`oneshot`]: a future of the value.
///
/// # Cancel safety
///
/// It may be awaited by reference: nothing is lost if that is dropped.
#[must_use = "nothing is received unless it is awaited"]
pub struct Receiver<T> {
    /// Taken when there is nothing more to be had.
    side: Option<ReceiverSide<T>>,
}

impl<T> Receiver<T> {
    /// Receives the value if it has been sent.
    ///
    /// # Errors
    ///
    /// [`TryRecvError`] if it has not, or never will be.
    pub fn try_recv(&mut self) -> Result<T, TryRecvError> {
        match self.side.as_ref().map_or(Look::Over, ReceiverSide::look) {
            Look::Nothing => Err(TryRecvError::Empty),
            Look::Sent | Look::Over => self.end().map_err(|RecvError| TryRecvError::Closed),
        }
    }

    /// Ends, and takes the value, if it was sent.
    #[inline]
    fn end(&mut self) -> Result<T, RecvError> {
        self.side.take().and_then(ReceiverSide::into_value).ok_or(RecvError)
    }

    /// Receives the value, and blocks the thread until it is sent. For threads on which no loop runs.
    ///
    /// # Errors
    ///
    /// [`RecvError`] if the sender was dropped without sending.
    ///
    /// # Panics
    ///
    /// Panics where it would block the thread of an event loop, inside of a task.
    #[track_caller]
    pub fn recv_blocking(mut self) -> Result<T, RecvError> {
        match self.try_recv() {
            Ok(value) => Ok(value),
            Err(TryRecvError::Closed) => Err(RecvError),
            Err(TryRecvError::Empty) => wait_blocking("recv_blocking", ".await", self),
        }
    }

    /// Says that the value is not wanted any more. One that was sent before can still be received.
    pub fn close(&mut self) {
        if let Some(side) = &self.side {
            side.close();
        }
    }

    /// Says whether nothing more can be had: the value was received, or will never come.
    pub fn is_terminated(&self) -> bool {
        self.side.is_none()
    }
}

impl<T> Future for Receiver<T> {
    type Output = Result<T, RecvError>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<T, RecvError>> {
        let Some(side) = &mut self.side else { return Poll::Ready(Err(RecvError)) };
        if budget::poll_proceed(cx).is_pending() {
            return Poll::Pending;
        }
        match side.poll_look(cx.waker()) {
            Look::Nothing => {
                wait_point::here("oneshot.recv");
                Poll::Pending
            }
            Look::Sent | Look::Over => {
                budget::spend_steps(1);
                Poll::Ready(self.end())
            }
        }
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver").field("is_terminated", &self.is_terminated()).finish_non_exhaustive()
    }
}

//! The receiving end of a channel.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use asyncio_base::budget;
use asyncio_base::shim::{Arc, Weak};
use futures_core::Stream;

use crate::blocking::wait_blocking;
use crate::channel::handles::Shares;
use crate::channel::{ChannelStatistics, Shared};
use crate::error::{RecvError, TryRecvError};
use crate::exchange::{Exchange, Fifo, Receiving, ToReceive};
use crate::wait::{Finally, Wait};

/// The receiving end of a [`channel`](crate::channel()). Can be cloned; each value goes to one of them.
///
/// It is a [`Stream`], too: that allocates once, when it has to wait for the first time.
pub struct Receiver<T> {
    shared: Arc<Shared<T>>,
    /// Where it waits as a stream, made when it is first needed.
    stream: Option<Place<T>>,
}

/// A place to wait in that outlives the call.
type Place<T> = Pin<Box<Wait<ToReceive<Shares<T>, RecvError>>>>;

impl<T> Receiver<T> {
    pub(super) fn new(shared: Arc<Shared<T>>) -> Self {
        Self { shared, stream: None }
    }

    fn exchange(&self) -> &Exchange<Fifo<T>> {
        &self.shared
    }

    /// Receives a value, as soon as there is one and those who came before have theirs.
    ///
    /// # Errors
    ///
    /// [`RecvError`] if the channel is closed and nothing is left in it.
    ///
    /// # Cancel safety
    ///
    /// No value is lost: one that was there for it goes to the next who receives, before those behind it.
    #[inline]
    pub fn recv(&self) -> impl Future<Output = Result<T, RecvError>> {
        Wait::new(ToReceive::new(self.exchange()), Receiving::default())
    }

    /// Receives up to `limit` values at once, at least one, and what is there then, and appends them to `values`. Returns how many: 0 if the channel is closed
    /// and nothing is left in it, or if `limit` is 0.
    ///
    /// # Cancel safety
    ///
    /// No value is lost: nothing is in `values` unless it is ready.
    pub async fn recv_many(&self, values: &mut Vec<T>, limit: usize) -> usize {
        if limit == 0 {
            return 0;
        }
        let Ok(first) = self.recv().await else { return 0 };
        values.push(first);
        let before = values.len() - 1;
        self.exchange().receive_present(limit - 1, |value| values.push(value));
        let received = values.len() - before;
        // `recv` has counted the first one.
        budget::spend_steps(received - 1);
        received
    }

    /// Gives up its place in line as a [`Stream`], and a value that was there for it. For one who has polled the stream, and goes on with
    /// [`recv`](Self::recv), or leaves it to others.
    pub fn abandon_stream(&mut self) {
        self.stream = None;
    }

    /// Receives a value, and blocks the thread until there is one. For threads on which no loop runs.
    ///
    /// # Errors
    ///
    /// [`RecvError`] if the channel is closed and nothing is left in it.
    ///
    /// # Panics
    ///
    /// Panics where it would block the thread of an event loop, inside of a task.
    #[track_caller]
    pub fn recv_blocking(&self) -> Result<T, RecvError> {
        match self.try_recv() {
            Ok(value) => Ok(value),
            Err(TryRecvError::Closed) => Err(RecvError),
            Err(TryRecvError::Empty) => wait_blocking("recv_blocking", "recv().await", self.recv()),
        }
    }

    /// Receives a value, if there is one for whoever comes.
    ///
    /// # Errors
    ///
    /// [`TryRecvError`] if there is none.
    #[inline]
    pub fn try_recv(&self) -> Result<T, TryRecvError> {
        self.exchange().try_receive()
    }

    /// Closes the channel for all: nothing more can be sent, what is in it can be received. Says whether it was open.
    #[expect(clippy::must_use_candidate, reason = "closing is what it is for")]
    pub fn close(&self) -> bool {
        self.shared.close()
    }

    /// Says whether nothing can be sent any more. Something may be left in it.
    pub fn is_closed(&self) -> bool {
        self.exchange().state().lock().is_closed()
    }

    /// How many values are in it for whoever comes.
    pub fn len(&self) -> usize {
        self.exchange().state().lock().available()
    }

    /// Says whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many values it keeps at most: `None` if it is unbounded.
    pub fn capacity(&self) -> Option<usize> {
        Some(self.exchange().state().lock().capacity()).filter(|&capacity| capacity < usize::MAX)
    }

    /// Says whether both receive from the same channel.
    pub fn same_channel(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }

    /// Makes a handle that does not keep the channel open.
    pub fn downgrade(&self) -> WeakReceiver<T> {
        WeakReceiver { shared: Arc::downgrade(&self.shared) }
    }

    /// What is known of the channel at this moment.
    pub fn statistics(&self) -> ChannelStatistics {
        self.shared.statistics()
    }
}

impl<T> Clone for Receiver<T> {
    fn clone(&self) -> Self {
        self.shared.receivers.add();
        Self::new(self.shared.clone())
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        let shared = self.shared.clone();
        let _then = Finally(|| shared.receiver_gone());
        // A value that it has claimed as a stream is for others.
        self.stream = None;
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Receiver").field(&self.shared.peek()).finish()
    }
}

/// A `next` that is pending keeps its place in line, also if that future is dropped: the next one goes on from there. Meanwhile a value may be there
/// for it, which nobody else gets: see [`abandon_stream`](Receiver::abandon_stream).
impl<T> Stream for Receiver<T> {
    type Item = T;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        let this = &mut *self;
        let is_waiting = this.stream.as_ref().is_some_and(|stream| stream.has_waited());
        if !is_waiting {
            if budget::poll_proceed(cx).is_pending() {
                return Poll::Pending;
            }
            match this.try_recv() {
                Ok(value) => {
                    budget::spend_steps(1);
                    return Poll::Ready(Some(value));
                }
                Err(TryRecvError::Closed) => return Poll::Ready(None),
                Err(TryRecvError::Empty) => {}
            }
        }
        let stream = this.stream.get_or_insert_with(|| {
            Box::pin(Wait::new(ToReceive::new(Shares(this.shared.clone())), Receiving::default()))
        });
        if stream.is_over() {
            stream.as_mut().renew(Receiving::default());
        }
        stream.as_mut().poll(cx).map(Result::ok)
    }
}

/// A handle that does not keep a channel open. Made by [`Receiver::downgrade`].
pub struct WeakReceiver<T> {
    shared: Weak<Shared<T>>,
}

impl<T> WeakReceiver<T> {
    /// Makes a receiver again, if there is still another.
    pub fn upgrade(&self) -> Option<Receiver<T>> {
        let shared = self.shared.upgrade()?;
        shared.receivers.add_if_any().then(|| Receiver::new(shared))
    }
}

impl<T> Clone for WeakReceiver<T> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone() }
    }
}

impl<T> fmt::Debug for WeakReceiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WeakReceiver").finish_non_exhaustive()
    }
}

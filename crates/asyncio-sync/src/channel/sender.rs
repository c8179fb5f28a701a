//! The sending end of a channel.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use asyncio_base::budget;
use asyncio_base::shim::{Arc, Weak};
use futures_sink::Sink;

use crate::blocking::wait_blocking;
use crate::channel::handles::Shares;
use crate::channel::{ChannelStatistics, Shared};
use crate::error::{Closed, SendError, TrySendError};
use crate::exchange::{Exchange, Fifo, Sending, ToReserve, ToSend, ToWatch};
use crate::wait::{Finally, Wait};

/// The sending end of a [`channel`](crate::channel()). Can be cloned.
///
/// It is a `Sink`, too: that allocates once, when it has to wait for the first time. As a sink it has a place in line, or a slot, between the calls.
pub struct Sender<T> {
    shared: Arc<Shared<T>>,
    sink: SinkState<T>,
}

/// Where it stands as a `Sink`.
enum SinkState<T> {
    Idle,
    /// A place to wait in, made when it is first needed.
    Waiting(Place<T>),
    /// A slot is promised to it.
    Ready(Option<Place<T>>),
    /// It has been closed, and does not count as a sender any more.
    Closed,
}

/// A place to wait in that outlives the call.
type Place<T> = Pin<Box<Wait<ToReserve<Shares<T>>>>>;

impl<T> Sender<T> {
    pub(super) fn new(shared: Arc<Shared<T>>) -> Self {
        Self { shared, sink: SinkState::Idle }
    }

    fn exchange(&self) -> &Exchange<Fifo<T>> {
        &self.shared
    }

    /// Sends a value, as soon as there is room and those who came before have sent theirs.
    ///
    /// # Errors
    ///
    /// [`SendError`], with the value, if all receivers are gone or the channel is closed.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is ready, it has not sent the value, which is dropped with it, or has sent it: it was moved into the channel while the
    /// task had not run yet. To keep the value in either case, [`reserve`](Self::reserve) first.
    #[inline]
    pub fn send(&self, value: T) -> impl Future<Output = Result<(), SendError<T>>> {
        Wait::new(ToSend::new(self.exchange()), Sending::item(value))
    }

    /// Sends a value, and blocks the thread until there is room. For threads on which no loop runs.
    ///
    /// # Errors
    ///
    /// [`SendError`], with the value, if all receivers are gone or the channel is closed.
    ///
    /// # Panics
    ///
    /// Panics where it would block the thread of an event loop, inside of a task.
    ///
    /// # Examples
    ///
    /// ```
    /// let (sender, receiver) = asyncio_sync::channel(1);
    /// let thread = std::thread::spawn(move || (0..3).try_for_each(|n| sender.send_blocking(n)));
    /// assert_eq!([(); 3].map(|()| receiver.recv_blocking().unwrap()), [0, 1, 2]);
    /// thread.join().unwrap().unwrap();
    /// ```
    #[track_caller]
    pub fn send_blocking(&self, value: T) -> Result<(), SendError<T>> {
        match self.try_send(value) {
            Ok(()) => Ok(()),
            Err(TrySendError::Closed(value)) => Err(SendError(value)),
            Err(TrySendError::Full(value)) => {
                wait_blocking("send_blocking", "send(..).await", self.send(value))
            }
        }
    }

    /// Sends a value if there is room and nobody waits for it.
    ///
    /// # Errors
    ///
    /// [`TrySendError`], with the value, if there is none, or the channel is closed.
    #[inline]
    pub fn try_send(&self, value: T) -> Result<(), TrySendError<T>> {
        self.exchange().try_send(value)
    }

    /// Waits for room for one value, and keeps it: [`Slot::send`] never waits.
    ///
    /// # Errors
    ///
    /// [`Closed`] if all receivers are gone or the channel is closed.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is ready, it loses its place in line and nothing else.
    pub fn reserve(&self) -> impl Future<Output = Result<Slot<'_, T>, Closed>> {
        let wait = Wait::new(ToReserve(self.exchange()), Sending::slot());
        async move {
            wait.await?;
            Ok(Slot { exchange: self.exchange() })
        }
    }

    /// Keeps room for one value, if there is some and nobody waits for it.
    ///
    /// # Errors
    ///
    /// [`TrySendError`] if there is none, or the channel is closed.
    pub fn try_reserve(&self) -> Result<Slot<'_, T>, TrySendError<()>> {
        self.exchange().try_reserve()?;
        Ok(Slot { exchange: self.exchange() })
    }

    /// Waits until the channel is closed: until all receivers are gone, or somebody closes it.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    pub fn closed(&self) -> impl Future<Output = ()> {
        Wait::new(ToWatch { exchange: self.exchange(), is_so: |state| state.is_closed() }, 0)
    }

    /// Closes the channel for all: nothing more can be sent, what is in it can be received. Says whether it was open.
    #[expect(clippy::must_use_candidate, reason = "closing is what it is for")]
    pub fn close(&self) -> bool {
        self.shared.close()
    }

    /// Says whether nothing can be sent any more.
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

    /// Says whether both send into the same channel.
    pub fn same_channel(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }

    /// Makes a handle that does not keep the channel open.
    pub fn downgrade(&self) -> WeakSender<T> {
        WeakSender { shared: Arc::downgrade(&self.shared) }
    }

    /// What is known of the channel at this moment.
    pub fn statistics(&self) -> ChannelStatistics {
        self.shared.statistics()
    }
}

impl<T> Clone for Sender<T> {
    /// Of one that was closed as a sink, this is a closed one, too.
    fn clone(&self) -> Self {
        if matches!(self.sink, SinkState::Closed) {
            return Self { shared: self.shared.clone(), sink: SinkState::Closed };
        }
        self.shared.senders.add();
        Self::new(self.shared.clone())
    }
}

impl<T> Sender<T> {
    /// Gives back what it has as a `Sink`: the slot that is promised to it, or its place in line. For one who has called `poll_ready` and does not send
    /// after all; until then others wait for that slot.
    pub fn abandon_sink(&mut self) {
        if !matches!(self.sink, SinkState::Closed) {
            self.leave_sink_as(SinkState::Idle);
        }
    }

    fn leave_sink_as(&mut self, state: SinkState<T>) {
        if let SinkState::Ready(_) = std::mem::replace(&mut self.sink, state) {
            self.exchange().unreserve();
        }
    }

    /// Does not count as a sender any more, from the first step on: a waker may panic in the others.
    fn go(&mut self) {
        let shared = self.shared.clone();
        let _then = Finally(|| shared.sender_gone());
        self.leave_sink_as(SinkState::Closed);
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        if !matches!(self.sink, SinkState::Closed) {
            self.go();
        }
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Sender").field(&self.shared.peek()).finish()
    }
}

/// Each `poll_ready` that is ready holds a slot until `start_send` uses it, or [`abandon_sink`](Sender::abandon_sink) or the drop of the sender gives it
/// back; one that is pending holds a place in line. To close the sink is to drop the sender: others go on.
impl<T> Sink<T> for Sender<T> {
    type Error = Closed;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Closed>> {
        let mut wait = match std::mem::replace(&mut self.sink, SinkState::Idle) {
            SinkState::Ready(place) => {
                self.sink = SinkState::Ready(place);
                return Poll::Ready(Ok(()));
            }
            SinkState::Closed => {
                self.sink = SinkState::Closed;
                return Poll::Ready(Err(Closed));
            }
            SinkState::Waiting(wait) => wait,
            SinkState::Idle => {
                // Before a slot is held, which others may wait for.
                let leave = ready!(budget::poll_leave(cx));
                if self.exchange().try_reserve().is_ok() {
                    leave.spend_step();
                    self.sink = SinkState::Ready(None);
                    return Poll::Ready(Ok(()));
                }
                Box::pin(Wait::new(ToReserve(Shares(self.shared.clone())), Sending::slot()))
            }
        };
        if wait.is_over() {
            wait.as_mut().renew(Sending::slot());
        }
        let polled = wait.as_mut().poll(cx);
        self.sink = match polled {
            Poll::Ready(Ok(())) => SinkState::Ready(Some(wait)),
            _ => SinkState::Waiting(wait),
        };
        polled
    }

    /// # Panics
    ///
    /// Panics if `poll_ready` was not ready before, as the contract of `Sink` has it.
    fn start_send(mut self: Pin<&mut Self>, value: T) -> Result<(), Closed> {
        let SinkState::Ready(place) = &mut self.sink else {
            panic!("`start_send` without a `poll_ready` that was ready");
        };
        self.sink = place.take().map_or(SinkState::Idle, SinkState::Waiting);
        self.exchange().fill(value).map_err(|_| Closed)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), Closed>> {
        // What was sent is in the channel.
        Poll::Ready(Ok(()))
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Closed>> {
        ready!(self.as_mut().poll_flush(cx))?;
        if !matches!(self.sink, SinkState::Closed) {
            self.go();
        }
        Poll::Ready(Ok(()))
    }
}

/// Room for one value in a channel. Made by [`Sender::reserve`]; dropped, it goes to the next who waits.
#[must_use = "the room goes to others at once if this is not kept"]
pub struct Slot<'a, T> {
    exchange: &'a Exchange<Fifo<T>>,
}

impl<T> Slot<'_, T> {
    /// Sends a value. It is dropped if all receivers have gone meanwhile.
    pub fn send(self, value: T) {
        let exchange = self.exchange;
        // It is used, so it is not given back.
        std::mem::forget(self);
        drop(exchange.fill(value));
    }
}

impl<T> Drop for Slot<'_, T> {
    fn drop(&mut self) {
        self.exchange.unreserve();
    }
}

impl<T> fmt::Debug for Slot<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slot").finish_non_exhaustive()
    }
}

/// A handle that does not keep a channel open. Made by [`Sender::downgrade`].
pub struct WeakSender<T> {
    shared: Weak<Shared<T>>,
}

impl<T> WeakSender<T> {
    /// Makes a sender again, if there is still another.
    pub fn upgrade(&self) -> Option<Sender<T>> {
        let shared = self.shared.upgrade()?;
        shared.senders.add_if_any().then(|| Sender::new(shared))
    }
}

impl<T> Clone for WeakSender<T> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone() }
    }
}

impl<T> fmt::Debug for WeakSender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WeakSender").finish_non_exhaustive()
    }
}

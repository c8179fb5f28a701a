//! [`channel`]: values from many senders to many receivers, each to one of them.
//!
//! An exchange (`exchange/mod.rs`) with two kinds of handles, which are counted: with the last sender, or the last receiver, it is closed.

mod handles;
mod receiver;
mod sender;

pub use receiver::{Receiver, WeakReceiver};
pub use sender::{Sender, Slot, WeakSender};

pub(crate) use handles::Shared;

use asyncio_base::shim::Arc;

use crate::exchange::{Exchange, Fifo, State};

/// Makes a channel that keeps up to `capacity` values: first in, first out, each value to one receiver.
///
/// Both ends can be cloned. A full channel makes senders wait, in the order in which they came. When all senders are gone, receivers get what is left, and
/// then an error; when all receivers are gone, senders get an error, with the value.
///
/// When to use it: to hand work from task to task, or from thread to task. When not: for one value, [`oneshot`](crate::oneshot()); for every value
/// to every receiver, [`broadcast`](crate::broadcast()); for the newest value only, [`watch`](crate::watch()); where it must be known when all
/// items are done, [`Queue`](crate::Queue).
///
/// # Panics
///
/// Panics if `capacity` is 0: a channel that keeps nothing is made by [`rendezvous`].
///
/// # Examples
///
/// ```
/// use asyncio_sync::channel;
/// # futures_lite::future::block_on(async {
/// let (sender, receiver) = channel(16);
/// sender.send(1).await.unwrap();
/// sender.send(2).await.unwrap();
/// drop(sender);
/// assert_eq!(receiver.recv().await, Ok(1));
/// assert_eq!(receiver.recv().await, Ok(2));
/// assert!(receiver.recv().await.is_err(), "all senders are gone");
/// # });
/// ```
#[track_caller]
pub fn channel<T>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    assert!(capacity > 0, "a channel keeps at least one value; one that keeps none is made by `rendezvous`");
    // What a small channel needs at most, and what a large one needs mostly; it grows by itself.
    make(Fifo::with_capacity(capacity.min(32)), capacity)
}

/// Makes a channel that keeps any number of values: senders never wait.
///
/// When to use it: where the number of values is bounded by something else. When not: between a fast sender and a slow receiver, where it
/// grows without end; [`channel`] makes the sender wait.
///
/// # Examples
///
/// ```
/// let (sender, receiver) = asyncio_sync::unbounded_channel();
/// for n in 0..1000 {
///     sender.try_send(n).unwrap();
/// }
/// assert_eq!(receiver.len(), 1000);
/// ```
pub fn unbounded_channel<T>() -> (Sender<T>, Receiver<T>) {
    make(Fifo::new(), usize::MAX)
}

/// Makes a channel that keeps nothing: a send ends when a receiver has come for the value.
///
/// If the receiver for which a value was sent is dropped before it has taken it, the value waits for the next one.
///
/// # Examples
///
/// ```
/// # futures_lite::future::block_on(async {
/// let (sender, receiver) = asyncio_sync::rendezvous();
/// assert!(sender.try_send(1).unwrap_err().is_full(), "nobody has come");
/// let (sent, received) = futures_lite::future::zip(sender.send(2), receiver.recv()).await;
/// assert!(sent.is_ok());
/// assert_eq!(received, Ok(2));
/// # });
/// ```
pub fn rendezvous<T>() -> (Sender<T>, Receiver<T>) {
    make(Fifo::new(), 0)
}

fn make<T>(store: Fifo<T>, capacity: usize) -> (Sender<T>, Receiver<T>) {
    let shared = Arc::new(Shared::new(Exchange::new(store, capacity)));
    (Sender::new(shared.clone()), Receiver::new(shared))
}

/// What is known of a channel at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ChannelStatistics {
    /// How many values are in it for whoever comes.
    pub len: usize,
    /// How many it keeps at most; `usize::MAX` if it is unbounded, 0 if it keeps none.
    pub capacity: usize,
    /// How many senders there are.
    pub senders: usize,
    /// How many receivers there are.
    pub receivers: usize,
    /// How many wait to send.
    pub waiting_to_send: usize,
    /// How many wait to receive.
    pub waiting_to_receive: usize,
    /// Whether it is closed.
    pub is_closed: bool,
}

impl ChannelStatistics {
    fn of<T>(shared: &Shared<T>, state: &State<Fifo<T>>) -> Self {
        Self {
            len: state.available(),
            capacity: state.capacity(),
            senders: shared.senders.get(),
            receivers: shared.receivers.get(),
            waiting_to_send: state.senders.len(),
            waiting_to_receive: state.receivers.len(),
            is_closed: state.is_closed(),
        }
    }
}

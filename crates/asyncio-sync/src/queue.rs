//! [`Queue`], [`LifoQueue`], [`PriorityQueue`]: asyncio's queues, which know when all that was put into them is done.
//!
//! An [`Exchange`] whose store counts what came in and was not reported as done yet.

use std::fmt;
use std::future::Future;

use crate::blocking::wait_blocking;
use crate::error::{PutError, QueueShutDown, TooManyDone, TryRecvError, TrySendError};
use crate::exchange::{
    Exchange, Fifo, Least, Lifo, Receiving, Sending, State, Store, ToReceive, ToSend, ToWatch,
};
use crate::wait::Wait;

/// A queue, first in, first out: asyncio's `Queue`.
///
/// See [`QueueOf`] for what it can do.
///
/// # Examples
///
/// ```
/// use asyncio_sync::{Queue, Shutdown};
/// # futures_lite::future::block_on(async {
/// let queue = Queue::new(10);
/// queue.put("one").await?;
/// queue.put("two").await?;
///
/// assert_eq!(queue.get().await.unwrap(), "one");
/// queue.task_done();
/// queue.shutdown(Shutdown::AfterDrain);
/// assert_eq!(queue.get().await.unwrap(), "two");
/// queue.task_done();
/// queue.join().await;
/// assert!(queue.get().await.is_err());
/// # Ok::<_, asyncio_sync::PutError<&str>>(())
/// # }).unwrap();
/// ```
pub type Queue<T> = QueueOf<Fifo<T>>;

/// A queue, last in, first out: asyncio's `LifoQueue`.
///
/// See [`QueueOf`] for what it can do.
///
/// # Examples
///
/// ```
/// let queue = asyncio_sync::LifoQueue::unbounded();
/// queue.try_put(1).unwrap();
/// queue.try_put(2).unwrap();
/// assert_eq!(queue.try_get(), Ok(2));
/// ```
pub type LifoQueue<T> = QueueOf<Lifo<T>>;

/// A queue, least first: asyncio's `PriorityQueue`. Of equal ones, the one that was put first.
///
/// Items are compared under the queue's lock: their `Ord` must neither use the queue nor panic. If it panics, the item at hand is lost, and counts
/// as still in the queue.
///
/// See [`QueueOf`] for what it can do.
///
/// # Examples
///
/// ```
/// let queue = asyncio_sync::PriorityQueue::unbounded();
/// queue.try_put((2, "later")).unwrap();
/// queue.try_put((1, "soon")).unwrap();
/// assert_eq!(queue.try_get(), Ok((1, "soon")));
/// ```
pub type PriorityQueue<T> = QueueOf<Least<T>>;

/// A queue that knows when all that was put into it is done. [`Queue`], [`LifoQueue`] and [`PriorityQueue`] are its three kinds.
///
/// Those who wait to put, and those who wait to get, do so in the order in which they came.
///
/// When to use it: between producers and consumers that all know the queue, where somebody waits until the work is done. When not: where
/// the ends are to be owned, and to end what they feed by being dropped: [`channel`](crate::channel()).
pub struct QueueOf<S: Store> {
    exchange: Exchange<S>,
}

/// How a queue is shut down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "asyncio has these two, and so has the question")]
pub enum Shutdown {
    /// What is in it is dropped, and counts as done.
    Immediate,
    /// What is in it can still be got.
    AfterDrain,
}

/// What a bound of 0 means: none, as in asyncio.
const fn bound(maxsize: usize) -> usize {
    if maxsize == 0 { usize::MAX } else { maxsize }
}

impl<T> Queue<T> {
    const_unless_modelled! {
        /// Makes a queue of up to `maxsize` items; of any number, if that is 0, as in asyncio.
        pub fn new(maxsize: usize) -> Self { Self { exchange: Exchange::new(Fifo::new(), bound(maxsize)) } }
    }

    const_unless_modelled! {
        /// Makes a queue of any number of items.
        pub fn unbounded() -> Self { Self::new(0) }
    }
}

impl<T> LifoQueue<T> {
    const_unless_modelled! {
        /// Makes a queue of up to `maxsize` items; of any number, if that is 0, as in asyncio.
        pub fn new(maxsize: usize) -> Self { Self { exchange: Exchange::new(Lifo::new(), bound(maxsize)) } }
    }

    const_unless_modelled! {
        /// Makes a queue of any number of items.
        pub fn unbounded() -> Self { Self::new(0) }
    }
}

impl<T: Ord> PriorityQueue<T> {
    const_unless_modelled! {
        /// Makes a queue of up to `maxsize` items; of any number, if that is 0, as in asyncio.
        pub fn new(maxsize: usize) -> Self { Self { exchange: Exchange::new(Least::new(), bound(maxsize)) } }
    }

    const_unless_modelled! {
        /// Makes a queue of any number of items.
        pub fn unbounded() -> Self { Self::new(0) }
    }
}

impl<S: Store> QueueOf<S> {
    /// Puts an item in, as soon as there is room and those who came before have put theirs.
    ///
    /// # Errors
    ///
    /// [`PutError`], with the item, if the queue is shut down, before or meanwhile.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is ready, it has not put the item, which is dropped with it, or has put it: it was moved into the queue while the task
    /// had not run yet.
    #[inline]
    pub fn put(&self, item: S::Item) -> impl Future<Output = Result<(), PutError<S::Item>>> {
        Wait::new(ToSend::new(&self.exchange), Sending::item(item))
    }

    /// Puts an item in, and blocks the thread until there is room. For threads on which no loop runs.
    ///
    /// # Errors
    ///
    /// [`PutError`], with the item, if the queue is shut down, before or meanwhile.
    ///
    /// # Panics
    ///
    /// Panics where it would block the thread of an event loop, inside of a task.
    #[track_caller]
    pub fn put_blocking(&self, item: S::Item) -> Result<(), PutError<S::Item>> {
        match self.try_put(item) {
            Ok(()) => Ok(()),
            Err(TrySendError::Closed(item)) => Err(PutError(item)),
            Err(TrySendError::Full(item)) => wait_blocking("put_blocking", "put(..).await", self.put(item)),
        }
    }

    /// Puts an item in, if there is room and nobody waits for it.
    ///
    /// # Errors
    ///
    /// [`TrySendError`], with the item, if there is none, or the queue is shut down.
    #[doc(alias = "put_nowait")]
    #[inline]
    pub fn try_put(&self, item: S::Item) -> Result<(), TrySendError<S::Item>> {
        self.exchange.try_send(item)
    }

    /// Gets an item, as soon as there is one and those who came before have theirs. Whoever has done with it calls [`task_done`](Self::task_done).
    ///
    /// # Errors
    ///
    /// [`QueueShutDown`] if the queue is shut down and nothing is left in it.
    ///
    /// # Cancel safety
    ///
    /// No item is lost: one that was there for it goes to the next who gets, before those behind it.
    #[inline]
    pub fn get(&self) -> impl Future<Output = Result<S::Item, QueueShutDown>> {
        Wait::new(ToReceive::new(&self.exchange), Receiving::default())
    }

    /// Gets an item, and blocks the thread until there is one. For threads on which no loop runs.
    ///
    /// # Errors
    ///
    /// [`QueueShutDown`] if the queue is shut down and nothing is left in it.
    ///
    /// # Panics
    ///
    /// Panics where it would block the thread of an event loop, inside of a task.
    #[track_caller]
    pub fn get_blocking(&self) -> Result<S::Item, QueueShutDown> {
        match self.try_get() {
            Ok(item) => Ok(item),
            Err(TryRecvError::Closed) => Err(QueueShutDown),
            Err(TryRecvError::Empty) => wait_blocking("get_blocking", "get().await", self.get()),
        }
    }

    /// Gets an item, if there is one for whoever comes.
    ///
    /// # Errors
    ///
    /// [`TryRecvError`] if there is none.
    #[doc(alias = "get_nowait")]
    #[inline]
    pub fn try_get(&self) -> Result<S::Item, TryRecvError> {
        self.exchange.try_receive()
    }

    /// Reports that an item that was got is done.
    ///
    /// # Panics
    ///
    /// Panics if there are no items that are not done: it was called too often. [`try_task_done`](Self::try_task_done) gives an error.
    #[track_caller]
    pub fn task_done(&self) {
        if let Err(error) = self.try_task_done() {
            panic!("{error}");
        }
    }

    /// Reports that an item that was got is done.
    ///
    /// # Errors
    ///
    /// [`TooManyDone`] if there are no items that are not done.
    pub fn try_task_done(&self) -> Result<(), TooManyDone> {
        self.exchange.done()
    }

    /// Waits until all items that were put in are done.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    pub fn join(&self) -> impl Future<Output = ()> {
        Wait::new(
            ToWatch { exchange: &self.exchange, is_so: |state: &mut State<S>| state.unfinished() == 0 },
            0,
        )
    }

    /// Shuts the queue down: nothing more can be put in, and those who wait to are told.
    ///
    /// After [`Shutdown::AfterDrain`], what is in it can be got; then those who get are told, too. After [`Shutdown::Immediate`] nothing can be
    /// got; what was in it is dropped and counts as done.
    pub fn shutdown(&self, how: Shutdown) {
        match how {
            Shutdown::Immediate => drop(self.exchange.clear()),
            Shutdown::AfterDrain => _ = self.exchange.close(),
        }
    }

    /// Says whether it was shut down.
    pub fn is_shut_down(&self) -> bool {
        self.exchange.state().lock().is_closed()
    }

    /// How many items are in it for whoever comes: asyncio's `qsize`. Not guaranteed to be true a moment later.
    #[doc(alias = "qsize")]
    pub fn len(&self) -> usize {
        self.exchange.state().lock().available()
    }

    /// Says whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Says whether there is no room.
    pub fn is_full(&self) -> bool {
        self.exchange.state().lock().is_full()
    }

    /// How many items it takes at most: `None` if any number.
    pub fn maxsize(&self) -> Option<usize> {
        Some(self.exchange.state().lock().capacity()).filter(|&capacity| capacity < usize::MAX)
    }

    /// What is known of it at this moment.
    pub fn statistics(&self) -> QueueStatistics {
        QueueStatistics::of(&self.exchange.state().lock())
    }
}

impl<S: Store> fmt::Debug for QueueOf<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Queue").field(&self.exchange.state().peek(QueueStatistics::of)).finish()
    }
}

/// What is known of a queue at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct QueueStatistics {
    /// How many items are in it for whoever comes.
    pub len: usize,
    /// How many it takes at most; `None` if any number.
    pub maxsize: Option<usize>,
    /// How many items are not reported as done.
    pub unfinished: usize,
    /// How many wait to put.
    pub waiting_to_put: usize,
    /// How many wait to get.
    pub waiting_to_get: usize,
    /// Whether it was shut down.
    pub is_shut_down: bool,
}

impl QueueStatistics {
    fn of<S: Store>(state: &State<S>) -> Self {
        Self {
            len: state.available(),
            maxsize: Some(state.capacity()).filter(|&capacity| capacity < usize::MAX),
            unfinished: state.unfinished(),
            waiting_to_put: state.senders.len(),
            waiting_to_get: state.receivers.len(),
            is_shut_down: state.is_closed(),
        }
    }
}

//! Tasks ↔ tasks: locks, events, conditions, semaphores, barriers, queues and channels.
//!
//! asyncio's primitives, and those that users of other runtimes expect, fair and cancel-safe, in one crate without a runtime in it: they work under any
//! executor, between executors, and from plain threads (`x_blocking`, or any `block_on`).
//!
//! | what is wanted | what to take |
//! |---|---|
//! | one at a time, across an `await` | [`Mutex`] |
//! | many readers or one writer | [`RwLock`] |
//! | so many at a time | [`Semaphore`] |
//! | to wait until something has happened | [`Event`] |
//! | to wait until shared data is as one wants it | [`Condition`] |
//! | to wait for each other | [`Barrier`] |
//! | a value that is made once | [`OnceCell`], [`Lazy`] |
//! | one value from one to another | [`oneshot()`] |
//! | items, each to one of many | [`channel()`], [`unbounded_channel`], [`rendezvous`] |
//! | items, and to know when all are done | [`Queue`], [`LifoQueue`], [`PriorityQueue`] |
//! | every value to everybody | [`broadcast()`] |
//! | the newest value | [`watch()`] |
//!
//! When not to use it: for data that is looked at for a moment, [`std::sync::Mutex`] is cheaper, and cannot be held across an `await` by
//! mistake. The page `docs/synchronisation.md` says more.
//!
//! All lines are first in, first out, and nobody barges in. Waiting allocates nothing, but for a channel's end that is used as a `Stream` or a
//! `Sink`, which allocates once. A future that is dropped leaves nothing behind, and hands on what it had been given. Wakers are called outside
//! of every lock. Nothing here is for signal handlers, which must take no lock.
//!
//! # Examples
//!
//! ```
//! use asyncio_sync::{Mutex, channel};
//! # futures_lite::future::block_on(async {
//! let total = Mutex::new(0);
//! let (sender, receiver) = channel(4);
//! let producer = async move {
//!     for n in 1..=10 {
//!         sender.send(n).await.unwrap();
//!     }
//!     // With the last sender the channel ends.
//! };
//! let consumer = async {
//!     while let Ok(n) = receiver.recv().await {
//!         *total.lock().await += n;
//!     }
//! };
//! futures_lite::future::zip(producer, consumer).await;
//! assert_eq!(*total.lock().await, 55);
//! # });
//! ```

#![deny(unsafe_code)]

#[macro_use]
mod constant;

mod lock;
mod wait;

mod blocking;
mod error;
mod locking;
mod watch_locks;
mod watching;

mod barrier;
mod condition;
mod event;
mod lazy;
mod mutex;
mod once_cell;
mod rw_lock;
mod semaphore;

mod exchange;

pub mod broadcast;
pub mod channel;
pub mod oneshot;
mod queue;
pub mod watch;

#[cfg(all(test, loom))]
mod loom_tests;
#[cfg(all(test, shuttle))]
mod shuttle_tests;

pub use barrier::{Barrier, BarrierStatistics};
pub use condition::{Condition, ConditionGuard, ConditionStatistics};
pub use error::{
    AcquireError, BroadcastError, BrokenBarrier, Closed, OverRelease, PutError, QueueShutDown, RecvError,
    SendError, SetError, TooManyDone, TryAcquireError, TryBroadcastError, TryLockError, TryRecvError,
    TrySendError,
};
pub use event::{Event, EventStatistics};
pub use lazy::Lazy;
pub use mutex::{Mutex, MutexGuard, MutexStatistics, OwnedMutexGuard};
pub use once_cell::{OnceCell, OnceCellStatistics};
pub use rw_lock::{
    OwnedRwLockReadGuard, OwnedRwLockUpgradableReadGuard, OwnedRwLockWriteGuard, RwLock, RwLockGuard,
    RwLockHolder, RwLockPurpose, RwLockReadGuard, RwLockStatistics, RwLockUpgradableReadGuard,
    RwLockWriteGuard, ToRead, ToUpgrade, ToWrite,
};
pub use semaphore::{OwnedPermit, Permit, Semaphore, SemaphoreStatistics};

pub use broadcast::broadcast;
pub use channel::{channel, rendezvous, unbounded_channel};
pub use exchange::{Fifo, Least, Lifo};
pub use oneshot::oneshot;
pub use queue::{LifoQueue, PriorityQueue, Queue, QueueOf, QueueStatistics, Shutdown};
pub use watch::watch;

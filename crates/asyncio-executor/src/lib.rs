//! Wakers → polls: [`LocalExecutor`], which runs tasks on one thread, first in, first out; [`Executor`], which shares them between several;
//! and [`block_on`].
//!
//! The executor never blocks and knows neither time nor I/O. Whoever owns it calls [`run_round`](LocalExecutor::run_round) and
//! decides what to do when nothing is ready: a loop waits for events, a test looks at what happened, a program without any I/O
//! parks its thread.
//!
//! When to use it: to run many futures on one thread in a program that has its own way to wait, or to build a runtime. When
//! not: in an application, where `asyncio::run` brings timers and sockets along.
//!
//! # Examples
//!
//! ```
//! use asyncio_executor::{LocalExecutor, block_on};
//! use std::{cell::RefCell, rc::Rc, task::Waker};
//!
//! let executor = LocalExecutor::new(Waker::noop().clone());
//! let order = Rc::new(RefCell::new(Vec::new()));
//! let tasks = [1, 2, 3].map(|n| {
//!     let order = order.clone();
//!     executor.spawn(async move {
//!         order.borrow_mut().push(n);
//!         n * 10
//!     })
//! });
//! assert_eq!(executor.run_round(), 3);
//! assert_eq!(*order.borrow(), [1, 2, 3], "first in, first out");
//! let [first, ..] = tasks;
//! assert_eq!(block_on(first), Some(10));
//! ```
//!
//! # What a task costs
//!
//! One allocation: 96 bytes that every task has (40 of them are [`Header`]), its future or its output, whichever is larger, and 8 that say
//! which it is; besides, 16 bytes in the list of live tasks, and 8 in the queue while it is ready. A wake on its own thread, a clone of a
//! waker and its drop take no atomic.
//!
//! Tasks that several workers may poll, and those that [`spawn_on`] makes for executors of others, have 128 bytes where these have 96, and count
//! their references by atomics.

#![deny(unsafe_code)]

mod header;
mod once_box;
mod schedule;
mod spawn;
mod task;

mod current;
mod lent;
mod live;
mod local;
mod main_waker;
mod queue;
mod ready;
mod watch;

mod foreign;
mod workers;

mod block_on;

#[cfg(all(test, loom))]
mod loom_tests;

pub use block_on::block_on;
pub use foreign::{Spawn, spawn_on};
pub use header::{Header, TaskId, TaskState};
pub use live::{LiveTask, live_local_tasks, live_tasks, main_turns, stack_base, wake_main, worker_count};
pub use local::{
    EnterGuard, IdleGuard, LocalExecutor, NoExecutor, Ran, Stopped, current_header, spawn_local,
};
pub use schedule::{Fifo, ReadyTasks, Schedule, SeededRandom};
pub use spawn::{Handle, SpawnLocalError, Spawner, TaskOptions};
pub use task::Runnable;
pub use watch::{MainPoll, PresentPoll, Watch};
pub use workers::{Executor, SpawnPinnedError, WorkerTaken, spawn, spawn_pinned};

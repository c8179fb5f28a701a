//! Futures → structure: [`Task`], task groups ([`task_group`]) and children that borrow ([`scope`](fn@scope)), cancel scopes ([`cancel_scope`], [`timeout`],
//! [`shield`], [`race!`]), and clean-up that survives cancellation ([`guard`], [`defer`], [`with`]).
//!
//! A task runs on the executor that is entered on this thread: that of the loop, or your own [`LocalExecutor`]. It is never
//! lost: dropping its handle detaches it, and it ends with its executor at the latest. A scope never ends before what must be closed in it.
//!
//! When to use it: with a runtime of your own, built from the layers. When not: in an application, where `asyncio` has all of
//! this under the same names.
//!
//! Scopes need no executor of ours: they work under any. The children of a group are tasks, and need one.
//!
//! # Examples
//!
//! ```
//! use asyncio_executor::{LocalExecutor, block_on};
//! use std::task::Waker;
//!
//! let executor = LocalExecutor::new(Waker::noop().clone());
//! let _entered = executor.enter();
//! let task = asyncio_tasks::spawn_local(async {
//!     asyncio_tasks::yield_now().await;
//!     6 * 7
//! });
//! while executor.run_round() > 0 {}
//! assert_eq!(block_on(task).unwrap(), 42);
//! ```
//!
//! [`LocalExecutor`]: asyncio_executor::LocalExecutor

#![deny(unsafe_code)]

mod scope;

mod spawn;
mod task;

pub mod debug;

mod checked;
mod context;
mod done;
mod error;
mod info;

mod cleanup;
mod guard;

mod branch;
mod cancel_scope;
mod children;
mod completion;
mod gather;
mod group;
mod join;
mod node;
mod root_scope;
mod scoped;
mod shared;
mod shield;
mod slot;
mod timeout;
mod wait;
mod yield_now;

#[cfg(all(test, loom))]
mod loom_tests;
#[cfg(all(test, shuttle))]
mod shuttle_tests;

#[doc(inline)]
pub use asyncio_executor::{Runnable, Spawn, SpawnLocalError, SpawnPinnedError, TaskId, TaskState};

pub use cancel_scope::{CancelHandle, CancelScope, Timeout, cancel_scope, timeout_scope};
pub use checked::spawn_checked;
pub use cleanup::{Belonging, Cleanup, CleanupGuard, DEFAULT_GRACE, spawn_background};
pub use completion::{Completion, CompletionError, Setter, completion};
pub use context::{Context, ContextGuard, ContextKeeper, TaskLocal, WithLocal};
pub use error::{Cancelled, TaskError};
pub use gather::{AsCompleted, as_completed, first_ok, gather, gather_all};
pub use group::{GroupBuilder, GroupError, OnError, Ready, TaskGroup, task_group};
pub use guard::{AsyncClose, Finish, Guard, LocalGuard, defer, defer_local, guard, guard_local, with};
pub use info::{TaskInfo, all_tasks, current_task};
pub use root_scope::RootScope;
pub use scoped::{Child, LocalScope, Scope, scope, scope_local};
pub use shared::SharedTask;
pub use shield::{Shield, shield};
pub use spawn::{Builder, spawn, spawn_local, spawn_local_with, spawn_on, spawn_pinned, spawn_with};
pub use task::Task;
pub use timeout::{WithTimeout, move_on_after, timeout, timeout_at};
pub use wait::{WaitFor, wait};
pub use yield_now::{YieldNow, yield_now};

/// Makes a stream of what is `yield`ed in it: an asynchronous generator.
///
/// # Examples
///
/// ```
/// use futures::{Stream, StreamExt};
///
/// fn countdown(from: u32) -> impl Stream<Item = u32> {
///     asyncio_tasks::stream! {
///         for n in (0..from).rev() {
///             asyncio_tasks::yield_now().await;
///             yield n;
///         }
///     }
/// }
///
/// let numbers: Vec<u32> = asyncio_executor::block_on(countdown(3).collect());
/// assert_eq!(numbers, [2, 1, 0]);
/// ```
#[doc(inline)]
pub use async_stream::stream;

/// What the macros stand for.
#[doc(hidden)]
pub mod _macros {
    pub use crate::join::{Join, Race, TryJoin};
}

//! What two or more layers of asyncio need, and what knows no I/O and no scheduling.
//!
//! Users of the runtime never meet this crate. Those who write a layer of their own (a reactor, an executor, a
//! primitive) find here what makes it behave like ours:
//!
//! - [`WakeList`]: wakers collected under a lock and woken after it.
//! - [`budget`]: how many ready operations a task may do in one poll before it lets others run.
//! - [`closed_world`]: whether this thread runs a simulated host.
//! - [`random`]: random numbers that a simulation decides.
//! - [`debug`]: whether this thread wants to hear of what is nearly always a mistake.
//! - [`lock_watch`]: who holds which lock, when somebody asks.
//! - [`wait_point`]: says where a task waits, when somebody asks.
//! - [`report`]: warnings and failures that belong to nobody's `Result`.
//! - [`panic`](mod@panic): the two things that may happen to a panic that must not pass.
//! - [`trace`]: logging that vanishes when it is off.
//! - [`shim`]: atomics, locks and cells from std, or from loom under `--cfg loom`.
//!
//! When not to use it: in an application. Everything here that an application wants is in `asyncio`.
//!
//! # Examples
//!
//! ```
//! use asyncio_base::WakeList;
//! use std::task::Waker;
//!
//! let mut woken = WakeList::new();
//! woken.push(Waker::noop().clone()); // under a lock
//! assert_eq!(woken.len(), 1);
//! woken.wake_all(); // after it
//! assert!(woken.is_empty());
//! ```
//!
//! # Features
//!
//! - `tracing`: sends the log lines of every layer to `tracing`. Without it they vanish at compile time.

#![forbid(unsafe_code)]

pub mod budget;
pub mod closed_world;
pub mod debug;
mod error;
pub mod lock_watch;
pub mod panic;
pub mod random;
pub mod report;
pub mod shim;
pub mod trace;
pub mod wait_point;
mod wake_list;

pub use error::{LoopClosed, is_loop_closed};
pub use wake_list::WakeList;

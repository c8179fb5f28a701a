//! The layers → a loop: [`run`], [`Runner`], [`EventLoop`].
//!
//! This is the only place where executor, reactor and timers meet, and the only loop there is. A turn of it polls what is ready,
//! first in, first out; waits for events when nothing is; and fires the timers that are due.
//!
//! When to use it: to embed the loop without the rest of `asyncio`, or to drive it from a loop of somebody else's
//! ([guest mode](Runner::turn)). When not: in an application, where `asyncio` has all of this under the same names.
//!
//! # Examples
//!
//! ```
//! use std::time::Duration;
//!
//! let text = String::from("main may borrow");
//! let length = asyncio_runtime::run(async {
//!     asyncio_timers::sleep(Duration::from_millis(1)).await;
//!     text.len()
//! });
//! assert_eq!(length, 15);
//! ```

#![deny(unsafe_code)]

mod runner;

mod builder;
mod callbacks;
mod event_loop;
mod interrupt;
mod lock_registry;
mod meter;
mod portal;
#[cfg(unix)]
mod readers;
mod unhandled;

mod core;
mod crew;
mod drain;
mod runtime;
mod signal_handlers;
mod watchdog;

#[cfg_attr(any(target_os = "linux", target_os = "android", target_os = "freebsd"), path = "affinity/unix.rs")]
#[cfg_attr(
    not(any(target_os = "linux", target_os = "android", target_os = "freebsd")),
    path = "affinity/none.rs"
)]
mod affinity;

pub use builder::Builder;
pub use callbacks::{CallHandle, LoopError};
pub use event_loop::{EventLoop, NoEventLoop};
pub use interrupt::Interrupted;
pub use meter::{Histogram, Metrics};
pub use portal::Portal;
pub use runner::{Runner, run};
pub use unhandled::Unhandled;

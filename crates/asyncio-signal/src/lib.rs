//! Signals of the process → streams: [`ctrl_c`], on Unix [`unix::signal`], and on Windows the events of a console (`windows`).
//!
//! Any number may listen to one signal, on any loop: each hears of it. Several that come before one is received are one, as the system itself has it.
//! While somebody listens to a signal, it does not do what it does by default.
//!
//! When to use it: for the orderly end of a server, for "read your configuration again". When not: for the end of a program that runs under
//! `Runner::run_interruptible`, which does that.
//!
//! # Examples
//!
//! ```
//! # #[cfg(unix)]
//! # fn main() -> std::io::Result<()> {
//! use asyncio_signal::unix::{SignalKind, signal};
//!
//! asyncio_runtime::run(async {
//!     let mut hangup = signal(SignalKind::hangup())?;
//!     rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::HUP)?;
//!     hangup.recv().await;
//!     Ok(())
//! })
//! # }
//! # #[cfg(not(unix))]
//! # fn main() {}
//! ```

#![deny(unsafe_code)]

mod listener;
#[cfg(unix)]
pub mod unix;
#[cfg(windows)]
pub mod windows;

pub use listener::{CtrlC, ctrl_c};

//! Child processes, pipes and the standard streams → futures and streams: [`Command`], [`Child`], and the module [`io`].
//!
//! - A child is a process whose end is waited for as everything else is: on Linux by a descriptor of it, on the loop, without a thread; elsewhere on Unix by SIGCHLD.
//! - Its pipes are streams. [`Child::communicate`] uses all of them at once.
//! - Whatever is dropped when, each child is reaped.
//!
//! When to use it: to run other programs, and for pipes and terminals. When not: for work of your own that keeps a processor busy, for which a thread is enough.
//!
//! # Examples
//!
//! ```
//! use asyncio_process::Command;
//!
//! # fn main() -> std::io::Result<()> {
//! asyncio_runtime::run(async {
//!     let output = Command::shell("echo hello; echo oops >&2").output().await?;
//!     assert_eq!((&output.stdout[..], &output.stderr[..]), (&b"hello\n"[..], &b"oops\n"[..]));
//!     Ok(())
//! })
//! # }
//! ```

#![deny(unsafe_code)]

pub mod io;

mod child;
mod command;
#[cfg(unix)]
mod pool;
mod process;
#[cfg(unix)]
mod protocol;

#[doc(no_inline)]
pub use std::process::{ExitStatus, Output, Stdio};

pub use child::{Child, ChildStderr, ChildStdin, ChildStdout};
pub use command::Command;
#[cfg(unix)]
pub use pool::{CallError, Functions, ProcessPool, ProcessPoolBuilder};
#[cfg(unix)]
pub use protocol::{
    StandardStream, SubprocessHandle, SubprocessProtocol, SubprocessTransport, subprocess_exec,
};

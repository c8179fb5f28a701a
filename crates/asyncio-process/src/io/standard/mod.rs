//! [`stdin`], [`stdout`], [`stderr`]: the standard streams of this process.
//!
//! - On Linux a pipe and a terminal are opened anew, and are then waited for on the loop as any pipe: for the shell, and whoever else has them, they go on
//!   blocking. A program that sets `O_NONBLOCK` on what it shares breaks those.
//! - Everything else, and what cannot be opened anew, is read and written on a thread, one for each of the three.

#[cfg(target_os = "linux")]
#[path = "anew/linux.rs"]
mod anew;
#[cfg(not(target_os = "linux"))]
#[path = "anew/none.rs"]
mod anew;

mod stdin;
mod stdout;

pub use stdin::{Stdin, stdin};
pub use stdout::{Stderr, Stdout, stderr, stdout};

#[cfg(target_os = "linux")]
use super::pipe::{PipeReader as AnewReader, PipeWriter as AnewWriter};
#[cfg(not(target_os = "linux"))]
use anew::{Anew as AnewReader, Anew as AnewWriter};

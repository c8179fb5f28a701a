//! Files and directories: the calls of [`std::fs`], on threads.
//!
//! A file is always ready, and blocks nevertheless: no system tells when its disk has come. So each call is made by a thread of the runtime's pool (as
//! [`to_thread`](crate::to_thread) has it), in pieces of 256 KiB. What is in memory already needs no thread: on Linux a small read is tried at once in a way that
//! never waits for a disk (`RESOLVE_CACHED`, openat2(2), and `RWF_NOWAIT`, preadv2(2)), which takes a few microseconds instead of a thread's wake-up.
//!
//! Errors name the operation and the path; what the system said is their [source](std::error::Error::source), an [`io::Error`](std::io::Error) with its number. Dropping a call that has not begun cancels it, and one that has begun goes on.
//!
//! When to use it: for files beside other things. When not: in a program that does nothing else meanwhile, for which [`std::fs`] is the same with less; for pipes and
//! terminals, which can be waited for.

#[cfg(target_os = "linux")]
#[path = "cached/linux.rs"]
mod cached;
#[cfg(not(target_os = "linux"))]
#[path = "cached/none.rs"]
mod cached;

mod error;
mod file;
mod functions;
mod open_options;
mod read_dir;

pub use file::File;
#[cfg(unix)]
pub use functions::symlink;
pub use functions::{
    canonicalize, copy, create_dir, create_dir_all, hard_link, metadata, read, read_link, read_to_string,
    remove_dir, remove_dir_all, remove_file, rename, set_permissions, symlink_metadata, try_exists, write,
};
pub use open_options::OpenOptions;
pub use read_dir::{DirEntry, ReadDir, read_dir};

/// How much one call reads or writes: large enough that the thread's wake-up does not show, small enough that it is no burden.
const CHUNK: usize = 256 * 1024;

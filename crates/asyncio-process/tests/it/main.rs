//! What users of `asyncio-process` may rely on.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

mod commands;
mod communicate;
mod ends;
#[cfg(target_os = "linux")]
mod faults;
mod orphans;
mod pipes;
mod protocols;
mod streams;

use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

use asyncio_process::io::{PipeReader, PipeWriter, Stderr, Stdin, Stdout};
use asyncio_process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use static_assertions::assert_impl_all;

assert_impl_all!(Child: Send, Sync, Unpin);
assert_impl_all!(Command: Send, Sync);
assert_impl_all!(ChildStdin: Send, Sync, Unpin);
assert_impl_all!(ChildStdout: Send, Sync, Unpin);
assert_impl_all!(ChildStderr: Send, Sync, Unpin);
assert_impl_all!(PipeReader: Send, Sync, Unpin);
assert_impl_all!(PipeWriter: Send, Sync, Unpin);
assert_impl_all!(Stdin: Send, Sync, Unpin);
assert_impl_all!(Stdout: Send, Sync, Unpin);
assert_impl_all!(Stderr: Send, Sync, Unpin);

/// Polls a future once, and says whether it is still to come.
fn is_pending<F: Future>(future: Pin<&mut F>) -> bool {
    future.poll(&mut Context::from_waker(Waker::noop())).is_pending()
}

/// Says whether there is a process of this number, be it a zombie.
fn is_there(id: u32) -> bool {
    Path::new(&format!("/proc/{id}")).exists()
}

/// Waits, by blocking, until something is so that must become so.
fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < Duration::from_secs(20), "{what}");
        // What it waits for, such as the end of a stranger's process, tells nobody.
        std::thread::sleep(Duration::from_millis(1));
    }
}

//! What a system must provide of processes: `send_signal`, `is_no_child`, `is_no_process`, `is_ours`, which signals end one, and, on Unix, `close_fds`.

#[cfg(unix)]
#[path = "unix.rs"]
mod platform;
#[cfg(not(unix))]
#[path = "windows.rs"]
mod platform;

#[cfg(unix)]
mod close_fds;

#[cfg(unix)]
pub(crate) use close_fds::close_fds;
pub(crate) use platform::{KILL, TERMINATE, is_no_child, is_no_process, is_ours, send_signal};

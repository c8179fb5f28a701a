//! The operating system. What a platform must provide:
//!
//! - `BorrowedDescriptor`, `OwnedDescriptor`, `AsDescriptor`, `borrow`: what is watched.
//! - `new_socket`, `prepare`, `accept`, `connect`, `is_connect_pending`, `protocol`, `shutdown`: sockets, non-blocking and closed on exec.
//! - `recv`, `send`: one system call each, never a signal; with the first `SLICES_MAX` slices.
//! - `reset`: the end of a connection, at once.
//! - `peer_cred`: who is at the other end.
//! - `send_file`, `recv_to_pipe`, `send_from_pipe`, `recv_many`, `send_many`, on Linux: more in one call.
//! - `return_stack`: what makes returns behind a call cheap again, where they are not.
//! - `DefaultSelector`: the best selector of the platform.
//!
//! Options and the portable selector are the same everywhere.

mod options;
mod polling;

#[cfg(target_os = "linux")]
mod batch;
#[cfg(target_os = "linux")]
mod epoll;
#[cfg(target_os = "linux")]
mod epoll_wait;

#[cfg(target_os = "linux")]
mod number;
#[cfg(any(target_os = "linux", target_os = "android"))]
mod splice;

#[cfg(unix)]
#[path = "unix.rs"]
mod platform;
#[cfg(windows)]
#[path = "windows.rs"]
mod platform;

#[cfg(target_os = "linux")]
#[path = "gro/linux.rs"]
mod gro;
#[cfg(not(target_os = "linux"))]
#[path = "gro/none.rs"]
mod gro;

#[cfg(all(target_os = "linux", target_arch = "x86_64", target_pointer_width = "64"))]
#[path = "return_stack/safe_ret.rs"]
mod return_stack;
#[cfg(not(all(target_os = "linux", target_arch = "x86_64", target_pointer_width = "64")))]
#[path = "return_stack/none.rs"]
mod return_stack;

#[cfg(all(target_os = "linux", target_arch = "x86_64", target_pointer_width = "64"))]
#[path = "syscall/x86_64.rs"]
mod syscall;
#[cfg(all(target_os = "linux", not(all(target_arch = "x86_64", target_pointer_width = "64"))))]
#[path = "syscall/libc.rs"]
mod syscall;

#[cfg(target_os = "linux")]
#[path = "reset/linux.rs"]
mod reset;
#[cfg(not(target_os = "linux"))]
#[path = "reset/elsewhere.rs"]
mod reset;

#[cfg(any(target_os = "linux", target_os = "android"))]
#[path = "credentials/linux.rs"]
mod credentials;
#[cfg(any(target_vendor = "apple", target_os = "freebsd", target_os = "netbsd", target_os = "openbsd"))]
#[path = "credentials/bsd.rs"]
mod credentials;
#[cfg(not(any(
    target_os = "linux",
    target_os = "android",
    target_vendor = "apple",
    target_os = "freebsd",
    target_os = "netbsd",
    target_os = "openbsd"
)))]
#[path = "credentials/none.rs"]
mod credentials;

#[cfg(target_os = "linux")]
pub use epoll::EpollSelector;
#[cfg(target_os = "linux")]
pub use epoll::EpollSelector as DefaultSelector;
#[cfg(not(target_os = "linux"))]
pub use polling::PollingSelector as DefaultSelector;

pub use platform::{AsDescriptor, BorrowedDescriptor, OwnedDescriptor};
pub use polling::PollingSelector;

#[cfg(unix)]
pub(crate) use platform::is_ready_now;

#[cfg(target_os = "linux")]
pub(crate) use batch::{recv_many, send_many};
pub(crate) use credentials::peer_cred;
pub(crate) use options::{option, set_option};
pub(crate) use platform::{
    SLICES_MAX, accept, borrow, connect, is_connect_pending, new_socket, prepare, protocol, recv, recv_plain,
    send, send_plain, shutdown,
};
pub(crate) use reset::reset;
pub(crate) use return_stack::prepare as prepare_return_stack;
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(crate) use splice::{recv_to_pipe, send_file, send_from_pipe};

/// What a system call has given, before anything returns with it.
#[cfg(unix)]
#[inline(always)]
fn called<T>(given: T) -> T {
    return_stack::refill();
    given
}

//! Closes in a child what this process itself has inherited, or opened without "close on exec": close_range(2).

#![expect(unsafe_code, reason = "what is done between fork and exec is signal-safe")]

use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// The first that is not a standard stream.
const FIRST: i32 = 3;

/// Has everything but the standard streams closed when the program begins. Not at once: std has one open by which it hears of an error.
pub(crate) fn close_fds(command: &mut Command) {
    // SAFETY: `pre_exec` asks that the closure be signal-safe: it allocates nothing, takes no lock, and makes system calls alone.
    unsafe { command.pre_exec(mark_all) };
}

fn mark_all() -> io::Result<()> {
    #[cfg(target_os = "linux")]
    if mark_range() {
        return Ok(());
    }
    mark_one_by_one()
}

#[cfg(target_os = "linux")]
fn mark_range() -> bool {
    /// `CLOSE_RANGE_CLOEXEC` of linux/close_range.h.
    const CLOEXEC: u32 = 1 << 2;
    // SAFETY: it takes three numbers, and an old kernel refuses them.
    unsafe { libc::syscall(libc::SYS_close_range, FIRST, u32::MAX, CLOEXEC) == 0 }
}

/// Where nobody says how many there may be, or that they may be very many.
const COUNT_MAX: libc::c_long = 1 << 16;

fn mark_one_by_one() -> io::Result<()> {
    // SAFETY: it takes a number.
    let count = unsafe { libc::sysconf(libc::_SC_OPEN_MAX) };
    let count = if (1..COUNT_MAX).contains(&count) { count } else { COUNT_MAX };
    for descriptor in FIRST..i32::try_from(count).unwrap_or(i32::MAX) {
        // SAFETY: it takes three numbers; where there is no such descriptor, there is nothing to be closed.
        unsafe { libc::fcntl(descriptor, libc::F_SETFD, libc::FD_CLOEXEC) };
    }
    Ok(())
}

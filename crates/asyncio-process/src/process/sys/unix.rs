//! kill(2).

#![expect(unsafe_code, reason = "a signal of any number, which rustix has not")]

use std::io;
use std::process::Child;

pub(crate) const KILL: i32 = libc::SIGKILL;
pub(crate) const TERMINATE: i32 = libc::SIGTERM;

pub(crate) fn send_signal(child: &mut Child, to_group: bool, signal: i32) -> io::Result<()> {
    // OK because the system gave the number as one of these.
    let id = i32::try_from(child.id()).expect("a process has a positive number");
    if to_group {
        match kill(-id, signal) {
            // It is of another group than its own.
            Err(error) if is_no_process(&error) => {}
            sent => return sent,
        }
    }
    kill(id, signal)
}

fn kill(id: i32, signal: i32) -> io::Result<()> {
    // SAFETY: it takes two numbers, and refuses those that are none.
    match unsafe { libc::kill(id, signal) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Says whether there is nobody to send a signal to.
pub(crate) fn is_no_process(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::ESRCH)
}

/// Says whether a child has not been reaped yet, without reaping it: waitid(2).
pub(crate) fn is_ours(child: &Child) -> bool {
    use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    !matches!(waitid(WaitId::Pid(Pid::from_child(child)), options), Err(rustix::io::Errno::CHILD))
}

/// Says whether somebody else has reaped a child.
pub(crate) fn is_no_child(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::ECHILD)
}

//! A process of Windows can be ended, and nothing else.

use std::io;
use std::process::Child;

/// By the numbers that they have elsewhere.
pub(crate) const KILL: i32 = 9;
pub(crate) const TERMINATE: i32 = 15;

pub(crate) fn send_signal(child: &mut Child, _to_group: bool, signal: i32) -> io::Result<()> {
    match signal {
        KILL | TERMINATE => child.kill(),
        _ => Err(io::Error::new(
            io::ErrorKind::Unsupported,
            "on this system a process can be ended, and gets no other signal",
        )),
    }
}

/// It is for as long as it is kept.
pub(crate) fn is_ours(_child: &Child) -> bool {
    true
}

/// What has ended can be ended.
pub(crate) fn is_no_process(_error: &io::Error) -> bool {
    false
}

/// There is nobody else who could reap a child.
pub(crate) fn is_no_child(_error: &io::Error) -> bool {
    false
}

//! [`Notice`]: how one hears that a child has ended. The system is asked by whoever hears.

#[cfg(unix)]
#[path = "unix.rs"]
mod platform;
#[cfg(not(unix))]
#[path = "timed.rs"]
mod platform;

pub(super) use platform::Notice;
pub(crate) use platform::Waits;

//! The errors that more than one layer gives.

use std::{error, fmt, io};

/// The event loop that this object belongs to is closed.
///
/// A correct program can meet it: a socket or a handle may outlive its loop. Converts into an [`io::Error`] of kind
/// `NotConnected`, and is found again by [`is_loop_closed`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct LoopClosed;

impl LoopClosed {
    /// Makes the error. For those who write a reactor or an executor.
    pub const fn new() -> Self {
        Self
    }
}

impl fmt::Display for LoopClosed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the event loop that this object belongs to is closed")
    }
}

impl error::Error for LoopClosed {}

impl From<LoopClosed> for io::Error {
    fn from(error: LoopClosed) -> Self {
        Self::new(io::ErrorKind::NotConnected, error)
    }
}

/// Says whether an I/O error is [`LoopClosed`], or was caused by it.
///
/// # Examples
///
/// ```
/// use asyncio_base::{LoopClosed, is_loop_closed};
///
/// assert!(is_loop_closed(&LoopClosed::new().into()));
/// assert!(!is_loop_closed(&std::io::ErrorKind::NotConnected.into()));
/// ```
pub fn is_loop_closed(error: &io::Error) -> bool {
    let mut cause = error.get_ref().map(|inner| inner as &(dyn error::Error + 'static));
    while let Some(present) = cause {
        if present.is::<LoopClosed>() {
            return true;
        }
        // An `io::Error` passes over the error that it holds, and goes on with that one's cause.
        let held = present.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        cause = held.map_or_else(|| present.source(), |held| Some(held as &(dyn error::Error + 'static)));
    }
    false
}

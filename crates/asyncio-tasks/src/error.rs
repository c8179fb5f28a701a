//! [`TaskError`]: why a task has no output.

use std::any::Any;
use std::{error, fmt, io};

use asyncio_base::panic::{Payload, message};
use asyncio_base::shim::Mutex;

/// Why a task has no output: it was cancelled, or it panicked.
///
/// Converts into an [`io::Error`].
pub struct TaskError {
    kind: Kind,
}

enum Kind {
    Cancelled,
    /// In a mutex because a payload need not be `Sync`, and an error is.
    Panicked(Mutex<Payload>),
}

impl TaskError {
    pub(crate) fn cancelled() -> Self {
        Self { kind: Kind::Cancelled }
    }

    pub(crate) fn panicked(payload: Payload) -> Self {
        Self { kind: Kind::Panicked(Mutex::new(payload)) }
    }

    /// Says whether the task was ended before it had an output.
    pub fn is_cancelled(&self) -> bool {
        matches!(self.kind, Kind::Cancelled)
    }

    /// Says whether the task panicked.
    pub fn is_panic(&self) -> bool {
        matches!(self.kind, Kind::Panicked(_))
    }

    /// Returns what the panic carried, for [`resume_unwind`](std::panic::resume_unwind).
    ///
    /// # Panics
    ///
    /// Panics if the task did not panic: ask [`is_panic`](Self::is_panic) first.
    #[track_caller]
    pub fn into_panic(self) -> Box<dyn Any + Send + 'static> {
        match self.kind {
            Kind::Panicked(payload) => payload.into_inner(),
            Kind::Cancelled => panic!("the task was cancelled, it did not panic; ask `is_panic` first"),
        }
    }
}

impl fmt::Display for TaskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::Cancelled => f.write_str("the task was cancelled"),
            Kind::Panicked(payload) => write!(f, "the task panicked: {}", message(&**payload.lock())),
        }
    }
}

impl fmt::Debug for TaskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TaskError({self})")
    }
}

impl error::Error for TaskError {}

impl From<TaskError> for io::Error {
    fn from(error: TaskError) -> Self {
        Self::other(error)
    }
}

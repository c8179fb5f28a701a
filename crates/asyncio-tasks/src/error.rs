//! Why there is no output: [`TaskError`], [`Cancelled`].

use std::any::Any;
use std::{error, fmt, io};

use asyncio_base::panic::{Payload, Told, message};
use asyncio_base::shim::{Arc, Mutex};

/// Why a task has no output: it was cancelled, it panicked, or it failed as a child of a group, which has the error.
///
/// Converts into an [`io::Error`]. A clone is of the same panic, whose payload goes to whoever asks first.
#[derive(Clone)]
pub struct TaskError {
    kind: Kind,
}

#[derive(Clone)]
enum Kind {
    Cancelled(Cancelled),
    Panicked(Arc<Panicked>),
    InGroup,
    NotReady,
    OnLoop,
}

struct Panicked {
    message: String,
    /// In a mutex because a payload need not be `Sync`, and an error is.
    payload: Mutex<Option<Payload>>,
}

impl TaskError {
    /// Makes the error of something that was cancelled. For those who write what is awaited like a task.
    pub fn cancelled(reason: Option<&str>) -> Self {
        Self { kind: Kind::Cancelled(Cancelled::because(reason)) }
    }

    /// Makes the error of something that panicked with `payload`. For those who write what is awaited like a task.
    pub fn panicked(payload: Box<dyn Any + Send + 'static>) -> Self {
        // A task whose callbacks have been told of its panic already.
        let payload = match payload.downcast::<Told>().map(|told| told.0.downcast::<Self>()) {
            Ok(Ok(told)) => return *told,
            Ok(Err(payload)) => payload,
            Err(payload) => payload,
        };
        let message = message(&*payload).to_owned();
        Self { kind: Kind::Panicked(Arc::new(Panicked { message, payload: Mutex::new(Some(payload)) })) }
    }

    /// Makes a payload out of it that becomes this error again.
    pub(crate) fn into_told(self) -> Payload {
        Box::new(Told(Box::new(self)))
    }

    pub(crate) const fn in_group() -> Self {
        Self { kind: Kind::InGroup }
    }

    pub(crate) const fn not_ready() -> Self {
        Self { kind: Kind::NotReady }
    }

    /// Makes the error of a wait that would have blocked the thread of an event loop.
    pub const fn on_loop() -> Self {
        Self { kind: Kind::OnLoop }
    }

    /// Says whether the task was ended before it had an output.
    pub fn is_cancelled(&self) -> bool {
        matches!(self.kind, Kind::Cancelled(_))
    }

    /// Says whether the task panicked.
    pub fn is_panic(&self) -> bool {
        matches!(self.kind, Kind::Panicked(_))
    }

    /// Says whether the task failed as a child of a group: what it failed with is in the [`GroupError`](crate::GroupError), or, if it panicked,
    /// goes on where the group was awaited.
    pub fn is_in_group(&self) -> bool {
        matches!(self.kind, Kind::InGroup)
    }

    /// Returns why the task was cancelled, if somebody said so with [`cancel_because`](crate::Task::cancel_because).
    pub fn reason(&self) -> Option<&str> {
        match &self.kind {
            Kind::Cancelled(cancelled) => cancelled.reason(),
            Kind::Panicked(_) | Kind::InGroup | Kind::NotReady | Kind::OnLoop => None,
        }
    }

    /// Returns what the panic carried, for [`resume_unwind`](std::panic::resume_unwind); its message, if a clone of this has given it away.
    ///
    /// # Panics
    ///
    /// Panics if the task did not panic: ask [`is_panic`](Self::is_panic) first.
    #[track_caller]
    pub fn into_panic(self) -> Box<dyn Any + Send + 'static> {
        match self.kind {
            Kind::Panicked(panicked) => {
                let payload = panicked.payload.lock().take();
                payload.unwrap_or_else(|| Box::new(panicked.message.clone()))
            }
            _ => panic!("{self}, it did not panic; ask `is_panic` first"),
        }
    }
}

impl fmt::Display for TaskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::Cancelled(Cancelled { reason: None }) => f.write_str("the task was cancelled"),
            Kind::Cancelled(Cancelled { reason: Some(reason) }) => {
                write!(f, "the task was cancelled: {reason}")
            }
            Kind::Panicked(panicked) => write!(f, "the task panicked: {}", panicked.message),
            Kind::InGroup => f.write_str("the task failed; the error is in the group's error"),
            Kind::OnLoop => f.write_str(
                "the task was not waited for, since that would block the thread of an event loop: await it",
            ),
            Kind::NotReady => f.write_str("the task ended before it said that it was ready"),
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

/// A scope was cancelled before it had a value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cancelled {
    reason: Option<Box<str>>,
}

impl Cancelled {
    pub(crate) fn because(reason: Option<&str>) -> Self {
        Self { reason: reason.map(Into::into) }
    }

    /// Returns why, if somebody said so.
    pub fn reason(&self) -> Option<&str> {
        self.reason.as_deref()
    }
}

impl fmt::Display for Cancelled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.reason {
            Some(reason) => write!(f, "the scope was cancelled: {reason}"),
            None => f.write_str("the scope was cancelled"),
        }
    }
}

impl error::Error for Cancelled {}

impl From<Cancelled> for io::Error {
    fn from(error: Cancelled) -> Self {
        Self::other(error)
    }
}

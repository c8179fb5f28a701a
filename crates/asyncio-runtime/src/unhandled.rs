//! [`Unhandled`]: what goes wrong where nobody can be told of it.

use std::fmt;
use std::panic::Location;

use asyncio_base::report::Report;

/// Something that went wrong where nobody can be told of it: a panic in a callback, clean-up that was cut off, a task that would not die.
///
/// asyncio's context of `call_exception_handler`. What is shown is the layer and the message.
#[derive(Clone, Debug)]
pub struct Unhandled {
    layer: &'static str,
    message: String,
    task: Option<(u64, &'static Location<'static>)>,
    is_panic: bool,
}

impl Unhandled {
    pub(crate) fn of(report: &Report<'_>) -> Self {
        let Report { layer, message, task, is_panic, .. } = *report;
        Self { layer, message: message.to_string(), task, is_panic }
    }

    /// Returns which layer says so, as in "net".
    pub fn layer(&self) -> &'static str {
        self.layer
    }

    /// Returns what was being done, what happened, and what happens now.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Returns the number of the task that it is about, if it is about one: that of its [`TaskId`](asyncio_tasks::TaskId).
    pub fn task(&self) -> Option<u64> {
        self.task.map(|(id, _)| id)
    }

    /// Returns where that task was spawned, or that callback was registered.
    pub fn spawned_at(&self) -> Option<&'static Location<'static>> {
        self.task.map(|(_, place)| place)
    }

    /// Says whether it is a panic of a user's code.
    pub fn is_panic(&self) -> bool {
        self.is_panic
    }
}

impl fmt::Display for Unhandled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "asyncio {}: {}", self.layer, self.message)
    }
}

//! [`GroupError`]: all that went wrong in a group.

use std::error::Error;
use std::fmt::{self, Debug, Display};
use std::io;

/// Why a group has no value: its children, or its body, failed; or it was cancelled before its body had one.
///
/// An [`Error`] for every `E` that can be shown, boxed errors among them; converts into an [`io::Error`].
///
/// # Examples
///
/// ```
/// # let executor = asyncio_executor::LocalExecutor::new(std::task::Waker::noop().clone());
/// # let _entered = executor.enter();
/// use asyncio_tasks::{GroupError, spawn_local, task_group};
///
/// let task = spawn_local(task_group(async |group| {
///     group.spawn(async { Err::<(), _>("no route") }).detach();
///     Ok(())
/// }));
/// # while executor.run_round() > 0 {}
/// let error: GroupError<&str> = asyncio_executor::block_on(task).unwrap().unwrap_err();
/// assert_eq!(error.errors(), ["no route"]);
/// assert_eq!(error.to_string(), "a task of the group failed: no route");
/// ```
pub struct GroupError<E> {
    errors: Vec<E>,
    reason: Option<Box<str>>,
}

impl<E> GroupError<E> {
    pub(super) fn failed(errors: Vec<E>) -> Self {
        Self { errors, reason: None }
    }

    pub(super) fn cancelled(reason: Option<&str>) -> Self {
        Self { errors: Vec::new(), reason: reason.map(Into::into) }
    }

    /// Returns the errors of children and body, in the order in which they failed.
    pub fn errors(&self) -> &[E] {
        &self.errors
    }

    /// Takes the errors out, in the same order.
    pub fn into_errors(self) -> Vec<E> {
        self.errors
    }

    /// Says whether nothing failed: the group was cancelled before its body had a value.
    pub fn is_cancelled(&self) -> bool {
        self.errors.is_empty()
    }

    /// Returns why it was cancelled, if somebody said so.
    pub fn reason(&self) -> Option<&str> {
        self.reason.as_deref()
    }
}

impl<E: Display> Display for GroupError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&*self.errors, &self.reason) {
            ([], None) => f.write_str("the group was cancelled"),
            ([], Some(reason)) => write!(f, "the group was cancelled: {reason}"),
            ([error], _) => write!(f, "a task of the group failed: {error}"),
            ([first, others @ ..], _) => {
                write!(f, "{} tasks of the group failed: {first}", self.errors.len())?;
                others.iter().try_for_each(|error| write!(f, "; {error}"))
            }
        }
    }
}

impl<E: Debug> Debug for GroupError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GroupError").field("errors", &self.errors).field("reason", &self.reason).finish()
    }
}

impl<E: Debug + Display + 'static> Error for GroupError<E> {}

impl<E: Debug + Display + Send + Sync + 'static> From<GroupError<E>> for io::Error {
    fn from(error: GroupError<E>) -> Self {
        Self::other(error)
    }
}

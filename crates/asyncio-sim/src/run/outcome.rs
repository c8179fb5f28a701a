//! [`Outcome`]: what the main of a host may give.

use std::fmt::Debug;

/// What a host's main gives: nothing, or a result. An error is a failure of the run.
pub trait Outcome {
    /// Returns what went wrong.
    fn into_error(self) -> Option<String>;
}

impl Outcome for () {
    fn into_error(self) -> Option<String> {
        None
    }
}

impl<T: Outcome, E: Debug> Outcome for Result<T, E> {
    fn into_error(self) -> Option<String> {
        match self {
            Ok(value) => value.into_error(),
            Err(error) => Some(format!("its main gave an error: {error:?}")),
        }
    }
}

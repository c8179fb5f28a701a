//! [`CallError`]: why a call has no result.

use std::error::Error;
use std::fmt;
use std::io;
use std::process::ExitStatus;
use std::time::Duration;

/// Why a call of a [`ProcessPool`](super::ProcessPool) has no result. The pool goes on, whatever it is.
#[derive(Debug)]
#[non_exhaustive]
pub enum CallError {
    /// The function panicked, with this message.
    Panicked(String),
    /// The worker has ended in the middle of it: it crashed, took more memory than it may, or was killed.
    Crashed(ExitStatus),
    /// It took longer than it may, and its worker was ended.
    TimedOut(Duration),
    /// The function is not among those of the pool.
    Unknown(&'static str),
    /// The argument, or what was returned, cannot be sent.
    Encoding(String),
    /// A worker cannot be started, or be talked to.
    Io(io::Error),
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Panicked(message) => write!(f, "the call panicked in its worker: {message}"),
            Self::Crashed(status) => write!(f, "the worker ended in the middle of the call: {status}"),
            Self::TimedOut(limit) => {
                write!(f, "the call took longer than {limit:?}, and its worker was ended")
            }
            Self::Unknown(name) => {
                write!(f, "`{name}` is not among the functions of the pool: add it with `Functions::with`")
            }
            Self::Encoding(what) => write!(f, "the call cannot be sent: {what}"),
            Self::Io(error) => write!(f, "the worker of the call cannot be talked to: {error}"),
        }
    }
}

impl Error for CallError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Io(error) => Some(error),
            _ => None,
        }
    }
}

impl From<CallError> for io::Error {
    fn from(error: CallError) -> Self {
        let kind = match &error {
            CallError::TimedOut(_) => io::ErrorKind::TimedOut,
            CallError::Unknown(_) => io::ErrorKind::NotFound,
            CallError::Encoding(_) => io::ErrorKind::InvalidData,
            CallError::Io(error) => error.kind(),
            CallError::Panicked(_) | CallError::Crashed(_) => io::ErrorKind::Other,
        };
        Self::new(kind, error)
    }
}

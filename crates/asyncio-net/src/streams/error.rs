//! [`ReadError`]: why a read that wants something whole did not get it.

use std::error::Error;
use std::fmt;
use std::io;

/// Why a read of a [`StreamReader`](crate::StreamReader) that wants something whole did not get it.
///
/// It converts into an [`io::Error`], so that `?` works in functions that return one; there it is the inner error, and an [`Io`](Self::Io) is itself.
#[derive(Debug)]
#[non_exhaustive]
pub enum ReadError {
    /// The stream has ended before that: asyncio's `IncompleteReadError`.
    Incomplete {
        /// What came before the end. It has been taken out of the stream.
        partial: Vec<u8>,
    },
    /// The separator is not within the limit: asyncio's `LimitOverrunError`. What has come stays in the stream.
    LimitOverrun {
        /// So many bytes at the beginning are known to be in front of the separator. Whoever wants to pass over them
        /// [reads](crate::StreamReader::read) them.
        consumed: usize,
    },
    /// The connection has failed.
    Io(io::Error),
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Incomplete { partial } => {
                write!(f, "the stream ended before all was read: {} bytes came", partial.len())
            }
            Self::LimitOverrun { consumed } => {
                write!(f, "the separator is not within the limit: {consumed} bytes are in front of it")
            }
            Self::Io(error) => error.fmt(f),
        }
    }
}

impl Error for ReadError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Io(error) => error.source(),
            _ => None,
        }
    }
}

impl From<io::Error> for ReadError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<ReadError> for io::Error {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Io(error) => error,
            ReadError::Incomplete { .. } => Self::new(io::ErrorKind::UnexpectedEof, error),
            ReadError::LimitOverrun { .. } => Self::new(io::ErrorKind::InvalidData, error),
        }
    }
}

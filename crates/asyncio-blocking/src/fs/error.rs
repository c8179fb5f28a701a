//! An error that says what was being done, and to what.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use asyncio_tasks::TaskError;

use crate::runtime::to_thread;

/// Why it failed.
#[derive(Debug)]
struct Failed {
    doing: &'static str,
    path: PathBuf,
    cause: io::Error,
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot {} `{}`: {}", self.doing, self.path.display(), self.cause)
    }
}

impl Error for Failed {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.cause)
    }
}

pub(super) fn failed(doing: &'static str, path: &Path, cause: io::Error) -> io::Error {
    io::Error::new(cause.kind(), Failed { doing, path: path.to_owned(), cause })
}

/// The result of a call whose own error is one of I/O, too.
pub(super) fn flatten<T>(result: Result<io::Result<T>, TaskError>) -> io::Result<T> {
    result.unwrap_or_else(|error| Err(error.into()))
}

/// Does something to a path on a thread.
pub(super) async fn on_path<T: Send + 'static>(
    doing: &'static str,
    path: &Path,
    f: impl FnOnce(&Path) -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    let path = path.to_owned();
    flatten(to_thread(move || f(&path).map_err(|cause| failed(doing, &path, cause))).await)
}

//! [`read_dir`]: what is in a directory.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fmt;
use std::fs::{FileType, Metadata};
use std::future::{Future, poll_fn};
use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use asyncio_base::shim::Arc;
use futures_core::Stream;

use super::error::{failed, flatten, on_path};
use crate::call::Call;
use crate::runtime::to_thread;

/// So many are read by one call.
const BATCH: usize = 128;

/// Reads what is in a directory: [`std::fs::read_dir`].
///
/// # Errors
///
/// Fails where it cannot be opened; the message names it.
///
/// # Cancel safety
///
/// Nothing is lost by dropping it.
///
/// # Examples
///
/// ```
/// use futures_lite::StreamExt;
///
/// # fn main() -> std::io::Result<()> {
/// asyncio_runtime::run(async {
///     let mut entries = asyncio_blocking::fs::read_dir(".").await?;
///     let mut names = Vec::new();
///     while let Some(entry) = entries.next().await {
///         names.push(entry?.file_name());
///     }
///     assert!(names.contains(&"Cargo.toml".into()));
///     Ok(())
/// })
/// # }
/// ```
pub async fn read_dir(path: impl AsRef<Path>) -> io::Result<ReadDir> {
    let path = path.as_ref();
    let entries = on_path("list", path, |path| std::fs::read_dir(path)).await?;
    Ok(ReadDir { path: path.to_owned(), read: VecDeque::new(), state: State::Here(Some(entries)) })
}

/// What is in a directory, in no order: a stream. Made by [`read_dir`].
pub struct ReadDir {
    path: PathBuf,
    read: VecDeque<io::Result<std::fs::DirEntry>>,
    state: State,
}

enum State {
    /// `None` at the end.
    Here(Option<std::fs::ReadDir>),
    Reading(Call<Batch>),
}

/// Some, and what gives the rest.
type Batch = (VecDeque<io::Result<std::fs::DirEntry>>, Option<std::fs::ReadDir>);

impl ReadDir {
    /// Waits for the next one; `None` at the end.
    ///
    /// # Errors
    ///
    /// Fails where it cannot be read; the message names the directory.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost by dropping it.
    pub async fn next_entry(&mut self) -> io::Result<Option<DirEntry>> {
        poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await.transpose()
    }
}

impl Stream for ReadDir {
    type Item = io::Result<DirEntry>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        loop {
            if let Some(entry) = this.read.pop_front() {
                let entry = entry.map(|entry| DirEntry { std: Arc::new(entry) });
                return Poll::Ready(Some(entry.map_err(|cause| failed("list", &this.path, cause))));
            }
            match &mut this.state {
                State::Here(entries) => {
                    let Some(mut entries) = entries.take() else { return Poll::Ready(None) };
                    this.state = State::Reading(to_thread(move || {
                        let read: VecDeque<_> = entries.by_ref().take(BATCH).collect();
                        let is_end = read.len() < BATCH;
                        (read, (!is_end).then_some(entries))
                    }));
                }
                State::Reading(call) => {
                    let batch = ready!(Pin::new(call).poll(cx));
                    let (read, rest) = match batch {
                        Ok(batch) => batch,
                        Err(error) => (VecDeque::from([Err(error.into())]), None),
                    };
                    this.read = read;
                    this.state = State::Here(rest);
                }
            }
        }
    }
}

impl fmt::Debug for ReadDir {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadDir").field("path", &self.path).finish_non_exhaustive()
    }
}

/// Something in a directory. Given by [`ReadDir`].
#[derive(Clone, Debug)]
pub struct DirEntry {
    std: Arc<std::fs::DirEntry>,
}

impl DirEntry {
    /// Returns its path: that of the directory, and its name.
    pub fn path(&self) -> PathBuf {
        self.std.path()
    }

    /// Returns its name.
    pub fn file_name(&self) -> OsString {
        self.std.file_name()
    }

    /// Returns what there is to know of it; of a link, of that itself.
    ///
    /// # Errors
    ///
    /// Fails where it is gone, say; the message names it.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost by dropping it.
    pub async fn metadata(&self) -> io::Result<Metadata> {
        self.look(std::fs::DirEntry::metadata).await
    }

    /// Returns whether it is a file, a directory or a link.
    ///
    /// # Errors
    ///
    /// Fails where it is gone, say; the message names it.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost by dropping it.
    pub async fn file_type(&self) -> io::Result<FileType> {
        self.look(std::fs::DirEntry::file_type).await
    }

    async fn look<T: Send + 'static>(&self, look: fn(&std::fs::DirEntry) -> io::Result<T>) -> io::Result<T> {
        let std = self.std.clone();
        flatten(to_thread(move || look(&std).map_err(|cause| failed("look at", &std.path(), cause))).await)
    }
}

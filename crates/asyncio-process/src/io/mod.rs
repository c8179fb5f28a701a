//! Pipes and the standard streams: [`pipe`], [`stdin`], [`stdout`], [`stderr`].

#[cfg(unix)]
mod pipe;
#[cfg(not(unix))]
mod pipe_on_threads;
mod standard;
mod threaded;

#[cfg(unix)]
pub use pipe::{PipeReader, PipeWriter, pipe};
pub use standard::{Stderr, Stdin, Stdout, stderr, stdin, stdout};

#[cfg(not(unix))]
pub(crate) use pipe_on_threads::{PipeReader, PipeWriter};

//! [`Pinned`], where threads cannot be kept on one CPU.

use std::io;

/// Made nowhere.
#[derive(Debug)]
pub(crate) enum Pinned {}

impl Pinned {
    pub(crate) fn to(_cpu: usize) -> io::Result<Self> {
        Err(io::Error::new(io::ErrorKind::Unsupported, "this platform does not keep threads on one CPU"))
    }
}

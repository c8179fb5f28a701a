//! Errors that say what they are about, and keep their cause.

use std::fmt;
use std::io;

/// Says what was being done when `source` came, as in "connecting to 127.0.0.1:1". The kind stays.
pub(crate) fn about(what: impl fmt::Display, source: io::Error) -> io::Error {
    io::Error::new(source.kind(), About { what: what.to_string(), source })
}

#[derive(Debug)]
struct About {
    what: String,
    source: io::Error,
}

impl fmt::Display for About {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.what, self.source)
    }
}

impl std::error::Error for About {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

//! [`Lost`]: an error that is told more than once.

use std::error::Error;
use std::fmt;
use std::io;

use asyncio_base::shim::Arc;

/// Why a connection was lost. Everybody who asks is told, and an [`io::Error`] cannot be cloned.
#[derive(Clone, Debug)]
pub(super) struct Lost(Arc<io::Error>);

impl Lost {
    pub(super) fn kind(&self) -> io::ErrorKind {
        self.0.kind()
    }

    pub(super) fn is_loop_closed(&self) -> bool {
        asyncio_base::is_loop_closed(&self.0)
    }

    pub(super) fn to_io(&self) -> io::Error {
        io::Error::new(self.0.kind(), self.clone())
    }
}

impl From<io::Error> for Lost {
    fn from(error: io::Error) -> Self {
        Self(Arc::new(error))
    }
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the connection is lost: {}", self.0)
    }
}

impl Error for Lost {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.0)
    }
}

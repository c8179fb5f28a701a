//! Connecting: one address after the other.

use std::fmt;
use std::io;
use std::net::SocketAddr;

use asyncio_base::shim::Arc;
use asyncio_reactor::{Domain, Socket, Type, socket};

/// Connects to the first address that accepts; the last one's error stands for all.
pub(crate) async fn first_of(addrs: &[SocketAddr]) -> io::Result<Arc<dyn Socket>> {
    let mut last = io::Error::new(io::ErrorKind::InvalidInput, "there is no address to connect to");
    for &addr in addrs {
        match one(addr).await {
            Ok(socket) => return Ok(socket),
            Err(error) => last = ConnectError { addr, source: error }.into(),
        }
    }
    Err(last)
}

async fn one(addr: SocketAddr) -> io::Result<Arc<dyn Socket>> {
    let socket = socket(Domain::for_address(addr), Type::STREAM, None)?;
    socket.connect(&addr.into()).await?;
    Ok(socket)
}

/// Which address could not be connected to, and why.
#[derive(Debug)]
struct ConnectError {
    addr: SocketAddr,
    source: io::Error,
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "connecting to {}: {}", self.addr, self.source)
    }
}

impl std::error::Error for ConnectError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

impl From<ConnectError> for io::Error {
    fn from(error: ConnectError) -> Self {
        Self::new(error.source.kind(), error)
    }
}

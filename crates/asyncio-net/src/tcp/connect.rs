//! Connecting: one address after the other.

use std::io;
use std::net::SocketAddr;

use asyncio_base::shim::Arc;
use asyncio_reactor::{Domain, Socket, Type, socket};

use crate::about::about;

/// Connects to the first address that accepts; the last one's error stands for all.
pub(crate) async fn first_of(addrs: &[SocketAddr]) -> io::Result<Arc<dyn Socket>> {
    let mut last = io::Error::new(io::ErrorKind::InvalidInput, "there is no address to connect to");
    for &addr in addrs {
        match one(addr).await {
            Ok(socket) => return Ok(socket),
            Err(error) => last = about(format_args!("connecting to {addr}"), error),
        }
    }
    Err(last)
}

async fn one(addr: SocketAddr) -> io::Result<Arc<dyn Socket>> {
    let socket = socket(Domain::for_address(addr), Type::STREAM, None)?;
    socket.connect(&addr.into()).await?;
    Ok(socket)
}

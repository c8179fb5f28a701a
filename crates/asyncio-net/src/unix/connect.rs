//! Connecting to a Unix socket, which waits where the listener's queue is full.
//!
//! The system has no event for a place in that queue: a non-blocking `connect` fails with `EAGAIN` and nothing is pending
//! (connect(2)). So it is tried again, after 1 ms at first and 100 ms at last.

use std::io;
use std::time::Duration;

use asyncio_base::shim::Arc;
use asyncio_reactor::{Domain, SockAddr, Socket, Type, socket};
use asyncio_timers::sleep;

const PAUSE_MIN: Duration = Duration::from_millis(1);
const PAUSE_MAX: Duration = Duration::from_millis(100);

/// Connects a new socket of type `ty`.
pub(super) async fn connected(ty: Type, addr: &SockAddr) -> io::Result<Arc<dyn Socket>> {
    let mut pause = PAUSE_MIN;
    loop {
        let socket = socket(Domain::UNIX, ty, None)?;
        match socket.connect(addr).await {
            Ok(()) => return Ok(socket),
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy => sleep(pause).await,
            Err(error) => return Err(error),
        }
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

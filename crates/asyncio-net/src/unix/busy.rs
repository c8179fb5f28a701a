//! What to do where a queue of a Unix socket is full, and the system has no event for a place in it.
//!
//! A non-blocking `connect` to a listener with a full queue, and a `sendto` to a datagram socket with a full one, fail with `EAGAIN`
//! and leave nothing pending (connect(2), unix(7)). So they are tried again, after 1 ms at first and 100 ms at last.

use std::io;
use std::time::Duration;

use asyncio_base::shim::Arc;
use asyncio_reactor::{Domain, SockAddr, Socket, Type, socket};
use asyncio_timers::sleep;

use crate::datagram;

const PAUSE_MIN: Duration = Duration::from_millis(1);
const PAUSE_MAX: Duration = Duration::from_millis(100);

/// The pauses between attempts.
struct Pauses {
    next: Duration,
}

impl Pauses {
    const fn new() -> Self {
        Self { next: PAUSE_MIN }
    }

    /// Gives the result of an attempt, or pauses and gives nothing if there was no place in the queue.
    async fn after<T>(&mut self, attempt: io::Result<T>) -> Option<io::Result<T>> {
        match attempt {
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy => {
                sleep(self.next).await;
                self.next = (self.next * 2).min(PAUSE_MAX);
                None
            }
            result => Some(result),
        }
    }
}

/// Connects a new socket of type `ty`.
pub(super) async fn connected(ty: Type, addr: &SockAddr) -> io::Result<Arc<dyn Socket>> {
    let mut pauses = Pauses::new();
    loop {
        let socket = socket(Domain::UNIX, ty, None)?;
        let attempt = socket.connect(addr).await;
        if let Some(result) = pauses.after(attempt).await {
            return result.map(|()| socket);
        }
    }
}

/// Sends a datagram to an address.
pub(super) async fn send_to(socket: &dyn Socket, buf: &[u8], to: &SockAddr) -> io::Result<usize> {
    let mut pauses = Pauses::new();
    loop {
        let attempt = datagram::send(socket, buf, Some(to)).await;
        if let Some(result) = pauses.after(attempt).await {
            return result;
        }
    }
}

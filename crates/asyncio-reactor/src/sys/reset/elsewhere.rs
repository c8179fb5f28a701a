//! Resetting a connection where that needs the descriptor to be closed: both directions have ended now, and the peer sees the reset then.

use std::io;
use std::net::Shutdown;
use std::time::Duration;

/// Ends a connection at once.
pub(crate) fn reset(socket: &socket2::Socket) -> io::Result<()> {
    // A Unix socket knows no resets.
    let _ = socket.set_linger(Some(Duration::ZERO));
    // Whoever waits for the socket is woken by it.
    socket.shutdown(Shutdown::Both)
}

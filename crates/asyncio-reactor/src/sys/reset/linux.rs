//! Resetting a connection on Linux: `connect` to no address dissolves it, with a reset, and leaves the descriptor (connect(2), tcp(7)).

use std::io;
use std::net::Shutdown;

/// Ends a connection at once.
pub(crate) fn reset(socket: &socket2::Socket) -> io::Result<()> {
    // Whoever waits for the socket is woken by it.
    match rustix::net::connect_unspec(socket) {
        Ok(()) => Ok(()),
        // A Unix socket knows neither this nor resets.
        Err(_) => socket.shutdown(Shutdown::Both),
    }
}

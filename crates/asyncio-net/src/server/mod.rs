//! Servers: [`Server`], which is what one holds of it, and [`ServerOptions`]. What serves a client is with the streams and the protocols.
//!
//! - V1: closing stops the listening first. Who had been accepted by the system by then is served; who comes later is refused, or reaches another server.
//! - V2: a server has ended when its listeners are closed and its last client is gone: nobody has a half of the connection, and its handler is at its end.
//! - V3: what goes wrong with one client is reported, and no other is touched.

mod accepting;
mod clients;
mod listening;
mod options;
#[cfg(unix)]
mod socket_file;
mod start;

use std::io;
use std::net::SocketAddr;

use asyncio_base::shim::Arc;

use crate::about::about;
use clients::Clients;

pub(crate) use accepting::Ticket;
pub(crate) use clients::{Client, Presence, Seat};

pub use options::ServerOptions;

/// A server that is running: asyncio's `Server`. Made by [`start_server`](crate::start_server) and its like.
///
/// It runs on its own; this only has a hold on it. Clones are holds on the same one, and where the last is dropped, the server [closes](Self::close).
///
/// # Examples
///
/// A server that serves whom it has, and then ends:
///
/// ```
/// use asyncio_net::{open_connection, start_server};
///
/// # fn main() -> std::io::Result<()> {
/// asyncio_runtime::run(async {
///     let server = start_server(
///         |mut reader, mut writer| async move {
///             let all = reader.read_to_end().await?;
///             writer.write(&all);
///             writer.close().await
///         },
///         "127.0.0.1:0",
///     )
///     .await?;
///     let (mut reader, mut writer) = open_connection(server.local_addrs()[0]).await?;
///     server.close();
///     assert_eq!(server.clients(), 1, "it is not turned away");
///     writer.write(b"bye");
///     writer.write_eof();
///     assert_eq!(reader.read_to_end().await?, b"bye");
///     drop((reader, writer));
///     server.wait_closed().await;
///     assert_eq!(server.clients(), 0);
///     Ok(())
/// })
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use = "a server closes when this is dropped"]
pub struct Server {
    hold: Arc<Hold>,
}

/// What all clones hold together.
#[derive(Debug)]
struct Hold {
    clients: Arc<Clients>,
    local_addrs: Vec<SocketAddr>,
}

impl Server {
    pub(crate) fn new(clients: Arc<Clients>, local_addrs: Vec<SocketAddr>) -> Self {
        Self { hold: Arc::new(Hold { clients, local_addrs }) }
    }

    /// Returns the addresses at which it listens, or listened. None for a Unix socket.
    pub fn local_addrs(&self) -> Vec<SocketAddr> {
        self.hold.local_addrs.clone()
    }

    /// Stops listening. Whoever is connected goes on, also who waited to be accepted; [`wait_closed`](Self::wait_closed) waits for them.
    pub fn close(&self) {
        self.hold.clients.close();
    }

    /// Closes the connections of all clients, after what is unsent: their handlers see the end of what they read. The server goes on
    /// listening, unless it was [closed](Self::close) before; then this holds for those who wait to be accepted, too.
    pub fn close_clients(&self) {
        self.hold.clients.close_each();
    }

    /// Closes the connections of all clients at once: what is unsent is dropped, and they see a reset. As with [`close_clients`](Self::close_clients), after
    /// [`close`](Self::close) that is everybody.
    pub fn abort_clients(&self) {
        self.hold.clients.abort_each();
    }

    /// Waits until the server has ended: it is [closed](Self::close), and its last client is gone.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost by dropping it.
    pub async fn wait_closed(&self) {
        self.hold.clients.ended().wait().await;
    }

    /// Waits until somebody [closes](Self::close) the server, and then until it has ended. If this is dropped, by a cancellation or a timeout, the
    /// server is closed: asyncio's `serve_forever`.
    ///
    /// # Errors
    ///
    /// Fails where a listener has failed; the others of the server are closed then.
    ///
    /// # Cancel safety
    ///
    /// The server is closed by dropping it. It goes on to serve the clients that it has.
    pub async fn serve_forever(&self) -> io::Result<()> {
        struct Close<'a>(&'a Server);
        impl Drop for Close<'_> {
            fn drop(&mut self) {
                self.0.close();
            }
        }
        let _close = Close(self);
        self.wait_closed().await;
        match self.hold.clients.failure() {
            Some(error) => Err(about(format_args!("serving at {:?}", self.hold.local_addrs), error)),
            None => Ok(()),
        }
    }

    /// Says whether it listens.
    pub fn is_serving(&self) -> bool {
        !self.hold.clients.is_closing()
    }

    /// Returns how many clients there are.
    pub fn clients(&self) -> usize {
        self.hold.clients.count()
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.clients.close();
    }
}

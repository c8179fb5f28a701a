//! [`ServerOptions`]: how a server listens.

use std::fmt;
use std::io;

use asyncio_base::shim::Arc;
use asyncio_reactor::Socket;

use crate::server::accepting::Acceptor;
use crate::server::clients::{Clients, Presence};

/// How a server listens, where the defaults of [`start_server`](crate::start_server) will not do.
///
/// # Examples
///
/// ```
/// use asyncio_net::ServerOptions;
///
/// # fn main() -> std::io::Result<()> {
/// asyncio_runtime::run(async {
///     let options = ServerOptions::new().backlog(1000).clients_max(100);
///     let server = options.start_server(|_reader, mut writer| async move { writer.close().await }, "127.0.0.1:0").await?;
///     assert!(server.is_serving());
///     Ok(())
/// })
/// # }
/// ```
#[derive(Clone)]
#[must_use = "options do nothing until a server is started with them"]
pub struct ServerOptions {
    pub(super) backlog: u32,
    pub(super) reuse_port: bool,
    clients_max: Option<usize>,
    #[cfg(unix)]
    pub(super) mode: Option<u32>,
    around: Option<Around>,
}

/// Puts something around the socket of a client, as TLS.
pub(super) type Around = Arc<dyn Fn(Arc<dyn Socket>) -> io::Result<Arc<dyn Socket>> + Send + Sync>;

/// asyncio's.
const BACKLOG: u32 = 100;

impl ServerOptions {
    /// The defaults: 100 may wait to be accepted, any number is served, and the address is the server's alone.
    pub fn new() -> Self {
        Self {
            backlog: BACKLOG,
            reuse_port: false,
            clients_max: None,
            #[cfg(unix)]
            mode: None,
            around: None,
        }
    }

    /// Sets how many connections may wait to be accepted. The default is 100, asyncio's; the system has a bound of its own (`somaxconn`).
    pub fn backlog(mut self, backlog: u32) -> Self {
        self.backlog = backlog;
        self
    }

    /// Lets other servers that say so too, of this process or others, listen at the same address (`SO_REUSEPORT`); the system gives each its part of the
    /// connections. Without it an address is one server's.
    pub fn reuse_port(mut self, is_shared: bool) -> Self {
        self.reuse_port = is_shared;
        self
    }

    /// Sets how many clients are served at the same time; others wait to be accepted. The default is any number.
    ///
    /// # Panics
    ///
    /// Panics if it is 0.
    pub fn clients_max(mut self, count: usize) -> Self {
        assert!(count > 0, "a server for no client at all");
        self.clients_max = Some(count);
        self
    }

    /// Sets the mode of the file of a Unix socket, which it has from its birth, whatever the umask is: 0o600 lets its owner alone connect. The default is what the umask leaves
    /// of 0o777. A server at an IP address has no file.
    ///
    /// Elsewhere than on Linux, starting such a server fails with `Unsupported`: there only a directory of mode 0700 keeps others out.
    #[cfg(unix)]
    pub fn mode(mut self, mode: u32) -> Self {
        self.mode = Some(mode);
        self
    }

    /// Has every client speak TLS: asyncio's `ssl=`. The handshake is a part of what is done for that client, and holds nobody else up; one that fails is that client's
    /// own, and no handler hears of it.
    #[cfg(feature = "tls")]
    pub fn tls(mut self, acceptor: crate::tls::TlsAcceptor) -> Self {
        self.around = Some(Arc::new(move |socket| Ok(acceptor.socket(socket)?)));
        self
    }

    pub(super) fn acceptor(&self, listener: Arc<dyn Socket>, presence: Presence) -> Acceptor {
        Acceptor::new(listener, self.backlog, self.around.clone(), presence)
    }

    pub(super) fn clients(&self) -> Arc<Clients> {
        Arc::new(Clients::new(self.clients_max))
    }
}

impl fmt::Debug for ServerOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerOptions")
            .field("backlog", &self.backlog)
            .field("reuse_port", &self.reuse_port)
            .field("clients_max", &self.clients_max)
            .finish_non_exhaustive()
    }
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self::new()
    }
}

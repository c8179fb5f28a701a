//! Connecting to a name: all of its addresses, staggered (RFC 8305, "Happy Eyeballs").
//!
//! - H1: families alternate, in the order that the system gave (section 4). The next attempt begins after the delay (section 5), or, as in asyncio, when the
//!   last one that began has failed; those that began go on beside it.
//! - H2: the first that is through wins; the others are given up, and their sockets closed, before it is returned.
//! - H3: where none is through, the error has all of them, in the order in which it was seen that they failed.
//! - H4: eight attempts at most go on at the same time; a ninth begins when one has failed. Where descriptors have run out, the next one waits likewise.
//! - H5: from a local port that is fixed they begin one after the other, since a port is one attempt's at a time.

mod attempts;
mod failed;

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use asyncio_base::trace;

use crate::addr::ToSocketAddrs;
use crate::streams::{StreamReader, StreamWriter};
use crate::tcp::TcpStream;
use attempts::Attempts;

pub use failed::ConnectFailed;

/// How a TCP connection is made, where the defaults of [`TcpStream::connect`] will not do.
///
/// # Examples
///
/// ```
/// use asyncio_net::{ConnectOptions, TcpListener};
///
/// # fn main() -> std::io::Result<()> {
/// asyncio_executor::block_on(async {
///     let listener = TcpListener::bind("127.0.0.1:0").await?;
///     let options = ConnectOptions::new().local_addr("127.0.0.1:0".parse().unwrap());
///     let stream = options.connect(listener.local_addr()?).await?;
///     assert_eq!(stream.local_addr()?.ip(), std::net::Ipv4Addr::LOCALHOST);
///     Ok(())
/// })
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use = "options do nothing until they are used to connect"]
pub struct ConnectOptions {
    attempt_delay: Duration,
    local_addrs: Vec<SocketAddr>,
    #[cfg(feature = "tls")]
    tls: Option<(crate::tls::TlsConnector, String)>,
}

/// What RFC 8305 recommends, section 8.
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);
/// The least that it allows: attempts that begin together are a burst, which a crowded network has to bear.
const ATTEMPT_DELAY_MIN: Duration = Duration::from_millis(10);

impl ConnectOptions {
    /// The defaults: an attempt every 250 ms, from any address of this machine.
    pub fn new() -> Self {
        Self {
            attempt_delay: ATTEMPT_DELAY,
            local_addrs: Vec::new(),
            #[cfg(feature = "tls")]
            tls: None,
        }
    }

    /// Sets how long the next address waits for the one before (asyncio's `happy_eyeballs_delay`). The default is 250 ms, as RFC 8305 recommends; less
    /// than 10 ms counts as 10, its minimum. [`Duration::MAX`] tries one after the other.
    pub fn attempt_delay(mut self, delay: Duration) -> Self {
        self.attempt_delay = delay.max(ATTEMPT_DELAY_MIN);
        self
    }

    /// Sets where the connection is to come from (asyncio's `local_addr`); port 0 lets the system choose. Called once for each family, it gives each its own;
    /// then addresses of a family without one fail. From a port other than 0 one address is tried after the other.
    pub fn local_addr(mut self, addr: SocketAddr) -> Self {
        self.local_addrs.retain(|other| other.is_ipv4() != addr.is_ipv4());
        self.local_addrs.push(addr);
        self
    }

    /// Speaks TLS with the server, which has to prove that this is its name: asyncio's `ssl=` and `server_hostname=`. The handshake is a part of connecting, and the
    /// [`TcpStream`] that comes of it encrypts; what was agreed on [`TlsInfo::of`](crate::tls::TlsInfo::of) its socket says.
    #[cfg(feature = "tls")]
    pub fn tls(mut self, connector: crate::tls::TlsConnector, server_name: impl Into<String>) -> Self {
        self.tls = Some((connector, server_name.into()));
        self
    }

    /// Connects to the first of the addresses that accepts.
    ///
    /// # Errors
    ///
    /// Fails where the name cannot be resolved, and where no address accepts: with that one's error if there is one address, or else with
    /// [`ConnectFailed`], which has all of them. Each names its address.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost by dropping it: all attempts are given up.
    pub async fn connect(&self, addrs: impl ToSocketAddrs) -> io::Result<TcpStream> {
        let addrs = addrs.to_socket_addrs().await?;
        let socket = Attempts::new(addrs, self.attempt_delay, &self.local_addrs).await?;
        trace::debug!("net", "connected to {:?}", socket.peer_addr());
        #[cfg(feature = "tls")]
        let socket = match &self.tls {
            Some((connector, name)) => connector.connect(name, socket).await?.into(),
            None => socket,
        };
        Ok(TcpStream::from_socket(socket))
    }

    /// Connects, and gives the two directions of the connection, as [`open_connection`](crate::open_connection) does.
    ///
    /// # Errors
    ///
    /// As [`connect`](Self::connect).
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost by dropping it: all attempts are given up.
    pub async fn open_connection(
        &self,
        addrs: impl ToSocketAddrs,
    ) -> io::Result<(StreamReader, StreamWriter)> {
        let stream = self.connect(addrs).await?;
        stream.set_nodelay(true)?;
        Ok(stream.into_streams())
    }
}

impl Default for ConnectOptions {
    fn default() -> Self {
        Self::new()
    }
}

//! Connecting to a name: all of its addresses, staggered (RFC 8305, "Happy Eyeballs").
//!
//! - H1: families alternate, in the order that the system gave (section 4). The next attempt begins when one has failed, or after the delay, whichever is
//!   first (section 5); those that began go on beside it.
//! - H2: the first that is through wins; the others are given up, and their sockets closed, before it is returned.
//! - H3: where none is through, the error has all of them, in the order in which they failed.

mod attempts;
mod failed;

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use asyncio_base::shim::Arc;
use asyncio_reactor::Socket;

use crate::addr::ToSocketAddrs;
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
    pub(crate) attempt_delay: Duration,
    pub(crate) local_addrs: Vec<SocketAddr>,
}

/// RFC 8305, section 8: 250 ms, "long enough that the first address nearly always wins where it works".
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);
/// RFC 8305, section 5: not less than 10 ms, or every connect would be several.
const ATTEMPT_DELAY_MIN: Duration = Duration::from_millis(10);

impl ConnectOptions {
    /// The defaults: an attempt every 250 ms, from any address of this machine.
    pub fn new() -> Self {
        Self { attempt_delay: ATTEMPT_DELAY, local_addrs: Vec::new() }
    }

    /// Sets how long the next address waits for the one before (asyncio's `happy_eyeballs_delay`). The default is 250 ms, as RFC 8305 recommends; less
    /// than 10 ms counts as 10, its minimum. [`Duration::MAX`] tries one after the other.
    pub fn attempt_delay(mut self, delay: Duration) -> Self {
        self.attempt_delay = delay.max(ATTEMPT_DELAY_MIN);
        self
    }

    /// Sets where the connection is to come from (asyncio's `local_addr`); port 0 lets the system choose. Called once for each family, it gives each its own;
    /// then addresses of a family without one fail.
    pub fn local_addr(mut self, addr: SocketAddr) -> Self {
        self.local_addrs.retain(|other| other.is_ipv4() != addr.is_ipv4());
        self.local_addrs.push(addr);
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
        self.connect_socket(addrs).await.map(TcpStream::from_socket)
    }

    pub(crate) async fn connect_socket(&self, addrs: Vec<SocketAddr>) -> io::Result<Arc<dyn Socket>> {
        Attempts::new(addrs, self.attempt_delay, &self.local_addrs).await
    }
}

impl Default for ConnectOptions {
    fn default() -> Self {
        Self::new()
    }
}

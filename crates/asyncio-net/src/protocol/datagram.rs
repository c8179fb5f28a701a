//! Datagrams by callbacks: [`DatagramProtocol`], [`DatagramTransport`], [`create_datagram_endpoint`].

use std::fmt::{self, Debug};
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::rc::{Rc, Weak};

use asyncio_base::shim::Arc;
use asyncio_reactor::{Domain, Socket, SocketOption, Type, socket};

use crate::about::about;
use crate::protocol::endpoint::{self, Endpoint};
use crate::tcp::to_ip;

/// What happens at a socket of datagrams, told by callbacks: asyncio's `DatagramProtocol`.
///
/// They are called as those of a [`Protocol`](super::Protocol) are: by the loop, one at a time, `connection_made` first and `connection_lost` last.
///
/// # Examples
///
/// ```
/// use asyncio_net::protocol::{DatagramProtocol, DatagramTransport, EndpointOptions, create_datagram_endpoint};
/// use std::net::SocketAddr;
///
/// #[derive(Default)]
/// struct Echo(Option<DatagramTransport>);
///
/// impl DatagramProtocol for Echo {
///     fn connection_made(&mut self, transport: DatagramTransport) {
///         self.0 = Some(transport);
///     }
///
///     fn datagram_received(&mut self, data: &[u8], from: SocketAddr) {
///         self.0.iter().for_each(|transport| transport.send_to(data, from));
///     }
/// }
///
/// # fn main() -> std::io::Result<()> {
/// asyncio_runtime::run(async {
///     let options = EndpointOptions::new().local_addr("127.0.0.1:0".parse().unwrap());
///     let (transport, _) = create_datagram_endpoint(Echo::default, &options).await?;
///
///     let socket = asyncio_net::UdpSocket::bind("127.0.0.1:0").await?;
///     socket.send_to(b"anybody there?", transport.local_addr()?).await?;
///     let mut buf = [0; 100];
///     let (n, from) = socket.recv_from(&mut buf).await?;
///     assert_eq!((&buf[..n], from), (&b"anybody there?"[..], transport.local_addr()?));
///     Ok(())
/// })
/// # }
/// ```
pub trait DatagramProtocol: 'static {
    /// The socket is there. The transport may be kept.
    fn connection_made(&mut self, transport: DatagramTransport) {
        let _ = transport;
    }

    /// A datagram has come, which may be empty. It lies in a buffer of the loop's, and is gone when this returns.
    fn datagram_received(&mut self, data: &[u8], from: SocketAddr);

    /// Something could not be sent or received, as when nobody listens where a datagram was sent to. The socket goes on.
    fn error_received(&mut self, error: io::Error) {
        let _ = error;
    }

    /// The socket is closed: with an error, if it failed for good.
    fn connection_lost(&mut self, error: Option<io::Error>) {
        let _ = error;
    }

    /// More than the high water mark is unsent: whoever sends should wait.
    fn pause_writing(&mut self) {}

    /// No more than the low water mark is unsent any more.
    fn resume_writing(&mut self) {}
}

/// The socket of a datagram protocol, to send by: asyncio's `DatagramTransport`.
///
/// Once the socket is closed, what is called on it does nothing. Dropping it closes nothing: the socket is the loop's.
#[derive(Clone)]
pub struct DatagramTransport {
    endpoint: Weak<Endpoint<dyn DatagramProtocol>>,
}

impl DatagramTransport {
    pub(super) fn of(endpoint: &Rc<Endpoint<dyn DatagramProtocol>>) -> Self {
        Self { endpoint: Rc::downgrade(endpoint) }
    }

    fn with<R>(&self, f: impl FnOnce(&Endpoint<dyn DatagramProtocol>) -> R) -> Option<R> {
        self.endpoint.upgrade().filter(|endpoint| !endpoint.is_lost()).map(|endpoint| f(&endpoint))
    }

    /// Sends a datagram to the [remote address](EndpointOptions::remote_addr), without waiting: what the system does not take at once is kept and sent in its turn.
    ///
    /// It does not fail: the protocol is [told](DatagramProtocol::error_received). A datagram for a socket that is being closed is dropped.
    ///
    /// # Panics
    ///
    /// Panics if there is no remote address.
    pub fn send(&self, data: &[u8]) {
        self.with(|endpoint| endpoint.send(data, None));
    }

    /// Sends a datagram to an address, as [`send`](Self::send) does.
    ///
    /// # Panics
    ///
    /// Panics if there is a remote address, and it is another.
    pub fn send_to(&self, data: &[u8], to: SocketAddr) {
        self.with(|endpoint| endpoint.send(data, Some(to)));
    }

    /// Closes the socket after what is unsent. Nothing is received any more; the protocol is told soon.
    pub fn close(&self) {
        self.with(Endpoint::close);
    }

    /// Closes the socket at once: what is unsent is dropped. The protocol is told soon.
    pub fn abort(&self) {
        self.with(Endpoint::abort);
    }

    /// Says whether the socket is being closed, or is closed.
    pub fn is_closing(&self) -> bool {
        self.with(Endpoint::is_closing).unwrap_or(true)
    }

    /// Sets above how many unsent bytes the protocol is told to pause, and down to how many it is told to go on. The defaults are 64 KiB and 16 KiB, asyncio's. Each
    /// datagram counts 8 bytes more than it has, so that empty ones count too.
    ///
    /// # Panics
    ///
    /// Panics if `low` is more than `high`.
    pub fn set_write_buffer_limits(&self, high: usize, low: usize) {
        assert!(low <= high, "the low limit of a write buffer, {low}, is above the high one, {high}");
        self.with(|endpoint| endpoint.set_limits(high, low));
    }

    /// Returns how many bytes are unsent.
    pub fn write_buffer_size(&self) -> usize {
        self.with(Endpoint::unsent).unwrap_or_default()
    }

    /// Returns this side's address.
    ///
    /// # Errors
    ///
    /// Fails with what the system says, and where the socket is closed.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        to_ip(&self.open()?.local_addr()?)
    }

    /// Returns the remote address.
    ///
    /// # Errors
    ///
    /// Fails with what the system says, where there is none, and where the socket is closed.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        to_ip(&self.open()?.peer_addr()?)
    }

    /// Returns the socket below, for its options, until it is closed.
    pub fn socket(&self) -> Option<Arc<dyn Socket>> {
        self.endpoint.upgrade().and_then(|endpoint| endpoint.socket())
    }

    fn open(&self) -> io::Result<Arc<dyn Socket>> {
        self.socket().ok_or_else(|| io::Error::new(io::ErrorKind::NotConnected, "the socket is closed"))
    }
}

impl Debug for DatagramTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.with(|endpoint| if endpoint.is_closing() { "closing" } else { "open" });
        f.debug_struct("DatagramTransport").field("state", &state.unwrap_or("closed")).finish_non_exhaustive()
    }
}

/// Which socket [`create_datagram_endpoint`] makes.
#[derive(Clone, Debug, Default)]
#[must_use = "options do nothing until an endpoint is made with them"]
pub struct EndpointOptions {
    local: Option<SocketAddr>,
    remote: Option<SocketAddr>,
    reuse_port: bool,
    broadcast: bool,
}

impl EndpointOptions {
    /// A socket of no address: at least one of two has to be set.
    pub const fn new() -> Self {
        Self { local: None, remote: None, reuse_port: false, broadcast: false }
    }

    /// Sets where it receives; port 0 lets the system choose.
    pub const fn local_addr(mut self, addr: SocketAddr) -> Self {
        self.local = Some(addr);
        self
    }

    /// Sets whom it talks with: it sends to nobody else, and receives from nobody else.
    pub const fn remote_addr(mut self, addr: SocketAddr) -> Self {
        self.remote = Some(addr);
        self
    }

    /// Whether others that say so too may have the same local address (`SO_REUSEPORT`). The default is no.
    pub const fn reuse_port(mut self, is_shared: bool) -> Self {
        self.reuse_port = is_shared;
        self
    }

    /// Whether it may send to broadcast addresses (`SO_BROADCAST`). The default is no.
    pub const fn broadcast(mut self, is_allowed: bool) -> Self {
        self.broadcast = is_allowed;
        self
    }

    async fn open(&self) -> io::Result<Arc<dyn Socket>> {
        let Some(addr) = self.local.or(self.remote) else {
            let why = "an endpoint needs a local address, or a remote one";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        };
        let socket = socket(Domain::for_address(addr), Type::DGRAM, None)?;
        if self.reuse_port {
            socket.set_option(SocketOption::ReusePort(true))?;
        }
        if self.broadcast {
            socket.set_option(SocketOption::Broadcast(true))?;
        }
        if let Some(local) = self.local {
            socket
                .bind(&local.into())
                .map_err(|error| about(format_args!("an endpoint at {local}"), error))?;
        }
        if let Some(remote) = self.remote {
            let connected = socket.connect(&remote.into()).await;
            connected.map_err(|error| about(format_args!("an endpoint to {remote}"), error))?;
        }
        Ok(socket)
    }
}

/// A datagram protocol that the loop has, to look at from outside. Clones are of the same one.
pub struct DatagramHandle<P: DatagramProtocol> {
    endpoint: Rc<Endpoint<P>>,
}

impl<P: DatagramProtocol> DatagramHandle<P> {
    /// Does something with the protocol, between two of its callbacks.
    ///
    /// # Panics
    ///
    /// Panics inside of a callback of this protocol, and inside of another call of this.
    pub fn with<R>(&self, f: impl FnOnce(&mut P) -> R) -> R {
        let result = self.endpoint.with(f);
        result.expect(
            "`DatagramHandle::with` was called inside of a callback of its own protocol, or of itself",
        )
    }
}

impl<P: DatagramProtocol> Clone for DatagramHandle<P> {
    fn clone(&self) -> Self {
        Self { endpoint: self.endpoint.clone() }
    }
}

impl<P: DatagramProtocol> Debug for DatagramHandle<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DatagramHandle").finish_non_exhaustive()
    }
}

/// Makes a socket of datagrams and gives it to a protocol: asyncio's `create_datagram_endpoint`.
///
/// The factory is called once the socket stands; then `connection_made`, and then this returns. Each endpoint has a task of its own.
///
/// # Errors
///
/// Fails with what the system says, and the address; and where no address was set.
///
/// # Panics
///
/// Panics where no loop runs on this thread.
///
/// # Cancel safety
///
/// The socket is closed if it is dropped.
pub async fn create_datagram_endpoint<P: DatagramProtocol>(
    factory: impl FnOnce() -> P,
    options: &EndpointOptions,
) -> io::Result<(DatagramTransport, DatagramHandle<P>)> {
    /// Closes a socket of which nobody was told.
    struct Making(Option<DatagramTransport>);
    impl Drop for Making {
        fn drop(&mut self) {
            self.0.iter().for_each(DatagramTransport::abort);
        }
    }
    let socket = options.open().await?;
    let endpoint = endpoint::start(socket, options.remote, factory());
    let transport = DatagramTransport::of(&(endpoint.clone() as Rc<Endpoint<_>>));
    let mut making = Making(Some(transport));
    poll_fn(|cx| endpoint.poll_made(cx)).await;
    let transport = making.0.take().expect("it is taken here alone");
    Ok((transport, DatagramHandle { endpoint }))
}

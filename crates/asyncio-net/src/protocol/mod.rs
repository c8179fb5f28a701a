//! Transports and protocols: connections that call back.
//!
//! A [`Protocol`] is told what happens to its connection, and writes to its [`Transport`]. There is no task for a connection and no buffer of its own: one driver
//! for each loop receives into one large buffer, and hands the bytes over. That makes it the fastest way to serve, and the smallest; where the order of things
//! is easier to write down than to react to, there are [streams](crate::streams).
//!
//! Callbacks are a loop's: these functions have to be called where one runs.

mod callbacks;
mod datagram;
#[doc(hidden)]
pub mod driven;
mod driver;
mod endpoint;
mod flags;
mod head;
mod link;
mod round;
mod transport;
mod wire;

use std::future::poll_fn;
use std::io;
use std::rc::Rc;

use asyncio_base::panic::{catch_and_store, into_message};
use asyncio_base::report::Report;
use asyncio_base::shim::Arc;
use asyncio_reactor::Socket;

use crate::addr::ToSocketAddrs;
use crate::connect::ConnectOptions;
use crate::server::{Server, ServerOptions, Ticket};
use driver::Driver;
use flags::Flags;
use link::Link;

pub use callbacks::{BufferedProtocol, OnEof, Protocol};
pub use datagram::{
    DatagramHandle, DatagramProtocol, DatagramTransport, EndpointOptions, create_datagram_endpoint,
};
pub use driven::{AnyProtocol, Buffered, Plain};
pub use transport::{ProtocolHandle, Transport};

/// What a connection of a protocol is to whoever made it.
pub type Connected<P, Kind> = (Transport, ProtocolHandle<P, Kind>);

/// Connects, and gives the connection to a protocol: asyncio's `create_connection`.
///
/// The factory is called once the connection stands; then [`connection_made`](Protocol::connection_made), and then this returns. A name is tried with all of its
/// addresses, as [`TcpStream::connect`](crate::TcpStream::connect) does; small segments are sent at once (`TCP_NODELAY`).
///
/// # Errors
///
/// Fails as [`TcpStream::connect`](crate::TcpStream::connect) does.
///
/// # Panics
///
/// Panics where no loop runs on this thread.
///
/// # Cancel safety
///
/// The connection is aborted if it is dropped.
pub async fn create_connection<Kind, P: AnyProtocol<Kind>>(
    factory: impl FnOnce() -> P,
    addrs: impl ToSocketAddrs,
) -> io::Result<Connected<P, Kind>> {
    ConnectOptions::new().create_connection(factory, addrs).await
}

/// Connects to a Unix socket, and gives the connection to a protocol: asyncio's `create_unix_connection`.
///
/// # Errors
///
/// Fails as [`UnixStream::connect`](crate::UnixStream::connect) does.
///
/// # Panics
///
/// Panics where no loop runs on this thread.
///
/// # Cancel safety
///
/// The connection is aborted if it is dropped.
#[cfg(unix)]
pub async fn create_unix_connection<Kind, P: AnyProtocol<Kind>>(
    factory: impl FnOnce() -> P,
    path: impl AsRef<std::path::Path>,
) -> io::Result<Connected<P, Kind>> {
    connect_accepted_socket(factory, crate::UnixStream::connect(path).await?).await
}

/// Gives a connection that stands to a protocol, such as one that was accepted elsewhere: asyncio's `connect_accepted_socket`. It is to be one of a stream.
///
/// # Errors
///
/// None at present.
///
/// # Panics
///
/// Panics where no loop runs on this thread.
///
/// # Cancel safety
///
/// The connection is aborted if it is dropped.
pub async fn connect_accepted_socket<Kind, P: AnyProtocol<Kind>>(
    factory: impl FnOnce() -> P,
    socket: impl Into<Arc<dyn Socket>>,
) -> io::Result<Connected<P, Kind>> {
    /// Aborts a connection of which nobody was told.
    struct Making(Option<Transport>);
    impl Drop for Making {
        fn drop(&mut self) {
            self.0.iter().for_each(Transport::abort);
        }
    }
    let link = drive(socket.into(), factory(), None);
    let transport = Transport::of(link.head());
    let mut making = Making(Some(transport));
    poll_fn(|cx| link.poll_made(cx)).await?;
    let transport = making.0.take().expect("it is taken here alone");
    Ok((transport, ProtocolHandle::new(link)))
}

/// Serves TCP clients on this loop by protocols, with the defaults of [`ServerOptions`]: asyncio's `create_server`.
///
/// The factory makes one for each client. The server listens at all addresses that a name has, and runs until it is [closed](Server::close). A factory that panics
/// is reported, and its client is turned away.
///
/// # Errors
///
/// Fails as [`start_server`](crate::start_server) does.
///
/// # Panics
///
/// Panics where no loop runs on this thread.
///
/// # Cancel safety
///
/// Nothing is lost by dropping it: it listens nowhere then.
pub async fn create_server<Kind: 'static, P: AnyProtocol<Kind>>(
    factory: impl Fn() -> P + 'static,
    addrs: impl ToSocketAddrs,
) -> io::Result<Server> {
    ServerOptions::new().create_server(factory, addrs).await
}

/// Serves TCP clients on every worker of this runtime by protocols, as [`start_server_on_workers`](crate::start_server_on_workers) does by streams.
///
/// # Errors
///
/// Fails as [`start_server_on_workers`](crate::start_server_on_workers) does.
///
/// # Panics
///
/// Panics where no loop runs on this thread.
///
/// # Cancel safety
///
/// Nothing is lost by dropping it: it listens nowhere then.
pub async fn create_server_on_workers<Kind: 'static, P: AnyProtocol<Kind>>(
    factory: impl Fn() -> P + Clone + Send + 'static,
    addrs: impl ToSocketAddrs,
) -> io::Result<Server> {
    ServerOptions::new().create_server_on_workers(factory, addrs).await
}

/// Serves clients of a Unix socket on this loop by protocols: asyncio's `create_unix_server`.
///
/// # Errors
///
/// Fails as [`start_unix_server`](crate::start_unix_server) does.
///
/// # Panics
///
/// Panics where no loop runs on this thread.
///
/// # Cancel safety
///
/// Nothing is lost by dropping it: it listens nowhere then.
#[cfg(unix)]
pub async fn create_unix_server<Kind: 'static, P: AnyProtocol<Kind>>(
    factory: impl Fn() -> P + 'static,
    path: impl AsRef<std::path::Path>,
) -> io::Result<Server> {
    ServerOptions::new().create_unix_server(factory, path).await
}

impl ConnectOptions {
    /// Connects, and gives the connection to a protocol, as [`create_connection`] does.
    ///
    /// # Errors
    ///
    /// As [`connect`](Self::connect).
    ///
    /// # Panics
    ///
    /// Panics where no loop runs on this thread.
    ///
    /// # Cancel safety
    ///
    /// The connection is aborted if it is dropped.
    pub async fn create_connection<Kind, P: AnyProtocol<Kind>>(
        &self,
        factory: impl FnOnce() -> P,
        addrs: impl ToSocketAddrs,
    ) -> io::Result<Connected<P, Kind>> {
        let stream = self.connect(addrs).await?;
        stream.set_nodelay(true)?;
        connect_accepted_socket(factory, stream).await
    }
}

impl ServerOptions {
    /// Serves TCP clients on this loop by protocols, as [`create_server`] does.
    ///
    /// # Errors
    ///
    /// As `create_server`.
    ///
    /// # Panics
    ///
    /// Panics where no loop runs on this thread.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost by dropping it: it listens nowhere then.
    pub async fn create_server<Kind: 'static, P: AnyProtocol<Kind>>(
        &self,
        factory: impl Fn() -> P + 'static,
        addrs: impl ToSocketAddrs,
    ) -> io::Result<Server> {
        self.start(addrs, serving(factory)).await
    }

    /// Serves TCP clients on every worker by protocols, as [`create_server_on_workers`] does.
    ///
    /// # Errors
    ///
    /// As `create_server_on_workers`.
    ///
    /// # Panics
    ///
    /// Panics where no loop runs on this thread.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost by dropping it: it listens nowhere then.
    pub async fn create_server_on_workers<Kind: 'static, P: AnyProtocol<Kind>>(
        &self,
        factory: impl Fn() -> P + Clone + Send + 'static,
        addrs: impl ToSocketAddrs,
    ) -> io::Result<Server> {
        self.start_on_workers(addrs, move || serving(factory.clone())).await
    }

    /// Serves on this loop, by protocols, whoever comes to a listener that exists already: asyncio's `create_server(sock=…)`.
    ///
    /// # Panics
    ///
    /// Panics where no loop runs on this thread.
    pub fn create_server_with<Kind: 'static, P: AnyProtocol<Kind>>(
        &self,
        factory: impl Fn() -> P + 'static,
        listener: impl Into<Arc<dyn Socket>>,
    ) -> Server {
        self.start_with(listener.into(), serving(factory))
    }

    /// Serves clients of a Unix socket on this loop by protocols, as [`create_unix_server`] does.
    ///
    /// # Errors
    ///
    /// As `create_unix_server`.
    ///
    /// # Panics
    ///
    /// Panics where no loop runs on this thread.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost by dropping it: it listens nowhere then.
    #[cfg(unix)]
    pub async fn create_unix_server<Kind: 'static, P: AnyProtocol<Kind>>(
        &self,
        factory: impl Fn() -> P + 'static,
        path: impl AsRef<std::path::Path>,
    ) -> io::Result<Server> {
        self.start_unix(path.as_ref(), serving(factory)).await
    }
}

/// Gives a connection and its protocol to the driver of this loop.
fn drive<Kind, P: AnyProtocol<Kind>>(
    socket: Arc<dyn Socket>,
    protocol: P,
    ticket: Option<Ticket<'_>>,
) -> Rc<Link<P::Driven>> {
    Driver::current().take_in(|key| Link::new(key, socket, protocol.driven(), ticket))
}

/// What a server does with a client: it gives it a protocol.
fn serving<Kind: 'static, P: AnyProtocol<Kind>>(
    factory: impl Fn() -> P + 'static,
) -> impl Fn(Arc<dyn Socket>, Ticket<'_>) + Clone + 'static {
    let factory = Rc::new(factory);
    move |socket, ticket| {
        let mut panic = None;
        if let Some(protocol) = catch_and_store(&mut panic, || factory()) {
            drive(socket, protocol, Some(ticket));
        }
        if let Some(payload) = panic {
            let text = into_message(payload);
            let what =
                format_args!("the factory of a protocol panicked, and its client is turned away: {text}");
            Report::new("net", what).panicked().send();
        }
    }
}

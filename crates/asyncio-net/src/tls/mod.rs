//! TLS (RFC 8446, RFC 5246), on [`rustls`]: asyncio's `ssl=`.
//!
//! [`TlsConnector`] and [`TlsAcceptor`] make a [`TlsStream`] of a connection. Streams and protocols have TLS by [`ConnectOptions::tls`](crate::ConnectOptions::tls) and
//! [`ServerOptions::tls`](crate::ServerOptions::tls), and a connection that exists already by [`start_tls`].
//!
//! TLS here is a [`Socket`](crate::Socket) around another one, so it runs on every reactor, and whatever stands on sockets does not know of it. Its cryptography is that of
//! `ring`; a program that wants another brings a configuration of [rustls'](TlsConnector::from_config).

mod acceptor;
mod connector;
mod info;
mod linger;
mod pem;
mod session;
mod socket;
mod stream;
mod upgrade;

pub use rustls;

pub use acceptor::{TlsAcceptor, TlsAcceptorBuilder};
pub use connector::{TlsConnector, TlsConnectorBuilder};
pub use info::TlsInfo;
pub use stream::TlsStream;
pub use upgrade::{Upgrade, start_tls};

use crate::halves;

/// The reading direction of a [`TlsStream`], owned.
pub type OwnedReadHalf = halves::OwnedReadHalf<TlsStream>;
/// The writing direction of a [`TlsStream`], owned. Dropping it sends close_notify.
pub type OwnedWriteHalf = halves::OwnedWriteHalf<TlsStream>;

//! Sockets → streams and datagrams: TCP, UDP, Unix sockets, names and addresses, and any descriptor, on any reactor.
//!
//! Everything stands on the [`Socket`] trait, so it runs unchanged on epoll, on `polling`, and on a reactor of your own. The streams
//! have the traits that everybody shares, [`futures_io::AsyncRead`] and [`futures_io::AsyncWrite`].
//!
//! When to use it: sockets without the rest of `asyncio`, under any executor. When not: in an application, where
//! `asyncio::net` is this.
//!
//! # Examples
//!
//! ```
//! use asyncio_net::{TcpListener, TcpStream};
//! use futures_lite::{AsyncReadExt, AsyncWriteExt, future::try_zip};
//!
//! # fn main() -> std::io::Result<()> {
//! asyncio_executor::block_on(async {
//!     let listener = TcpListener::bind("127.0.0.1:0").await?;
//!     let connecting = TcpStream::connect(listener.local_addr()?);
//!     let (mut client, (mut server, _from)) = try_zip(connecting, listener.accept()).await?;
//!     client.write_all(b"ping").await?;
//!     let mut buf = [0; 4];
//!     server.read_exact(&mut buf).await?;
//!     assert_eq!(&buf, b"ping");
//!     Ok(())
//! })
//! # }
//! ```
//!
//! # Features
//!
//! - `hickory`: names by asking name servers, without threads: `HickoryResolver`.
//! - `tls`: TLS on rustls, for streams, servers and protocols: the module `tls`.

#![forbid(unsafe_code)]

pub mod codec;
pub mod halves;
pub mod protocol;
pub mod streams;
pub mod tcp;
#[cfg(feature = "tls")]
pub mod tls;
#[cfg(unix)]
pub mod unix;

mod about;
mod accept;
mod addr;
mod connect;
mod copy;
mod datagram;
mod names;
mod outgoing;
#[cfg(unix)]
mod readiness;
mod receive_buffer;
mod send_file;
mod server;
mod udp;

#[doc(inline)]
pub use asyncio_reactor::Socket;

pub use addr::ToSocketAddrs;
pub use connect::{ConnectFailed, ConnectOptions};
pub use copy::copy_bidirectional;
#[cfg(feature = "hickory")]
pub use names::HickoryResolver;
pub use names::{
    AddrInfo, AddrInfoHints, NameInfoOptions, Resolve, Resolving, StaticResolver, SystemResolver,
    getaddrinfo, getnameinfo, lookup_host, set_resolver, with_resolver,
};
#[cfg(unix)]
pub use readiness::Readiness;
pub use server::{Server, ServerOptions};
#[doc(inline)]
pub use streams::{
    ReadError, StreamReader, StreamWriter, open_connection, start_server, start_server_on_workers,
};
#[cfg(unix)]
#[doc(inline)]
pub use streams::{open_unix_connection, start_unix_server};
pub use tcp::{TcpListener, TcpStream};
pub use udp::{Datagram, DatagramBatch, UdpSocket};
#[cfg(unix)]
pub use unix::{UnixDatagram, UnixListener, UnixStream};

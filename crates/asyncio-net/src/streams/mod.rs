//! Streams as asyncio has them: a [`StreamReader`] that knows lines, separators and counts, and a [`StreamWriter`] that never waits to write.
//!
//! [`open_connection`] makes a pair, [`start_server`] hands one to each client, and a [`TcpStream`](crate::TcpStream) or a Unix stream can be made one.

mod buffer;
mod connection;
mod error;
mod lost;
mod sending;
mod separators;

mod reader;
mod serve;
mod writer;

use std::io;

use asyncio_base::shim::Arc;
use asyncio_reactor::Socket;

use crate::addr::ToSocketAddrs;
use crate::connect::ConnectOptions;

pub(crate) use connection::Connection;

pub use error::ReadError;
pub use reader::{Lines, StreamReader};
#[cfg(unix)]
pub use serve::start_unix_server;
pub use serve::{HandlerOutput, start_server, start_server_on_workers};
pub use writer::{Closing, StreamWriter};

/// Connects, and gives the two directions of the connection: asyncio's `open_connection`.
///
/// A name is tried with all of its addresses, as [`TcpStream::connect`](crate::TcpStream::connect) does; small segments are sent at once (`TCP_NODELAY`), since what belongs together is
/// written together. Where a connection is to be made otherwise, there are [`ConnectOptions`] and
/// [`TcpStream::into_streams`](crate::TcpStream::into_streams).
///
/// # Examples
///
/// ```
/// use asyncio_net::{open_connection, start_server};
///
/// # fn main() -> std::io::Result<()> {
/// asyncio_runtime::run(async {
///     let server = start_server(
///         |mut reader, mut writer| async move {
///             let line = reader.read_line().await?.unwrap_or_default();
///             writer.write(&line);
///             writer.close().await
///         },
///         "127.0.0.1:0",
///     )
///     .await?;
///
///     let (mut reader, mut writer) = open_connection(server.local_addrs()[0]).await?;
///     writer.write(b"a line\n");
///     writer.drain().await?;
///     assert_eq!(reader.read_line().await?.as_deref(), Some(&b"a line\n"[..]));
///     writer.close().await
/// })
/// # }
/// ```
///
/// # Errors
///
/// Fails as [`TcpStream::connect`](crate::TcpStream::connect) does.
///
/// # Cancel safety
///
/// Nothing is lost by dropping it: the attempts are given up.
pub async fn open_connection(addrs: impl ToSocketAddrs) -> io::Result<(StreamReader, StreamWriter)> {
    ConnectOptions::new().open_connection(addrs).await
}

/// Connects to a Unix socket, and gives the two directions of the connection: asyncio's `open_unix_connection`.
///
/// # Errors
///
/// Fails as [`UnixStream::connect`](crate::UnixStream::connect) does.
///
/// # Cancel safety
///
/// Nothing is lost by dropping it: the attempt is given up.
#[cfg(unix)]
pub async fn open_unix_connection(
    path: impl AsRef<std::path::Path>,
) -> io::Result<(StreamReader, StreamWriter)> {
    Ok(crate::unix::UnixStream::connect(path).await?.into_streams())
}

/// The two directions of a connected socket.
pub(crate) fn of_socket(socket: Arc<dyn Socket>) -> (StreamReader, StreamWriter) {
    of_connection(Connection::new(socket))
}

/// Puts something around the socket of a connection that has been used: what was written is sent before, and what was received and not read is refused.
#[cfg(feature = "tls")]
pub(crate) async fn over<S: Socket + 'static>(
    reader: StreamReader,
    writer: StreamWriter,
    around: impl FnOnce(Arc<dyn Socket>) -> io::Result<Arc<S>>,
) -> io::Result<(StreamReader, StreamWriter)> {
    std::future::poll_fn(|cx| writer.poll_flushed(cx)).await?;
    let connection = reader.into_connection(&writer)?;
    let socket = around(connection.socket().clone())?;
    Ok(of_connection(connection.give_to(socket)))
}

pub(crate) fn of_connection(connection: Arc<Connection>) -> (StreamReader, StreamWriter) {
    (StreamReader::new(connection.clone()), StreamWriter::new(connection))
}

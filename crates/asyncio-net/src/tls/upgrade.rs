//! [`start_tls`]: TLS on a connection that has been used without.

use std::io;

use asyncio_base::shim::Arc;
use asyncio_reactor::Socket;

use super::acceptor::TlsAcceptor;
use super::connector::TlsConnector;
use super::socket::TlsSocket;
use crate::streams::{StreamReader, StreamWriter, over};

/// Which side of TLS a connection becomes.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Upgrade {
    /// A client's, of a server that has to prove this name.
    Client(TlsConnector, String),
    /// A server's.
    Server(TlsAcceptor),
}

impl Upgrade {
    /// Becomes the client of a server that has to prove this name.
    pub fn client(connector: &TlsConnector, server_name: impl Into<String>) -> Self {
        Self::Client(connector.clone(), server_name.into())
    }

    /// Becomes the server.
    pub fn server(acceptor: &TlsAcceptor) -> Self {
        Self::Server(acceptor.clone())
    }

    /// Whether it can be tried.
    pub(crate) fn check(&self) -> io::Result<()> {
        match self {
            Self::Client(_, name) => TlsConnector::name(name).map(drop),
            Self::Server(_) => Ok(()),
        }
    }

    pub(crate) fn socket(self, below: Arc<dyn Socket>) -> io::Result<Arc<TlsSocket>> {
        match self {
            Self::Client(connector, name) => connector.socket(&name, below),
            Self::Server(acceptor) => acceptor.socket(below),
        }
    }
}

/// Begins TLS on a connection that has been used without, as both sides have agreed to (`STARTTLS`): asyncio's `start_tls`.
///
/// Everything that was written is sent before. Bytes that the peer has sent behind the agreement and that were received already are no TLS of its, and may be anybody's:
/// they are refused (the injection of CVE-2011-0411).
///
/// # Errors
///
/// Fails with `InvalidData` where such bytes are there; and as [`TlsConnector::connect`] and [`TlsAcceptor::accept`]. The connection is closed then.
///
/// # Panics
///
/// Panics if the reader and the writer are of two connections.
///
/// # Cancel safety
///
/// The connection is closed if it is dropped.
pub async fn start_tls(
    reader: StreamReader,
    writer: StreamWriter,
    upgrade: Upgrade,
) -> io::Result<(StreamReader, StreamWriter)> {
    let mut tls = None;
    let streams = over(reader, writer, |below| {
        let socket = upgrade.socket(below)?;
        tls = Some(socket.clone());
        Ok(socket)
    })
    .await?;
    if let Some(tls) = tls {
        tls.handshake().await?;
    }
    Ok(streams)
}

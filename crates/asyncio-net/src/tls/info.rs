//! [`TlsInfo`]: what two peers have agreed on.

use std::fmt;

use asyncio_reactor::Socket;
use rustls::pki_types::CertificateDer;
use rustls::{CipherSuite, Connection, HandshakeKind, ProtocolVersion};

use super::socket::TlsSocket;

/// What the two peers of a TLS connection have agreed on: asyncio's `get_extra_info` of `ssl_object`, `peercert`, `cipher`. It is as it was when it was asked for:
/// complete once the handshake is over.
#[derive(Clone)]
#[non_exhaustive]
pub struct TlsInfo {
    /// The protocol above TLS (ALPN, RFC 7301), as in `h2`.
    pub alpn: Option<Vec<u8>>,
    /// The peer's certificate, and those that lead to the one who is trusted; empty where it showed none.
    pub peer_certificates: Vec<CertificateDer<'static>>,
    /// TLS 1.2 or 1.3.
    pub version: Option<ProtocolVersion>,
    /// How the bytes are encrypted.
    pub cipher_suite: Option<CipherSuite>,
    /// The name that the client has asked for (SNI, RFC 6066), on the server's side.
    pub server_name: Option<String>,
    /// Whether an earlier session was taken up again.
    pub is_resumed: bool,
}

impl TlsInfo {
    /// Returns what a socket knows, as that of a [`StreamReader`](crate::StreamReader), a [`Transport`](crate::protocol::Transport) or a
    /// [`TcpStream`](crate::TcpStream); `None` where it is none of TLS.
    pub fn of(socket: &dyn Socket) -> Option<Self> {
        socket.extension()?.downcast_ref::<TlsSocket>().map(TlsSocket::info)
    }

    pub(super) fn of_connection(connection: &Connection) -> Self {
        let server_name = match connection {
            Connection::Server(server) => server.server_name().map(str::to_owned),
            Connection::Client(_) => None,
        };
        Self {
            alpn: connection.alpn_protocol().map(<[u8]>::to_vec),
            peer_certificates: connection.peer_certificates().unwrap_or_default().to_vec(),
            version: connection.protocol_version(),
            cipher_suite: connection.negotiated_cipher_suite().map(|suite| suite.suite()),
            server_name,
            is_resumed: connection.handshake_kind() == Some(HandshakeKind::Resumed),
        }
    }
}

impl fmt::Debug for TlsInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsInfo")
            .field("version", &self.version)
            .field("cipher_suite", &self.cipher_suite)
            .field("alpn", &self.alpn.as_deref().map(String::from_utf8_lossy))
            .field("server_name", &self.server_name)
            .field("peer_certificates", &self.peer_certificates.len())
            .field("is_resumed", &self.is_resumed)
            .finish()
    }
}

//! [`TlsConnector`]: the client's side.

use std::fmt;
use std::io;
use std::time::Duration;

use asyncio_base::shim::Arc;
use asyncio_reactor::Socket;
use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection};
use rustls_platform_verifier::Verifier;

use super::pem::{self, invalid};
use super::socket::{Limits, TlsSocket};
use super::stream::TlsStream;

/// Makes TLS connections to servers: the client's half of asyncio's `SSLContext`. Clones are cheap, and share the sessions that can be taken up again.
///
/// TLS 1.2 and 1.3; servers are verified, by whom the platform trusts unless something else is [said](Self::builder), and by their name. That cannot be switched off,
/// but by a [`ClientConfig`] of one's own, where rustls calls it `dangerous`.
///
/// # Examples
///
/// ```no_run
/// use asyncio_net::{TcpStream, tls::TlsConnector};
/// use futures_lite::{AsyncReadExt, AsyncWriteExt};
///
/// # fn main() -> std::io::Result<()> {
/// asyncio_runtime::run(async {
///     let connector = TlsConnector::new()?;
///     let stream = TcpStream::connect("www.rust-lang.org:443").await?;
///     let mut stream = connector.connect("www.rust-lang.org", stream).await?;
///     stream.write_all(b"GET / HTTP/1.0\r\nHost: www.rust-lang.org\r\n\r\n").await?;
///     let mut page = Vec::new();
///     stream.read_to_end(&mut page).await?;
///     Ok(())
/// })
/// # }
/// ```
#[derive(Clone)]
pub struct TlsConnector {
    config: Arc<ClientConfig>,
    limits: Limits,
}

impl TlsConnector {
    /// Makes one that trusts whom the platform trusts.
    ///
    /// # Errors
    ///
    /// Fails where the platform cannot be asked.
    pub fn new() -> io::Result<Self> {
        Self::builder().build()
    }

    /// Sets more than that.
    pub fn builder() -> TlsConnectorBuilder {
        TlsConnectorBuilder::default()
    }

    /// Makes one of rustls' own configuration, for what the builder does not have.
    pub fn from_config(config: impl Into<Arc<ClientConfig>>) -> Self {
        Self { config: config.into(), limits: Limits::default() }
    }

    /// Sets how long a handshake may take. The default is asyncio's, 60 s; [`Duration::MAX`] waits for ever.
    #[must_use]
    pub fn handshake_timeout(mut self, limit: Duration) -> Self {
        self.limits.handshake = limit;
        self
    }

    /// Sets how long whoever closes waits for the peer's close_notify. The default is asyncio's, 30 s; [`Duration::MAX`] waits for ever.
    #[must_use]
    pub fn shutdown_timeout(mut self, limit: Duration) -> Self {
        self.limits.shutdown = limit;
        self
    }

    /// Shakes hands with the server at the other end of a connection, which has to prove that this is its name: a host name or an IP address.
    ///
    /// # Errors
    ///
    /// Fails with `InvalidInput` where that is no name; with `InvalidData` where the peer cannot be trusted or speaks something else, with `TimedOut` after the
    /// [limit](Self::handshake_timeout), and with what the connection says.
    ///
    /// # Cancel safety
    ///
    /// The connection is closed if it is dropped.
    pub async fn connect(
        &self,
        server_name: &str,
        stream: impl Into<Arc<dyn Socket>>,
    ) -> io::Result<TlsStream> {
        let socket = self.socket(server_name, stream.into())?;
        socket.handshake().await?;
        Ok(TlsStream::new(socket))
    }

    pub(super) fn name(name: &str) -> io::Result<ServerName<'static>> {
        ServerName::try_from(name.to_owned())
            .map_err(|error| invalid(&format!("{name:?} is no name of a TLS server"), error))
    }

    /// TLS around a socket, before the handshake.
    pub(super) fn socket(&self, server_name: &str, below: Arc<dyn Socket>) -> io::Result<Arc<TlsSocket>> {
        let name = Self::name(server_name)?;
        let connection = ClientConnection::new(self.config.clone(), name).map_err(io::Error::other)?;
        Ok(TlsSocket::new(below, connection, self.limits))
    }
}

impl fmt::Debug for TlsConnector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsConnector").field("limits", &self.limits).finish_non_exhaustive()
    }
}

/// What a [`TlsConnector`] is to be. Made by [`TlsConnector::builder`].
#[derive(Clone, Default)]
#[must_use = "a builder does nothing until it is built"]
pub struct TlsConnectorBuilder {
    roots: Option<Vec<u8>>,
    identity: Option<(Vec<u8>, Vec<u8>)>,
    alpn: Vec<Vec<u8>>,
    limits: Limits,
}

impl TlsConnectorBuilder {
    /// Trusts these certificates, in PEM, and nobody else: a company's own authority, a test's.
    pub fn roots(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.roots = Some(pem.into());
        self
    }

    /// Shows this certificate to servers that ask for one: a chain in PEM, and its private key in PEM.
    pub fn identity(mut self, chain: impl Into<Vec<u8>>, key: impl Into<Vec<u8>>) -> Self {
        self.identity = Some((chain.into(), key.into()));
        self
    }

    /// Offers these protocols above TLS (ALPN), the best first, as in `["h2", "http/1.1"]`.
    pub fn alpn<P: AsRef<[u8]>>(mut self, protocols: impl IntoIterator<Item = P>) -> Self {
        self.alpn = protocols.into_iter().map(|protocol| protocol.as_ref().to_vec()).collect();
        self
    }

    /// As [`TlsConnector::handshake_timeout`].
    pub fn handshake_timeout(mut self, limit: Duration) -> Self {
        self.limits.handshake = limit;
        self
    }

    /// As [`TlsConnector::shutdown_timeout`].
    pub fn shutdown_timeout(mut self, limit: Duration) -> Self {
        self.limits.shutdown = limit;
        self
    }

    /// Makes it.
    ///
    /// # Errors
    ///
    /// Fails with `InvalidInput` where a certificate or a key cannot be read or do not belong together, and where the platform cannot be asked whom it trusts.
    pub fn build(self) -> io::Result<TlsConnector> {
        let provider = pem::provider();
        let builder = ClientConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?;
        let builder = match &self.roots {
            Some(roots) => builder.with_root_certificates(pem::roots(roots)?),
            None => {
                let verifier = Verifier::new(provider).map_err(io::Error::other)?;
                let verifier: std::sync::Arc<dyn ServerCertVerifier> = std::sync::Arc::new(verifier);
                builder.dangerous().with_custom_certificate_verifier(verifier)
            }
        };
        let mut config = match &self.identity {
            Some((chain, key)) => builder
                .with_client_auth_cert(pem::certificates(chain)?, pem::private_key(key)?)
                .map_err(|error| invalid("the certificate and its key", error))?,
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = self.alpn;
        Ok(TlsConnector { config: Arc::new(config), limits: self.limits })
    }
}

/// Without the key.
impl fmt::Debug for TlsConnectorBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsConnectorBuilder").field("limits", &self.limits).finish_non_exhaustive()
    }
}

//! [`TlsAcceptor`]: the server's side.

use std::fmt;
use std::io;
use std::time::Duration;

use asyncio_base::shim::Arc;
use asyncio_reactor::Socket;
use rustls::server::{ClientHello, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::{ServerConfig, ServerConnection};

use super::pem::{self, invalid};
use super::socket::{Limits, TlsSocket};
use super::stream::TlsStream;

/// Makes TLS connections of those that a server accepts: the server's half of asyncio's `SSLContext`. Clones are cheap, and share the sessions that can be taken
/// up again.
///
/// TLS 1.2 and 1.3.
///
/// # Examples
///
/// ```no_run
/// use asyncio_net::{ServerOptions, tls::TlsAcceptor};
///
/// # fn main() -> std::io::Result<()> {
/// asyncio_runtime::run(async {
///     let acceptor = TlsAcceptor::new(std::fs::read("chain.pem")?, std::fs::read("key.pem")?)?;
///     let greet = |_reader, mut writer: asyncio_net::StreamWriter| async move {
///         writer.write(b"hello, and nobody else has heard it\n");
///         writer.close().await
///     };
///     let server = ServerOptions::new().tls(acceptor).start_server(greet, "0.0.0.0:4433").await?;
///     server.serve_forever().await
/// })
/// # }
/// ```
#[derive(Clone)]
pub struct TlsAcceptor {
    config: Arc<ServerConfig>,
    limits: Limits,
}

impl TlsAcceptor {
    /// Makes one that shows a certificate: a chain in PEM, the server's own first, and its private key in PEM.
    ///
    /// # Errors
    ///
    /// Fails with `InvalidInput` where they cannot be read or do not belong together.
    pub fn new(chain: impl Into<Vec<u8>>, key: impl Into<Vec<u8>>) -> io::Result<Self> {
        Self::builder(chain, key).build()
    }

    /// Sets more than that.
    pub fn builder(chain: impl Into<Vec<u8>>, key: impl Into<Vec<u8>>) -> TlsAcceptorBuilder {
        TlsAcceptorBuilder {
            identity: (chain.into(), key.into()),
            others: Vec::new(),
            client_roots: None,
            alpn: Vec::new(),
            limits: Limits::default(),
        }
    }

    /// Makes one of rustls' own configuration, for what the builder does not have.
    pub fn from_config(config: impl Into<Arc<ServerConfig>>) -> Self {
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

    /// Shakes hands with the client at the other end of a connection.
    ///
    /// A server that accepts does not wait for this: it gives it to a task of its own, as [`ServerOptions::tls`](crate::ServerOptions::tls) does.
    ///
    /// # Errors
    ///
    /// Fails with `InvalidData` where the peer speaks something else, or shows no certificate where one is asked for; with `TimedOut` after the
    /// [limit](Self::handshake_timeout), and with what the connection says.
    ///
    /// # Cancel safety
    ///
    /// The connection is closed if it is dropped.
    pub async fn accept(&self, stream: impl Into<Arc<dyn Socket>>) -> io::Result<TlsStream> {
        let socket = self.socket(stream.into())?;
        socket.handshake().await?;
        Ok(TlsStream::new(socket))
    }

    /// TLS around a socket, before the handshake.
    pub(crate) fn socket(&self, below: Arc<dyn Socket>) -> io::Result<Arc<TlsSocket>> {
        let connection = ServerConnection::new(self.config.clone()).map_err(io::Error::other)?;
        Ok(TlsSocket::new(below, connection, self.limits))
    }
}

impl fmt::Debug for TlsAcceptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsAcceptor").field("limits", &self.limits).finish_non_exhaustive()
    }
}

/// Whether a certificate is the one for the name that a client asks for.
type IsFor = std::sync::Arc<dyn Fn(&str) -> bool + Send + Sync>;

/// What a [`TlsAcceptor`] is to be. Made by [`TlsAcceptor::builder`].
#[derive(Clone)]
#[must_use = "a builder does nothing until it is built"]
pub struct TlsAcceptorBuilder {
    identity: (Vec<u8>, Vec<u8>),
    others: Vec<(IsFor, Vec<u8>, Vec<u8>)>,
    client_roots: Option<Vec<u8>>,
    alpn: Vec<Vec<u8>>,
    limits: Limits,
}

impl TlsAcceptorBuilder {
    /// Shows another certificate to clients that ask for a name (SNI) of which `is_for` says so: asyncio's `sni_callback`. The first that fits is shown, and where
    /// none does, or the client asks for no name, the acceptor's own.
    pub fn identity_for(
        mut self,
        is_for: impl Fn(&str) -> bool + Send + Sync + 'static,
        chain: impl Into<Vec<u8>>,
        key: impl Into<Vec<u8>>,
    ) -> Self {
        self.others.push((std::sync::Arc::new(is_for), chain.into(), key.into()));
        self
    }

    /// Has every client show a certificate that one of these, in PEM, vouches for.
    pub fn client_roots(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.client_roots = Some(pem.into());
        self
    }

    /// Takes one of these protocols above TLS (ALPN), the first that the client offers too; a client that offers none of them, but others, is refused.
    pub fn alpn<P: AsRef<[u8]>>(mut self, protocols: impl IntoIterator<Item = P>) -> Self {
        self.alpn = protocols.into_iter().map(|protocol| protocol.as_ref().to_vec()).collect();
        self
    }

    /// As [`TlsAcceptor::handshake_timeout`].
    pub fn handshake_timeout(mut self, limit: Duration) -> Self {
        self.limits.handshake = limit;
        self
    }

    /// As [`TlsAcceptor::shutdown_timeout`].
    pub fn shutdown_timeout(mut self, limit: Duration) -> Self {
        self.limits.shutdown = limit;
        self
    }

    /// Makes it.
    ///
    /// # Errors
    ///
    /// Fails with `InvalidInput` where a certificate or a key cannot be read or do not belong together.
    pub fn build(self) -> io::Result<TlsAcceptor> {
        let provider = pem::provider();
        let builder = ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?;
        let builder = match &self.client_roots {
            Some(roots) => {
                let roots = std::sync::Arc::new(pem::roots(roots)?);
                let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider.clone())
                    .build()
                    .map_err(|error| invalid("whom clients are to be vouched for by", error))?;
                builder.with_client_cert_verifier(verifier)
            }
            None => builder.with_no_client_auth(),
        };
        let identity = |chain: &[u8], key: &[u8]| {
            CertifiedKey::from_der(pem::certificates(chain)?, pem::private_key(key)?, &provider)
                .map(std::sync::Arc::new)
                .map_err(|error| invalid("the certificate and its key", error))
        };
        let own = identity(&self.identity.0, &self.identity.1)?;
        let others: io::Result<Vec<_>> = self
            .others
            .iter()
            .map(|(is_for, chain, key)| Ok((is_for.clone(), identity(chain, key)?)))
            .collect();
        let resolver = std::sync::Arc::new(ByName { own, others: others? });
        let mut config = builder.with_cert_resolver(resolver);
        config.alpn_protocols = self.alpn;
        Ok(TlsAcceptor { config: Arc::new(config), limits: self.limits })
    }
}

/// Without the keys.
impl fmt::Debug for TlsAcceptorBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsAcceptorBuilder").field("limits", &self.limits).finish_non_exhaustive()
    }
}

/// Which certificate is shown.
struct ByName {
    own: std::sync::Arc<CertifiedKey>,
    others: Vec<(IsFor, std::sync::Arc<CertifiedKey>)>,
}

impl ResolvesServerCert for ByName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<std::sync::Arc<CertifiedKey>> {
        let named = |name| self.others.iter().find(|(is_for, _)| is_for(name)).map(|(_, key)| key);
        Some(hello.server_name().and_then(named).unwrap_or(&self.own).clone())
    }
}

impl fmt::Debug for ByName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ByName").field("others", &self.others.len()).finish_non_exhaustive()
    }
}

//! TLS: whom it trusts, how it ends, and what a peer may do.

mod cut;
mod ending;
mod faults;
mod trust;
mod upgrade;
mod using;

use std::sync::OnceLock;

use asyncio_net::TcpStream;
use asyncio_net::tls::{TlsAcceptor, TlsAcceptorBuilder, TlsConnector, TlsConnectorBuilder, TlsStream};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

use crate::worlds::{on_each_loop, pair};

/// An authority, and what it vouches for.
pub(super) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// A chain and its key, in PEM.
type Identity = (String, String);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self { issuer: CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap() }
    }

    /// That of these tests.
    pub(super) fn ours() -> &'static Self {
        static OURS: OnceLock<Authority> = OnceLock::new();
        OURS.get_or_init(Self::new)
    }

    pub(super) fn roots(&self) -> String {
        self.issuer.pem()
    }

    fn vouches_for(&self, name: &str) -> Identity {
        self.vouches_by(CertificateParams::new(vec![name.to_owned()]).unwrap())
    }

    fn vouches_by(&self, params: CertificateParams) -> Identity {
        let key = KeyPair::generate().unwrap();
        (params.signed_by(&key, &self.issuer).unwrap().pem(), key.serialize_pem())
    }
}

/// One that trusts our authority.
fn connector() -> TlsConnectorBuilder {
    TlsConnector::builder().roots(Authority::ours().roots())
}

/// One whose name is `server.test`.
fn acceptor() -> TlsAcceptorBuilder {
    static IDENTITY: OnceLock<Identity> = OnceLock::new();
    let (chain, key) = IDENTITY.get_or_init(|| Authority::ours().vouches_for("server.test"));
    TlsAcceptor::builder(chain.as_str(), key.as_str())
}

/// Two ends that have shaken hands.
async fn tls_pair() -> (TlsStream, TlsStream) {
    let (client, server, _) = tls_pair_and_below().await;
    (client, server)
}

/// The same, and the two connections below, by which somebody in between does as he likes.
async fn tls_pair_and_below() -> (TlsStream, TlsStream, [TcpStream; 2]) {
    let (client, server) = pair().await;
    let below = [&client, &server].map(|stream| TcpStream::from_socket(stream.socket().clone()));
    let (connector, acceptor) = (connector().build().unwrap(), acceptor().build().unwrap());
    let (client, server) = futures::join!(connector.connect("server.test", client), acceptor.accept(server));
    (client.unwrap(), server.unwrap(), below)
}

/// Runs a check with two such ends, on each loop.
fn on_each(check: impl AsyncFn(TlsStream, TlsStream)) {
    on_each_loop(async || {
        let (client, server) = tls_pair().await;
        check(client, server).await;
    });
}

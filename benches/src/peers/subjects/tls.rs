//! `asyncio-tls` and `tokio-rustls`: the same rustls with the same configuration, on our streams and on tokio's current_thread runtime.

use std::io;
use std::net::TcpListener;
use std::sync::Arc;

use anyhow::Result;
use futures_lite::{AsyncReadExt, AsyncWriteExt};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;

use crate::subject::Subject;
use crate::subjects::tokio::TokioCt;

pub const ASYNCIO: &str = "asyncio-tls";
pub const TOKIO: &str = "tokio-rustls";

/// One whole message of 16 KiB, and what is behind it.
const BUFFER: usize = 16 * 1024 + 512;

fn config() -> Result<Arc<ServerConfig>> {
    let rcgen::CertifiedKey { cert, signing_key } = rcgen::generate_simple_self_signed(["localhost".into()])?;
    let key = PrivateKeyDer::try_from(signing_key.serialize_der()).map_err(anyhow::Error::msg)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(Arc::new(builder.with_no_client_auth().with_single_cert(vec![cert.der().clone()], key)?))
}

/// Serves for ever.
pub fn serve(subject: &str, listener: TcpListener) -> Result<()> {
    let config = config()?;
    if subject == TOKIO {
        Ok(TokioCt::run(on_tokio(listener, config))?)
    } else {
        Ok(asyncio::run(on_asyncio(listener, config))?)
    }
}

async fn on_asyncio(listener: TcpListener, config: Arc<ServerConfig>) -> io::Result<()> {
    let listener = asyncio::net::TcpListener::from_std(listener)?;
    let acceptor = asyncio::net::tls::TlsAcceptor::from_config(config);
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let acceptor = acceptor.clone();
        let serving = async move {
            let mut stream = acceptor.accept(stream).await?;
            let mut buf = vec![0; BUFFER];
            while let n @ 1.. = stream.read(&mut buf).await? {
                stream.write_all(&buf[..n]).await?;
                stream.flush().await?;
            }
            stream.close().await
        };
        asyncio::spawn_local(serving).detach();
    }
}

async fn on_tokio(listener: TcpListener, config: Arc<ServerConfig>) -> io::Result<()> {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    listener.set_nonblocking(true)?;
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let acceptor = tokio_rustls::TlsAcceptor::from(config);
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let acceptor = acceptor.clone();
        tokio::spawn(async move {
            let mut stream = acceptor.accept(stream).await?;
            let mut buf = vec![0; BUFFER];
            while let n @ 1.. = stream.read(&mut buf).await? {
                stream.write_all(&buf[..n]).await?;
                stream.flush().await?;
            }
            stream.shutdown().await
        });
    }
}

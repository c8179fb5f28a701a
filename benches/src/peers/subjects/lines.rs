//! `asyncio-lines` and `tokio-util-lines`: lines that are sent back, by `Framed` of each.

use std::io;
use std::net::TcpListener;

use futures::{SinkExt, StreamExt};

use crate::subject::Subject;
use crate::subjects::tokio::TokioCt;

pub const ASYNCIO: &str = "asyncio-lines";
pub const TOKIO: &str = "tokio-util-lines";

/// Serves for ever.
pub fn serve(subject: &str, listener: TcpListener) -> io::Result<()> {
    if subject == TOKIO { TokioCt::run(on_tokio(listener)) } else { asyncio::run(on_asyncio(listener)) }
}

async fn on_asyncio(listener: TcpListener) -> io::Result<()> {
    use asyncio::net::codec::{Framed, LinesCodec};
    let listener = asyncio::net::TcpListener::from_std(listener)?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let echo = async move {
            let mut lines = Framed::new(stream, LinesCodec::new());
            while let Some(Ok(line)) = lines.next().await {
                if lines.send(line).await.is_err() {
                    break;
                }
            }
        };
        asyncio::spawn_local(echo).detach();
    }
}

async fn on_tokio(listener: TcpListener) -> io::Result<()> {
    use tokio_util::codec::{Framed, LinesCodec};
    listener.set_nonblocking(true)?;
    let listener = tokio::net::TcpListener::from_std(listener)?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(async move {
            let mut lines = Framed::new(stream, LinesCodec::new());
            while let Some(Ok(line)) = lines.next().await {
                if lines.send(line).await.is_err() {
                    break;
                }
            }
        });
    }
}

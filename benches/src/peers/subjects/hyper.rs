//! `asyncio-hyper` and `tokio-hyper`: the same hyper, with the same service, on our streams and on tokio's current_thread runtime.

use std::convert::Infallible;
use std::io;
use std::net::TcpListener;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;

use crate::subject::Subject;
use crate::subjects::tokio::TokioCt;

#[allow(dead_code, reason = "HTTP/1.1 spawns nothing")]
#[path = "../../../../examples/http_server/hyper_io.rs"]
mod hyper_io;

pub const ASYNCIO: &str = "asyncio-hyper";
pub const TOKIO: &str = "tokio-hyper";

async fn hello(_: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    Ok(Response::new(Full::from("Hello, World!")))
}

/// Serves for ever.
pub fn serve(subject: &str, listener: TcpListener) -> io::Result<()> {
    if subject == TOKIO { TokioCt::run(on_tokio(listener)) } else { asyncio::run(on_asyncio(listener)) }
}

async fn on_asyncio(listener: TcpListener) -> io::Result<()> {
    let listener = asyncio::net::TcpListener::from_std(listener)?;
    // That a client goes in the midst of an answer is no news.
    let serve = async |reader, writer| {
        let io = hyper_io::Io { reader, writer };
        let _ = http1::Builder::new().serve_connection(io, service_fn(hello)).await;
    };
    asyncio::net::ServerOptions::new().start_server_with(serve, listener).serve_forever().await
}

async fn on_tokio(listener: TcpListener) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let listener = tokio::net::TcpListener::from_std(listener)?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(hello)));
    }
}

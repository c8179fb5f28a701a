//! hyper on our streams: HTTP/1.1 and HTTP/2 at one port, told apart by what the client says first; it ends gracefully.
//!
//! `cargo run --release --example http_server` tries it on itself; `… -- 8080` serves at that port until Ctrl-C, and `… -- 8443 CERTIFICATES KEY` (files of
//! PEM) by https, where the protocol is agreed on in the handshake (ALPN). `/` says hello, `/echo` sends back what it is sent, while that is still coming.

mod hyper_io;

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use asyncio::Task;
use asyncio::net::tls::TlsAcceptor;
use asyncio::net::{Server, ServerOptions, StreamReader, StreamWriter, open_connection};
use asyncio::sync::Event;
use http_body_util::{BodyExt, Either, Full};
use hyper::body::{Body, Bytes, Incoming};
use hyper::header::CONTENT_LENGTH;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_io::{Io, OnLoop};
use hyper_util::server::conn::auto;

/// How long the end waits for requests that are under way.
const PATIENCE: Duration = Duration::from_secs(10);

type Error = Box<dyn std::error::Error + Send + Sync>;
type Answer = Response<Either<Full<Bytes>, Incoming>>;

async fn answer(request: Request<Incoming>) -> Result<Answer, Infallible> {
    let is_head = request.method() == Method::HEAD;
    let (status, body) = match request.uri().path() {
        "/" => (StatusCode::OK, Either::Left(Full::from("Hello, World!\n"))),
        "/echo" => (StatusCode::OK, Either::Right(request.into_body())),
        _ => (StatusCode::NOT_FOUND, Either::Left(Full::from("there is no such page\n"))),
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    if is_head {
        // Only its length. In HTTP/1.1 hyper sees to that itself.
        if let Some(len) = response.body().size_hint().exact() {
            response.headers_mut().insert(CONTENT_LENGTH, len.into());
        }
        *response.body_mut() = Either::Left(Full::default());
    }
    Ok(response)
}

/// Serves a client until it goes, or, once the server is ending, until what it has asked for is answered.
async fn serve(reader: StreamReader, writer: StreamWriter, is_ending: Arc<Event>) -> Result<(), Error> {
    let http = auto::Builder::new(OnLoop);
    let mut connection = pin!(http.serve_connection(Io { reader, writer }, service_fn(answer)));
    let ended = asyncio::race!(async { Some(connection.as_mut().await) }, async {
        is_ending.wait().await;
        None
    });
    if let Some(ended) = ended {
        return ended;
    }
    connection.as_mut().graceful_shutdown();
    match connection.await {
        // It had not said a word, so there was nothing to answer.
        Err(error) if is_interrupted(&*error) => Ok(()),
        ended => ended,
    }
}

fn is_interrupted(error: &(dyn std::error::Error + 'static)) -> bool {
    error.downcast_ref().is_some_and(|error: &io::Error| error.kind() == io::ErrorKind::Interrupted)
}

async fn start(options: ServerOptions, addr: &str, is_ending: Arc<Event>) -> io::Result<Server> {
    options.start_server(move |reader, writer| serve(reader, writer, is_ending.clone()), addr).await
}

/// By https, if there are a certificate and its key.
fn options(files: &[String]) -> Result<ServerOptions, Error> {
    match files {
        [] => Ok(ServerOptions::new()),
        [chain, key] => {
            let acceptor = TlsAcceptor::builder(std::fs::read(chain)?, std::fs::read(key)?);
            Ok(ServerOptions::new().tls(acceptor.alpn(["h2", "http/1.1"]).build()?))
        }
        _ => Err("usage: http_server [PORT [CERTIFICATES KEY]]".into()),
    }
}

/// Sends some bodies there and back. The connection that it leaves has asked for nothing more.
async fn try_it(addr: SocketAddr) -> Result<Task<hyper::Result<()>>, Error> {
    let (reader, writer) = open_connection(addr).await?;
    let (mut client, connection) = hyper::client::conn::http1::handshake(Io { reader, writer }).await?;
    let connection = asyncio::spawn_local(connection);
    let mut bytes = 0;
    for body in [String::new(), "a body".to_owned(), "a long one ".repeat(100_000)] {
        let request = Request::post("/echo").header("host", "it").body(body.clone())?;
        let response = client.send_request(request).await?;
        assert_eq!(response.status(), StatusCode::OK);
        let answer = response.into_body().collect().await?.to_bytes();
        assert!(answer == body.as_bytes(), "{} bytes came back of {}", answer.len(), body.len());
        bytes += answer.len();
    }
    println!("{bytes} bytes went there and back");
    Ok(connection)
}

#[asyncio::main]
async fn main() -> Result<(), Error> {
    let is_ending = Arc::new(Event::new());
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (port, files) = arguments.split_first().map_or((None, &[][..]), |(port, files)| (Some(port), files));
    let addr = format!("127.0.0.1:{}", port.map_or("0", |port| port));
    let server = start(options(files)?, &addr, is_ending.clone()).await?;
    let addr = server.local_addrs()[0];
    let client = if port.is_some() {
        println!("listening at {addr}");
        asyncio::signal::ctrl_c().await?;
        None
    } else {
        Some(try_it(addr).await?)
    };
    server.close();
    is_ending.set();
    // One that is in the midst of asking may never go on.
    if asyncio::timeout(PATIENCE, server.wait_closed()).await.is_err() {
        eprintln!("{} connections are given up", server.clients());
        server.abort_clients();
        server.wait_closed().await;
    }
    if let Some(client) = client {
        client.await??;
    }
    Ok(())
}

//! "Asynchronous I/O with Protocol Class Abstractions": an echo server and its client, told what happens by callbacks.
//!
//! How the network cuts bytes into pieces is its own affair, so both show what has come when all of it has.

use std::io;

use asyncio::net::protocol::{OnEof, Protocol, Transport, create_connection, create_server};
use asyncio::{Setter, completion};

use crate::{Outcome, partner};

/// Sends back what it gets.
#[derive(Default)]
struct EchoServer {
    transport: Option<Transport>,
    received: Vec<u8>,
}

impl Protocol for EchoServer {
    fn connection_made(&mut self, transport: Transport) {
        println!("server: a client has connected");
        self.transport = Some(transport);
    }

    fn data_received(&mut self, data: &[u8]) {
        self.received.extend_from_slice(data);
        self.transport.iter().for_each(|transport| transport.write(data));
    }

    fn eof_received(&mut self) -> OnEof {
        println!("server: the client has sent {:?}", String::from_utf8_lossy(&self.received));
        println!("server: it sends no more, so this side closes too");
        OnEof::Close
    }

    fn connection_lost(&mut self, error: Option<io::Error>) {
        match error {
            None => println!("server: the connection is closed"),
            Some(error) => println!("server: the connection has failed: {error}"),
        }
    }
}

/// A server whose connections are protocols: connected, bytes, the end, closed.
///
/// `eof_received` says by an enum whether this side goes on to send; in asyncio it is a truth value. What asyncio logs, this prints. asyncio's server
/// runs until Ctrl-C; this one ends when its client has gone.
pub fn asyncio_echo_server_protocol() -> Outcome {
    asyncio::run(async {
        let server = create_server(EchoServer::default, "127.0.0.1:0").await?;
        println!("main: the server listens");
        let answer = partner::ask(server.local_addrs()[0]).await?;
        server.close();
        server.wait_closed().await;
        println!("main: the server has ended, and has sent all of it back: {}", partner::is_echo(&answer));
        Ok(())
    })
}

/// Sends the pieces, and sets a result when the connection is over: what came back.
struct EchoClient {
    received: Vec<u8>,
    done: Option<Setter<Vec<u8>, io::Error>>,
}

impl Protocol for EchoClient {
    fn connection_made(&mut self, transport: Transport) {
        for part in partner::PARTS {
            println!("client: sends {part:?}");
            transport.write(part.as_bytes());
        }
        println!("client: sends the end");
        transport.write_eof();
    }

    fn data_received(&mut self, data: &[u8]) {
        self.received.extend_from_slice(data);
    }

    fn eof_received(&mut self) -> OnEof {
        println!("client: the server has sent {:?}", String::from_utf8_lossy(&self.received));
        println!("client: it sends no more");
        OnEof::Close
    }

    fn connection_lost(&mut self, error: Option<io::Error>) {
        println!("client: the connection is over");
        let Some(done) = self.done.take() else { return };
        match error {
            None => done.set(std::mem::take(&mut self.received)),
            Some(error) => done.fail(error),
        }
    }
}

/// A client that sends its message in pieces, and says by a completion when it is done.
///
/// The factory is a closure that is called once, so it may give away what it was made with, where asyncio's needs `functools.partial`. An error of
/// the connection goes on to whoever awaits.
pub fn asyncio_echo_client_protocol() -> Outcome {
    asyncio::run(async {
        let server = partner::serve().await?;
        let (setter, done) = completion();
        let factory = || EchoClient { received: Vec::new(), done: Some(setter) };
        create_connection(factory, server.local_addrs()[0]).await?;
        let answer = String::from_utf8(done.await?)?;
        println!("main: the client is done, and all of it came back: {}", partner::is_echo(&answer));
        server.close();
        server.wait_closed().await;
        Ok(())
    })
}

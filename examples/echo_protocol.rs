//! An echo server and its client, by protocols: no task and no buffer for a connection, only callbacks.
//!
//! `cargo run --release --example echo_protocol`

use std::io;

use asyncio::net::protocol::{OnEof, Protocol, Transport, create_connection, create_server};
use asyncio::sync::oneshot::{Sender, oneshot};

/// Sends back what it gets.
#[derive(Default)]
struct Echo {
    transport: Option<Transport>,
}

impl Protocol for Echo {
    fn connection_made(&mut self, transport: Transport) {
        self.transport = Some(transport);
    }

    fn data_received(&mut self, data: &[u8]) {
        self.transport.iter().for_each(|transport| transport.write(data));
    }

    // A client that does not read what it gets is not read from either.
    fn pause_writing(&mut self) {
        self.transport.iter().for_each(Transport::pause_reading);
    }

    fn resume_writing(&mut self) {
        self.transport.iter().for_each(Transport::resume_reading);
    }
}

/// Sends some messages, and collects what comes back until the end.
struct Client {
    messages: Vec<&'static str>,
    received: Vec<u8>,
    done: Option<Sender<io::Result<Vec<u8>>>>,
}

impl Protocol for Client {
    fn connection_made(&mut self, transport: Transport) {
        for message in &self.messages {
            transport.write(message.as_bytes());
        }
        transport.write_eof();
    }

    fn data_received(&mut self, data: &[u8]) {
        self.received.extend_from_slice(data);
    }

    fn eof_received(&mut self) -> OnEof {
        OnEof::Close
    }

    fn connection_lost(&mut self, error: Option<io::Error>) {
        let outcome = error.map_or_else(|| Ok(std::mem::take(&mut self.received)), Err);
        if let Some(done) = self.done.take() {
            // Whoever asked may have gone.
            let _ = done.send(outcome);
        }
    }
}

#[asyncio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let server = create_server(Echo::default, "127.0.0.1:0").await?;
    let addr = server.local_addrs()[0];
    let mut answers = Vec::new();
    for _ in 0..100 {
        let (sender, done) = oneshot();
        let messages = vec!["This is the message. ", "It will be sent ", "in parts."];
        let make = || Client { messages, received: Vec::new(), done: Some(sender) };
        create_connection(make, addr).await?;
        answers.push(done);
    }
    for answer in answers {
        assert_eq!(answer.await??, b"This is the message. It will be sent in parts.");
    }
    server.close();
    server.wait_closed().await;
    println!("100 clients had their messages echoed");
    Ok(())
}

//! A server that `redis-cli` and `redis-benchmark` can talk to: PING, ECHO, SET, GET, DEL, INCR, and what they ask at the beginning.
//!
//! `cargo run --release --example redis_like` tries it on itself; `… -- 6379` serves at that port.

mod commands;
mod resp;

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use asyncio::net::open_connection;
use asyncio::net::protocol::{Protocol, Transport, create_server};
use resp::Parsed;

type Store = Rc<RefCell<HashMap<Vec<u8>, Vec<u8>>>>;

struct Redis {
    store: Store,
    transport: Option<Transport>,
    /// A command whose end has not come.
    partial: Vec<u8>,
    /// Answers to all commands of one receive leave in one write.
    answers: Vec<u8>,
}

impl Protocol for Redis {
    fn connection_made(&mut self, transport: Transport) {
        self.transport = Some(transport);
    }

    fn data_received(&mut self, data: &[u8]) {
        let mut joined = std::mem::take(&mut self.partial);
        let input = if joined.is_empty() {
            data
        } else {
            joined.extend_from_slice(data);
            &joined
        };
        let mut at = 0;
        let wrong = loop {
            match resp::parse(&input[at..]) {
                Parsed::Command(words, len) => {
                    at += len;
                    commands::answer(&mut self.store.borrow_mut(), &words, &mut self.answers);
                }
                Parsed::Incomplete => break None,
                Parsed::Wrong(why) => break Some(why),
            }
        };
        self.partial = input[at..].to_vec();
        let Some(transport) = &self.transport else { return };
        if let Some(why) = wrong {
            self.answers.extend_from_slice(format!("-ERR Protocol error: {why}\r\n").as_bytes());
        }
        transport.write(&self.answers);
        self.answers.clear();
        if wrong.is_some() {
            transport.close();
        }
    }

    fn pause_writing(&mut self) {
        self.transport.iter().for_each(Transport::pause_reading);
    }

    fn resume_writing(&mut self) {
        self.transport.iter().for_each(Transport::resume_reading);
    }
}

#[asyncio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let store = Store::default();
    let make =
        move || Redis { store: store.clone(), transport: None, partial: Vec::new(), answers: Vec::new() };
    let port = std::env::args().nth(1);
    let server = create_server(make, format!("127.0.0.1:{}", port.as_deref().unwrap_or("0"))).await?;
    if port.is_some() {
        return Ok(server.serve_forever().await?);
    }
    resp::check();
    let (mut reader, mut writer) = open_connection(server.local_addrs()[0]).await?;
    // Many commands at once, cut anywhere.
    let commands = b"PING\r\n*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$5\r\nv\r\nv2\r\nGET k\r\nGET none\r\nINCR n\r\nINCR n\r\nINCR k\r\nDEL k n k\r\nWHAT\r\n*x\r\n";
    for cut in [7, 13, commands.len()] {
        for piece in commands[..commands.len() - 4].chunks(cut) {
            writer.write_all(piece).await?;
        }
        for expected in
            ["+PONG", "+OK", "$5", "v", "v2", "$-1", ":1", ":2", "-ERR value", ":2", "-ERR unknown"]
        {
            let line = reader.read_line().await?.unwrap_or_default();
            assert!(
                line.starts_with(expected.as_bytes()),
                "{:?} is not {expected}",
                String::from_utf8_lossy(&line)
            );
        }
    }
    writer.write(b"*x\r\n");
    assert_eq!(reader.read_to_end().await?, b"-ERR Protocol error: invalid length\r\n");
    println!("it answers");
    Ok(())
}

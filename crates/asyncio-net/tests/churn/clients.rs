//! The clients: each does the same again and again until the time is over, in one of eight ways, most of which are bad.

use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::time::{Duration, Instant};

use asyncio_net::{StreamReader, StreamWriter, TcpStream};
use asyncio_sync::Semaphore;
use asyncio_tasks::{spawn_local, timeout};
use asyncio_timers::sleep;
use futures_lite::future::zip;

use crate::message::{self, CUT, HEAD};

/// How many connect at the same time, so that hardly any finds a listener's queue full, which would cost it a second.
const DOORS: usize = 90;
/// What is not there by then has been lost.
const PATIENCE: Duration = Duration::from_secs(30);
/// Addresses of loopback, each with ports of its own, since the port of a connection that has ended rests for a minute.
const ADDRESSES: usize = 60;

struct Client {
    number: usize,
    port: u16,
    end: Instant,
    doors: Rc<Semaphore>,
    random: u64,
    /// Connections so far, and messages that came back whole.
    connections: u64,
    messages: u64,
}

struct Connection {
    id: u32,
    reader: StreamReader,
    writer: StreamWriter,
    sent: u64,
    received: u64,
}

pub(crate) async fn run(count: usize, seconds: u64, ports: Vec<u16>) {
    let end = Instant::now() + Duration::from_secs(seconds);
    let doors = Rc::new(Semaphore::new(DOORS));
    let clients: Vec<_> = (0..count)
        .map(|number| {
            let client = Client {
                number,
                port: ports[number / 8 % ports.len()],
                end,
                doors: doors.clone(),
                random: number as u64 + 1,
                connections: 0,
                messages: 0,
            };
            spawn_local(client.run())
        })
        .collect();
    let (mut connections, mut messages) = (0, 0);
    for client in clients {
        let (made, whole) = client.await.unwrap();
        connections += made;
        messages += whole;
    }
    eprintln!(
        "{count} clients: {connections} connections, {messages} messages came back, each once and whole"
    );
    assert!(messages > count as u64 && connections > count as u64);
}

impl Client {
    async fn run(mut self) -> (u64, u64) {
        while self.connections == 0 || Instant::now() < self.end {
            let mut connection = self.connect().await;
            match self.number % 8 {
                // Those that stay, and talk now and then.
                0..=2 => {
                    while Instant::now() < self.end {
                        connection.exchange(self.below(3000) as u16).await;
                        self.pause(1000).await;
                    }
                    connection.finish().await;
                }
                // Those that do all as it should be, and go.
                3 => {
                    for _ in 0..self.below(10) {
                        connection.exchange(self.below(60_000) as u16).await;
                    }
                    connection.finish().await;
                }
                // Those that are gone in the midst of an answer.
                4 => {
                    connection.exchange(10).await;
                    connection.send(self.below(60_000) as u16);
                    let _ = connection.writer.drain().await;
                    connection.writer.abort();
                }
                // Those that send byte by byte.
                5 => connection.dribble(self.below(100) as u16).await,
                // Those that send far more than they have read, in pieces that have nothing to do with messages.
                6 => {
                    connection.flood(self.below(40)).await;
                    connection.finish().await;
                }
                // Those that the server cuts off, after half a message or before anything.
                _ => connection.be_cut_off(self.below(2) == 0).await,
            }
            self.messages += connection.received;
            drop(connection);
            self.pause(3000).await;
        }
        (self.connections, self.messages)
    }

    async fn connect(&mut self) -> Connection {
        let _door = self.doors.acquire().await;
        let address = u8::try_from(1 + (self.number + self.connections as usize) % ADDRESSES).unwrap();
        let to = SocketAddr::from((Ipv4Addr::new(127, 0, 0, address), self.port));
        let stream = TcpStream::connect(to).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let (reader, writer) = stream.into_streams();
        self.connections += 1;
        let id = (self.number as u32) << 10 | (self.connections as u32 & 0x3ff);
        Connection { id, reader, writer, sent: 0, received: 0 }
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random % limit
    }

    /// Waits a random time up to `limit` milliseconds, or until the end.
    async fn pause(&mut self, limit: u64) {
        let pause = Duration::from_millis(self.below(limit));
        sleep(pause.min(self.end.saturating_duration_since(Instant::now()))).await;
    }
}

impl Connection {
    fn send(&mut self, len: u16) {
        let mut bytes = Vec::new();
        message::append(self.id, self.sent, len, &mut bytes);
        self.sent += 1;
        self.writer.write(&bytes);
    }

    async fn receive(&mut self) {
        receive(&mut self.reader, self.id, self.received).await;
        self.received += 1;
    }

    async fn exchange(&mut self, len: u16) {
        self.send(len);
        self.writer.drain().await.unwrap();
        self.receive().await;
    }

    /// Says that nothing more comes; what is still on its way comes, and then the end.
    async fn finish(&mut self) {
        self.writer.write_eof();
        while self.received < self.sent {
            self.receive().await;
        }
        let end = timeout(PATIENCE, self.reader.read(1)).await;
        let end = end.unwrap_or_else(|_| panic!("the end of connection {} has not come", self.id));
        assert_eq!(end.unwrap(), b"", "more than was sent");
    }

    async fn dribble(&mut self, len: u16) {
        let mut bytes = Vec::new();
        message::append(self.id, self.sent, len, &mut bytes);
        for byte in bytes {
            self.writer.write(&[byte]);
            self.writer.drain().await.unwrap();
            asyncio_tasks::yield_now().await;
        }
        self.sent += 1;
        self.receive().await;
        self.finish().await;
    }

    async fn flood(&mut self, count: u64) {
        let mut bytes = Vec::new();
        (0..count).for_each(|number| message::append(self.id, number, 5000, &mut bytes));
        let Self { id, reader, writer, .. } = self;
        let sending = async {
            for piece in bytes.chunks(7777) {
                writer.write_all(piece).await.unwrap();
            }
        };
        let receiving = async {
            for number in 0..count {
                receive(reader, *id, number).await;
            }
        };
        zip(sending, receiving).await;
        (self.sent, self.received) = (count, count);
    }

    async fn be_cut_off(&mut self, is_at_once: bool) {
        if !is_at_once {
            self.exchange(50).await;
        }
        self.writer.write(CUT);
        // Cut off: by a reset, or by an end where that has been overtaken.
        if let Ok(bytes) = self.reader.read(1000).await {
            assert_eq!(bytes, b"", "from a server that cuts off");
        }
    }
}

async fn receive(reader: &mut StreamReader, id: u32, number: u64) {
    let receiving = async {
        let mut bytes = reader.read_exact(HEAD).await.unwrap();
        let len = u32::from_be_bytes(bytes[..4].try_into().unwrap()) as usize;
        bytes.extend(reader.read_exact(len).await.unwrap());
        bytes
    };
    let bytes = timeout(PATIENCE, receiving).await;
    let bytes = bytes.unwrap_or_else(|_| panic!("message {number} of connection {id} has not come"));
    message::check(id, number, &bytes);
}

//! Peers that misbehave hurt themselves.

use std::cell::Cell;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::rc::Rc;
use std::time::Duration;

use asyncio_net::protocol::{Protocol, Transport, create_server};
use asyncio_net::{ReadError, Server, ServerOptions, StreamReader, StreamWriter, start_server};
use asyncio_tasks::{timeout, yield_now};

use super::{Echoing, client, joined, resetting, with_a_peer};
use crate::worlds::{on_each_real_loop, settled};

const MS: Duration = Duration::from_millis(1);

/// Answers each line by the same line, within the time that a client has for it.
async fn lines(mut reader: StreamReader, mut writer: StreamWriter, limit: Duration) {
    while let Ok(Ok(Some(line))) = timeout(limit, reader.read_line()).await {
        if writer.write_all(&line).await.is_err() {
            return;
        }
    }
}

async fn line_server(limit: Duration) -> Server {
    start_server(move |reader, writer| lines(reader, writer, limit), "127.0.0.1:0").await.unwrap()
}

/// Asks a server as somebody who behaves.
async fn is_served(server: &Server) {
    let addr = server.local_addrs()[0];
    let asking = std::thread::spawn(move || {
        let mut stream = client(addr);
        stream.write_all(b"a question\n").unwrap();
        let mut answer = [0; 11];
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"a question\n");
    });
    joined(asking).await;
}

async fn until_alone(server: &Server) {
    while server.clients() > 0 {
        yield_now().await;
    }
}

#[test]
fn one_that_is_gone_before_it_is_accepted() {
    on_each_real_loop(async || {
        let server = line_server(Duration::MAX).await;
        for _ in 0..20 {
            // The loop does not run between the two.
            drop(resetting(server.local_addrs()[0]));
        }
        is_served(&server).await;
        until_alone(&server).await;
    });
}

#[test]
fn one_that_is_gone_before_its_protocol_is_accepted() {
    on_each_real_loop(async || {
        let server = create_server(Echoing::default, "127.0.0.1:0").await.unwrap();
        for _ in 0..20 {
            drop(client(server.local_addrs()[0]));
        }
        is_served(&server).await;
        until_alone(&server).await;
    });
}

#[test]
fn those_that_say_nothing() {
    on_each_real_loop(async || {
        let server = line_server(Duration::MAX).await;
        let silent: Vec<_> = (0..50).map(|_| client(server.local_addrs()[0])).collect();
        is_served(&server).await;
        while server.clients() != 50 {
            yield_now().await;
        }
        drop(silent);
        until_alone(&server).await;
    });
}

/// Slow loris: many begin a line and never end it. They have their time, and others are served meanwhile.
#[test]
fn those_that_say_one_byte_at_a_time() {
    on_each_real_loop(async || {
        let server = line_server(200 * MS).await;
        let addr = server.local_addrs()[0];
        let dripping = std::thread::spawn(move || {
            let mut loris: Vec<TcpStream> = (0..200).map(|_| client(addr)).collect();
            // Until the last has been thrown out.
            let mut rounds = 0;
            while !loris.is_empty() {
                loris.retain_mut(|stream| stream.write_all(b"x").is_ok());
                // A byte now and then is what this peer does; the test does not depend on how often.
                std::thread::sleep(10 * MS);
                rounds += 1;
                assert!(rounds < 2000, "{} of them are served for ever", loris.len());
            }
        });
        for _ in 0..3 {
            is_served(&server).await;
        }
        joined(dripping).await;
        until_alone(&server).await;
        is_served(&server).await;
    });
}

/// With places for a few, those who wait for a place wait until the idle have had their time.
#[test]
fn idlers_that_have_taken_all_places() {
    on_each_real_loop(async || {
        let handler = |reader, writer| lines(reader, writer, 100 * MS);
        let server = ServerOptions::new().clients_max(3).start_server(handler, "127.0.0.1:0").await.unwrap();
        let idle: Vec<_> = (0..9).map(|_| client(server.local_addrs()[0])).collect();
        is_served(&server).await;
        assert!(server.clients() <= 3);
        drop(idle);
        until_alone(&server).await;
    });
}

#[test]
fn one_that_never_ends_its_line() {
    on_each_real_loop(async || {
        let seen = Rc::new(Cell::new(0));
        let sees = seen.clone();
        let handler = move |mut reader: StreamReader, _writer: StreamWriter| {
            let sees = sees.clone();
            async move {
                reader.set_limit(1000);
                if let Err(ReadError::LimitOverrun { consumed }) = reader.read_line().await {
                    sees.set(consumed);
                }
            }
        };
        let server = start_server(handler, "127.0.0.1:0").await.unwrap();
        let addr = server.local_addrs()[0];
        let sending = std::thread::spawn(move || {
            let mut stream = client(addr);
            // Until it is thrown out.
            while stream.write_all(&[b'x'; 1000]).is_ok() {}
        });
        joined(sending).await;
        until_alone(&server).await;
        assert!(seen.get() > 1000, "it had no end");
    });
}

/// A client that asks and never reads: what is kept for it is bounded by the marks, and it is thrown out in the end.
#[test]
fn one_that_asks_and_does_not_read() {
    on_each_real_loop(async || {
        let most = Rc::new(Cell::new(0));
        let kept = most.clone();
        let handler = move |mut reader: StreamReader, mut writer: StreamWriter| {
            let most = kept.clone();
            async move {
                while let Ok(bytes) = reader.read(10_000).await {
                    // Ten times as much as was asked.
                    (0..10).for_each(|_| writer.write(&bytes));
                    most.set(most.get().max(writer.write_buffer_size()));
                    if bytes.is_empty() || !matches!(timeout(100 * MS, writer.drain()).await, Ok(Ok(()))) {
                        return writer.abort();
                    }
                }
            }
        };
        let server = start_server(handler, "127.0.0.1:0").await.unwrap();
        let addr = server.local_addrs()[0];
        let asking = std::thread::spawn(move || {
            let mut stream = client(addr);
            while stream.write_all(&[1; 10_000]).is_ok() {}
        });
        joined(asking).await;
        until_alone(&server).await;
        assert!(most.get() > 0 && most.get() <= 64 * 1024 + 100_000, "{}", most.get());
    });
}

#[test]
fn one_that_resets_while_it_is_sent_to() {
    on_each_real_loop(async || {
        let (stream, peer) = with_a_peer(|stream| {
            let mut buf = [0; 100_000];
            (&stream).read_exact(&mut buf).unwrap();
            socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
        });
        let (mut reader, mut writer) = stream.into_streams();
        let error = loop {
            if let Err(error) = writer.write_all(&[7; 50_000]).await {
                break error;
            }
        };
        let kinds = [std::io::ErrorKind::ConnectionReset, std::io::ErrorKind::BrokenPipe];
        assert!(kinds.contains(&error.kind()), "{error:?}");
        assert!(reader.read(1).await.is_err());
        assert_eq!(writer.write_buffer_size(), 0, "nothing is kept for nobody");
        joined(peer).await;
    });
}

/// Ends while its own bytes are unread: the system makes a reset of it (RFC 2525), which is told.
#[test]
fn one_that_leaves_what_was_sent_to_it() {
    on_each_real_loop(async || {
        let (stream, peer) = with_a_peer(|mut stream| {
            // There, and not taken.
            while stream.peek(&mut [0; 10]).unwrap() < 10 {}
            stream.write_all(b"bye").unwrap();
        });
        let (mut reader, mut writer) = stream.into_streams();
        writer.write_all(&[7; 10]).await.unwrap();
        assert_eq!(reader.read_exact(3).await.unwrap(), b"bye");
        let end = reader.read(1).await;
        assert_eq!(end.unwrap_err().kind(), std::io::ErrorKind::ConnectionReset);
        joined(peer).await;
    });
}

/// One that floods is received a part at a time: it holds nobody else up, and cannot be thrown out late.
#[test]
fn one_that_sends_without_end() {
    struct Counts {
        transport: Option<Transport>,
        count: Rc<Cell<usize>>,
    }

    impl Protocol for Counts {
        fn connection_made(&mut self, transport: Transport) {
            self.transport = Some(transport);
        }

        fn data_received(&mut self, data: &[u8]) {
            self.count.set(self.count.get() + data.len());
        }
    }

    on_each_real_loop(async || {
        let count = Rc::new(Cell::new(0));
        let counts = count.clone();
        let make = move || Counts { transport: None, count: counts.clone() };
        let server = create_server(make, "127.0.0.1:0").await.unwrap();
        let addr = server.local_addrs()[0];
        let flooding: Vec<_> = (0..2)
            .map(|_| {
                std::thread::spawn(move || {
                    let mut stream = client(addr);
                    while stream.write_all(&[1; 100_000]).is_ok() {}
                })
            })
            .collect();
        let other = line_server(Duration::MAX).await;
        while count.get() < 20_000_000 {
            is_served(&other).await;
        }
        server.abort_clients();
        settled().await;
        let at_the_end = count.get();
        for thread in flooding {
            joined(thread).await;
        }
        until_alone(&server).await;
        assert_eq!(count.get(), at_the_end, "nothing comes after the end");
    });
}

//! A network between the two that cuts, delays and changes.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use asyncio_net::ServerOptions;
use asyncio_tasks::{timeout, yield_now};
use futures_lite::{AsyncReadExt, AsyncWriteExt};

use super::{acceptor, connector, tls_pair};
use crate::cancel::polled;
use crate::worlds::{on_each_loop, on_each_real_loop, pattern};

/// What is done to the bytes of one connection.
#[derive(Clone, Copy, Debug)]
enum Between {
    /// Passed on one by one.
    Slow,
    /// Cut off after so many from the server.
    Cut(usize),
    /// That one of the server's is another.
    Changed(usize),
}

/// Stands between one client and `server`.
fn between(server: SocketAddr, what: Between) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    thread::spawn(move || {
        let (client, _) = listener.accept().unwrap();
        let server = TcpStream::connect(server).unwrap();
        for stream in [&client, &server] {
            stream.set_nodelay(true).unwrap();
        }
        let (from, to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
        let there = thread::spawn(move || pass(&from, &to, |_, byte| Some(byte), what));
        pass(
            &server,
            &client,
            |n, byte| match what {
                Between::Cut(at) if n >= at => None,
                Between::Changed(at) if n == at => Some(byte ^ 1),
                _ => Some(byte),
            },
            what,
        );
        let _ = client.shutdown(Shutdown::Both);
        let _ = server.shutdown(Shutdown::Both);
        there.join().unwrap();
    });
    addr
}

fn pass(
    mut from: &TcpStream,
    mut to: &TcpStream,
    mut change: impl FnMut(usize, u8) -> Option<u8>,
    what: Between,
) {
    let (mut buf, mut n) = ([0; 4096], 0);
    while let Ok(read @ 1..) = from.read(&mut buf) {
        let mut bytes = Vec::new();
        let is_cut = buf[..read].iter().any(|byte| match change(n, *byte) {
            Some(byte) => {
                bytes.push(byte);
                n += 1;
                false
            }
            None => true,
        });
        let step = if matches!(what, Between::Slow) { 1 } else { bytes.len().max(1) };
        if bytes.chunks(step).any(|chunk| to.write_all(chunk).is_err()) || is_cut {
            return;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}

async fn server(limit: Duration) -> asyncio_net::Server {
    let acceptor = acceptor().handshake_timeout(limit).shutdown_timeout(limit).build().unwrap();
    let greet = async |_reader, mut writer: asyncio_net::StreamWriter| {
        writer.write(b"a greeting");
        let _ = writer.close().await;
    };
    ServerOptions::new().tls(acceptor).start_server(greet, "127.0.0.1:0").await.unwrap()
}

/// What a client reads through it.
async fn read(addr: SocketAddr) -> std::io::Result<Vec<u8>> {
    let connector = connector().build().unwrap();
    let stream = asyncio_net::TcpStream::connect(addr).await.unwrap();
    let mut stream = connector.connect("server.test", stream).await?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await?;
    Ok(bytes)
}

const LIMIT: Duration = Duration::from_secs(20);

#[test]
fn byte_by_byte() {
    on_each_real_loop(async || {
        let server = server(LIMIT).await;
        let addr = between(server.local_addrs()[0], Between::Slow);
        assert_eq!(timeout(LIMIT, read(addr)).await.unwrap().unwrap(), b"a greeting");
    });
}

/// At every byte that the server sends: the client has an error, soon, and never a clean end before all.
#[test]
fn cut_off_anywhere() {
    on_each_real_loop(async || {
        let server = server(LIMIT).await;
        let mut at = 0;
        loop {
            let addr = between(server.local_addrs()[0], Between::Cut(at));
            match timeout(LIMIT, read(addr)).await.expect("it hangs") {
                Ok(bytes) => {
                    assert_eq!(bytes, b"a greeting");
                    break;
                }
                Err(_) => at += if at < 20 { 1 } else { 37 },
            }
        }
        assert!(at > 500, "{at}");
        while server.clients() > 0 {
            yield_now().await;
        }
    });
}

/// No byte can be changed without the client's seeing it.
#[test]
fn changed_anywhere() {
    on_each_real_loop(async || {
        let server = server(Duration::from_millis(200)).await;
        for at in (0..900).step_by(89) {
            let addr = between(server.local_addrs()[0], Between::Changed(at));
            let read = timeout(LIMIT, read(addr)).await.expect("it hangs");
            assert!(read.is_err(), "{at}: {read:?}");
        }
        while server.clients() > 0 {
            yield_now().await;
        }
    });
}

/// Dropped at every poll, a read and a write lose nothing.
#[test]
fn dropped_at_every_poll() {
    on_each_loop(async || {
        let (client, mut server) = tls_pair().await;
        let (mut reader, mut writer) = client.into_split();
        let bytes = pattern(200_000);
        let (mut sent, mut read) = (0, Vec::new());
        while read.len() < bytes.len() {
            let mut buf = [0; 7000];
            if sent < bytes.len() {
                if let Some(n) = polled(server.write(&bytes[sent..]), 1).await {
                    sent += n.unwrap();
                }
            }
            if let Some(n) = polled(reader.read(&mut buf), 1).await {
                read.extend_from_slice(&buf[..n.unwrap()]);
            }
            yield_now().await;
        }
        assert!(read == bytes);
        writer.write_all(b"x").await.unwrap();
        server.read_exact(&mut [0]).await.unwrap();
    });
}

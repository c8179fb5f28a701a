//! Handshakes without end: what a connection took is given back, memory and descriptors. A process of its own, since both are the process's.
//!
//! 600 handshakes, or 50,000 with `ASYNCIO_SOAK_SECONDS`.

#![cfg(all(target_os = "linux", feature = "tls"))]
#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

use std::io;
use std::time::{Duration, Instant};

use asyncio_net::tls::{TlsAcceptor, TlsConnector};
use asyncio_net::{ServerOptions, StreamReader, StreamWriter, TcpStream};
use asyncio_runtime::run;
use asyncio_tasks::yield_now;
use futures_lite::{AsyncReadExt, AsyncWriteExt};

fn resident() -> u64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap();
    text.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4096
}

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

async fn echo(mut reader: StreamReader, mut writer: StreamWriter) -> io::Result<()> {
    let bytes = reader.read(64).await?;
    writer.write(&bytes);
    writer.close().await
}

/// TL-F15.
#[test]
fn handshakes_leave_nothing_behind() {
    let count = if std::env::var_os("ASYNCIO_SOAK_SECONDS").is_some() { 50_000 } else { 600 };
    let rcgen::CertifiedKey { cert, signing_key } =
        rcgen::generate_simple_self_signed(["server.test".to_owned()]).unwrap();
    run(async {
        let acceptor = TlsAcceptor::new(cert.pem(), signing_key.serialize_pem()).unwrap();
        let connector = TlsConnector::builder().roots(cert.pem()).build().unwrap();
        let server = ServerOptions::new().tls(acceptor).start_server(echo, "127.0.0.1:0").await.unwrap();
        let (addr, mut memory, base) = (server.local_addrs()[0], 0, descriptors());
        for n in 0..count {
            // What sessions and the allocator keep is there after a part of them: 256 sessions are the most.
            if n == count / 2 {
                memory = resident();
            }
            let stream = TcpStream::connect(addr).await.unwrap();
            if n % 10 == 0 {
                // One that goes before it has shaken hands, in the midst of its first word.
                let mut stream = stream;
                stream.write_all(&[22, 3, 1, 2, 0, 1]).await.unwrap();
                continue;
            }
            let mut stream = connector.connect("server.test", stream).await.unwrap();
            stream.write_all(b"hello").await.unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.unwrap();
            assert_eq!(answer, "hello");
            if n % 3 == 0 {
                stream.close().await.unwrap();
            }
        }
        let end = Instant::now() + Duration::from_secs(60);
        while server.clients() > 0 || descriptors() > base {
            let (clients, left) = (server.clients(), descriptors());
            assert!(Instant::now() < end, "{clients} clients, {left} descriptors of {base} are left");
            yield_now().await;
        }
        let grown = resident().saturating_sub(memory);
        assert!(grown < 2 << 20, "{grown} bytes more after {} handshakes", count / 2);
    });
}

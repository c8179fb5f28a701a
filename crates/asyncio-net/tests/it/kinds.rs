//! The same over every kind of socket that there is.

use asyncio_net::protocol::{create_connection, create_server};
use asyncio_net::{TcpListener, TcpStream, open_connection, start_server};
use asyncio_tasks::yield_now;
use futures_lite::{AsyncReadExt, AsyncWriteExt};

use crate::protocol::Echo;
use crate::worlds::{on_each_loop, pattern};

/// Where both families are to be had.
const HERE: [&str; 2] = ["127.0.0.1:0", "[::1]:0"];

#[test]
fn sockets_of_both_families() {
    on_each_loop(async || {
        for here in HERE {
            let listener = TcpListener::bind(here).await.unwrap();
            let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
            let (mut server, from) = listener.accept().await.unwrap();
            assert_eq!(from, client.local_addr().unwrap());
            client.write_all(b"over either").await.unwrap();
            let mut buf = [0; 11];
            server.read_exact(&mut buf).await.unwrap();
            assert_eq!(&buf, b"over either");
        }
    });
}

#[test]
fn streams_of_both_families() {
    on_each_loop(async || {
        for here in HERE {
            let handler = |mut reader: asyncio_net::StreamReader, mut writer: asyncio_net::StreamWriter| async move {
                let bytes = reader.read_to_end().await?;
                writer.write(&bytes);
                writer.close().await
            };
            let server = start_server(handler, here).await.unwrap();
            let (mut reader, mut writer) = open_connection(server.local_addrs()[0]).await.unwrap();
            assert_eq!(writer.peer_addr().unwrap(), server.local_addrs()[0]);
            let bytes = pattern(100_000);
            writer.write(&bytes);
            writer.write_eof();
            assert!(reader.read_to_end().await.unwrap() == bytes);
        }
    });
}

#[test]
fn protocols_of_both_families() {
    on_each_loop(async || {
        for here in HERE {
            let server = create_server(Echo::default, here).await.unwrap();
            let (mut reader, mut writer) = open_connection(server.local_addrs()[0]).await.unwrap();
            writer.write(b"over either");
            assert_eq!(reader.read_exact(11).await.unwrap(), b"over either");
        }
    });
}

/// The descriptors of this process, where that can be asked; other tests open and close theirs meanwhile, so a bound is all that can be said.
#[cfg(target_os = "linux")]
fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// A thousand connections, one after the other, ended in every way: none is left.
#[cfg(target_os = "linux")]
#[test]
fn no_descriptor_is_left() {
    on_each_loop(async || {
        let server = create_server(Echo::default, "127.0.0.1:0").await.unwrap();
        let addr = server.local_addrs()[0];
        let before = descriptors();
        for n in 0..1000 {
            match n % 5 {
                0 => drop(open_connection(addr).await.unwrap()),
                1 => {
                    let (_reader, mut writer) = open_connection(addr).await.unwrap();
                    writer.write(b"x");
                    writer.abort();
                }
                2 => {
                    let (transport, _) = create_connection(Echo::default, addr).await.unwrap();
                    transport.close();
                }
                3 => {
                    let (transport, _) = create_connection(Echo::default, addr).await.unwrap();
                    transport.write(b"x");
                    transport.abort();
                }
                _ => {
                    let mut stream = TcpStream::connect(addr).await.unwrap();
                    stream.write_all(b"x").await.unwrap();
                }
            }
        }
        while server.clients() > 0 {
            yield_now().await;
        }
        let left = descriptors().saturating_sub(before);
        assert!(left < 500, "{left} of some thousand descriptors are left");
    });
}

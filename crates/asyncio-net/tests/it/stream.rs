//! `TcpStream`: bytes, halves, ends, errors, and std's sockets.

use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::net::Shutdown;
use std::time::Duration;

use asyncio_net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use asyncio_net::{TcpListener, TcpStream};
use asyncio_tasks::{spawn_local, timeout};
use futures_lite::{AsyncReadExt, AsyncWriteExt};
use static_assertions::assert_impl_all;

use crate::worlds::{on_each_loop, on_each_real_loop, pair};

assert_impl_all!(TcpStream: Send, Sync, Unpin);
assert_impl_all!(TcpListener: Send, Sync, Unpin);
assert_impl_all!(OwnedReadHalf: Send, Sync, Unpin);
assert_impl_all!(OwnedWriteHalf: Send, Sync, Unpin);

#[test]
fn a_megabyte_each_way_at_once() {
    on_each_loop(async || {
        let (client, server) = pair().await;
        let ends = [client, server].map(|stream| {
            let (mut reader, mut writer) = stream.into_split();
            let sending = spawn_local(async move {
                let bytes: Vec<u8> = (0..1 << 18_u32).flat_map(u32::to_le_bytes).collect();
                writer.write_all(&bytes).await.unwrap();
                writer.close().await.unwrap();
            });
            let receiving = spawn_local(async move {
                let mut bytes = Vec::new();
                reader.read_to_end(&mut bytes).await.unwrap();
                bytes
            });
            (sending, receiving)
        });
        for (sending, receiving) in ends {
            sending.await.unwrap();
            let bytes = receiving.await.unwrap();
            assert!(bytes.chunks(4).zip(0_u32..).all(|(chunk, n)| chunk == n.to_le_bytes()));
            assert_eq!(bytes.len(), 1 << 20);
        }
    });
}

#[test]
fn peek_leaves_the_bytes_and_vectored_calls_fill_in_order() {
    on_each_loop(async || {
        let (mut client, mut server) = pair().await;
        let sent = client.write_vectored(&[IoSlice::new(b"ab"), IoSlice::new(b"cde")]).await.unwrap();
        assert_eq!(sent, 5);
        let mut buf = [0; 8];
        while server.peek(&mut buf).await.unwrap() < 5 {}
        assert_eq!(&buf[..5], b"abcde");
        let (mut one, mut rest) = ([0; 1], [0; 8]);
        let bufs = &mut [IoSliceMut::new(&mut one), IoSliceMut::new(&mut rest)];
        assert_eq!(server.read_vectored(bufs).await.unwrap(), 5);
        assert_eq!((&one, &rest[..4]), (b"a", &b"bcde"[..]));
        assert!(timeout(Duration::from_millis(5), server.peek(&mut buf)).await.is_err(), "empty again");
    });
}

#[test]
fn halves_are_lent_or_owned_and_found_together_again() {
    on_each_loop(async || {
        let (mut client, server) = pair().await;
        let (mut reader, mut writer) = client.split();
        writer.write_all(b"lent").await.unwrap();
        let (mut server_reader, mut server_writer) = server.into_split();
        let mut buf = [0; 4];
        server_reader.read_exact(&mut buf).await.unwrap();
        server_writer.write_all(&buf).await.unwrap();
        reader.read_exact(&mut buf).await.unwrap();
        assert_eq!(&buf, b"lent");

        let (other, _peer) = pair().await;
        let (other_reader, other_writer) = other.into_split();
        let error = server_reader.reunite(other_writer).unwrap_err();
        let (server_reader, other_writer) = (error.0, error.1);
        other_reader.reunite(other_writer).unwrap();
        let mut server = server_reader.reunite(server_writer).unwrap();
        server.write_all(b"together").await.unwrap();
        let mut buf = [0; 8];
        client.read_exact(&mut buf).await.unwrap();
        assert_eq!(&buf, b"together", "putting halves together does not shut anything down");
    });
}

#[test]
fn a_dropped_write_half_is_an_end_and_the_other_direction_goes_on() {
    on_each_loop(async || {
        let (client, mut server) = pair().await;
        let (mut reader, writer) = client.into_split();
        drop(writer);
        let mut text = String::new();
        server.read_to_string(&mut text).await.unwrap();
        assert_eq!(text, "");
        server.write_all(b"bye").await.unwrap();
        drop(server);
        reader.read_to_string(&mut text).await.unwrap();
        assert_eq!(text, "bye");
    });
}

#[test]
fn resets_and_closed_peers_are_errors() {
    on_each_loop(async || {
        let (client, mut server) = pair().await;
        client.set_linger(Some(Duration::ZERO)).unwrap();
        drop(client);
        let error = server.read(&mut [0; 8]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);

        let (mut client, server) = pair().await;
        drop(server);
        let error = loop {
            if let Err(error) = client.write_all(&[0; 4096]).await {
                break error;
            }
        };
        assert!(
            [io::ErrorKind::BrokenPipe, io::ErrorKind::ConnectionReset].contains(&error.kind()),
            "{error}"
        );
        client.close().await.unwrap();
    });
}

#[test]
fn a_blocking_socket_of_std_is_made_non_blocking_and_given_back() {
    on_each_real_loop(async || {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let mut theirs = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let mut ours = TcpStream::from_std(listener.accept().unwrap().0).unwrap();
        let waits = timeout(Duration::from_millis(5), ours.read(&mut [0; 8])).await;
        assert!(waits.is_err(), "it blocks the loop, or reads what is not there");
        theirs.write_all(b"std").unwrap();
        let mut buf = [0; 3];
        ours.read_exact(&mut buf).await.unwrap();
        assert_eq!(&buf, b"std");

        let mut back = ours.into_std().unwrap();
        back.set_nonblocking(false).unwrap();
        theirs.write_all(b"again").unwrap();
        let mut buf = [0; 5];
        back.read_exact(&mut buf).unwrap();
        assert_eq!(&buf, b"again");
    });
}

#[test]
fn options_and_addresses() {
    on_each_loop(async || {
        let (client, server) = pair().await;
        assert_eq!(client.peer_addr().unwrap(), server.local_addr().unwrap());
        for nodelay in [true, false] {
            client.set_nodelay(nodelay).unwrap();
            assert_eq!(client.nodelay().unwrap(), nodelay);
        }
        client.set_ttl(42).unwrap();
        assert!(client.take_error().unwrap().is_none());
        client.shutdown(Shutdown::Both).unwrap();
    });
}

#[test]
fn a_refused_connection_names_the_address() {
    on_each_loop(async || {
        let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let error = TcpStream::connect(gone).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        assert!(error.to_string().contains(&gone.to_string()), "{error}");
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let both = [gone, listener.local_addr().unwrap()];
        TcpStream::connect(&both[..]).await.unwrap();
        let none: &[std::net::SocketAddr] = &[];
        assert_eq!(TcpStream::connect(none).await.unwrap_err().kind(), io::ErrorKind::InvalidInput);
    });
}

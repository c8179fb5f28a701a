//! Bytes under TLS, by sockets, streams and protocols.

use asyncio_net::protocol::create_connection;
use asyncio_net::tls::{TlsInfo, TlsStream};
use asyncio_net::{ConnectOptions, ServerOptions, StreamReader, StreamWriter};
use asyncio_tasks::{spawn_local, yield_now};
use futures_lite::{AsyncReadExt, AsyncWriteExt};
use static_assertions::assert_impl_all;

use super::{acceptor, connector, on_each, tls_pair};
use crate::protocol::{Echo, Log, Recorder};
use crate::worlds::{on_each_loop, on_each_real_loop, pattern};

assert_impl_all!(TlsStream: Send, Sync, Unpin, std::fmt::Debug);

async fn echo(mut reader: StreamReader, mut writer: StreamWriter) -> std::io::Result<()> {
    loop {
        let bytes = reader.read(30_000).await?;
        if bytes.is_empty() {
            return writer.close().await;
        }
        writer.write_all(&bytes).await?;
    }
}

#[test]
fn megabytes_go_both_ways_at_once() {
    on_each(async |client, server| {
        let bytes = pattern(3_000_000);
        let (mut client_in, mut client_out) = client.into_split();
        let (mut server_in, mut server_out) = server.into_split();
        let mut read = (vec![0; bytes.len()], vec![0; bytes.len()]);
        let (sent, heard) = (bytes.clone(), bytes.clone());
        futures::try_join!(
            async { client_out.write_all(&sent).await },
            async { server_out.write_all(&heard).await },
            client_in.read_exact(&mut read.0),
            server_in.read_exact(&mut read.1),
        )
        .unwrap();
        assert!(read.0 == bytes && read.1 == bytes);
    });
}

#[test]
fn in_sizes_around_those_of_records() {
    on_each(async |client, mut server| {
        let (mut client_in, mut client_out) = client.into_split();
        for size in [1, 2, 16_383, 16_384, 16_385, 65_535, 65_536, 65_537, 200_000] {
            let bytes = pattern(size);
            let sent = bytes.clone();
            let mut read = vec![0; size];
            futures::try_join!(async { client_out.write_all(&sent).await }, server.read_exact(&mut read))
                .unwrap();
            assert!(read == bytes, "{size}");
            server.write_all(b"yes").await.unwrap();
            client_in.read_exact(&mut read[..3.min(size)]).await.unwrap();
            if size < 3 {
                client_in.read_exact(&mut vec![0; 3 - size]).await.unwrap();
            }
        }
    });
}

#[test]
fn peek_leaves_the_bytes_and_vectored_calls_fill_in_order() {
    on_each(async |client, mut server| {
        let (mut reader, _writer) = client.into_split();
        let bufs =
            [std::io::IoSlice::new(b"abc"), std::io::IoSlice::new(b""), std::io::IoSlice::new(b"defg")];
        assert_eq!(server.write_vectored(&bufs).await.unwrap(), 7);
        let mut peeked = [0; 5];
        assert_eq!(reader.peek(&mut peeked).await.unwrap(), 5);
        assert_eq!(&peeked, b"abcde");
        let (mut one, mut two) = ([0; 2], [0; 9]);
        let mut bufs = [std::io::IoSliceMut::new(&mut one), std::io::IoSliceMut::new(&mut two)];
        assert_eq!(reader.read_vectored(&mut bufs).await.unwrap(), 7);
        assert_eq!((&one, &two[..5]), (b"ab", &b"cdefg"[..]));
    });
}

#[test]
fn streams_with_tls() {
    on_each_loop(async || {
        let server = ServerOptions::new()
            .tls(acceptor().build().unwrap())
            .start_server(echo, "127.0.0.1:0")
            .await
            .unwrap();
        let options = ConnectOptions::new().tls(connector().build().unwrap(), "server.test");
        let bytes = pattern(1_000_000);
        for _ in 0..3 {
            let (mut reader, mut writer) = options.open_connection(server.local_addrs()[0]).await.unwrap();
            assert!(TlsInfo::of(&**reader.socket()).is_some());
            let sent = bytes.clone();
            let sending = spawn_local(async move {
                writer.write_all(&sent).await.unwrap();
                writer.write_eof();
                writer
            });
            assert!(reader.read_to_end().await.unwrap() == bytes);
            sending.await.unwrap().close().await.unwrap();
        }
        while server.clients() > 0 {
            yield_now().await;
        }
    });
}

#[test]
fn lines_with_tls() {
    on_each(async |client, server| {
        let ((mut client_in, mut client_out), (mut server_in, mut server_out)) =
            (client.into_streams(), server.into_streams());
        client_out.write(b"one\ntwo\nthr");
        assert_eq!(server_in.read_line().await.unwrap().unwrap(), b"one\n");
        client_out.write(b"ee\n");
        assert_eq!(server_in.read_line().await.unwrap().unwrap(), b"two\n");
        assert_eq!(server_in.read_line().await.unwrap().unwrap(), b"three\n");
        server_out.write(b"that was all?");
        server_out.write_eof();
        assert_eq!(client_in.read_to_end().await.unwrap(), b"that was all?");
    });
}

#[test]
fn protocols_with_tls() {
    on_each_loop(async || {
        let options = ServerOptions::new().tls(acceptor().build().unwrap());
        let server = options.create_server(Echo::default, "127.0.0.1:0").await.unwrap();
        let addr = server.local_addrs()[0];
        let log = Log::default();
        let options = ConnectOptions::new().tls(connector().build().unwrap(), "server.test");
        let (transport, handle) = options.create_connection(|| Recorder::new(&log), addr).await.unwrap();
        assert!(TlsInfo::of(&*transport.socket().unwrap()).is_some());
        let bytes = pattern(2_000_000);
        transport.write(&bytes);
        while handle.with(|recorder| recorder.received.len()) < bytes.len() {
            yield_now().await;
        }
        assert!(handle.with(|recorder| recorder.received == bytes));
        transport.close();
        log.until("lost").await;
        // One that speaks no TLS is turned away, and its protocol is never made.
        let plain = Log::default();
        let (transport, _) = create_connection(|| Recorder::new(&plain), addr).await.unwrap();
        transport.write(b"GET / HTTP/1.0\r\n\r\n");
        while !transport.is_closing() {
            yield_now().await;
        }
        while server.clients() > 0 {
            yield_now().await;
        }
    });
}

#[test]
fn what_was_agreed_on_is_known_on_both_sides() {
    on_each_loop(async || {
        let (client, server) = crate::worlds::pair().await;
        let connector = connector().alpn(["h3", "h2"]).build().unwrap();
        let acceptor = acceptor().alpn(["http/1.1", "h2"]).build().unwrap();
        let (client, server) =
            futures::try_join!(connector.connect("server.test", client), acceptor.accept(server)).unwrap();
        let (client, server) = (client.info(), server.info());
        assert_eq!((client.alpn.as_deref(), server.alpn.as_deref()), (Some(&b"h2"[..]), Some(&b"h2"[..])));
        assert_eq!(client.version, server.version);
        assert!(client.version.is_some() && client.cipher_suite == server.cipher_suite);
        assert_eq!((server.server_name.as_deref(), &client.server_name), (Some("server.test"), &None));
        assert_eq!((client.peer_certificates.len(), server.peer_certificates.len()), (1, 0));
        assert!(format!("{client:?}").contains("alpn: Some(\"h2\")"), "{client:?}");
    });
}

#[test]
fn a_session_is_taken_up_again() {
    on_each_loop(async || {
        let (connector, acceptor) = (connector().build().unwrap(), acceptor().build().unwrap());
        for round in 0..2 {
            let (client, server) = crate::worlds::pair().await;
            let (mut client, mut server) =
                futures::try_join!(connector.connect("server.test", client), acceptor.accept(server))
                    .unwrap();
            // With the first bytes come the tickets.
            server.write_all(b"x").await.unwrap();
            client.read_exact(&mut [0]).await.unwrap();
            assert_eq!((client.info().is_resumed, server.info().is_resumed), (round == 1, round == 1));
        }
    });
}

/// By each direction in a thread of its own.
#[test]
fn from_two_threads() {
    on_each_real_loop(async || {
        let (client, server) = tls_pair().await;
        let echo = spawn_local(async move {
            let (reader, writer) = server.into_streams();
            echo(reader, writer).await
        });
        let (mut reader, mut writer) = client.into_split();
        let bytes = pattern(500_000);
        let sent = bytes.clone();
        let writing = std::thread::spawn(move || {
            asyncio_executor::block_on(async {
                writer.write_all(&sent).await.unwrap();
                writer.close().await.unwrap();
                writer
            })
        });
        let reading = std::thread::spawn(move || {
            let mut bytes = Vec::new();
            asyncio_executor::block_on(reader.read_to_end(&mut bytes)).unwrap();
            bytes
        });
        while !reading.is_finished() {
            yield_now().await;
        }
        assert!(reading.join().unwrap() == bytes);
        drop(writing.join().unwrap());
        echo.await.unwrap().unwrap();
    });
}

/// The system would send it as it stands: so it is read.
#[test]
fn a_file_is_encrypted_too() {
    on_each_loop(async || {
        let (client, server) = tls_pair().await;
        let path = std::env::temp_dir().join(format!("asyncio-tls-file-{}", std::process::id()));
        std::fs::write(&path, pattern(1_000_000)).unwrap();
        let file = std::fs::File::open(&path).unwrap();
        let (_reader, mut writer) = client.into_streams();
        let sending = spawn_local(async move {
            assert_eq!(writer.send_file(&file, 1..).await.unwrap(), 999_999);
            writer.write_eof();
            writer
        });
        let (mut reader, _kept) = server.into_streams();
        assert!(reader.read_to_end().await.unwrap() == pattern(1_000_000)[1..]);
        drop(sending.await.unwrap());
        std::fs::remove_file(path).unwrap();
    });
}

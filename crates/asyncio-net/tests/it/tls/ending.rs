//! How a connection under TLS ends: by close_notify, or not.

use std::io;
use std::net::Shutdown;
use std::time::Duration;

use asyncio_reactor::Socket;
use asyncio_tasks::spawn_local;
use futures_lite::{AsyncReadExt, AsyncWriteExt};

use super::{acceptor, connector, on_each, tls_pair, tls_pair_and_below};
use crate::worlds::{on_each_loop, pair, pattern};

#[test]
fn the_end_of_a_direction_is_clean_and_the_other_goes_on() {
    on_each(async |mut client, mut server| {
        client.write_all(b"a question").await.unwrap();
        AsyncWriteExt::close(&mut client).await.unwrap();
        let mut question = Vec::new();
        server.read_to_end(&mut question).await.unwrap();
        assert_eq!(question, b"a question");
        server.write_all(b"an answer").await.unwrap();
        AsyncWriteExt::close(&mut server).await.unwrap();
        let mut answer = Vec::new();
        client.read_to_end(&mut answer).await.unwrap();
        assert_eq!(answer, b"an answer");
        assert_eq!(client.read(&mut [0]).await.unwrap(), 0, "the end stays");
    });
}

#[test]
fn nothing_is_written_after_the_end() {
    on_each(async |mut client, _server| {
        AsyncWriteExt::close(&mut client).await.unwrap();
        let error = client.write(b"late").await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
    });
}

/// Somebody in between has cut it short: what came can be read, and then there is an error, every time.
#[test]
fn an_end_without_close_notify_is_an_error() {
    on_each_loop(async || {
        let (mut client, mut server, [_, below]) = tls_pair_and_below().await;
        let bytes = pattern(50_000);
        server.write_all(&bytes).await.unwrap();
        server.flush().await.unwrap();
        below.shutdown(Shutdown::Write).unwrap();
        let mut read = Vec::new();
        for _ in 0..3 {
            let error = client.read_to_end(&mut read).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof, "{error}");
            assert!(error.to_string().contains("close_notify"), "{error}");
        }
        assert!(read == bytes);
    });
}

#[test]
fn one_that_is_dropped_is_not_taken_for_one_that_has_ended() {
    on_each(async |mut client, server| {
        drop(server);
        let error = client.read(&mut [0]).await.unwrap_err();
        assert!(
            matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset),
            "{error}"
        );
    });
}

#[test]
fn a_half_that_is_dropped_ends_its_direction() {
    on_each(async |client, mut server| {
        let (mut reader, mut writer) = client.into_split();
        writer.write_all(b"all").await.unwrap();
        drop(writer);
        let mut read = Vec::new();
        server.read_to_end(&mut read).await.unwrap();
        assert_eq!(read, b"all");
        server.write_all(b"yes").await.unwrap();
        reader.read_exact(&mut [0; 3]).await.unwrap();
    });
}

#[test]
fn whoever_closes_waits_for_the_peers_goodbye() {
    on_each(async |client, mut server| {
        let closing = spawn_local(client.close());
        // It is on its way, and is not through before the other has answered.
        assert_eq!(server.read(&mut [0]).await.unwrap(), 0);
        for _ in 0..50 {
            asyncio_tasks::yield_now().await;
        }
        assert!(!closing.is_finished());
        // What comes before that is passed over.
        server.write_all(&[7; 100_000]).await.unwrap();
        server.close().await.unwrap();
        closing.await.unwrap().unwrap();
    });
}

#[test]
fn a_peer_that_does_not_say_goodbye_is_not_waited_for_for_ever() {
    on_each_loop(async || {
        let (client, server) = pair().await;
        let connector = connector().shutdown_timeout(Duration::from_millis(30)).build().unwrap();
        let acceptor = acceptor().build().unwrap();
        let (client, _silent) =
            futures::try_join!(connector.connect("server.test", client), acceptor.accept(server)).unwrap();
        let error = client.close().await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut, "{error}");
        assert!(error.to_string().contains("close_notify"), "{error}");
    });
}

#[test]
fn streams_say_goodbye_when_they_are_closed() {
    on_each(async |client, server| {
        let ((mut client_in, mut client_out), (mut server_in, mut server_out)) =
            (client.into_streams(), server.into_streams());
        client_out.write(&pattern(500_000));
        let closing = spawn_local(async move { client_out.close().await });
        assert!(server_in.read_to_end().await.unwrap() == pattern(500_000), "everything, and a clean end");
        server_out.close().await.unwrap();
        closing.await.unwrap().unwrap();
        assert_eq!(client_in.read(1).await.unwrap(), b"");
    });
}

#[test]
fn abort_says_nothing() {
    on_each(async |client, server| {
        let ((_client_in, mut client_out), (mut server_in, _server_out)) =
            (client.into_streams(), server.into_streams());
        client_out.abort();
        assert!(server_in.read(1).await.is_err());
    });
}

/// More than the sockets below take: the rest is kept, goes out by itself, and no more is taken meanwhile.
#[test]
fn what_is_not_taken_goes_out_in_the_background() {
    on_each_loop(async || {
        let (mut client, mut server) = tls_pair().await;
        let mut sent = 0;
        // Until a write waits.
        while let Some(n) = futures_lite::future::poll_once(client.write(&[7; 50_000])).await {
            sent += n.unwrap();
        }
        assert!(sent > 50_000);
        let mut read = vec![0; sent];
        // Nobody polls the writer any more.
        server.read_exact(&mut read).await.unwrap();
        assert!(read.iter().all(|byte| *byte == 7));
        client.write_all(b"and on").await.unwrap();
        server.read_exact(&mut read[..6]).await.unwrap();
        assert_eq!(&read[..6], b"and on");
    });
}

#[test]
fn a_socket_of_tls_is_bytes_alone() {
    on_each(async |client, _server| {
        let socket: &dyn Socket = &**client.socket();
        assert!(socket.descriptor().is_none(), "what were written to it would be no TLS");
        assert!(socket.listen(1).is_err());
        assert!(socket.peer_addr().is_ok());
    });
}

/// What was taken and cannot be sent is lost, and closing says so.
#[test]
fn closing_says_that_something_was_lost() {
    on_each_loop(async || {
        let (mut client, server, [_, below]) = tls_pair_and_below().await;
        while futures_lite::future::poll_once(client.write(&[7; 50_000])).await.is_some() {}
        below.socket().reset().unwrap();
        drop((server, below));
        // Until it is known that the rest cannot be sent.
        while !matches!(futures_lite::future::poll_once(client.write(b"x")).await, Some(Err(_))) {
            asyncio_tasks::yield_now().await;
        }
        let error = client.close().await.unwrap_err();
        let kinds = [io::ErrorKind::ConnectionReset, io::ErrorKind::BrokenPipe];
        assert!(kinds.contains(&error.kind()), "{error}");
    });
}

/// A fault does not hide what came before it: here the last record is changed on its way.
#[test]
fn what_came_before_a_fault_can_be_read() {
    on_each_loop(async || {
        let (mut client, mut server, [_, mut below]) = tls_pair_and_below().await;
        server.write_all(b"good").await.unwrap();
        // A record of application data with nothing true in it.
        below.write_all(&[&[23, 3, 3, 0, 40][..], &[9; 40]].concat()).await.unwrap();
        let mut read = [0; 4];
        client.read_exact(&mut read).await.unwrap();
        assert_eq!(&read, b"good");
        for _ in 0..3 {
            let error = client.read(&mut read).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{error}");
        }
    });
}

/// One that has ended without a goodbye says so as often as it is asked, and can be closed.
#[test]
fn one_that_has_come_to_a_bad_end_can_be_closed() {
    on_each_loop(async || {
        let (mut client, _server, [_, below]) = tls_pair_and_below().await;
        below.shutdown(Shutdown::Write).unwrap();
        for _ in 0..3 {
            client.read(&mut [0]).await.unwrap_err();
        }
        let _ = client.close().await;
    });
}

/// Whoever closes takes what still comes: nobody reads some of it, and takes it for all.
#[test]
fn after_close_nothing_is_read_in_part() {
    on_each(async |client, mut server| {
        let ((mut client_in, mut client_out), bytes) = (client.into_streams(), pattern(100_000));
        server.write_all(&bytes).await.unwrap();
        let closing = spawn_local(async move { client_out.close().await });
        for _ in 0..20 {
            asyncio_tasks::yield_now().await;
        }
        let reading = spawn_local(async move { client_in.read_to_end().await });
        server.close().await.unwrap();
        closing.await.unwrap().unwrap();
        assert_eq!(reading.await.unwrap().unwrap(), b"", "none of it, and the peer's own end");
    });
}

/// A client that ends without a goodbye has its whole answer, and ours.
#[test]
fn an_answer_is_whole_though_the_other_direction_was_cut() {
    on_each_loop(async || {
        let (mut client, server, [below, _]) = tls_pair_and_below().await;
        below.shutdown(Shutdown::Write).unwrap();
        let (mut reader, mut writer) = server.into_streams();
        writer.write(&pattern(50_000));
        reader.read(1).await.unwrap_err();
        drop(writer);
        let mut read = Vec::new();
        client.read_to_end(&mut read).await.unwrap();
        assert!(read == pattern(50_000));
    });
}

/// `flush` that was given up does not keep `close` from its limit, whether the bytes are being sent in the background by then or not; nor does an
/// end that was written before.
#[test]
fn what_waits_in_the_background_does_not_hold_the_end_up() {
    for (turns, writes_eof) in [(0, false), (20, false), (20, true)] {
        on_each_loop(async || {
            let (client, server) = pair().await;
            let connector = connector().shutdown_timeout(Duration::from_millis(50)).build().unwrap();
            let acceptor = acceptor().build().unwrap();
            let (client, _silent) =
                futures::try_join!(connector.connect("server.test", client), acceptor.accept(server))
                    .unwrap();
            let (_reader, mut writer) = client.into_streams();
            // Until TLS keeps something, and nothing else does.
            loop {
                writer.write(&[7; 30_000]);
                if futures_lite::future::poll_once(writer.flush()).await.is_none() {
                    break;
                }
            }
            if writes_eof {
                writer.write_eof();
            }
            for _ in 0..turns {
                asyncio_tasks::yield_now().await;
            }
            let closed = asyncio_tasks::timeout(Duration::from_secs(20), writer.close()).await;
            closed.expect("it has a limit of its own").unwrap_err();
        });
    }
}

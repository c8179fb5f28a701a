//! How a connection ends when all does not go well.

use std::io::ErrorKind;
use std::time::Duration;

use asyncio_tasks::{spawn_local, yield_now};

use super::{on_each_kind, tcp};
use crate::worlds::{on_each_loop, pair};

#[test]
fn a_reset_is_told_to_every_later_read_and_to_the_writer() {
    on_each_loop(async || {
        let (client, server) = pair().await;
        let (mut reader, mut writer) = server.into_streams();
        client.set_linger(Some(Duration::ZERO)).unwrap();
        drop(client);
        for _ in 0..3 {
            let error = reader.read(1).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ConnectionReset);
            assert!(error.to_string().starts_with("the connection is lost: "), "{error}");
        }
        assert!(!reader.at_eof());
        assert_eq!(writer.drain().await.unwrap_err().kind(), ErrorKind::ConnectionReset);
        assert_eq!(writer.close().await.unwrap_err().kind(), ErrorKind::ConnectionReset);
    });
}

/// The system tells a reset once: here it is the writer that hears of it.
#[test]
fn a_reset_that_the_writer_has_seen_is_no_end_to_the_reader() {
    on_each_loop(async || {
        let (client, server) = pair().await;
        let (mut reader, mut writer) = server.into_streams();
        client.set_linger(Some(Duration::ZERO)).unwrap();
        drop(client);
        while writer.write_all(b"x").await.is_ok() {
            yield_now().await;
        }
        assert_eq!(reader.read_to_end().await.unwrap_err().kind(), ErrorKind::ConnectionReset);
    });
}

#[test]
fn what_came_before_a_reset_can_be_read() {
    on_each_loop(async || {
        let (mut client, server) = pair().await;
        let (mut reader, _writer) = server.into_streams();
        futures_lite::AsyncWriteExt::write_all(&mut client, b"one\ntwo\nthr").await.unwrap();
        assert_eq!(reader.read_line().await.unwrap().unwrap(), b"one\n");
        client.set_linger(Some(Duration::ZERO)).unwrap();
        drop(client);
        assert_eq!(reader.read_line().await.unwrap().unwrap(), b"two\n");
        assert!(reader.read_line().await.is_err());
        assert_eq!(reader.read_exact(3).await.unwrap(), b"thr");
        assert!(reader.read_line().await.is_err(), "and then it is lost again");
    });
}

#[test]
fn writing_to_a_peer_that_is_gone_fails_in_drain_and_nowhere_else() {
    on_each_kind(async |(_kept, mut writer), peer| {
        drop(peer);
        let error = loop {
            writer.write(&[1; 1000]);
            yield_now().await;
            if let Err(error) = writer.drain().await {
                break error;
            }
        };
        assert!(matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset), "{error:?}");
        writer.write(b"dropped");
        assert_eq!(writer.write_buffer_size(), 0);
        assert!(writer.drain().await.is_err());
        assert!(writer.close().await.is_err());
    });
}

#[test]
fn one_who_waits_in_drain_hears_of_the_failure() {
    on_each_kind(async |(_kept, mut writer), (reader, peer_out)| {
        let sending = spawn_local(async move {
            loop {
                if let Err(error) = writer.write_all(&[1; 100_000]).await {
                    return error;
                }
            }
        });
        for _ in 0..20 {
            yield_now().await;
        }
        assert!(!sending.is_finished(), "nobody reads");
        drop((reader, peer_out));
        let error = sending.await.unwrap();
        assert!(matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset), "{error:?}");
    });
}

/// Bytes that nobody has read when a connection is closed make it a reset (RFC 2525, section 2.17).
#[test]
fn a_connection_closed_with_bytes_unread_is_a_reset_to_the_peer() {
    on_each_loop(async || {
        let ((mut client_in, mut client_out), server) = tcp().await;
        client_out.write(&[1; 1000]);
        for _ in 0..20 {
            yield_now().await;
        }
        drop(server);
        // The end that the writer sent may come first.
        let first = client_in.read(1).await;
        assert!(first.as_ref().is_ok_and(Vec::is_empty) || first.is_err(), "{first:?}");
        while client_out.write_all(b"x").await.is_ok() {
            yield_now().await;
        }
    });
}

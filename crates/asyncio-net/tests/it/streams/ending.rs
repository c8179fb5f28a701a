//! How a connection ends when all goes well: each direction by itself, or both.

use std::io;

use asyncio_tasks::spawn_local;

use super::{on_each_kind, pattern, tcp};
use crate::worlds::on_each_loop;

#[test]
fn half_a_connection_can_be_closed() {
    on_each_kind(async |(mut client_in, mut client_out), (mut server_in, mut server_out)| {
        client_out.write(b"a question");
        client_out.write_eof();
        client_out.write_eof();
        assert_eq!(server_in.read_to_end().await.unwrap(), b"a question");
        server_out.write(b"an answer");
        server_out.drain().await.unwrap();
        server_out.close().await.unwrap();
        assert_eq!(client_in.read_to_end().await.unwrap(), b"an answer");
    });
}

#[test]
fn the_end_comes_behind_what_was_written() {
    on_each_kind(async |(_, mut writer), (mut reader, _kept)| {
        let bytes = pattern(2_500_000);
        writer.write(&bytes);
        assert!(writer.write_buffer_size() > 0);
        writer.write_eof();
        assert!(reader.read_to_end().await.unwrap() == bytes);
    });
}

#[test]
fn close_sends_the_rest_first_and_nobody_need_wait() {
    on_each_kind(async |(_kept, mut writer), (mut reader, _)| {
        let bytes = pattern(2_500_000);
        writer.write(&bytes);
        assert!(!writer.is_closing());
        writer.close();
        assert!(writer.is_closing());
        assert!(reader.read_to_end().await.unwrap() == bytes);
        writer.wait_closed().await.unwrap();
        writer.close().await.unwrap();
    });
}

#[test]
fn after_close_the_reader_sees_the_end() {
    on_each_kind(async |(mut reader, mut writer), (_peer_in, _peer_out)| {
        writer.close().await.unwrap();
        assert_eq!(reader.read(1).await.unwrap(), b"");
        assert!(reader.at_eof());
    });
}

#[test]
fn one_who_waits_to_read_is_woken_by_close() {
    on_each_kind(async |(mut reader, mut writer), (_peer_in, _peer_out)| {
        let reading = spawn_local(async move { reader.read(1).await });
        asyncio_tasks::yield_now().await;
        writer.close().await.unwrap();
        assert_eq!(reading.await.unwrap().unwrap(), b"");
    });
}

#[test]
fn a_writer_that_is_dropped_sends_the_rest_and_ends() {
    on_each_kind(async |(mut client_in, client_out), (mut server_in, mut server_out)| {
        let mut client_out = client_out;
        let bytes = pattern(2_500_000);
        client_out.write(&bytes);
        drop(client_out);
        assert!(server_in.read_to_end().await.unwrap() == bytes);
        server_out.write(b"the other direction is open");
        assert_eq!(client_in.read(4).await.unwrap(), b"the ");
    });
}

#[test]
fn both_halves_dropped_close_the_connection_behind_the_rest() {
    on_each_kind(async |(client_in, mut client_out), (mut server_in, mut server_out)| {
        let bytes = pattern(2_500_000);
        client_out.write(&bytes);
        drop((client_in, client_out));
        assert!(server_in.read_to_end().await.unwrap() == bytes);
        // The peer is gone: sooner or later that shows.
        while server_out.write_all(b"x").await.is_ok() {
            asyncio_tasks::yield_now().await;
        }
    });
}

#[test]
fn what_is_written_after_the_end_is_told() {
    on_each_kind(async |(_, mut writer), (mut reader, _kept)| {
        writer.write(b"in time");
        writer.write_eof();
        writer.write(b"");
        writer.drain().await.unwrap();
        writer.write(b"late");
        let error = writer.drain().await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
        assert_eq!(error.to_string(), "bytes were written after the end");
        assert_eq!(reader.read_to_end().await.unwrap(), b"in time");
        let error = writer.close().await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe, "it was not sent");
    });
}

#[test]
fn by_the_trait_too_late_is_an_error_at_once() {
    on_each_kind(async |(_, mut writer), (mut reader, _kept)| {
        futures_lite::AsyncWriteExt::close(&mut writer).await.unwrap();
        let late = futures_lite::AsyncWriteExt::write(&mut writer, b"x").await;
        assert_eq!(late.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
        assert_eq!(reader.read_to_end().await.unwrap(), b"");
        writer.close().await.unwrap();
    });
}

#[test]
fn abort_drops_what_is_unsent_and_resets() {
    on_each_loop(async || {
        let ((mut client_in, mut client_out), (mut server_in, _server_out)) = tcp().await;
        client_out.write(&pattern(8_000_000));
        assert!(client_out.write_buffer_size() > 0);
        client_out.abort();
        assert_eq!(client_out.write_buffer_size(), 0);
        assert!(client_out.is_closing());
        client_out.wait_closed().await.unwrap();
        assert_eq!(client_out.drain().await.unwrap_err().kind(), io::ErrorKind::ConnectionAborted);
        let error = client_in.read_to_end().await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionAborted, "not an end: {error}");
        drop((client_in, client_out));
        let error = server_in.read_to_end().await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    });
}

#[test]
fn abort_wakes_one_who_waits() {
    on_each_kind(async |(mut reader, mut writer), (_peer_in, _peer_out)| {
        let reading = spawn_local(async move { reader.read(1).await });
        asyncio_tasks::yield_now().await;
        writer.abort();
        writer.abort();
        let error = reading.await.unwrap().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionAborted);
    });
}

/// Sixteen ways: each side has bytes under way or not, and ends by one of four.
#[test]
fn ends_and_bytes_in_both_directions() {
    for way in 0..16 {
        on_each_kind(async |client, server| {
            let talk = |(mut reader, mut writer): super::End, sends: bool, closes: bool| async move {
                if sends {
                    writer.write(&pattern(500_000));
                }
                writer.write_eof();
                let all = reader.read_to_end().await.unwrap();
                if closes {
                    writer.close().await.unwrap();
                }
                all
            };
            let one = spawn_local(talk(client, way & 1 > 0, way & 2 > 0));
            let other = talk(server, way & 4 > 0, way & 8 > 0).await;
            assert_eq!(other.len(), if way & 1 > 0 { 500_000 } else { 0 });
            assert_eq!(one.await.unwrap().len(), if way & 4 > 0 { 500_000 } else { 0 });
        });
    }
}

#[test]
fn a_stream_that_is_dropped_unclosed_is_told_of_in_debug_mode() {
    for is_debugged in [true, false] {
        let (sender, reports) = std::sync::mpsc::channel();
        let mut runner = asyncio_runtime::Runner::builder()
            .debug(is_debugged)
            .slow_poll_threshold(std::time::Duration::MAX)
            .on_unhandled(move |what| sender.send(what.clone()).unwrap())
            .build()
            .unwrap();
        let drops = |reader, mut writer: asyncio_net::StreamWriter| {
            writer.write(b"a question");
            drop((reader, writer));
        };
        runner.run(async {
            let ((client_in, client_out), (mut server_in, server_out)) = tcp().await;
            let task = asyncio_tasks::Builder::new()
                .name("drops")
                .spawn_local(async move { drops(client_in, client_out) });
            let id = task.id().get();
            task.await.unwrap();
            assert_eq!(server_in.read_to_end().await.unwrap(), b"a question");
            let told: Vec<_> = reports.try_iter().collect();
            assert_eq!(told.len(), usize::from(is_debugged), "{told:?}");
            for told in told {
                assert!(
                    told.message().contains("dropped without `close`")
                        && told.message().contains("\"drops\""),
                    "{told}"
                );
                assert_eq!(told.task(), Some(id));
                assert!(told.spawned_at().unwrap().file().ends_with("ending.rs"));
            }
            // These are closed, or their end was asked for, or they have failed, or a panic is to blame.
            drop(server_out);
            while reports.try_recv().is_ok() {}
            let ((_kept, mut closed), (_too, mut ended)) = tcp().await;
            closed.close().await.unwrap();
            ended.write_eof();
            drop((closed, ended));
            let ((_kept, mut failed), (_, mut reset)) = tcp().await;
            reset.abort();
            while failed.drain().await.is_ok() {
                failed.write(b"x");
                asyncio_tasks::yield_now().await;
            }
            drop(failed);
            let ((_kept, unwound), (_too, mut other)) = tcp().await;
            let panics = spawn_local(async move {
                let _unwound = unwound;
                panic!("a test's own");
            });
            panics.await.unwrap_err();
            let ((_kept, dropped), (_too, mut third)) = tcp().await;
            let cancelled = spawn_local(async move {
                let _dropped = dropped;
                std::future::pending::<()>().await;
            });
            asyncio_tasks::yield_now().await;
            cancelled.cancel();
            drop(cancelled.await);
            third.close().await.unwrap();
            other.close().await.unwrap();
            assert!(reports.try_recv().is_err());
        });
    }
}

//! Streams on a scripted socket: what depends on the moment in which a real one has room.

use std::sync::Arc;

use asyncio_net::{StreamReader, StreamWriter, TcpStream};
use asyncio_tasks::yield_now;

use crate::scripted::Scripted;

fn streams() -> (Arc<Scripted>, StreamReader, StreamWriter) {
    let socket = Arc::new(Scripted::default());
    let (reader, writer) = TcpStream::from_socket(socket.clone()).into_streams();
    (socket, reader, writer)
}

/// O1.
#[test]
fn a_write_does_not_pass_by_what_is_kept() {
    asyncio_runtime::run(async {
        let (socket, _reader, mut writer) = streams();
        socket.make_room(2);
        writer.write(b"abcd");
        assert_eq!((socket.sent(), writer.write_buffer_size()), ("ab".into(), 2), "what fits goes at once");
        yield_now().await;
        socket.make_room(100);
        writer.write(b"ef");
        assert_eq!(socket.sent(), "ab", "there is room, and somebody is before it");
        socket.tell();
        yield_now().await;
        assert_eq!((socket.sent(), writer.write_buffer_size()), ("abcdef".into(), 0));
        writer.write(b"gh");
        assert_eq!(socket.sent(), "abcdefgh");
    });
}

/// O3.
#[test]
fn an_end_does_not_pass_by_what_is_kept() {
    asyncio_runtime::run(async {
        let (socket, _reader, mut writer) = streams();
        writer.write(b"abcd");
        writer.write_eof();
        socket.make_room(3);
        socket.tell();
        yield_now().await;
        assert_eq!(socket.sent(), "abc");
        assert!(!socket.has_ended());
        socket.make_room(3);
        socket.tell();
        yield_now().await;
        assert_eq!(socket.sent(), "abcd");
        assert!(socket.has_ended());
    });
}

/// O2: whoever drains goes on at the low mark, though not all is sent.
#[test]
fn one_who_drains_is_woken_at_the_low_mark() {
    asyncio_runtime::run(async {
        let (socket, _reader, mut writer) = streams();
        writer.write(&[b'x'; 100_000]);
        let draining = asyncio_tasks::spawn_local(async move {
            writer.drain().await.unwrap();
            writer
        });
        for (room, is_enough) in [(50_000, false), (30_000, false), (5_000, true)] {
            socket.make_room(room);
            socket.tell();
            for _ in 0..5 {
                yield_now().await;
            }
            assert_eq!(draining.is_finished(), is_enough, "{}", socket.sent().len());
        }
        assert_eq!(draining.await.unwrap().write_buffer_size(), 15_000);
        socket.make_room(15_000);
        socket.tell();
    });
}

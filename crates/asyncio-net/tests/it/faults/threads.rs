//! One connection, used from several threads at once.

use std::io::{Read, Write};
use std::net::Shutdown;

use asyncio_executor::block_on;
use asyncio_tasks::yield_now;
use futures_lite::{AsyncReadExt, AsyncWriteExt};

use super::{joined, with_a_peer};
use crate::worlds::{on_each_real_loop, pattern};

#[test]
fn each_half_in_a_thread_of_its_own() {
    on_each_real_loop(async || {
        let bytes = pattern(1_000_000);
        let (stream, peer) = with_a_peer(|mut stream| {
            let mut bytes = vec![0; 1_000_000];
            stream.read_exact(&mut bytes).unwrap();
            stream.write_all(&bytes).unwrap();
        });
        let (mut reader, mut writer) = stream.into_split();
        let sent = bytes.clone();
        let writing =
            std::thread::spawn(move || block_on(async { writer.write_all(&sent).await.map(|()| writer) }));
        let reading = std::thread::spawn(move || {
            let mut bytes = vec![0; 1_000_000];
            block_on(reader.read_exact(&mut bytes)).map(|()| bytes)
        });
        assert!(joined(reading).await.unwrap() == bytes);
        drop(joined(writing).await.unwrap());
        joined(peer).await;
    });
}

/// Whoever waits in either half has an end, not a wait for ever.
#[test]
fn shut_down_by_a_third() {
    on_each_real_loop(async || {
        for round in 0..20 {
            // A peer that neither reads nor writes until it is over.
            let (stop, stopped) = std::sync::mpsc::channel::<()>();
            let (stream, peer) = with_a_peer(move |_stream| stopped.recv().is_err());
            let socket = stream.socket().clone();
            let (mut reader, mut writer) = stream.into_split();
            let reading = std::thread::spawn(move || block_on(reader.read(&mut [0])));
            let writing = std::thread::spawn(move || {
                block_on(async { while writer.write(&[0; 65_536]).await.is_ok() {} })
            });
            for _ in 0..round * 10 {
                yield_now().await;
            }
            std::thread::spawn(move || socket.shutdown(Shutdown::Both).unwrap()).join().unwrap();
            assert_eq!(joined(reading).await.unwrap(), 0);
            joined(writing).await;
            drop(stop);
            assert!(joined(peer).await);
        }
    });
}

/// The same of streams: closed here while it is read there.
#[test]
fn a_reader_elsewhere_sees_that_its_writer_has_closed() {
    on_each_real_loop(async || {
        for _ in 0..20 {
            let (stream, peer) = with_a_peer(|mut stream| {
                let mut bytes = Vec::new();
                stream.read_to_end(&mut bytes).unwrap();
                bytes
            });
            let (mut reader, mut writer) = stream.into_streams();
            let reading = std::thread::spawn(move || block_on(reader.read_to_end()));
            writer.write(b"before the end");
            writer.close().await.unwrap();
            assert_eq!(joined(reading).await.unwrap(), b"");
            assert_eq!(joined(peer).await, b"before the end");
        }
    });
}

#[test]
fn a_writer_that_is_dropped_elsewhere_ends_its_direction() {
    on_each_real_loop(async || {
        let (stream, peer) = with_a_peer(|mut stream| {
            let mut bytes = Vec::new();
            stream.read_to_end(&mut bytes).unwrap();
            stream.write_all(&bytes[..10]).unwrap();
            bytes.len()
        });
        let (mut reader, mut writer) = stream.into_streams();
        writer.write(&pattern(2_000_000));
        std::thread::spawn(move || drop(writer)).join().unwrap();
        assert_eq!(reader.read_to_end().await.unwrap(), &pattern(12)[..10]);
        assert_eq!(joined(peer).await, 2_000_000);
    });
}

//! Each operation dropped at every poll: nothing is lost, and the next one goes on.

use asyncio_net::StreamReader;
use asyncio_tasks::{spawn_local, yield_now};

use super::{End, on_each_kind, pattern};
use crate::cancel::polled;

const TEXT: &[u8] = b"first line\nsecond;third line is longer\n";

/// Reads the text by `read`, which is dropped after each number of polls before it gets its piece.
async fn pieces(
    (_, mut writer): End,
    (mut reader, _kept): End,
    read: impl AsyncFn(&mut StreamReader) -> Vec<u8>,
) {
    let sending = spawn_local(async move {
        for byte in TEXT {
            writer.write(&[*byte]);
            yield_now().await;
            yield_now().await;
        }
    });
    let mut all = Vec::new();
    let mut polls = 0;
    while all.len() < TEXT.len() {
        polls = (polls + 1) % 7;
        if let Some(piece) = polled(read(&mut reader), polls).await {
            all.extend(piece);
        }
        yield_now().await;
    }
    assert_eq!(all, TEXT);
    sending.await.unwrap();
    assert_eq!(reader.read(1).await.unwrap(), b"");
}

#[test]
fn read() {
    on_each_kind(async |one, other| pieces(one, other, async |reader| reader.read(3).await.unwrap()).await);
}

#[test]
fn read_exact() {
    on_each_kind(async |one, other| {
        pieces(one, other, async |reader| reader.read_exact(13).await.unwrap()).await;
    });
    assert_eq!(TEXT.len() % 13, 0);
}

#[test]
fn read_until() {
    on_each_kind(async |one, other| {
        let separators = &[&b"\n"[..], b";"];
        pieces(one, other, async |reader| reader.read_until_any(separators).await.unwrap()).await;
    });
}

#[test]
fn read_line() {
    on_each_kind(async |one, other| {
        pieces(one, other, async |reader| reader.read_line().await.unwrap().unwrap()).await;
    });
}

#[test]
fn read_to_end() {
    on_each_kind(async |one, other| {
        pieces(one, other, async |reader| reader.read_to_end().await.unwrap()).await;
    });
}

#[test]
fn lines() {
    on_each_kind(async |one, other| {
        pieces(one, other, async |reader| {
            futures_lite::StreamExt::next(&mut reader.read_lines()).await.unwrap().unwrap()
        })
        .await;
    });
}

#[test]
fn drain_and_write_all_and_close() {
    on_each_kind(async |(_kept, mut writer), (mut reader, _)| {
        let bytes = pattern(3_000_000);
        let reading = spawn_local(async move { reader.read_to_end().await.unwrap() });
        let mut chunks = bytes.chunks(50_000);
        for (n, chunk) in chunks.by_ref().take(40).enumerate() {
            if n % 2 == 0 {
                writer.write(chunk);
                polled(writer.drain(), n % 3).await;
            } else {
                // It is written at the first poll.
                polled(writer.write_all(chunk), 1 + n % 3).await;
            }
        }
        for chunk in chunks {
            writer.write(chunk);
        }
        assert!(writer.write_buffer_size() > 0);
        for polls in 0..3 {
            polled(writer.close(), polls).await;
            polled(writer.wait_closed(), polls).await;
        }
        assert!(reading.await.unwrap() == bytes);
        writer.wait_closed().await.unwrap();
    });
}

#[test]
fn connecting() {
    crate::worlds::on_each_loop(async || {
        for polls in 0..6 {
            let listener = asyncio_net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let addr = listener.local_addr().unwrap();
            let opened = polled(asyncio_net::open_connection(addr), polls).await;
            if let Some(opened) = opened {
                let (reader, writer) = opened.unwrap();
                assert_eq!(writer.peer_addr().unwrap(), addr);
                assert_eq!(writer.local_addr().unwrap(), listener.accept().await.unwrap().1);
                drop(reader);
            }
        }
    });
}

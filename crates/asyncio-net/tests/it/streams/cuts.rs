//! What is written in pieces and read in others.

use std::io::IoSlice;

use asyncio_net::{open_connection, start_server};
use asyncio_tasks::{spawn_local, yield_now};

use super::{on_each_kind, pattern};
use crate::worlds::{on_each_loop, settled};

/// Numbers that look random, the same every time.
fn random(seed: u64) -> impl FnMut(usize) -> usize {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    move |bound| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % bound as u64) as usize
    }
}

#[test]
fn more_buffers_than_the_system_takes_in_one_call() {
    on_each_kind(async |(_, mut writer), (mut reader, _kept)| {
        let bytes = pattern(300_001);
        let mut bufs: Vec<_> = bytes.chunks(50).map(IoSlice::new).collect();
        bufs.insert(1024, IoSlice::new(&[]));
        writer.writev(&bufs);
        assert!(reader.read_exact(bytes.len()).await.unwrap() == bytes);
    });
}

#[test]
fn nothing_may_be_written() {
    on_each_kind(async |(_, mut writer), (mut reader, _kept)| {
        writer.write(b"");
        writer.writev(&[]);
        writer.writev(&[IoSlice::new(b""), IoSlice::new(b"")]);
        writer.write_all(b"").await.unwrap();
        assert_eq!(writer.write_buffer_size(), 0);
        writer.write(b"x");
        assert_eq!(reader.read(9).await.unwrap(), b"x");
    });
}

#[test]
fn nothing_may_be_asked_for() {
    on_each_kind(async |(_, mut writer), (mut reader, _kept)| {
        assert_eq!(reader.read(0).await.unwrap(), b"", "and nobody waits for it");
        assert_eq!(reader.read_exact(0).await.unwrap(), b"");
        assert!(!reader.at_eof());
        writer.write(b"x");
        assert_eq!(reader.read(1).await.unwrap(), b"x");
        writer.write_eof();
        assert_eq!(reader.read_exact(0).await.unwrap(), b"");
        assert_eq!(reader.read_to_end().await.unwrap(), b"");
    });
}

/// Lines of any length, sent in pieces of any length, are those lines.
#[test]
fn lines_in_any_cut() {
    on_each_kind(async |(_, mut writer), (mut reader, _kept)| {
        let mut below = random(7);
        let lines: Vec<Vec<u8>> = (0..300)
            .map(|n| {
                let mut line = vec![b'a' + (n % 26) as u8; below(400)];
                line.push(b'\n');
                line
            })
            .collect();
        let mut bytes = lines.concat();
        let sending = spawn_local(async move {
            while !bytes.is_empty() {
                let n = below(bytes.len().min(700)) + 1;
                writer.write_all(&bytes[..n]).await.unwrap();
                bytes.drain(..n);
                if below(3) == 0 {
                    yield_now().await;
                }
            }
            writer
        });
        for line in &lines {
            assert_eq!(reader.read_line().await.unwrap().as_ref(), Some(line));
        }
        sending.await.unwrap().close().await.unwrap();
        assert_eq!(reader.read_line().await.unwrap(), None);
    });
}

/// By lines, by counts, by separators and as they come, in turns, on the same bytes.
#[test]
fn every_way_to_read_in_turns() {
    on_each_kind(async |(_, mut writer), (mut reader, _kept)| {
        let bytes: Vec<u8> =
            (0..60_000_u32).map(|n| if n % 97 == 0 { b'\n' } else { (n % 251) as u8 }).collect();
        let sent = bytes.clone();
        let sending = spawn_local(async move {
            for chunk in sent.chunks(997) {
                writer.write_all(chunk).await.unwrap();
            }
            writer.write_eof();
            writer
        });
        let (mut below, mut read) = (random(11), Vec::new());
        while read.len() < bytes.len() {
            let left = bytes.len() - read.len();
            read.extend(match below(4) {
                0 => reader.read(below(3000) + 1).await.unwrap(),
                1 => reader.read_exact(below(left.min(3000)) + 1).await.unwrap(),
                2 => reader.read_line().await.unwrap().unwrap(),
                _ => match reader.read_until(b"\n").await {
                    Ok(line) => line,
                    Err(asyncio_net::ReadError::Incomplete { partial }) => partial,
                    Err(error) => panic!("{error}"),
                },
            });
        }
        assert!(read == bytes);
        assert_eq!(reader.read(1).await.unwrap(), b"");
        drop(sending.await.unwrap());
    });
}

/// A hundred questions in one segment have a hundred answers.
#[test]
fn questions_that_come_all_at_once() {
    on_each_loop(async || {
        let handler = async |mut reader: asyncio_net::StreamReader, mut writer: asyncio_net::StreamWriter| {
            while let Ok(Some(line)) = reader.read_line().await {
                writer.write(&line);
            }
            let _ = writer.close().await;
        };
        let server = start_server(handler, "127.0.0.1:0").await.unwrap();
        let (mut reader, mut writer) = open_connection(server.local_addrs()[0]).await.unwrap();
        let questions: String = (0..100).map(|n| format!("question {n}\n")).collect();
        writer.write(questions.as_bytes());
        writer.write_eof();
        assert_eq!(reader.read_to_end().await.unwrap(), questions.as_bytes());
    });
}

#[test]
fn a_line_may_be_as_long_as_it_is_allowed_to_be() {
    on_each_kind(async |(_, mut writer), (mut reader, _kept)| {
        reader.set_limit(2_000_000);
        let mut line = vec![b'x'; 2_000_000];
        line.push(b'\n');
        let sent = line.clone();
        let sending = spawn_local(async move { writer.write_all(&sent).await.map(|()| writer) });
        assert!(reader.read_line().await.unwrap() == Some(line));
        drop(sending.await.unwrap().unwrap());
    });
}

/// The connection is the halves', not the handler's: it lives as long as they do.
#[test]
fn halves_outlive_the_handler_that_was_given_them() {
    on_each_loop(async || {
        let handler = |mut reader: asyncio_net::StreamReader, mut writer: asyncio_net::StreamWriter| async move {
            spawn_local(async move {
                settled().await;
                let line = reader.read_line().await.unwrap().unwrap();
                writer.write(&line);
                writer.close().await.unwrap();
            })
            .detach();
        };
        let server = start_server(handler, "127.0.0.1:0").await.unwrap();
        let (mut reader, mut writer) = open_connection(server.local_addrs()[0]).await.unwrap();
        settled().await;
        writer.write(b"still there?\n");
        assert_eq!(reader.read_to_end().await.unwrap(), b"still there?\n");
        while server.clients() > 0 {
            yield_now().await;
        }
    });
}

//! Files that are sent.

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use asyncio_net::StreamReader;
use asyncio_tasks::spawn_local;
use futures_lite::{AsyncReadExt, AsyncWriteExt};

use crate::worlds::{on_each_loop, pair, pattern};

/// A file with those bytes, which nobody else sees.
fn file(bytes: &[u8]) -> File {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let name = format!("asyncio-files-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    let path: PathBuf = std::env::temp_dir().join(name);
    File::create(&path).unwrap().write_all(bytes).unwrap();
    let file = File::options().read(true).write(true).open(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    file
}

async fn to_the_end(mut reader: StreamReader) -> Vec<u8> {
    reader.read_to_end().await.unwrap()
}

#[test]
fn a_part_of_a_file() {
    on_each_loop(async || {
        let bytes = pattern(100_000);
        let file = file(&bytes);
        let (mut client, server) = pair().await;
        let reading = spawn_local(to_the_end(server.into_streams().0));
        assert_eq!(client.send_file(&file, 3..7).await.unwrap(), 4);
        assert_eq!(client.send_file(&file, ..=9).await.unwrap(), 10);
        assert_eq!(client.send_file(&file, 99_990..).await.unwrap(), 10);
        assert_eq!(client.send_file(&file, ..).await.unwrap(), 100_000);
        for nothing in [5..5, 100_000..200_000, 300_000..300_001] {
            assert_eq!(client.send_file(&file, nothing).await.unwrap(), 0);
        }
        assert_eq!(client.send_file(&file, 99_999..u64::MAX).await.unwrap(), 1);
        client.close().await.unwrap();
        let expected = [&bytes[3..7], &bytes[..10], &bytes[99_990..], &bytes[..], &bytes[99_999..]].concat();
        assert!(reading.await.unwrap() == expected);
    });
}

#[test]
fn much_of_it_to_one_who_reads_slowly() {
    on_each_loop(async || {
        let bytes = pattern(8_000_000);
        let file = file(&bytes);
        let (mut client, mut server) = pair().await;
        let sending = spawn_local(async move {
            let sent = client.send_file(&file, ..).await.unwrap();
            client.close().await.unwrap();
            sent
        });
        let (mut read, mut buf) = (Vec::new(), vec![0; 30_000]);
        loop {
            let n = server.read(&mut buf).await.unwrap();
            if n == 0 {
                break;
            }
            read.extend_from_slice(&buf[..n]);
        }
        assert!(read == bytes);
        assert_eq!(sending.await.unwrap(), 8_000_000);
    });
}

/// By a Unix socket, which takes more only when the peer has read.
#[cfg(unix)]
#[test]
fn between_what_a_writer_writes() {
    on_each_loop(async || {
        let bytes = pattern(1_000_000);
        let file = file(&bytes);
        let (client, server) = asyncio_net::UnixStream::pair().unwrap();
        let reading = spawn_local(to_the_end(server.into_streams().0));
        let (_reader, mut writer) = client.into_streams();
        // More than fits: it is sent before.
        writer.write(&bytes[..900_000]);
        assert!(writer.write_buffer_size() > 0);
        assert_eq!(writer.send_file(&file, 900_000..).await.unwrap(), 100_000);
        writer.write(b"and that was it");
        writer.close().await.unwrap();
        assert!(reading.await.unwrap() == [&bytes[..], b"and that was it"].concat());
    });
}

/// What the system does not send by itself is read.
#[cfg(target_os = "linux")]
#[test]
fn one_that_is_no_file_on_a_disk() {
    on_each_loop(async || {
        let expected = std::fs::read("/proc/version").unwrap();
        let (mut client, server) = pair().await;
        let sent = client.send_file(&File::open("/proc/version").unwrap(), ..).await.unwrap();
        assert_eq!(sent, expected.len() as u64);
        drop(client);
        assert_eq!(to_the_end(server.into_streams().0).await, expected);
    });
}

#[cfg(unix)]
#[test]
fn to_a_unix_socket() {
    on_each_loop(async || {
        let bytes = pattern(1_000_000);
        let file = file(&bytes);
        let (mut one, other) = asyncio_net::UnixStream::pair().unwrap();
        let reading = spawn_local(to_the_end(other.into_streams().0));
        assert_eq!(one.send_file(&file, ..).await.unwrap(), 1_000_000);
        drop(one);
        assert!(reading.await.unwrap() == bytes);
    });
}

#[test]
fn one_that_became_shorter() {
    on_each_loop(async || {
        let file = file(&pattern(1000));
        file.set_len(300).unwrap();
        let (mut client, server) = pair().await;
        assert_eq!(client.send_file(&file, ..1000).await.unwrap(), 300);
        drop(client);
        assert_eq!(to_the_end(server.into_streams().0).await, &pattern(1000)[..300]);
    });
}

#[test]
fn to_a_peer_that_is_gone() {
    on_each_loop(async || {
        let file = file(&pattern(1_000_000));
        let (mut client, server) = pair().await;
        drop(server);
        let mut last = Ok(0);
        while last.is_ok() {
            last = client.send_file(&file, ..).await;
        }
        last.unwrap_err();
        let (_reader, mut writer) = client.into_streams();
        let _ = writer.close().await;
        assert!(writer.send_file(&file, ..).await.is_err());
    });
}

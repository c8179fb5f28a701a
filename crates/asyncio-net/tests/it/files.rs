//! Files that are sent, and streams that are put together.

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use asyncio_net::{StreamReader, TcpStream, copy_bidirectional};
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

#[test]
fn two_are_put_together_until_both_have_ended() {
    on_each_loop(async || {
        let ((client, mut near), (mut far, server)) = (pair().await, pair().await);
        let copying = spawn_local(async move { copy_bidirectional(&mut near, &mut far).await });
        let ((mut client_in, mut client_out), (mut server_in, mut server_out)) =
            (client.into_streams(), server.into_streams());
        let (question, answer) = (pattern(2_000_000), pattern(3_000_001));
        client_out.write(&question);
        client_out.write_eof();
        assert!(server_in.read_to_end().await.unwrap() == question, "and its end");
        assert!(!copying.is_finished());
        server_out.write(&answer);
        server_out.write_eof();
        assert!(client_in.read_to_end().await.unwrap() == answer);
        assert_eq!(copying.await.unwrap().unwrap(), (2_000_000, 3_000_001));
    });
}

/// A reset of one is an error, though the other direction waits for ever.
#[test]
fn one_that_fails_ends_it() {
    on_each_loop(async || {
        let ((client, mut near), (mut far, server)) = (pair().await, pair().await);
        let copying = spawn_local(async move { copy_bidirectional(&mut near, &mut far).await });
        client.set_linger(Some(std::time::Duration::ZERO)).unwrap();
        drop(client);
        copying.await.unwrap().unwrap_err();
        assert_eq!(to_the_end(server.into_streams().0).await, b"", "and the other sees it");
    });
}

/// Nothing is kept back while nothing else comes.
#[test]
fn every_byte_is_passed_on_at_once() {
    on_each_loop(async || {
        let ((client, mut near), (mut far, server)) = (pair().await, pair().await);
        let copying = spawn_local(async move { copy_bidirectional(&mut near, &mut far).await });
        let ((mut client_in, mut client_out), (mut server_in, mut server_out)) =
            (client.into_streams(), server.into_streams());
        for n in 0..100_u8 {
            client_out.write(&[n]);
            assert_eq!(server_in.read_exact(1).await.unwrap(), [n]);
            server_out.write(&[n]);
            assert_eq!(client_in.read_exact(1).await.unwrap(), [n]);
        }
        client_out.write_eof();
        server_out.write_eof();
        assert_eq!(copying.await.unwrap().unwrap(), (100, 100));
    });
}

#[test]
fn while_one_does_not_read_the_other_has_to_wait() {
    on_each_loop(async || {
        let ((mut client, mut near), (mut far, mut server)) = (pair().await, pair().await);
        let copying = spawn_local(async move { copy_bidirectional(&mut near, &mut far).await });
        let mut sent = 0;
        let mut waits = 0;
        while waits < 100 {
            match futures_lite::future::poll_once(client.write(&[7; 65_536])).await {
                Some(n) => (sent, waits) = (sent + n.unwrap(), 0),
                None => waits += 1,
            }
            asyncio_tasks::yield_now().await;
        }
        assert!(sent > 0);
        let mut read = vec![0; sent];
        server.read_exact(&mut read).await.unwrap();
        drop((client, server));
        let _ = copying.await.unwrap();
    });
}

fn _takes_any_two(a: &mut TcpStream, b: &mut (impl futures::AsyncRead + futures::AsyncWrite + Unpin)) {
    drop(copy_bidirectional(a, b));
}

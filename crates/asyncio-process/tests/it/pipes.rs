//! Pipes, and what is made of their ends.

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::pin::pin;
use std::time::Duration;

use asyncio_executor::block_on;
use asyncio_process::io::{PipeReader, PipeWriter, pipe};
use asyncio_process::{Command, Stdio};
use asyncio_runtime::run;
use asyncio_tasks::{spawn_local, timeout, yield_now};
use futures_lite::{AsyncReadExt, AsyncWriteExt, future::zip};

use crate::is_pending;

#[test]
fn bytes_go_through_in_order_however_large_the_pieces() {
    let through = async |length: usize, piece: usize| {
        let (mut reader, mut writer) = pipe().unwrap();
        let sent: Vec<u8> = (0..length).map(|n| (n * 7 / 5) as u8).collect();
        let writes = async {
            for chunk in sent.chunks(piece) {
                writer.write_all(chunk).await.unwrap();
            }
            writer.close().await.unwrap();
        };
        let mut received = Vec::new();
        let (read, ()) = zip(reader.read_to_end(&mut received), writes).await;
        assert_eq!(read.unwrap(), length);
        assert!(received == sent);
    };
    run(async {
        for (length, piece) in [(0, 1), (1, 1), (10_000, 7), (1_000_000, 4096), (3_000_000, 1_000_000)] {
            through(length, piece).await;
        }
    });
    block_on(through(1_000_000, 65_537));
}

#[test]
fn a_read_and_a_write_may_be_dropped_at_every_poll() {
    run(async {
        let (mut reader, mut writer) = pipe().unwrap();
        let mut buf = [0; 4];
        for _ in 0..3 {
            assert!(is_pending(pin!(reader.read(&mut buf))));
        }
        writer.write_all(b"kept").await.unwrap();
        assert_eq!(reader.read(&mut buf).await.unwrap(), 4);
        // Full, until somebody reads.
        let full = vec![0; 1 << 20];
        let mut written = 0;
        while let Ok(n) = timeout(Duration::from_millis(5), writer.write(&full)).await {
            written += n.unwrap();
        }
        assert!(is_pending(pin!(writer.write(&full))));
        drop(writer);
        let mut all = Vec::new();
        reader.read_to_end(&mut all).await.unwrap();
        assert_eq!(all.len(), written);
    });
}

#[test]
fn nobody_reads_any_more() {
    run(async {
        let (reader, mut writer) = pipe().unwrap();
        let waits = spawn_local(async move {
            loop {
                if let Err(error) = writer.write(&[0; 65_536]).await {
                    return error.kind();
                }
            }
        });
        for _ in 0..20 {
            yield_now().await;
        }
        drop(reader);
        assert_eq!(waits.await.unwrap(), ErrorKind::BrokenPipe);
    });
}

#[test]
fn a_file_is_refused_and_other_descriptors_are_taken() {
    let error = PipeReader::new(File::open("/proc/self/exe").unwrap()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
    assert!(PipeWriter::new(File::open("/tmp").unwrap()).is_err());
    run(async {
        let mut null = PipeReader::new(File::open("/dev/null").unwrap()).unwrap();
        assert_eq!(null.read(&mut [0; 8]).await.unwrap(), 0);
        let (one, mut other) = UnixStream::pair().unwrap();
        let mut reader = PipeReader::new(one).unwrap();
        let mut buf = [0; 4];
        assert!(is_pending(pin!(reader.read(&mut buf))));
        other.write_all(b"ping").unwrap();
        assert_eq!(reader.read(&mut buf).await.unwrap(), 4);
    });
}

#[test]
fn an_end_becomes_one_that_blocks() {
    run(async {
        let (mut reader, writer) = pipe().unwrap();
        assert!(is_pending(pin!(reader.read(&mut [0; 4]))));
        let mut writer = File::from(writer.into_blocking().unwrap());
        writer.write_all(b"ping").unwrap();
        drop(writer);
        let mut text = String::new();
        File::from(reader.into_blocking().unwrap()).read_to_string(&mut text).unwrap();
        assert_eq!(text, "ping");
    });
}

#[test]
fn children_are_joined_by_a_pipe() {
    run(async {
        let mut first = Command::new("seq").arg("100000").stdout(Stdio::piped()).spawn().unwrap();
        let joined = Stdio::try_from(first.stdout.take().unwrap()).unwrap();
        let output = Command::new("wc").arg("-l").stdin(joined).output().await.unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap().trim(), "100000");
        assert!(first.wait().await.unwrap().success());
    });
}

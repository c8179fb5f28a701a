//! Bytes come once, in order and unchanged, however they are cut.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::thread;

use super::{Echo, joined, with_a_peer};
use crate::worlds::pattern;

/// Sends by `send` while it reads by `read`; everything has to come back.
fn sends_and_reads(
    mut stream: TcpStream,
    bytes: Vec<u8>,
    send: impl FnOnce(&mut TcpStream, &[u8]) + Send + 'static,
    read: impl FnOnce(&mut TcpStream, usize) -> Vec<u8>,
) {
    stream.set_nodelay(true).unwrap();
    let (mut sending, sent) = (stream.try_clone().unwrap(), bytes.clone());
    let sender = thread::spawn(move || {
        send(&mut sending, &sent);
        sending.shutdown(Shutdown::Write).unwrap();
    });
    assert!(read(&mut stream, bytes.len()) == bytes);
    assert_eq!(stream.read(&mut [0]).unwrap(), 0, "the end, and nothing behind the last byte");
    sender.join().unwrap();
}

fn one_by_one(stream: &mut TcpStream, bytes: &[u8]) {
    for byte in bytes {
        stream.write_all(&[*byte]).unwrap();
    }
}

fn all(stream: &mut TcpStream, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    stream.read_exact(&mut bytes).unwrap();
    bytes
}

#[test]
fn one_at_a_time() {
    Echo::each(async |echo| {
        let (stream, peer) = with_a_peer(|stream| {
            sends_and_reads(stream, pattern(2_000), one_by_one, |stream, len| {
                (0..len).flat_map(|_| all(stream, 1)).collect()
            });
        });
        echo.serve(stream).await;
        joined(peer).await;
    });
}

/// With Nagle's algorithm, which keeps a small segment until the one before it is acknowledged.
#[test]
fn one_at_a_time_and_the_system_puts_them_together() {
    Echo::each(async |echo| {
        let (stream, peer) = with_a_peer(|stream| {
            let send = |stream: &mut TcpStream, bytes: &[u8]| {
                stream.set_nodelay(false).unwrap();
                one_by_one(stream, bytes);
            };
            sends_and_reads(stream, pattern(20_000), send, all);
        });
        echo.serve(stream).await;
        joined(peer).await;
    });
}

/// One less, as much and one more than what a segment takes, a page, a buffer of ours, a water mark.
#[test]
fn in_sizes_that_fit_nothing() {
    const SIZES: [usize; 7] = [1, 1448, 4096, 16_384, 65_483, 65_536, 262_144];
    Echo::each(async |echo| {
        let (stream, peer) = with_a_peer(|stream| {
            let len: usize = SIZES.iter().map(|size| size * 3).sum();
            let send = |stream: &mut TcpStream, mut bytes: &[u8]| {
                for n in SIZES.iter().flat_map(|size| [size - 1, *size, size + 1]) {
                    stream.write_all(&bytes[..n]).unwrap();
                    bytes = &bytes[n..];
                }
            };
            sends_and_reads(stream, pattern(len), send, all);
        });
        echo.serve(stream).await;
        joined(peer).await;
    });
}

/// While the peer has sent everything and reads nothing, then a little at a time.
#[test]
fn to_one_who_reads_late_and_slowly() {
    Echo::each(async |echo| {
        let (stream, peer) = with_a_peer(|stream| {
            let read = |stream: &mut TcpStream, len: usize| {
                // Late: everything that fits anywhere is on its way by then. A machine that is slower makes it an easier test, not a failure.
                thread::sleep(std::time::Duration::from_millis(30));
                let mut bytes = Vec::new();
                while bytes.len() < len {
                    let n = (len - bytes.len()).min(777);
                    bytes.extend(all(stream, n));
                }
                bytes
            };
            sends_and_reads(
                stream,
                pattern(3_000_000),
                |stream, bytes| stream.write_all(bytes).unwrap(),
                read,
            );
        });
        echo.serve(stream).await;
        joined(peer).await;
    });
}

/// A gibibyte both ways with a checksum, in the soak of `cargo xtask ci --full`; else so much that every buffer is full many times.
#[test]
fn a_great_many() {
    let len: u64 = if std::env::var_os("ASYNCIO_SOAK_SECONDS").is_some() { 1 << 30 } else { 24 << 20 };
    Echo::each(async |echo| {
        let (stream, peer) = with_a_peer(move |mut stream| {
            let mut sending = stream.try_clone().unwrap();
            let sender = thread::spawn(move || {
                let (mut sum, mut left, mut state) = (crc32fast::Hasher::new(), len, 1_u64);
                let mut block = vec![0; 60_013];
                while left > 0 {
                    for bytes in block.chunks_mut(8) {
                        state = state.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(0x1405_7B7E_F767_814F);
                        bytes.copy_from_slice(&state.to_be_bytes()[..bytes.len()]);
                    }
                    let n = left.min(block.len() as u64);
                    sum.update(&block[..n as usize]);
                    sending.write_all(&block[..n as usize]).unwrap();
                    left -= n;
                }
                sending.shutdown(Shutdown::Write).unwrap();
                sum.finalize()
            });
            let (mut sum, mut count, mut buf) = (crc32fast::Hasher::new(), 0, vec![0; 65_536]);
            loop {
                let n = stream.read(&mut buf).unwrap();
                if n == 0 {
                    break;
                }
                sum.update(&buf[..n]);
                count += n as u64;
            }
            assert_eq!((count, sum.finalize()), (len, sender.join().unwrap()));
        });
        echo.serve(stream).await;
        joined(peer).await;
    });
}

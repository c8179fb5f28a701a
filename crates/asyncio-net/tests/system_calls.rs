//! What the kernel is asked for, as strace sees it: files are sent and streams put together without a copy, and datagrams go in batches.
//!
//! Where strace is not installed this says so and passes; with `ASYNCIO_REQUIRE_PEERS=1` it fails.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

use std::collections::BTreeMap;
use std::io::Write;
use std::process::{Command, Stdio};
use std::thread;

use asyncio_net::{DatagramBatch, TcpListener, TcpStream, UdpSocket, copy_bidirectional};
use asyncio_runtime::run;

/// Says to the process that is watched what it is to do.
const SCENE: &str = "ASYNCIO_SCENE";
/// How much is sent.
const BYTES: usize = 64 << 20;

/// Runs a test of this file once more, as one that does `scene`, and counts its system calls; `None` where there is no strace.
fn calls(test: &str, scene: &str) -> Option<BTreeMap<String, u64>> {
    let mut strace = Command::new("strace");
    strace.args(["-f", "-c", "-o", "/dev/stderr"]).arg(std::env::current_exe().unwrap());
    strace.args(["--exact", test]).env(SCENE, scene).stdout(Stdio::null());
    let output = match strace.output() {
        Err(error) if std::env::var_os("ASYNCIO_REQUIRE_PEERS").is_none_or(|value| value != "1") => {
            eprintln!("{test}: skipped, strace cannot be started: {error}");
            return None;
        }
        output => output.unwrap(),
    };
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{text}");
    let mut calls = BTreeMap::new();
    for line in text.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        if let (Some(Ok(count)), Some(name)) = (words.get(3).map(|word| word.parse()), words.last()) {
            calls.insert((*name).to_owned(), count);
        }
    }
    Some(calls)
}

fn is_scene(name: &str) -> bool {
    std::env::var(SCENE).is_ok_and(|scene| scene == name)
}

/// The other end, on a thread of its own: reads all, and says how much. Not by `recvfrom`, which would be counted as ours.
fn reads_all(listener: std::net::TcpListener) -> thread::JoinHandle<usize> {
    thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        let (mut buf, mut all) = (vec![0; 1 << 20], 0);
        loop {
            match rustix::io::read(&stream, &mut buf).unwrap() {
                0 => return all,
                n => all += n,
            }
        }
    })
}

#[test]
fn a_file_is_sent_by_the_system() {
    if !is_scene("send_file") {
        let Some(calls) = calls("a_file_is_sent_by_the_system", "send_file") else { return };
        let of = |name: &str| calls.get(name).copied().unwrap_or(0);
        assert!(of("sendfile") > 0, "{calls:?}");
        assert_eq!(of("sendto") + of("sendmsg"), 0, "{calls:?}");
        return;
    }
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let reader = reads_all(listener);
    let path = std::env::temp_dir().join(format!("asyncio-calls-{}", std::process::id()));
    std::fs::File::create(&path).unwrap().set_len(BYTES as u64).unwrap();
    run(async {
        let mut stream = TcpStream::connect(addr).await.unwrap();
        let file = std::fs::File::open(&path).unwrap();
        assert_eq!(stream.send_file(&file, ..).await.unwrap(), BYTES as u64);
    });
    std::fs::remove_file(&path).unwrap();
    assert_eq!(reader.join().unwrap(), BYTES);
}

#[test]
fn streams_are_put_together_by_the_system() {
    if !is_scene("copy") {
        let Some(calls) = calls("streams_are_put_together_by_the_system", "copy") else { return };
        let of = |name: &str| calls.get(name).copied().unwrap_or(0);
        // A pipe holds 256 KiB; the first of it is read, and what comes in little pieces.
        assert!(of("splice") >= (BYTES >> 18) as u64, "{calls:?}");
        return;
    }
    run(async {
        let before = descriptors();
        let upstream = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let upstream_addr = upstream.local_addr().unwrap();
        let reader = reads_all(upstream);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let writer = thread::spawn(move || {
            let stream = std::net::TcpStream::connect(addr).unwrap();
            let chunk = vec![7; 1 << 20];
            // Not by `sendto`, which would be counted as ours.
            let mut stream = std::fs::File::from(std::os::fd::OwnedFd::from(stream));
            for _ in 0..BYTES / chunk.len() {
                stream.write_all(&chunk).unwrap();
            }
        });
        let (mut near, _) = listener.accept().await.unwrap();
        let mut far = TcpStream::connect(upstream_addr).await.unwrap();
        assert_eq!(copy_bidirectional(&mut near, &mut far).await.unwrap(), (BYTES as u64, 0));
        drop((near, far, listener));
        writer.join().unwrap();
        assert_eq!(reader.join().unwrap(), BYTES);
        // One pipe is kept, for the next one.
        assert_eq!(descriptors(), before + 2, "more are left open than one pipe");
    });
}

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

#[test]
fn datagrams_go_in_batches() {
    const DATAGRAMS: usize = 4096;
    if !is_scene("udp") {
        let Some(calls) = calls("datagrams_go_in_batches", "udp") else { return };
        let of = |name: &str| calls.get(name).copied().unwrap_or(0);
        assert_eq!(of("sendmmsg"), (DATAGRAMS / 64) as u64, "{calls:?}");
        assert!(of("recvmmsg") > 0 && of("recvmmsg") <= 2 * of("sendmmsg") + 2, "{calls:?}");
        assert_eq!(of("recvfrom") + of("recvmsg") + of("sendto") + of("sendmsg"), 0, "{calls:?}");
        return;
    }
    run(async {
        let (one, other) =
            (UdpSocket::bind("127.0.0.1:0").await.unwrap(), UdpSocket::bind("127.0.0.1:0").await.unwrap());
        let to = other.local_addr().unwrap();
        let datagrams = vec![(&b"datagram"[..], to); 64];
        let mut batch = DatagramBatch::new(64, 64);
        for _ in 0..DATAGRAMS / 64 {
            assert_eq!(one.send_many_to(&datagrams).await.unwrap(), 64);
            let mut came = 0;
            while came < 64 {
                came += other.recv_many(&mut batch).await.unwrap();
            }
        }
    });
}

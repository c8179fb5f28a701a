//! Streams at the end of a loop, and where no loop of ours runs.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use asyncio_net::{StreamReader, StreamWriter, open_connection};
use asyncio_reactor::SocketOption;
use asyncio_runtime::Runner;

use super::pattern;
use crate::worlds::reporting;

/// A peer of the system's own, which begins to read when it is told.
fn peer() -> (std::net::SocketAddr, thread::JoinHandle<Vec<u8>>, std::sync::mpsc::Sender<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let (go, told) = std::sync::mpsc::channel();
    let thread = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut all = Vec::new();
        if told.recv().is_ok() {
            // The rest may never come, and a reset instead.
            let _ = stream.read_to_end(&mut all);
        }
        all
    });
    (addr, thread, go)
}

async fn send(addr: std::net::SocketAddr, bytes: &[u8]) -> (StreamReader, StreamWriter) {
    let (reader, mut writer) = open_connection(addr).await.unwrap();
    writer.socket().set_option(SocketOption::SendBufferSize(64 * 1024)).unwrap();
    writer.write(bytes);
    assert!(writer.write_buffer_size() > 0, "more than the system takes");
    (reader, writer)
}

/// O3.
#[test]
fn the_end_of_the_loop_waits_for_what_was_written() {
    for ends in 0..3 {
        let (addr, peer, go) = peer();
        let bytes = pattern(8_000_000);
        asyncio_runtime::run(async {
            let (reader, mut writer) = send(addr, &bytes).await;
            match ends {
                0 => {
                    writer.close();
                }
                1 => writer.write_eof(),
                _ => {}
            }
            drop((reader, writer));
            go.send(()).unwrap();
        });
        assert!(peer.join().unwrap() == bytes, "way {ends}");
    }
}

/// O3, of a task that is cancelled with its loop while it holds the stream.
#[test]
fn a_task_that_is_cancelled_at_the_end_loses_nothing_that_it_wrote() {
    let (addr, peer, go) = peer();
    let bytes = pattern(8_000_000);
    asyncio_runtime::run(async {
        let (_reader, mut writer) = send(addr, &bytes).await;
        asyncio_tasks::spawn_local(async move {
            let _reader = _reader;
            writer.drain().await.unwrap();
            std::future::pending::<()>().await;
        })
        .detach();
        asyncio_tasks::yield_now().await;
        go.send(()).unwrap();
    });
    assert!(peer.join().unwrap() == bytes);
}

#[test]
fn what_cannot_be_sent_within_the_grace_is_given_up_and_reported() {
    let (addr, peer, go) = peer();
    let (runner, seen) = reporting();
    let mut runner = runner.cleanup_grace(Duration::ZERO).build().unwrap();
    runner.run(async {
        let (reader, mut writer) = send(addr, &pattern(8_000_000)).await;
        writer.close();
        drop((reader, writer));
    });
    drop(runner);
    go.send(()).unwrap();
    assert!(peer.join().unwrap().len() < 8_000_000);
    let seen = seen.lock().unwrap();
    assert!(seen.iter().any(|line| line.contains("bytes unsent")), "{seen:?}");
}

#[test]
fn whoever_waits_for_a_connection_that_was_given_up_hears_of_it() {
    let (addr, peer, go) = peer();
    let mut runner = Runner::builder().cleanup_grace(Duration::ZERO).on_unhandled(|_| {}).build().unwrap();
    let (_reader, mut writer) = runner.run(async {
        let (reader, mut writer) = send(addr, &pattern(8_000_000)).await;
        writer.close();
        (reader, writer)
    });
    drop(runner);
    assert!(asyncio_executor::block_on(writer.wait_closed()).is_err());
    assert!(asyncio_executor::block_on(writer.close()).is_err());
    drop(go);
    peer.join().unwrap();
}

/// Under `futures`' executor, and under tokio.
#[test]
fn without_a_loop_of_ours_the_rest_is_sent_too() {
    let bytes = pattern(8_000_000);
    let check = |block_on: &dyn Fn(std::pin::Pin<Box<dyn Future<Output = ()>>>)| {
        let (addr, peer, go) = peer();
        let sent = bytes.clone();
        block_on(Box::pin(async move {
            let (reader, mut writer) = send(addr, &sent).await;
            go.send(()).unwrap();
            writer.drain().await.unwrap();
            drop((reader, writer));
        }));
        assert!(peer.join().unwrap() == bytes);
    };
    check(&|future| futures::executor::block_on(future));
    check(&|future| tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future));
    check(&|future| asyncio_executor::block_on(future));
}

#[test]
fn halves_may_be_used_and_dropped_on_other_threads() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let peer = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut all = Vec::new();
        stream.read_to_end(&mut all).unwrap();
        stream.write_all(b"answer").unwrap();
        all
    });
    let bytes = pattern(4_000_000);
    let sent = bytes.clone();
    asyncio_runtime::run(async move {
        let (mut reader, mut writer) = open_connection(addr).await.unwrap();
        let thread = thread::spawn(move || {
            writer.write(&sent);
            asyncio_executor::block_on(writer.drain()).unwrap();
        });
        assert_eq!(reader.read_to_end().await.unwrap(), b"answer");
        thread.join().unwrap();
    });
    assert!(peer.join().unwrap() == bytes);
}

/// A descriptor for each connection, and none that is left.
#[test]
#[cfg(target_os = "linux")]
fn a_connection_that_is_over_has_no_descriptor() {
    let is_open = |port: u16| {
        let sockets = std::fs::read_to_string("/proc/net/tcp").unwrap();
        let established_here = format!(":{port:04X} ");
        sockets.lines().any(|line| line.contains(&established_here) && line.contains(" 01 "))
    };
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    asyncio_runtime::run(async {
        let (mut reader, mut writer) = open_connection(addr).await.unwrap();
        let port = writer.local_addr().unwrap().port();
        let (mut peer, _): (TcpStream, _) = listener.accept().unwrap();
        assert!(is_open(port));
        writer.close().await.unwrap();
        assert_eq!(reader.read(1).await.unwrap(), b"");
        drop((reader, writer));
        assert_eq!(peer.read(&mut [0; 1]).unwrap(), 0);
        drop(peer);
        assert!(!is_open(port));
    });
}

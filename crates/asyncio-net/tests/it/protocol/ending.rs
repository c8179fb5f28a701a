//! How a connection of a protocol ends when all goes well.

use std::io::Read;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use asyncio_net::protocol::{Protocol, Transport, connect_accepted_socket, create_connection};
use asyncio_reactor::SocketOption;
use asyncio_runtime::Runner;

use super::{Log, Recorder, on_each_kind, pattern, settled};
use crate::worlds::{on_each_loop, pair, reporting};

#[test]
fn close_sends_the_rest_and_takes_nothing_more() {
    on_each_kind(Recorder::new, async |transport, log, (mut reader, mut writer)| {
        let bytes = pattern(2_000_000);
        transport.write(&bytes);
        transport.close();
        transport.close();
        transport.write(b"dropped");
        writer.write_eof();
        settled().await;
        assert!(transport.write_buffer_size() > 0);
        assert_eq!(log.take(), ["made", "pause"], "no end");
        assert!(reader.read_exact(bytes.len()).await.unwrap() == bytes);
        log.until("lost").await;
        assert_eq!(log.take(), ["resume", "lost"]);
    });
}

#[test]
fn the_rest_is_sent_also_where_the_peer_ended_first() {
    let make = |log: &Log| {
        Recorder::that(log, |event, transport| {
            if event == "eof" {
                transport.write(&pattern(2_000_000));
            }
        })
    };
    on_each_kind(make, async |_, log, (mut reader, mut writer)| {
        writer.write_eof();
        assert!(reader.read_to_end().await.unwrap() == pattern(2_000_000));
        log.until("lost").await;
    });
}

#[test]
fn abort_drops_the_rest() {
    on_each_kind(Recorder::new, async |transport, log, (mut reader, _writer)| {
        transport.write(&pattern(2_000_000));
        transport.abort();
        transport.abort();
        assert_eq!(transport.write_buffer_size(), 0);
        log.until("lost").await;
        settled().await;
        let events = log.take();
        assert_eq!(events.first().map(String::as_str), Some("made"));
        assert_eq!(events.last().map(String::as_str), Some("lost"));
        assert_eq!(events.iter().filter(|event| *event == "lost").count(), 1);
        match reader.read_to_end().await {
            Ok(bytes) => assert!(bytes.len() < 2_000_000, "a Unix socket knows no reset"),
            Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset),
        }
    });
}

#[test]
fn closing_may_become_aborting() {
    on_each_kind(Recorder::new, async |transport, log, (_reader, _writer)| {
        transport.write(&pattern(2_000_000));
        transport.close();
        settled().await;
        assert!(!log.has("lost"), "nobody reads");
        transport.abort();
        log.until("lost").await;
    });
}

#[test]
fn what_is_left_of_a_transport_does_nothing() {
    on_each_kind(Recorder::new, async |transport, log, (_reader, _writer)| {
        let other = transport.clone();
        transport.close();
        log.until("lost").await;
        settled().await;
        other.write(b"x");
        other.writev(&[]);
        other.write_eof();
        other.close();
        other.abort();
        other.pause_reading();
        other.resume_reading();
        other.set_write_buffer_limits(2, 1);
        assert!(other.is_closing() && !other.is_reading());
        assert_eq!((other.write_buffer_size(), other.write_buffer_limits()), (0, (0, 0)));
        assert_eq!(other.peer_addr().unwrap_err().to_string(), "the connection is lost");
        assert_eq!(format!("{other:?}"), "Transport { state: \"lost\", .. }");
        settled().await;
        assert_eq!(log.take(), ["made", "lost"]);
    });
}

/// The protocol keeps its transport, as they all do, and goes all the same.
#[test]
fn a_protocol_is_dropped_with_its_connection() {
    on_each_loop(async || {
        let log = Log::default();
        let (client, server) = pair().await;
        let (transport, handle) = connect_accepted_socket(|| Recorder::new(&log), client).await.unwrap();
        drop(handle);
        assert_eq!(std::rc::Rc::strong_count(&log.0), 2);
        transport.close();
        log.until("lost").await;
        settled().await;
        assert_eq!(std::rc::Rc::strong_count(&log.0), 1);
        drop((transport, server));
    });
}

struct Sends(Vec<u8>, Arc<Mutex<Vec<String>>>);

impl Protocol for Sends {
    fn connection_made(&mut self, transport: Transport) {
        let _ = transport.socket().unwrap().set_option(SocketOption::SendBufferSize(64 * 1024));
        transport.write(&self.0);
        assert!(transport.write_buffer_size() > 0);
    }

    fn data_received(&mut self, _: &[u8]) {}

    fn connection_lost(&mut self, error: Option<std::io::Error>) {
        self.1.lock().unwrap().push(format!("lost {error:?}"));
    }
}

/// D4.
#[test]
fn the_end_of_the_loop_waits_for_what_was_written() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let (go, told) = std::sync::mpsc::channel();
    let peer = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        told.recv().unwrap();
        let mut all = Vec::new();
        stream.read_to_end(&mut all).unwrap();
        all
    });
    let (bytes, log) = (pattern(8_000_000), Arc::<Mutex<Vec<String>>>::default());
    asyncio_runtime::run(async {
        create_connection(|| Sends(bytes.clone(), log.clone()), addr).await.unwrap();
        go.send(()).unwrap();
    });
    assert!(peer.join().unwrap() == bytes);
    assert_eq!(*log.lock().unwrap(), ["lost None"]);
}

#[test]
fn what_cannot_be_sent_within_the_grace_is_given_up_and_reported() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let (runner, reports) = reporting();
    let mut runner = runner.cleanup_grace(Duration::ZERO).build().unwrap();
    let log = Arc::<Mutex<Vec<String>>>::default();
    runner.run(async {
        create_connection(|| Sends(pattern(8_000_000), log.clone()), addr).await.unwrap();
    });
    drop(runner);
    let reports = reports.lock().unwrap();
    assert!(
        reports.iter().any(|line| line.contains("1 connections of protocols are given up")),
        "{reports:?}"
    );
}

/// More than have their turn at once, all on their way to the end when the loop ends.
#[test]
fn all_are_told_at_the_end_of_the_loop_however_many() {
    for aborts in [false, true] {
        let log = Arc::<Mutex<Vec<String>>>::default();
        let mut runner = Runner::builder().cleanup_grace(Duration::from_secs(60)).build().unwrap();
        let mut kept = Vec::new();
        let begun = std::time::Instant::now();
        runner.run(async {
            let mut transports = Vec::new();
            for _ in 0..200 {
                let (one, other) = pair().await;
                let make = || Quiet(log.clone());
                transports.push(connect_accepted_socket(make, one).await.unwrap().0);
                kept.push(other);
            }
            for transport in transports {
                if aborts {
                    transport.abort();
                } else {
                    transport.close();
                }
            }
        });
        drop(runner);
        assert_eq!(log.lock().unwrap().len(), 200);
        // A minute would be the grace; this takes milliseconds.
        assert!(begun.elapsed() < Duration::from_secs(30));
    }
}

struct Quiet(Arc<Mutex<Vec<String>>>);

impl Protocol for Quiet {
    fn data_received(&mut self, _: &[u8]) {}

    fn connection_lost(&mut self, error: Option<std::io::Error>) {
        self.0.lock().unwrap().push(format!("lost {error:?}"));
    }
}

/// Whoever connects again when he loses his connection, as the loop ends.
#[test]
fn who_comes_while_the_loop_ends_is_closed_too() {
    struct Again {
        log: Log,
        addr: std::net::SocketAddr,
        left: u32,
    }
    impl Protocol for Again {
        fn data_received(&mut self, _: &[u8]) {}

        fn connection_lost(&mut self, _: Option<std::io::Error>) {
            self.log.note("lost");
            if self.left > 0 {
                let next = Self { log: self.log.clone(), addr: self.addr, left: self.left - 1 };
                let addr = self.addr;
                asyncio_tasks::spawn_local(async move { drop(create_connection(|| next, addr).await) })
                    .detach();
            }
        }
    }
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let begun = std::time::Instant::now();
    let mut runner = Runner::builder().cleanup_grace(Duration::from_secs(60)).build().unwrap();
    runner.run(async {
        let log = Log::default();
        create_connection(|| Again { log, addr, left: 3 }, addr).await.unwrap();
    });
    drop(runner);
    assert!(begun.elapsed() < Duration::from_secs(50));
}

#[test]
fn a_socket_that_somebody_keeps_has_its_end_all_the_same() {
    on_each_loop(async || {
        let log = Log::default();
        let (client, server) = pair().await;
        let (transport, _) = connect_accepted_socket(|| Recorder::new(&log), client).await.unwrap();
        let kept = transport.socket();
        transport.close();
        log.until("lost").await;
        let (mut reader, _writer) = server.into_streams();
        assert_eq!(reader.read(1).await.unwrap(), b"");
        drop(kept);
    });
}

#[test]
fn one_loop_after_the_other_on_one_thread() {
    for _ in 0..3 {
        asyncio_runtime::run(async {
            let log = Log::default();
            let (client, server) = pair().await;
            connect_accepted_socket(|| Recorder::new(&log), client).await.unwrap();
            let (_reader, mut writer) = server.into_streams();
            writer.write(b"x");
            log.until("data x").await;
        });
    }
}

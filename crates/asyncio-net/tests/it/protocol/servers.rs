//! Servers of protocols.

use std::net::SocketAddr;

use asyncio_net::protocol::{
    create_connection, create_server, create_server_on_workers, create_unix_connection, create_unix_server,
};
use asyncio_net::{ServerOptions, StreamReader, StreamWriter, open_connection};
use asyncio_runtime::Runner;
use asyncio_tasks::yield_now;

use super::{Echo, Log, Recorder, pattern, settled};
use crate::worlds::{on_each_loop, on_each_real_loop, reporting};

async fn asks(addr: SocketAddr, bytes: &[u8]) -> (StreamReader, StreamWriter) {
    let (mut reader, mut writer) = open_connection(addr).await.unwrap();
    let sent = bytes.to_vec();
    let sending = asyncio_tasks::spawn_local(async move {
        for chunk in sent.chunks(50_000) {
            writer.write_all(chunk).await.unwrap();
        }
        writer
    });
    assert!(reader.read_exact(bytes.len()).await.unwrap() == bytes);
    (reader, sending.await.unwrap())
}

#[test]
fn each_client_has_a_protocol() {
    on_each_loop(async || {
        let server = create_server(Echo::default, "127.0.0.1:0").await.unwrap();
        let addr = server.local_addrs()[0];
        let mut clients = Vec::new();
        for n in 0..200 {
            clients.push(asks(addr, format!("client {n}").as_bytes()).await);
        }
        assert_eq!(server.clients(), 200);
        clients.truncate(10);
        while server.clients() > 10 {
            yield_now().await;
        }
        drop(clients);
        server.close();
        server.wait_closed().await;
        assert_eq!(server.clients(), 0);
    });
}

#[test]
fn megabytes_go_both_ways_with_little_kept() {
    on_each_loop(async || {
        let server = create_server(Echo::default, "127.0.0.1:0").await.unwrap();
        drop(asks(server.local_addrs()[0], &pattern(10_000_000)).await);
    });
}

#[test]
fn clients_can_be_closed_after_what_is_unsent() {
    on_each_loop(async || {
        let log = Log::default();
        let made = log.clone();
        let make = move || {
            Recorder::that(&made, |event, transport| {
                if event == "made" {
                    transport.write(&pattern(9_000_000));
                }
            })
        };
        let server = create_server(make, "127.0.0.1:0").await.unwrap();
        let (mut reader, _writer) = open_connection(server.local_addrs()[0]).await.unwrap();
        log.until("pause").await;
        server.close();
        server.close_clients();
        settled().await;
        assert!(!log.has("lost"));
        assert!(reader.read_to_end().await.unwrap() == pattern(9_000_000));
        server.wait_closed().await;
        assert!(log.has("lost"));
    });
}

#[test]
fn clients_can_be_thrown_out_from_another_thread() {
    on_each_real_loop(async || {
        let log = Log::default();
        let made = log.clone();
        let server = create_server(move || Recorder::new(&made), "127.0.0.1:0").await.unwrap();
        let (mut reader, _writer) = open_connection(server.local_addrs()[0]).await.unwrap();
        log.until("made").await;
        let other = server.clone();
        let thread = std::thread::spawn(move || {
            other.close();
            other.abort_clients();
        });
        assert!(reader.read(1).await.is_err());
        server.wait_closed().await;
        thread.join().unwrap();
        assert_eq!(log.take(), ["made", "lost"]);
    });
}

#[test]
fn a_factory_that_panics_turns_its_client_away() {
    let (runner, reports) = reporting();
    runner.build().unwrap().run(async {
        let calls = std::cell::Cell::new(0);
        let make = move || {
            calls.set(calls.get() + 1);
            assert!(calls.get() != 1, "the first is bad");
            Echo::default()
        };
        let server = create_server(make, "127.0.0.1:0").await.unwrap();
        let addr = server.local_addrs()[0];
        let (mut reader, _writer) = open_connection(addr).await.unwrap();
        assert!(reader.read(1).await.is_ok_and(|bytes| bytes.is_empty()));
        drop(asks(addr, b"the second is not").await);
        server.close();
        server.wait_closed().await;
    });
    let reports = reports.lock().unwrap();
    assert!(reports.len() == 1 && reports[0].contains("turned away: the first is bad"), "{reports:?}");
}

#[test]
fn more_than_so_many_wait() {
    on_each_loop(async || {
        let options = ServerOptions::new().clients_max(1);
        let server = options.create_server(Echo::default, "127.0.0.1:0").await.unwrap();
        let addr = server.local_addrs()[0];
        let first = asks(addr, b"first").await;
        let (mut reader, mut writer) = open_connection(addr).await.unwrap();
        writer.write(b"second");
        settled().await;
        assert_eq!(server.clients(), 1);
        drop(first);
        assert_eq!(reader.read_exact(6).await.unwrap(), b"second");
    });
}

#[test]
#[cfg(target_os = "linux")]
fn every_worker_has_protocols_of_its_own() {
    Runner::builder().workers(2).build().unwrap().run(async {
        let server = create_server_on_workers(Echo::default, "127.0.0.1:0").await.unwrap();
        let mut clients = Vec::new();
        for _ in 0..100 {
            clients.push(asks(server.local_addrs()[0], b"x").await);
        }
        assert_eq!(server.clients(), 100);
        server.close();
        server.close_clients();
        server.wait_closed().await;
    });
}

#[test]
#[cfg(unix)]
fn at_a_unix_socket() {
    let path = std::env::temp_dir().join(format!("asyncio-protocol-{}", std::process::id()));
    on_each_real_loop(async || {
        let server = create_unix_server(Echo::default, &path).await.unwrap();
        let log = Log::default();
        let (transport, _) = create_unix_connection(|| Recorder::new(&log), &path).await.unwrap();
        transport.write(b"there");
        log.until("data there").await;
        transport.close();
        server.close();
        server.wait_closed().await;
        assert!(!path.exists());
    });
}

#[test]
fn a_protocol_at_both_ends() {
    on_each_loop(async || {
        let server = create_server(Echo::default, "127.0.0.1:0").await.unwrap();
        let log = Log::default();
        let make = || {
            Recorder::that(&log, |event, transport| match event {
                "made" => transport.write(b"0"),
                "data 0" => transport.write(b"1"),
                "data 1" => transport.write_eof(),
                _ => {}
            })
        };
        create_connection(make, server.local_addrs()[0]).await.unwrap();
        log.until("lost").await;
        assert_eq!(log.take(), ["made", "data 0", "data 1", "eof", "lost"]);
    });
}

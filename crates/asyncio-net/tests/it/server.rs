//! `Server`: listening, clients, limits, ends; on each selector.

use std::cell::RefCell;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use asyncio_net::{
    Server, ServerOptions, StreamReader, StreamWriter, TcpListener, TcpStream, open_connection, start_server,
    start_server_on_workers,
};
use asyncio_runtime::Runner;
use asyncio_sync::Event;
use asyncio_tasks::{spawn_local, timeout, yield_now};
use static_assertions::assert_impl_all;

use crate::cancel::polled;
use crate::worlds::{on_each_loop, on_each_real_loop, reporting, settled};

assert_impl_all!(Server: Send, Sync, Clone, Unpin, std::fmt::Debug);

/// Sends every line back.
async fn echo(mut reader: StreamReader, mut writer: StreamWriter) -> io::Result<()> {
    while let Some(line) = reader.read_line().await? {
        writer.write_all(&line).await?;
    }
    writer.close().await
}

async fn echo_server() -> (Server, SocketAddr) {
    let server = start_server(echo, "127.0.0.1:0").await.unwrap();
    let addr = server.local_addrs()[0];
    (server, addr)
}

async fn asks(addr: SocketAddr, line: &str) -> (StreamReader, StreamWriter) {
    let (mut reader, mut writer) = open_connection(addr).await.unwrap();
    writer.write(line.as_bytes());
    assert_eq!(reader.read_line().await.unwrap().unwrap(), line.as_bytes());
    (reader, writer)
}

async fn is_refused(addr: SocketAddr) -> bool {
    open_connection(addr).await.is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused)
}

#[test]
fn every_client_has_a_task_of_its_own() {
    on_each_loop(async || {
        let (server, addr) = echo_server().await;
        assert!(server.is_serving());
        let mut clients = Vec::new();
        for n in 0..20 {
            clients.push(asks(addr, &format!("{n}\n")).await);
        }
        assert_eq!(server.clients(), 20);
        drop(clients);
        while server.clients() > 0 {
            yield_now().await;
        }
    });
}

#[test]
fn small_segments_are_sent_at_once_on_both_sides() {
    on_each_loop(async || {
        let seen = Rc::new(RefCell::new(Vec::new()));
        let sink = seen.clone();
        let nodelay =
            |writer: &StreamWriter| writer.socket().option(asyncio_reactor::OptionName::NoDelay).unwrap();
        let server = start_server(
            move |_reader, writer| {
                sink.borrow_mut().push(nodelay(&writer));
                async {}
            },
            "127.0.0.1:0",
        )
        .await
        .unwrap();
        let (mut reader, writer) = open_connection(&server.local_addrs()[..]).await.unwrap();
        assert_eq!(reader.read(1).await.unwrap(), b"");
        assert_eq!(nodelay(&writer), asyncio_reactor::SocketOption::NoDelay(true));
        assert_eq!(*seen.borrow(), [asyncio_reactor::SocketOption::NoDelay(true)]);
    });
}

#[test]
fn closing_refuses_new_ones_and_serves_who_is_there() {
    on_each_loop(async || {
        let (server, addr) = echo_server().await;
        let (mut reader, mut writer) = asks(addr, "before\n").await;
        server.close();
        server.close();
        assert!(!server.is_serving());
        settled().await;
        assert!(is_refused(addr).await);
        assert_eq!(server.local_addrs(), [addr], "where it was");

        let ended = spawn_local({
            let server = server.clone();
            async move { server.wait_closed().await }
        });
        writer.write(b"after\n");
        assert_eq!(reader.read_line().await.unwrap().unwrap(), b"after\n");
        assert!(!ended.is_finished(), "a client is left");
        drop((reader, writer));
        ended.await.unwrap();
        assert_eq!(server.clients(), 0);
        server.wait_closed().await;
    });
}

/// V1: the system has told them that they are connected.
#[test]
fn closing_serves_who_waits_in_the_queue() {
    on_each_real_loop(async || {
        let (server, addr) = echo_server().await;
        // Without giving the server a turn.
        let mut waiting: Vec<_> = (0..10).map(|_| std::net::TcpStream::connect(addr).unwrap()).collect();
        server.close();
        settled().await;
        assert_eq!(server.clients(), 10);
        for stream in waiting.drain(..) {
            let (mut reader, mut writer) = asyncio_net::TcpStream::from_std(stream).unwrap().into_streams();
            writer.write(b"x\n");
            assert_eq!(reader.read_line().await.unwrap().unwrap(), b"x\n");
        }
        server.wait_closed().await;
    });
}

#[test]
fn the_last_hold_that_is_dropped_closes() {
    on_each_loop(async || {
        let (server, addr) = echo_server().await;
        let other = server.clone();
        drop(server);
        settled().await;
        let (mut reader, mut writer) = asks(addr, "still there\n").await;
        drop(other);
        settled().await;
        assert!(is_refused(addr).await);
        writer.write(b"served\n");
        assert_eq!(reader.read_line().await.unwrap().unwrap(), b"served\n");
    });
}

#[test]
fn serve_forever_ends_when_somebody_closes() {
    on_each_loop(async || {
        let (server, addr) = echo_server().await;
        let client = asks(addr, "x\n").await;
        let serving = spawn_local({
            let server = server.clone();
            async move { server.serve_forever().await }
        });
        settled().await;
        assert!(!serving.is_finished());
        server.close();
        settled().await;
        assert!(!serving.is_finished(), "it waits for the client");
        drop(client);
        serving.await.unwrap().unwrap();
    });
}

#[test]
fn serve_forever_closes_when_it_is_given_up() {
    on_each_loop(async || {
        let (server, addr) = echo_server().await;
        assert!(timeout(Duration::ZERO, server.serve_forever()).await.is_err());
        settled().await;
        assert!(!server.is_serving());
        assert!(is_refused(addr).await);
        server.wait_closed().await;
    });
}

#[test]
fn clients_can_be_closed_and_the_server_goes_on() {
    on_each_loop(async || {
        let (server, addr) = echo_server().await;
        let (mut reader, _writer) = asks(addr, "one\n").await;
        server.close_clients();
        assert_eq!(reader.read_line().await.unwrap(), None, "the end, not a reset");
        drop(asks(addr, "two\n").await);
        server.close();
        server.close_clients();
        server.wait_closed().await;
    });
}

#[test]
fn clients_can_be_thrown_out() {
    on_each_loop(async || {
        let (server, addr) = echo_server().await;
        let (mut reader, _writer) = asks(addr, "one\n").await;
        server.abort_clients();
        assert_eq!(
            reader.read_line().await.unwrap_err().to_string().split(':').next(),
            Some("the connection is lost")
        );
        server.close();
        server.wait_closed().await;
    });
}

/// V3.
#[test]
fn what_goes_wrong_with_one_client_is_reported_and_touches_no_other() {
    let seen = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let sink = seen.clone();
    let runner = Runner::builder()
        .on_unhandled(move |context| sink.lock().unwrap().push((context.to_string(), context.is_panic())));
    runner.build().unwrap().run(async {
        let server = start_server(
            |mut reader: StreamReader, writer: StreamWriter| async move {
                match reader.read_line().await?.as_deref() {
                    Some(b"panic\n") => panic!("on purpose"),
                    Some(b"fail\n") => Err(io::Error::other("no such thing")),
                    _ => echo(reader, writer).await,
                }
            },
            "127.0.0.1:0",
        )
        .await
        .unwrap();
        let addr = server.local_addrs()[0];
        let (mut good_in, mut good_out) = open_connection(addr).await.unwrap();
        good_out.write(b"good\n");
        for bad in ["fail\n", "panic\n"] {
            let (mut reader, mut writer) = open_connection(addr).await.unwrap();
            writer.write(bad.as_bytes());
            assert_eq!(reader.read(1).await.unwrap(), b"", "{bad}");
        }
        good_out.write(b"still served\n");
        assert_eq!(good_in.read_line().await.unwrap().unwrap(), b"still served\n");
    });
    let seen = seen.lock().unwrap();
    assert_eq!(seen.len(), 2, "{seen:?}");
    assert!(seen[0].0.contains("the handler of a client failed: no such thing") && !seen[0].1, "{seen:?}");
    assert!(seen[1].0.contains("the handler of a client panicked: on purpose") && seen[1].1, "{seen:?}");
}

#[test]
fn a_handler_that_panics_before_its_first_await_is_no_other() {
    let seen = std::sync::Arc::new(std::sync::Mutex::new(0));
    let sink = seen.clone();
    Runner::builder().on_unhandled(move |_| *sink.lock().unwrap() += 1).build().unwrap().run(async {
        let calls = std::cell::Cell::new(0);
        let server = start_server(
            move |_reader, mut writer: StreamWriter| {
                calls.set(calls.get() + 1);
                assert!(calls.get() != 1, "the first is bad");
                async move { writer.close().await }
            },
            "127.0.0.1:0",
        )
        .await
        .unwrap();
        for _ in 0..2 {
            let (mut reader, _writer) = open_connection(server.local_addrs()[0]).await.unwrap();
            assert_eq!(reader.read(1).await.unwrap(), b"");
        }
    });
    assert_eq!(*seen.lock().unwrap(), 1);
}

/// V2: whatever is left of a client counts.
#[test]
fn a_server_has_ended_when_connections_and_handlers_have() {
    on_each_loop(async || {
        let (finish, kept) = (Rc::new(Event::new()), Rc::new(RefCell::new(Vec::new())));
        let (wait, keep) = (finish.clone(), kept.clone());
        let server = start_server(
            move |reader, writer| {
                keep.borrow_mut().push((reader, writer));
                let wait = wait.clone();
                async move { wait.wait().await }
            },
            "127.0.0.1:0",
        )
        .await
        .unwrap();
        let client = open_connection(server.local_addrs()[0]).await.unwrap();
        while kept.borrow().is_empty() {
            yield_now().await;
        }
        server.close();
        drop(client);
        kept.borrow_mut().clear();
        assert_eq!(server.clients(), 0);
        settled().await;
        assert!(polled(server.wait_closed(), 1).await.is_none(), "the handler is still there");
        finish.set();
        server.wait_closed().await;
    });
}

#[test]
fn more_than_so_many_wait() {
    on_each_loop(async || {
        let options = ServerOptions::new().clients_max(2);
        let server = options.start_server(echo, "127.0.0.1:0").await.unwrap();
        let addr = server.local_addrs()[0];
        let first = asks(addr, "1\n").await;
        let second = asks(addr, "2\n").await;
        let (mut reader, mut writer) = open_connection(addr).await.unwrap();
        writer.write(b"3\n");
        settled().await;
        assert_eq!(server.clients(), 2);
        assert!(polled(reader.read_line(), 1).await.is_none(), "it is not served");
        drop(first);
        assert_eq!(reader.read_line().await.unwrap().unwrap(), b"3\n");
        // One who waits when the server closes is served in his turn, too.
        let (mut fourth_in, mut fourth_out) = open_connection(addr).await.unwrap();
        fourth_out.write(b"4\n");
        settled().await;
        server.close();
        settled().await;
        assert_eq!(server.clients(), 2);
        drop(second);
        assert_eq!(fourth_in.read_line().await.unwrap().unwrap(), b"4\n");
        drop((reader, writer, fourth_in, fourth_out));
        server.wait_closed().await;
    });
}

/// A listener to which nobody comes must not have the place that another needs.
#[test]
fn places_are_not_kept_by_those_who_have_no_client() {
    on_each_loop(async || {
        let addrs: [SocketAddr; 3] =
            ["127.0.0.1:0", "127.0.0.2:0", "127.0.0.3:0"].map(|addr| addr.parse().unwrap());
        let options = ServerOptions::new().clients_max(1);
        let server = options.start_server(echo, &addrs[..]).await.unwrap();
        for addr in server.local_addrs() {
            drop(asks(addr, "x\n").await);
        }
        server.close();
        server.wait_closed().await;
    });
}

#[test]
fn after_closing_it_throws_out_also_who_waited_in_the_queue() {
    on_each_real_loop(async || {
        for aborts in [false, true] {
            let (server, addr) = echo_server().await;
            let waiting: Vec<_> = (0..5).map(|_| std::net::TcpStream::connect(addr).unwrap()).collect();
            server.close();
            if aborts {
                server.abort_clients();
            } else {
                server.close_clients();
            }
            server.wait_closed().await;
            drop(waiting);
        }
    });
}

#[test]
fn that_clients_were_thrown_out_is_no_failure_of_their_handlers() {
    let (runner, seen) = reporting();
    runner.build().unwrap().run(async {
        let (server, addr) = echo_server().await;
        let clients = [asks(addr, "1\n").await, asks(addr, "2\n").await];
        server.close();
        server.abort_clients();
        server.wait_closed().await;
        drop(clients);
    });
    assert!(seen.lock().unwrap().is_empty(), "{:?}", seen.lock().unwrap());
}

#[test]
fn a_listener_that_somebody_else_has_too_is_left_to_him() {
    on_each_loop(async || {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (addr, kept) = (listener.local_addr().unwrap(), listener.socket().clone());
        let server = ServerOptions::new().start_server_with(echo, listener);
        drop(asks(addr, "x\n").await);
        server.close();
        server.serve_forever().await.unwrap();
        let client = TcpStream::connect(addr).await.unwrap();
        assert!(kept.accept().await.is_ok());
        drop(client);
    });
}

#[test]
#[should_panic(expected = "a server for no client at all")]
fn a_server_for_nobody_is_refused() {
    let _ = ServerOptions::new().clients_max(0);
}

#[test]
fn it_listens_at_every_address_once() {
    on_each_loop(async || {
        let addrs: [SocketAddr; 3] =
            ["127.0.0.1:0", "127.0.0.2:0", "127.0.0.1:0"].map(|addr| addr.parse().unwrap());
        let server = start_server(echo, &addrs[..]).await.unwrap();
        let listening = server.local_addrs();
        let ips: Vec<_> = listening.iter().map(|addr| addr.ip().to_string()).collect();
        assert_eq!(ips, ["127.0.0.1", "127.0.0.2"]);
        for addr in listening {
            assert_ne!(addr.port(), 0);
            drop(asks(addr, "x\n").await);
        }
    });
}

#[test]
fn an_address_of_another_machine_is_passed_over() {
    on_each_loop(async || {
        let both: [SocketAddr; 2] = ["192.0.2.1:0", "127.0.0.1:0"].map(|addr| addr.parse().unwrap());
        let server = start_server(echo, &both[..]).await.unwrap();
        assert_eq!(server.local_addrs().len(), 1);
        let error = start_server(echo, &both[..1]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AddrNotAvailable);
        assert!(error.to_string().contains("listening at 192.0.2.1:0"), "{error}");
    });
}

#[test]
fn an_address_that_is_taken_fails_and_leaves_none_of_the_others() {
    on_each_loop(async || {
        let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addrs = [free.local_addr().unwrap(), taken.local_addr().unwrap()];
        drop(free);
        let error = start_server(echo, &addrs[..]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AddrInUse);
        assert!(error.to_string().contains(&addrs[1].to_string()), "{error}");
        assert!(is_refused(addrs[0]).await);
    });
}

#[test]
fn both_families_of_a_name_at_one_port() {
    on_each_loop(async || {
        let Ok(six) = start_server(echo, "[::1]:0").await else {
            return eprintln!("both_families_of_a_name_at_one_port: this machine has no IPv6");
        };
        let port = six.local_addrs()[0].port();
        // It is for IPv6 alone: the other family's address is free, also the one that stands for all.
        let four: SocketAddr = format!("0.0.0.0:{port}").parse().unwrap();
        let four = start_server(echo, four).await.unwrap();
        drop(asks(format!("127.0.0.1:{port}").parse().unwrap(), "four\n").await);
        drop(asks(format!("[::1]:{port}").parse().unwrap(), "six\n").await);
        drop((six, four));

        let both = start_server(echo, "[::]:0").await.unwrap();
        let port = both.local_addrs()[0].port();
        drop(asks(format!("127.0.0.1:{port}").parse().unwrap(), "four\n").await);
        drop(asks(format!("[::1]:{port}").parse().unwrap(), "six\n").await);
    });
}

#[test]
#[cfg(target_os = "linux")]
fn two_servers_share_an_address_if_both_say_so() {
    on_each_loop(async || {
        let options = ServerOptions::new().reuse_port(true);
        let one = options.start_server(echo, "127.0.0.1:0").await.unwrap();
        let addr = one.local_addrs()[0];
        let other = options.start_server(echo, addr).await.unwrap();
        let error = start_server(echo, addr).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AddrInUse);
        let mut clients = Vec::new();
        for _ in 0..64 {
            clients.push(asks(addr, "x\n").await);
        }
        assert_eq!(one.clients() + other.clients(), 64);
        assert!(one.clients() > 0 && other.clients() > 0, "chance has it that one in 2^63 runs fails");
    });
}

#[test]
fn dropped_while_it_starts_it_listens_nowhere() {
    on_each_loop(async || {
        let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = free.local_addr().unwrap();
        drop(free);
        for polls in 0..5 {
            let name = format!("localhost:{}", addr.port());
            let started = polled(start_server(echo, name), polls).await;
            drop(started);
            settled().await;
            assert!(is_refused(addr).await, "{polls} polls");
            let again = start_server(echo, addr).await.unwrap();
            again.close();
            again.wait_closed().await;
        }
    });
}

#[test]
fn the_end_of_the_loop_ends_servers_and_handlers() {
    let mut addr = None;
    asyncio_runtime::run(async {
        let (server, at) = echo_server().await;
        addr = Some(at);
        let client = asks(at, "x\n").await;
        std::mem::forget((server, client));
    });
    let refused = std::net::TcpStream::connect(addr.unwrap()).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
}

#[test]
#[should_panic(expected = "no event loop runs")]
fn without_a_loop_there_is_no_server() {
    asyncio_executor::block_on(async { drop(echo_server().await) });
}

#[test]
#[should_panic(expected = "no event loop runs")]
fn without_a_loop_there_is_no_server_on_workers() {
    asyncio_executor::block_on(async { drop(start_server_on_workers(echo, "127.0.0.1:0").await) });
}

#[test]
#[cfg(target_os = "linux")]
fn every_worker_accepts_for_itself() {
    let mut runner = Runner::builder().workers(3).build().unwrap();
    runner.run(async {
        let threads = std::sync::Arc::new(std::sync::Mutex::new(std::collections::HashMap::new()));
        let sink = threads.clone();
        let handler = move |reader: StreamReader, writer: StreamWriter| {
            let thread = std::thread::current().id();
            *sink.lock().unwrap().entry(thread).or_insert(0) += 1;
            async move {
                // `Rc`: it does not move.
                let here = Rc::new(thread);
                let outcome = echo(reader, writer).await;
                assert_eq!(std::thread::current().id(), *here);
                outcome
            }
        };
        let server = start_server_on_workers(handler, "127.0.0.1:0").await.unwrap();
        assert_eq!(server.local_addrs().len(), 1);
        let addr = server.local_addrs()[0];
        let mut clients = Vec::new();
        for n in 0..600 {
            clients.push(asks(addr, &format!("{n}\n")).await);
        }
        assert_eq!(server.clients(), 600);
        let counts: Vec<usize> = threads.lock().unwrap().values().copied().collect();
        assert_eq!(counts.len(), 3, "{counts:?}");
        // 200 each, by a hash: twice as many is more than eight standard deviations away.
        assert!(counts.iter().all(|count| (100..=300).contains(count)), "{counts:?}");
        server.close();
        drop(clients);
        server.wait_closed().await;
        assert!(is_refused(addr).await);
    });
}

#[test]
fn one_worker_is_enough() {
    on_each_loop(async || {
        let server = start_server_on_workers(echo, "127.0.0.1:0").await.unwrap();
        drop(asks(server.local_addrs()[0], "x\n").await);
        server.close();
        server.wait_closed().await;
    });
}

#[test]
fn a_server_on_workers_that_cannot_start_leaves_nothing() {
    on_each_loop(async || {
        let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = taken.local_addr().unwrap();
        let error = start_server_on_workers(echo, addr).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AddrInUse);
    });
}

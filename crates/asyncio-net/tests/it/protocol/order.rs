//! In which order callbacks come, and when.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use asyncio_net::protocol::{OnEof, connect_accepted_socket, create_connection};
use asyncio_net::{StreamReader, StreamWriter, start_server};
use asyncio_tasks::{all_tasks, spawn_local, yield_now};

use super::{Log, Recorder, on_each_kind, pattern, settled};
use crate::cancel::polled;
use crate::worlds::{on_each_loop, on_each_real_loop, pair};

#[test]
fn made_then_data_then_eof_then_lost() {
    on_each_kind(Recorder::new, async |_, log, (_reader, mut writer)| {
        assert_eq!(log.take(), ["made"], "before whoever made it goes on");
        writer.write(b"one");
        log.until("data one").await;
        writer.write(b"two");
        writer.write_eof();
        log.until("lost").await;
        settled().await;
        assert_eq!(log.take(), ["data one", "data two", "eof", "lost"]);
    });
}

#[test]
fn bytes_that_are_there_already_come_after_connection_made() {
    on_each_loop(async || {
        let log = Log::default();
        let (client, server) = pair().await;
        let (_reader, mut writer) = client.into_streams();
        writer.write(b"early");
        writer.write_eof();
        settled().await;
        let (_transport, _) = connect_accepted_socket(|| Recorder::new(&log), server).await.unwrap();
        assert_eq!(log.0.borrow()[0], "made");
        log.until("lost").await;
        assert_eq!(log.take(), ["made", "data early", "eof", "lost"]);
    });
}

/// As in asyncio, where reading begins after whoever waits for the connection was told of it.
#[test]
fn whoever_connects_has_the_connection_before_anything_happens_to_it() {
    on_each_loop(async || {
        let (client, server) = pair().await;
        let (reader, mut writer) = client.into_streams();
        writer.write(b"a greeting");
        writer.close().await.unwrap();
        drop((reader, writer));
        settled().await;
        let log = Log::default();
        let (transport, _) = connect_accepted_socket(|| Recorder::new(&log), server).await.unwrap();
        assert_eq!(log.take(), ["made"]);
        assert!(transport.peer_addr().is_ok());
        log.until("lost").await;
        assert_eq!(log.take(), ["data a greeting", "eof", "lost"]);
    });
}

#[test]
fn no_callback_comes_from_inside_of_a_call() {
    on_each_kind(Recorder::new, async |transport, log, (_reader, _writer)| {
        log.take();
        transport.close();
        assert!(transport.is_closing());
        assert!(log.take().is_empty(), "soon, not now");
        log.until("lost").await;
        assert_eq!(log.take(), ["lost"]);
    });
}

#[test]
fn callbacks_are_never_nested() {
    let depth = Rc::new(Cell::new(0));
    let make = |log: &Log| {
        let depth = depth.clone();
        Recorder::that(log, move |event, transport| {
            assert_eq!(depth.replace(1), 0, "{event} inside of another");
            if event == "made" {
                // More than fits: it is to be told to pause, but not now.
                transport.write(&pattern(3_000_000));
                transport.set_write_buffer_limits(1, 0);
            } else if event.starts_with("data") {
                transport.close();
                transport.abort();
            }
            depth.set(0);
        })
    };
    on_each_kind(make, async |_, log, (_reader, mut writer)| {
        assert_eq!(log.take(), ["made", "pause"]);
        writer.write(b"x");
        log.until("lost").await;
        assert_eq!(log.take(), ["data x", "lost"]);
    });
}

#[test]
fn a_half_closed_connection_stays_if_the_protocol_says_so() {
    let make = |log: &Log| Recorder { on_eof: OnEof::KeepOpen, ..Recorder::new(log) };
    on_each_kind(make, async |transport, log, (mut reader, mut writer)| {
        writer.write_eof();
        log.until("eof").await;
        settled().await;
        assert!(!transport.is_closing());
        transport.write(b"still here");
        assert_eq!(reader.read(99).await.unwrap(), b"still here");
        transport.close();
        log.until("lost").await;
        assert_eq!(reader.read(1).await.unwrap(), b"");
        assert_eq!(log.take(), ["made", "eof", "lost"]);
    });
}

#[test]
fn reading_can_be_paused_from_the_beginning() {
    let make = |log: &Log| {
        Recorder::that(log, |event, transport| {
            if event == "made" {
                transport.pause_reading();
                transport.pause_reading();
            }
        })
    };
    on_each_kind(make, async |transport, log, (_reader, mut writer)| {
        writer.write(b"later");
        writer.write_eof();
        settled().await;
        assert!(!transport.is_reading());
        assert_eq!(log.take(), ["made"]);
        transport.resume_reading();
        transport.resume_reading();
        assert!(transport.is_reading());
        log.until("lost").await;
        assert_eq!(log.take(), ["data later", "eof", "lost"]);
        assert!(!transport.is_reading());
    });
}

#[test]
fn one_who_pauses_in_a_callback_is_told_nothing_more() {
    let make = |log: &Log| {
        Recorder::that(log, |event, transport| {
            if event.starts_with("data") {
                transport.pause_reading();
            }
        })
    };
    on_each_kind(make, async |transport, log, (_reader, mut writer)| {
        writer.write(b"1");
        log.until("data 1").await;
        writer.write(b"2");
        writer.write_eof();
        settled().await;
        assert_eq!(log.take(), ["made", "data 1"]);
        transport.resume_reading();
        log.until("data 2").await;
        settled().await;
        assert_eq!(log.take(), ["data 2"], "and not its end");
        transport.resume_reading();
        log.until("lost").await;
    });
}

/// All connections of a loop are one task's.
#[test]
fn a_connection_has_no_task() {
    on_each_loop(async || {
        let log = Log::default();
        let mut kept = Vec::new();
        let (client, server) = pair().await;
        kept.push((connect_accepted_socket(|| Recorder::new(&log), client).await.unwrap(), server));
        let before = all_tasks().len();
        for _ in 0..20 {
            let (client, server) = pair().await;
            kept.push((connect_accepted_socket(|| Recorder::new(&log), client).await.unwrap(), server));
        }
        assert_eq!(all_tasks().len(), before);
        assert!(all_tasks().iter().any(|task| task.name() == Some("protocols")));
    });
}

#[test]
fn one_that_always_has_bytes_holds_nobody_up() {
    on_each_real_loop(async || {
        let (greedy, modest) = (Log::default(), Log::default());
        let (client, server) = pair().await;
        let (_, mut writer) = client.into_streams();
        let flood = std::thread::spawn(move || {
            let bytes = pattern(100_000);
            while asyncio_executor::block_on(StreamWriter::write_all(&mut writer, &bytes)).is_ok() {}
        });
        let (flooded, _) = connect_accepted_socket(|| Recorder::new(&greedy), server).await.unwrap();
        let (client, server) = pair().await;
        let (_other, _) = connect_accepted_socket(|| Recorder::new(&modest), client).await.unwrap();
        let (_, mut writer) = server.into_streams();
        for n in 0..20 {
            writer.write(format!("{n}").as_bytes());
            modest.until(&format!("data {n}")).await;
            asyncio_timers::sleep(Duration::from_micros(10)).await;
        }
        flooded.abort();
        greedy.until("lost").await;
        // Its socket is of this loop, which is not to be blocked.
        while !flood.is_finished() {
            yield_now().await;
        }
        flood.join().unwrap();
    });
}

#[test]
fn the_factory_is_called_once_the_connection_stands() {
    on_each_loop(async || {
        let called = Cell::new(0);
        let log = Log::default();
        let make = || {
            called.set(called.get() + 1);
            Recorder::new(&log)
        };
        let taken = asyncio_net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = taken.local_addr().unwrap();
        drop(taken);
        assert!(create_connection(make, addr).await.is_err());
        assert_eq!(called.get(), 0);
    });
}

#[test]
fn whoever_gives_up_connecting_leaves_no_connection() {
    on_each_loop(async || {
        let ended = Rc::new(Cell::new(0));
        let count = ended.clone();
        let server = start_server(
            move |mut reader: StreamReader, _writer| {
                let count = count.clone();
                async move {
                    let _ = reader.read(1).await;
                    count.set(count.get() + 1);
                }
            },
            "127.0.0.1:0",
        )
        .await
        .unwrap();
        let addr = server.local_addrs()[0];
        let mut made = 0;
        for polls in 0..8 {
            let log = Log::default();
            let connecting = create_connection(|| Recorder::new(&log), addr);
            if let Some(connected) = polled(connecting, polls).await {
                made += 1;
                assert_eq!(log.take(), ["made"]);
                connected.unwrap().0.close();
            } else if log.has("made") {
                log.until("lost").await;
            }
        }
        assert!(made > 0);
        server.close();
        server.wait_closed().await;
    });
}

#[test]
fn a_handle_looks_at_the_protocol_also_after_its_end() {
    on_each_loop(async || {
        let log = Log::default();
        let (client, server) = pair().await;
        let (transport, handle) = connect_accepted_socket(|| Recorder::new(&log), client).await.unwrap();
        let (_reader, mut writer) = server.into_streams();
        writer.write(b"bytes");
        writer.write_eof();
        log.until("lost").await;
        assert_eq!(handle.with(|protocol| protocol.received.clone()), b"bytes");
        assert_eq!(handle.clone().with(|protocol| protocol.received.len()), 5);
        settled().await;
        assert!(transport.socket().is_none(), "the descriptor is gone");
    });
}

/// asyncio in the same process of events: what Python's own loop prints for this.
#[test]
fn soon_is_before_what_a_task_does_two_turns_later() {
    on_each_kind(Recorder::new, async |transport, log, (_reader, _writer)| {
        let inner = log.clone();
        transport.close();
        let later = spawn_local(async move {
            for _ in 0..3 {
                yield_now().await;
            }
            inner.note("three turns later");
        });
        later.await.unwrap();
        assert_eq!(log.take(), ["made", "lost", "three turns later"]);
    });
}

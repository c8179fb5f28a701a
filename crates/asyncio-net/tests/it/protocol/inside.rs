//! What a callback may do to its own connection, and to others.

use std::cell::{Cell, RefCell};
use std::io::IoSlice;
use std::rc::Rc;

use asyncio_net::protocol::{
    OnEof, Protocol, Transport, connect_accepted_socket, create_connection, create_server,
};
use asyncio_tasks::{spawn_local, yield_now};

use super::{Log, Recorder, on_each_kind, pattern, settled};
use crate::worlds::{on_each_loop, pair};

/// A recorder that does something at one event.
fn at(event: &'static str, does: impl Fn(&Transport) + Clone + 'static) -> impl Fn(&Log) -> Recorder {
    move |log| {
        let does = does.clone();
        Recorder::that(log, move |present, transport| {
            if present == event {
                does(transport);
            }
        })
    }
}

#[test]
fn what_is_written_when_it_is_made_is_the_first_thing_that_the_peer_sees() {
    on_each_kind(
        at("made", |transport| transport.write(b"welcome")),
        async |transport, _, (mut reader, _writer)| {
            transport.write(b" and more");
            assert_eq!(reader.read_exact(16).await.unwrap(), b"welcome and more");
        },
    );
}

#[test]
fn closed_when_it_is_made() {
    on_each_kind(at("made", Transport::close), async |_, log, (mut reader, mut writer)| {
        writer.write(b"for nobody");
        log.until("lost").await;
        assert_eq!(log.take(), ["made", "lost"]);
        // The end, or a reset for what was not read.
        assert!(reader.read(1).await.is_ok_and(|bytes| bytes.is_empty()) || reader.read(1).await.is_err());
    });
}

#[test]
fn aborted_when_it_is_made() {
    on_each_kind(at("made", Transport::abort), async |transport, log, _peer| {
        log.until("lost").await;
        transport.write(b"late");
        settled().await;
        assert_eq!(log.take(), ["made", "lost"]);
    });
}

#[test]
fn a_goodbye_is_sent_before_the_end() {
    let farewell = |transport: &Transport| {
        transport.write(b"good");
        transport.write(b"bye");
        transport.close();
        transport.write(b"for nobody");
    };
    on_each_kind(at("data x", farewell), async |_, log, (mut reader, mut writer)| {
        writer.write(b"x");
        assert_eq!(reader.read_to_end().await.unwrap(), b"goodbye");
        log.until("lost").await;
        assert_eq!(log.take(), ["made", "data x", "lost"]);
    });
}

#[test]
fn an_answer_at_the_end_of_the_peer() {
    let make = |log: &Log| Recorder {
        on_eof: OnEof::KeepOpen,
        ..at("eof", |transport| {
            transport.write(b"that was all?");
            transport.write_eof();
            transport.write_eof();
        })(log)
    };
    on_each_kind(make, async |transport, log, (mut reader, mut writer)| {
        writer.write_eof();
        assert_eq!(reader.read_to_end().await.unwrap(), b"that was all?");
        settled().await;
        assert!(!transport.is_closing(), "both directions have ended, and it is the protocol's to close it");
        transport.close();
        log.until("lost").await;
        assert_eq!(log.take(), ["made", "eof", "lost"]);
    });
}

#[test]
fn what_it_does_once_it_is_lost_does_nothing() {
    let does = |transport: &Transport| {
        transport.write(b"x");
        transport.writev(&[IoSlice::new(b"x")]);
        transport.write_eof();
        transport.pause_reading();
        transport.resume_reading();
        transport.set_write_buffer_limits(10, 1);
        transport.close();
        transport.abort();
        assert!(transport.is_closing() && !transport.is_reading());
        assert_eq!(transport.write_buffer_size(), 0);
    };
    on_each_kind(at("lost", does), async |_, log, (_reader, mut writer)| {
        writer.write_eof();
        log.until("lost").await;
        settled().await;
        assert_eq!(log.take(), ["made", "eof", "lost"]);
    });
}

#[test]
fn reading_is_paused_and_resumed_any_number_of_times() {
    let does = |transport: &Transport| {
        for _ in 0..3 {
            transport.pause_reading();
            assert!(!transport.is_reading());
        }
        for _ in 0..3 {
            transport.resume_reading();
            assert!(transport.is_reading());
        }
    };
    on_each_kind(at("data 1", does), async |_, log, (_reader, mut writer)| {
        for n in 1..5 {
            writer.write(n.to_string().as_bytes());
            log.until(&format!("data {n}")).await;
        }
        assert_eq!(log.take(), ["made", "data 1", "data 2", "data 3", "data 4"]);
    });
}

#[test]
fn the_end_of_the_peer_waits_while_reading_is_paused() {
    on_each_kind(at("made", Transport::pause_reading), async |transport, log, (_reader, mut writer)| {
        writer.write(b"x");
        writer.write_eof();
        settled().await;
        assert_eq!(log.take(), ["made"]);
        transport.resume_reading();
        log.until("lost").await;
        assert_eq!(log.take(), ["data x", "eof", "lost"]);
    });
}

#[test]
fn more_buffers_than_the_system_takes_in_one_call() {
    on_each_kind(Recorder::new, async |transport, _, (mut reader, _writer)| {
        let bytes = pattern(20_001);
        let mut bufs: Vec<_> = bytes.chunks(7).map(IoSlice::new).collect();
        bufs.insert(1000, IoSlice::new(&[]));
        assert!(bufs.len() > 1024);
        transport.writev(&bufs);
        assert!(reader.read_exact(bytes.len()).await.unwrap() == bytes);
    });
}

#[test]
fn nothing_may_be_written() {
    on_each_kind(Recorder::new, async |transport, log, (mut reader, _writer)| {
        transport.write(b"");
        transport.writev(&[]);
        transport.writev(&[IoSlice::new(b""), IoSlice::new(b"")]);
        transport.set_write_buffer_limits(0, 0);
        transport.write(b"");
        transport.write(b"x");
        assert_eq!(reader.read_exact(1).await.unwrap(), b"x");
        settled().await;
        assert_eq!(log.take(), ["made"]);
    });
}

/// A proxy: what one protocol is told, it does to the transport of another.
#[test]
fn to_the_connection_of_another() {
    struct Passes(Rc<RefCell<Option<Transport>>>);

    impl Protocol for Passes {
        fn data_received(&mut self, data: &[u8]) {
            self.0.borrow().iter().for_each(|other| other.write(data));
        }

        fn eof_received(&mut self) -> OnEof {
            self.0.borrow().iter().for_each(Transport::write_eof);
            OnEof::KeepOpen
        }
    }

    on_each_loop(async || {
        let ((client, left), (right, server)) = (pair().await, pair().await);
        let places = [Rc::default(), Rc::default()];
        let (left, _) = connect_accepted_socket(|| Passes(Rc::clone(&places[1])), left).await.unwrap();
        let (right, _) = connect_accepted_socket(|| Passes(Rc::clone(&places[0])), right).await.unwrap();
        places[0].replace(Some(left.clone()));
        places[1].replace(Some(right.clone()));
        let ((mut reader, mut writer), (mut far_reader, mut far_writer)) =
            (client.into_streams(), server.into_streams());
        let bytes = pattern(500_000);
        writer.write(&bytes);
        writer.write_eof();
        assert!(far_reader.read_to_end().await.unwrap() == bytes);
        far_writer.write(b"an answer");
        far_writer.write_eof();
        assert_eq!(reader.read_to_end().await.unwrap(), b"an answer");
        left.close();
        right.close();
    });
}

#[test]
fn connections_and_tasks_are_made_there() {
    on_each_loop(async || {
        let log = Log::default();
        let (inner, far) = (log.clone(), Log::default());
        let far_log = far.clone();
        let server = create_server(move || Recorder::new(&far_log), "127.0.0.1:0").await.unwrap();
        let addr = server.local_addrs()[0];
        let (client, mut peer) = pair().await;
        let make = || {
            Recorder::that(&log, move |event, _| {
                if event == "data go" {
                    let log = inner.clone();
                    spawn_local(async move {
                        let (transport, _) = create_connection(|| Recorder::new(&log), addr).await.unwrap();
                        transport.write(b"from a task");
                    })
                    .detach();
                }
            })
        };
        connect_accepted_socket(make, client).await.unwrap();
        futures_lite::AsyncWriteExt::write_all(&mut peer, b"go").await.unwrap();
        far.until("data from a task").await;
        assert_eq!(log.take(), ["made", "data go", "made"]);
    });
}

/// Each of a hundred ends another one from inside of its callback, in the same turn.
#[test]
fn others_are_ended_in_the_midst_of_a_turn() {
    on_each_loop(async || {
        let count = 100;
        let transports = Rc::new(RefCell::new(Vec::<Transport>::new()));
        let (lost, told) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
        let mut peers = Vec::new();
        for n in 0..count {
            let (client, server) = pair().await;
            let (all, lost, told) = (transports.clone(), lost.clone(), told.clone());
            let make = move || {
                Recorder::that(&Log::default(), move |event, _| {
                    if event.starts_with("data") {
                        told.set(told.get() + 1);
                        all.borrow()[(n + count / 2) % count].abort();
                    } else if event.starts_with("lost") {
                        lost.set(lost.get() + 1);
                    }
                })
            };
            let (transport, _) = connect_accepted_socket(make, client).await.unwrap();
            transports.borrow_mut().push(transport);
            peers.push(server.into_streams());
        }
        peers.iter_mut().for_each(|(_, writer)| writer.write(b"x"));
        while lost.get() < count / 2 {
            yield_now().await;
        }
        settled().await;
        assert!(told.get() >= count / 2, "whoever is ended is told of no bytes, whoever ends is");
        assert!(lost.get() <= told.get());
        transports.borrow().iter().for_each(Transport::close);
        while lost.get() < count {
            yield_now().await;
        }
        settled().await;
        assert_eq!(lost.get(), count, "each once");
    });
}

//! How a connection of a protocol ends when all does not go well.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use asyncio_net::protocol::{BufferedProtocol, Transport, connect_accepted_socket};
use asyncio_runtime::Runner;
use asyncio_tasks::yield_now;

use super::{Log, Recorder, on_each_kind, pattern, settled};
use crate::scripted::Scripted;
use crate::worlds::{on_each_loop, pair, reporting};

#[test]
fn a_reset_is_told_once() {
    on_each_loop(async || {
        let log = Log::default();
        let (client, server) = pair().await;
        let (transport, _) = connect_accepted_socket(|| Recorder::new(&log), server).await.unwrap();
        client.set_linger(Some(Duration::ZERO)).unwrap();
        drop(client);
        log.until("lost: ConnectionReset").await;
        transport.write(b"x");
        settled().await;
        assert_eq!(log.take(), ["made", "lost: ConnectionReset"]);
    });
}

#[test]
fn a_write_that_fails_is_told_soon() {
    on_each_kind(Recorder::new, async |transport, log, peer| {
        transport.pause_reading();
        drop(peer);
        while !transport.is_closing() {
            let before = log.0.borrow().len();
            transport.write(b"x");
            assert_eq!(log.0.borrow().len(), before, "not from inside of the write");
            yield_now().await;
        }
        settled().await;
        let events = log.take();
        assert!(events.len() == 2 && events[1].starts_with("lost: "), "{events:?}");
    });
}

#[test]
fn one_who_is_paused_learns_that_the_peer_is_gone() {
    on_each_kind(Recorder::new, async |transport, log, peer| {
        transport.write(&pattern(2_000_000));
        settled().await;
        assert_eq!(log.take(), ["made", "pause"]);
        drop(peer);
        while !transport.is_closing() {
            yield_now().await;
        }
        settled().await;
        let events = log.take();
        assert!(events.len() == 1 && events[0].starts_with("lost"), "{events:?}");
    });
}

/// K4, for each of the callbacks.
#[test]
fn a_panic_in_a_callback_ends_its_connection_and_no_other() {
    for culprit in ["made", "data x", "eof", "pause", "resume", "lost"] {
        let reports = Arc::new(Mutex::new(Vec::new()));
        let sink = reports.clone();
        let runner = Runner::builder().on_unhandled(move |context| {
            assert!(context.is_panic());
            sink.lock().unwrap().push(context.to_string());
        });
        runner.build().unwrap().run(async {
            let log = Log::default();
            let (good_end, good_peer) = pair().await;
            let good = Log::default();
            connect_accepted_socket(|| Recorder::new(&good), good_end).await.unwrap();

            let bad = Recorder::that(&log, move |event, _| {
                assert!(event != culprit, "{culprit} panics on purpose")
            });
            let (client, server) = pair().await;
            let (transport, _) = connect_accepted_socket(|| bad, client).await.unwrap();
            let (mut reader, mut writer) = server.into_streams();
            transport.set_write_buffer_limits(0, 0);
            writer.write(b"x");
            settled().await;
            if !transport.is_closing() {
                transport.write(&pattern(9_000_000));
                settled().await;
                while transport.write_buffer_size() > 0 {
                    reader.read(100_000).await.unwrap();
                }
                writer.write_eof();
            }
            while !log.0.borrow().iter().any(|event| event.starts_with("lost")) {
                yield_now().await;
            }
            let last = log.take().pop().unwrap();
            assert_eq!(last, if culprit == "lost" { "lost" } else { "lost: Other" }, "{culprit}");

            let (_, mut writer) = good_peer.into_streams();
            writer.write(b"still served");
            good.until("data still served").await;
        });
        let reports = reports.lock().unwrap();
        assert_eq!(reports.len(), 1, "{reports:?}");
        assert!(reports[0].contains("of a protocol panicked, and its connection is closed"), "{reports:?}");
        assert!(reports[0].contains(&format!("{culprit} panics on purpose")), "{reports:?}");
    }
}

#[test]
fn a_protocol_that_panics_when_it_is_dropped_ends_no_other() {
    struct Bomb;
    impl asyncio_net::protocol::Protocol for Bomb {
        fn data_received(&mut self, _: &[u8]) {}
    }
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("a drop panics on purpose");
        }
    }
    let (runner, reports) = reporting();
    runner.build().unwrap().run(async {
        let (good_end, good_peer) = pair().await;
        let good = Log::default();
        connect_accepted_socket(|| Recorder::new(&good), good_end).await.unwrap();
        let (client, server) = pair().await;
        drop(connect_accepted_socket(|| Bomb, client).await.unwrap());
        drop(server);
        while reports.lock().unwrap().is_empty() {
            yield_now().await;
        }
        let (_, mut writer) = good_peer.into_streams();
        writer.write(b"still served");
        good.until("data still served").await;
    });
    let reports = reports.lock().unwrap();
    assert!(reports.len() == 1 && reports[0].contains("a drop panics on purpose"), "{reports:?}");
}

#[test]
fn writing_after_write_eof_is_a_mistake_that_ends_the_connection() {
    let (runner, reports) = reporting();
    runner.build().unwrap().run(async {
        let log = Log::default();
        let make = || {
            Recorder::that(&log, |event, transport| {
                if event == "made" {
                    transport.write_eof();
                    transport.write(b"too late");
                }
            })
        };
        let (client, _server) = pair().await;
        connect_accepted_socket(make, client).await.unwrap();
        log.until("lost: Other").await;
    });
    assert!(reports.lock().unwrap()[0].contains("a protocol wrote after `write_eof`"));
}

/// Gives buffers of a few bytes, and at last none.
struct Small {
    log: Log,
    buffer: [u8; 4],
    left: usize,
}

impl BufferedProtocol for Small {
    fn connection_made(&mut self, _: Transport) {
        self.log.note("made");
    }

    fn get_buffer(&mut self, _: usize) -> &mut [u8] {
        &mut self.buffer[..self.left.min(4)]
    }

    fn buffer_updated(&mut self, n: usize) {
        self.left -= n;
        self.log.note(String::from_utf8_lossy(&self.buffer[..n]));
    }

    fn connection_lost(&mut self, error: Option<std::io::Error>) {
        self.log.note(format!("lost {:?}", error.map(|error| error.to_string())));
    }
}

#[test]
fn a_buffer_of_the_protocols_own_is_filled_and_an_empty_one_is_an_error() {
    on_each_loop(async || {
        let log = Log::default();
        let (client, server) = pair().await;
        let make = || Small { log: log.clone(), buffer: [0; 4], left: 10 };
        connect_accepted_socket(make, client).await.unwrap();
        let (_reader, mut writer) = server.into_streams();
        writer.write(b"abcdefghij");
        let lost = "lost Some(\"`get_buffer` of a protocol gave an empty buffer\")";
        log.until(lost).await;
        assert_eq!(log.take(), ["made", "abcd", "efgh", "ij", lost]);
    });
}

/// Fills its buffer, and is told that it may write in between.
#[derive(Default)]
struct Filling {
    buffer: Vec<u8>,
    events: Vec<&'static str>,
}

impl BufferedProtocol for Filling {
    fn get_buffer(&mut self, _: usize) -> &mut [u8] {
        self.events.push("get");
        self.buffer.resize(10, 0);
        &mut self.buffer
    }

    fn buffer_updated(&mut self, _: usize) {
        self.events.push("updated");
    }

    fn pause_writing(&mut self) {
        self.events.push("pause");
    }

    fn resume_writing(&mut self) {
        self.events.push("resume");
    }
}

#[test]
fn nothing_comes_between_a_buffer_and_its_bytes() {
    asyncio_runtime::run(async {
        let socket = Arc::new(Scripted::default());
        let shared: Arc<dyn asyncio_net::Socket> = socket.clone();
        let (transport, filling) = connect_accepted_socket(Filling::default, shared).await.unwrap();
        transport.set_write_buffer_limits(0, 0);
        transport.write(b"no room yet");
        settled().await;
        filling.with(|filling| assert_eq!(std::mem::take(&mut filling.events), ["get", "pause"]));
        // Both in one step: what was unsent goes out, and bytes come in.
        socket.make_room(100);
        socket.receive(b"bytes");
        socket.tell();
        settled().await;
        filling.with(|filling| assert_eq!(filling.events, ["get", "updated", "resume", "get"]));
        transport.abort();
    });
}

#[test]
fn without_a_loop_there_is_no_protocol() {
    let (one, _other) = std::os::unix::net::UnixStream::pair().unwrap();
    let caught = std::panic::catch_unwind(|| {
        asyncio_executor::block_on(async {
            let stream = asyncio_net::UnixStream::from_std(one).unwrap();
            let _ = connect_accepted_socket(|| Recorder::new(&Log::default()), stream).await;
        });
    });
    let message = caught.unwrap_err();
    assert!(
        message.downcast_ref::<String>().is_some_and(|text| text.contains("no event loop runs"))
            || message.downcast_ref::<&str>().is_some_and(|text| text.contains("no event loop runs"))
    );
}

#[test]
#[should_panic(expected = "inside of a callback of its own protocol, or of itself")]
fn a_handle_is_not_for_the_inside() {
    on_each_loop(async || {
        let (client, _server) = pair().await;
        let log = Log::default();
        let (_, handle) = connect_accepted_socket(|| Recorder::new(&log), client).await.unwrap();
        handle.with(|_| handle.with(|_| {}));
    });
}

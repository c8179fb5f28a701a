//! What a transport writes, and the water marks.

use std::io::IoSlice;

use asyncio_net::protocol::Transport;
use asyncio_tasks::yield_now;

#[cfg(unix)]
use super::on_unix_sockets;
use super::{Log, Recorder, on_each_kind, pattern, settled};

/// Has the selector say that one may write: of a new socket it is not known.
#[cfg(unix)]
async fn known(transport: &Transport, reader: &mut asyncio_net::StreamReader) {
    transport.write(b"x");
    assert_eq!(reader.read_exact(1).await.unwrap(), b"x");
}

/// Writes until the system takes no more; gives how many bytes.
#[cfg(unix)]
fn overfill(transport: &Transport) -> usize {
    let mut written = 0;
    while transport.write_buffer_size() == 0 {
        transport.write(&[1; 10_000]);
        written += 10_000;
    }
    written
}

#[test]
fn what_the_system_does_not_take_comes_later_and_in_order() {
    on_each_kind(Recorder::new, async |transport, _, (mut reader, _writer)| {
        let bytes = pattern(2_000_000);
        for chunk in bytes.chunks(70_001) {
            transport.write(chunk);
        }
        assert!(transport.write_buffer_size() > 0);
        assert!(reader.read_exact(bytes.len()).await.unwrap() == bytes);
        settled().await;
        assert_eq!(transport.write_buffer_size(), 0);
        transport.writev(&[IoSlice::new(b"and "), IoSlice::new(b""), IoSlice::new(b"more")]);
        assert_eq!(reader.read_exact(8).await.unwrap(), b"and more");
    });
}

#[test]
#[cfg(unix)]
fn the_protocol_is_told_at_the_marks_in_turns() {
    on_unix_sockets(Recorder::new, async |transport, log, (mut reader, _writer)| {
        known(&transport, &mut reader).await;
        log.take();
        assert_eq!(transport.write_buffer_limits(), (65_536, 16_384));
        for _ in 0..3 {
            let mut written = overfill(&transport);
            settled().await;
            assert!(log.take().is_empty(), "below the mark");
            while transport.write_buffer_size() <= 65_536 {
                transport.write(&[1; 1000]);
                written += 1000;
            }
            settled().await;
            assert_eq!(log.take(), ["pause"]);
            transport.write(&[1; 50_000]);
            settled().await;
            assert!(log.take().is_empty(), "it knows");
            written += 50_000;
            while transport.write_buffer_size() > 16_384 {
                assert!(!log.has("resume"));
                written -= reader.read(4096).await.unwrap().len();
                yield_now().await;
            }
            settled().await;
            assert_eq!(log.take(), ["resume"]);
            while written > 0 {
                written -= reader.read(written).await.unwrap().len();
            }
            settled().await;
        }
    });
}

#[test]
#[cfg(unix)]
fn a_mark_of_nothing_pauses_at_any_byte() {
    on_unix_sockets(Recorder::new, async |transport, log, (mut reader, _writer)| {
        known(&transport, &mut reader).await;
        transport.set_write_buffer_limits(0, 0);
        let written = overfill(&transport);
        settled().await;
        assert_eq!(log.take(), ["made", "pause"]);
        assert_eq!(reader.read_exact(written).await.unwrap().len(), written);
        settled().await;
        assert_eq!(log.take(), ["resume"]);
    });
}

#[test]
#[cfg(unix)]
fn marks_are_looked_at_when_they_are_set() {
    on_unix_sockets(Recorder::new, async |transport, log, (mut reader, _writer)| {
        known(&transport, &mut reader).await;
        overfill(&transport);
        settled().await;
        assert_eq!(log.take(), ["made"]);
        let unsent = transport.write_buffer_size();
        transport.set_write_buffer_limits(unsent - 1, 0);
        settled().await;
        assert_eq!(log.take(), ["pause"]);
        transport.set_write_buffer_limits(unsent + 1, unsent);
        settled().await;
        assert_eq!(log.take(), ["resume"]);
        assert_eq!(transport.write_buffer_limits(), (unsent + 1, unsent));
        transport.abort();
    });
}

#[test]
fn one_who_writes_until_he_is_told_is_told_right_after() {
    let make = |log: &Log| {
        Recorder::that(log, |event, transport| {
            if event == "made" || event == "resume" {
                while transport.write_buffer_size() <= 65_536 {
                    transport.write(&[1; 10_000]);
                }
            }
        })
    };
    on_each_kind(make, async |transport, log, (mut reader, _writer)| {
        assert_eq!(log.take(), ["made", "pause"]);
        let mut read = 0;
        while read < 3_000_000 {
            read += reader.read(100_000).await.unwrap().len();
        }
        let events = log.take();
        for (n, event) in events.iter().enumerate() {
            assert_eq!(event, if n % 2 == 0 { "resume" } else { "pause" }, "{events:?}");
        }
        assert!(events.len() > 4);
        transport.abort();
    });
}

#[test]
#[should_panic(expected = "is above the high one")]
fn a_low_mark_above_the_high_one_is_refused() {
    on_each_kind(Recorder::new, async |transport, _, _| transport.set_write_buffer_limits(1, 2));
}

#[test]
fn write_eof_comes_behind_what_is_unsent() {
    on_each_kind(Recorder::new, async |transport, log, (mut reader, mut writer)| {
        let bytes = pattern(2_000_000);
        transport.write(&bytes);
        transport.write_eof();
        transport.write_eof();
        assert!(reader.read_to_end().await.unwrap() == bytes);
        writer.write(b"answer");
        log.until("data answer").await;
        transport.close();
        log.until("lost").await;
    });
}

#[test]
fn addresses_and_options_are_the_sockets() {
    on_each_kind(Recorder::new, async |transport, _, (_reader, writer)| {
        if let Ok(addr) = transport.local_addr() {
            assert_eq!(writer.peer_addr().unwrap(), addr);
            assert_eq!(transport.peer_addr().unwrap(), writer.local_addr().unwrap());
        }
        assert!(transport.socket().is_some());
        assert_eq!(format!("{transport:?}"), "Transport { state: \"open\", .. }");
    });
}

//! Protocols that have bytes received into buffers of their own.

use asyncio_net::protocol::{
    BufferedProtocol, OnEof, Transport, connect_accepted_socket, create_connection, create_server,
};
use asyncio_net::{StreamReader, StreamWriter};
use asyncio_tasks::yield_now;

use super::{Log, pattern, settled};
use crate::worlds::{on_each_loop, pair};

/// Has buffers of `size` bytes, or of what is wished for if that is 0, and sends everything back if it is to.
#[derive(Default)]
struct Fills {
    log: Log,
    size: usize,
    echoes: bool,
    transport: Option<Transport>,
    buffer: Vec<u8>,
    received: Vec<u8>,
    hints: Vec<usize>,
    on_update: Option<fn(&Transport)>,
    keeps_open: bool,
}

impl BufferedProtocol for Fills {
    fn connection_made(&mut self, transport: Transport) {
        self.transport = Some(transport);
        self.log.note("made");
    }

    fn get_buffer(&mut self, size_hint: usize) -> &mut [u8] {
        self.hints.push(size_hint);
        self.buffer = vec![0; if self.size > 0 { self.size } else { size_hint }];
        &mut self.buffer
    }

    fn buffer_updated(&mut self, n: usize) {
        assert!(n > 0 && n <= self.buffer.len());
        let bytes = &self.buffer[..n];
        assert!(self.buffer[n..].iter().all(|byte| *byte == 0), "nothing is written behind them");
        self.received.extend_from_slice(bytes);
        let transport = self.transport.as_ref().unwrap();
        if self.echoes {
            transport.write(bytes);
        }
        if let Some(f) = self.on_update {
            f(transport);
        }
    }

    fn eof_received(&mut self) -> OnEof {
        self.log.note("eof");
        if self.keeps_open { OnEof::KeepOpen } else { OnEof::Close }
    }

    fn connection_lost(&mut self, error: Option<std::io::Error>) {
        self.log.note(error.map_or("lost".into(), |error| format!("lost: {:?}", error.kind())));
    }

    fn pause_writing(&mut self) {
        self.log.note("pause");
        self.transport.iter().for_each(Transport::pause_reading);
    }

    fn resume_writing(&mut self) {
        self.log.note("resume");
        self.transport.iter().for_each(Transport::resume_reading);
    }
}

type Handle = asyncio_net::protocol::ProtocolHandle<Fills, asyncio_net::protocol::Buffered>;

/// Runs a check with such a protocol at one end, on each loop, for each kind of socket.
fn on_each_kind(
    make: impl Fn() -> Fills,
    check: impl AsyncFn(Transport, Handle, (StreamReader, StreamWriter)),
) {
    on_each_loop(async || {
        let (client, server) = pair().await;
        let (transport, handle) = connect_accepted_socket(&make, client).await.unwrap();
        check(transport, handle, server.into_streams()).await;
        #[cfg(unix)]
        {
            let (one, other) = asyncio_net::UnixStream::pair().unwrap();
            let (transport, handle) = connect_accepted_socket(&make, one).await.unwrap();
            check(transport, handle, other.into_streams()).await;
        }
    });
}

fn log(handle: &Handle) -> Log {
    handle.with(|fills| fills.log.clone())
}

#[test]
fn made_then_bytes_then_eof_then_lost() {
    on_each_kind(Fills::default, async |_, handle, (_reader, mut writer)| {
        writer.write(b"some bytes");
        writer.write_eof();
        log(&handle).until("lost").await;
        settled().await;
        assert_eq!(log(&handle).take(), ["made", "eof", "lost"]);
        assert_eq!(handle.with(|fills| fills.received.clone()), b"some bytes");
    });
}

#[test]
fn a_size_is_wished_for() {
    on_each_kind(Fills::default, async |_, handle, (_reader, mut writer)| {
        writer.write(b"x");
        writer.write_eof();
        log(&handle).until("lost").await;
        assert!(
            handle.with(|fills| fills.hints.iter().all(|hint| *hint >= 64 * 1024)),
            "as much as may come at once"
        );
    });
}

#[test]
fn any_size_will_do() {
    for size in [1, 2, 7, 4096, 1_000_000] {
        on_each_kind(
            || Fills { size, ..Fills::default() },
            async |_, handle, (_reader, mut writer)| {
                let bytes = pattern(if size < 10 { 3_001 } else { 300_001 });
                writer.write(&bytes);
                writer.write_eof();
                log(&handle).until("lost").await;
                assert!(handle.with(|fills| fills.received == bytes), "buffers of {size}");
            },
        );
    }
}

#[test]
fn bytes_go_both_ways() {
    on_each_kind(
        || Fills { echoes: true, ..Fills::default() },
        async |_, _, (mut reader, mut writer)| {
            let bytes = pattern(3_000_000);
            writer.write(&bytes);
            assert!(reader.read_exact(bytes.len()).await.unwrap() == bytes);
        },
    );
}

#[test]
fn one_who_pauses_gets_nothing_more() {
    on_each_kind(
        || Fills { size: 3, on_update: Some(Transport::pause_reading), ..Fills::default() },
        async |transport, handle, (_reader, mut writer)| {
            writer.write(b"123456");
            for expected in [&b"123"[..], b"123456"] {
                while handle.with(|fills| fills.received.len()) < expected.len() {
                    yield_now().await;
                }
                settled().await;
                assert_eq!(handle.with(|fills| fills.received.clone()), expected);
                assert!(!transport.is_reading());
                transport.resume_reading();
            }
        },
    );
}

#[test]
fn one_who_closes_gets_nothing_more() {
    on_each_kind(
        || Fills { size: 3, on_update: Some(Transport::close), ..Fills::default() },
        async |_, handle, (_reader, mut writer)| {
            writer.write(b"123456");
            log(&handle).until("lost").await;
            settled().await;
            assert_eq!(handle.with(|fills| fills.received.clone()), b"123");
            assert_eq!(log(&handle).take(), ["made", "lost"]);
        },
    );
}

#[test]
fn a_half_closed_connection_stays() {
    on_each_kind(
        || Fills { keeps_open: true, ..Fills::default() },
        async |transport, handle, (mut reader, mut writer)| {
            writer.write_eof();
            log(&handle).until("eof").await;
            transport.write(b"still here");
            assert_eq!(reader.read_exact(10).await.unwrap(), b"still here");
            transport.close();
            log(&handle).until("lost").await;
            assert_eq!(log(&handle).take(), ["made", "eof", "lost"]);
        },
    );
}

#[test]
fn a_buffered_server_and_a_buffered_client() {
    on_each_loop(async || {
        let make = || Fills { echoes: true, ..Fills::default() };
        let server = create_server(make, "127.0.0.1:0").await.unwrap();
        let (transport, handle) = create_connection(Fills::default, server.local_addrs()[0]).await.unwrap();
        let bytes = pattern(1_000_000);
        for chunk in bytes.chunks(40_000) {
            transport.write(chunk);
            while transport.write_buffer_size() > 0 {
                yield_now().await;
            }
        }
        while handle.with(|fills| fills.received.len()) < bytes.len() {
            yield_now().await;
        }
        assert!(handle.with(|fills| fills.received == bytes));
        transport.close();
        while server.clients() > 0 {
            yield_now().await;
        }
    });
}

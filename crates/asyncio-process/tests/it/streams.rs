//! Pipes as asyncio's streams, and under protocols.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use asyncio_net::protocol::{OnEof, Protocol, Transport, connect_accepted_socket};
use asyncio_process::io::pipe;
use asyncio_process::{Command, Stdio};
use asyncio_runtime::run;
use asyncio_tasks::{timeout, yield_now};
use futures_lite::{AsyncReadExt, AsyncWriteExt};

#[test]
fn a_child_speaks_in_lines() {
    run(async {
        let mut command = Command::shell("while read line; do echo \"<$line>\"; done; echo end");
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut writer = child.stdin.take().unwrap().into_stream();
        let mut reader = child.stdout.take().unwrap().into_stream();
        for n in 0..100 {
            writer.write(format!("line {n}\n").as_bytes());
            writer.drain().await.unwrap();
            let line = reader.read_line().await.unwrap().unwrap();
            assert_eq!(String::from_utf8(line).unwrap(), format!("<line {n}>\n"));
        }
        writer.close().await.unwrap();
        assert_eq!(reader.read_line().await.unwrap().as_deref(), Some(&b"end\n"[..]));
        assert_eq!(reader.read_line().await.unwrap(), None);
        assert!(child.wait().await.unwrap().success());
    });
}

#[test]
fn what_was_written_is_sent_before_a_writer_closes() {
    run(async {
        let (mut reader, writer) = pipe().unwrap();
        let mut writer = writer.into_stream();
        let sent = vec![7; 1 << 20];
        writer.write(&sent);
        drop(writer);
        let mut received = Vec::new();
        reader.read_to_end(&mut received).await.unwrap();
        assert!(received == sent);
    });
}

#[test]
fn what_is_aborted_is_closed_though_nobody_reads() {
    run(async {
        let (_reader, writer) = pipe().unwrap();
        let mut writer = writer.into_stream();
        writer.write(&vec![0; 1 << 20]);
        for _ in 0..10 {
            yield_now().await;
        }
        writer.abort();
        let closed = timeout(Duration::from_secs(20), writer.wait_closed()).await;
        assert!(closed.is_ok(), "it is heard of");
    });
}

#[derive(Clone, Default)]
struct Told(Rc<RefCell<Vec<String>>>);

impl Told {
    fn note(&self, what: impl Into<String>) {
        self.0.borrow_mut().push(what.into());
    }

    async fn until(&self, what: &str) {
        while !self.0.borrow().iter().any(|told| told.starts_with(what)) {
            yield_now().await;
        }
    }
}

impl Protocol for Told {
    fn connection_made(&mut self, _transport: Transport) {
        self.note("made");
    }

    fn data_received(&mut self, data: &[u8]) {
        self.note(format!("data {}", String::from_utf8_lossy(data)));
    }

    fn eof_received(&mut self) -> OnEof {
        self.note("eof");
        OnEof::Close
    }

    fn connection_lost(&mut self, error: Option<io::Error>) {
        self.note(format!("lost {:?}", error.map(|error| error.kind())));
    }
}

#[test]
fn a_protocol_reads_a_pipe() {
    run(async {
        let (reader, mut writer) = pipe().unwrap();
        let told = Told::default();
        let _connected = connect_accepted_socket(|| told.clone(), reader).await.unwrap();
        writer.write_all(b"bytes").await.unwrap();
        told.until("data").await;
        drop(writer);
        told.until("lost").await;
        assert_eq!(*told.0.borrow(), ["made", "data bytes", "eof", "lost None"]);
    });
}

#[test]
fn a_protocol_writes_a_pipe_and_hears_when_nobody_reads_any_more() {
    run(async {
        let (mut reader, writer) = pipe().unwrap();
        let told = Told::default();
        let (transport, _protocol) = connect_accepted_socket(|| told.clone(), writer).await.unwrap();
        transport.write(b"bytes");
        let mut buf = [0; 5];
        reader.read_exact(&mut buf).await.unwrap();
        assert_eq!(&buf, b"bytes");
        drop(reader);
        told.until("lost").await;
        assert_eq!(*told.0.borrow(), ["made", "lost Some(BrokenPipe)"]);

        // Ended by us: the reader has everything, and then the end.
        let (mut reader, writer) = pipe().unwrap();
        let told = Told::default();
        let (transport, _protocol) = connect_accepted_socket(|| told.clone(), writer).await.unwrap();
        transport.write(b"all");
        transport.write_eof();
        let mut all = Vec::new();
        reader.read_to_end(&mut all).await.unwrap();
        told.until("lost").await;
        assert_eq!(*told.0.borrow(), ["made", "eof", "lost None"]);
        // Closed by us.
        let (mut reader, writer) = pipe().unwrap();
        let told = Told::default();
        let (transport, _protocol) = connect_accepted_socket(|| told.clone(), writer).await.unwrap();
        transport.write(&[1; 300_000]);
        transport.close();
        let mut all = Vec::new();
        reader.read_to_end(&mut all).await.unwrap();
        assert_eq!(all.len(), 300_000);
        told.until("lost").await;
        assert_eq!(*told.0.borrow(), ["made", "lost None"]);
    });
}

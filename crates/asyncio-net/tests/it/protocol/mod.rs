//! Protocols and transports: on each selector, over TCP and over Unix sockets.

mod buffered;
mod datagrams;
mod elsewhere;
mod ending;
mod failing;
mod inside;
mod order;
mod servers;
mod writing;

use std::cell::RefCell;
use std::io;
use std::rc::Rc;

use asyncio_net::protocol::{OnEof, Plain, Protocol, ProtocolHandle, Transport, connect_accepted_socket};
use asyncio_net::{StreamReader, StreamWriter};
use asyncio_tasks::yield_now;
use static_assertions::{assert_impl_all, assert_not_impl_any};

use crate::worlds::{on_each_loop, pair, pattern, settled};

assert_impl_all!(Transport: Clone, std::fmt::Debug);
assert_not_impl_any!(Transport: Send, Sync);
assert_not_impl_any!(ProtocolHandle<Recorder, Plain>: Send, Sync);

/// What happened, in order. Bytes that came in pieces are one event.
#[derive(Clone, Default)]
pub(crate) struct Log(Rc<RefCell<Vec<String>>>);

impl Log {
    fn note(&self, event: impl Into<String>) {
        self.0.borrow_mut().push(event.into());
    }

    pub(crate) fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.borrow_mut())
    }

    fn has(&self, event: &str) -> bool {
        self.0.borrow().iter().any(|other| other == event)
    }

    pub(crate) async fn until(&self, event: &str) {
        while !self.has(event) {
            yield_now().await;
        }
    }
}

/// What to do at an event.
type Does = Box<dyn FnMut(&str, &Transport)>;

/// Notes what it is told, and does at each what it was asked to do.
pub(crate) struct Recorder {
    log: Log,
    transport: Option<Transport>,
    pub(crate) received: Vec<u8>,
    on_eof: OnEof,
    does: Does,
}

impl Recorder {
    pub(crate) fn new(log: &Log) -> Self {
        Self::that(log, |_, _| {})
    }

    pub(crate) fn that(log: &Log, does: impl FnMut(&str, &Transport) + 'static) -> Self {
        let (transport, received) = (None, Vec::new());
        Self { log: log.clone(), transport, received, on_eof: OnEof::Close, does: Box::new(does) }
    }

    fn tell(&mut self, event: String) {
        self.log.note(event.clone());
        let transport = self.transport.clone().expect("connection_made comes first");
        (self.does)(&event, &transport);
    }
}

impl Protocol for Recorder {
    fn connection_made(&mut self, transport: Transport) {
        assert!(self.transport.replace(transport).is_none(), "once");
        self.tell("made".into());
    }

    fn data_received(&mut self, data: &[u8]) {
        assert!(!data.is_empty());
        self.received.extend_from_slice(data);
        let text = if data.len() < 100 { String::from_utf8_lossy(data).into_owned() } else { "much".into() };
        self.tell(format!("data {text}"));
    }

    fn eof_received(&mut self) -> OnEof {
        self.tell("eof".into());
        self.on_eof
    }

    fn connection_lost(&mut self, error: Option<io::Error>) {
        self.tell(match error {
            None => "lost".into(),
            Some(error) => format!("lost: {:?}", error.kind()),
        });
    }

    fn pause_writing(&mut self) {
        self.tell("pause".into());
    }

    fn resume_writing(&mut self) {
        self.tell("resume".into());
    }
}

/// Sends everything back.
#[derive(Default)]
pub(crate) struct Echo(Option<Transport>);

impl Protocol for Echo {
    fn connection_made(&mut self, transport: Transport) {
        self.0 = Some(transport);
    }

    fn data_received(&mut self, data: &[u8]) {
        self.0.iter().for_each(|transport| transport.write(data));
    }

    fn pause_writing(&mut self) {
        self.0.iter().for_each(Transport::pause_reading);
    }

    fn resume_writing(&mut self) {
        self.0.iter().for_each(Transport::resume_reading);
    }
}

type Peer = (StreamReader, StreamWriter);

/// Runs a check with a recorder at one end of a connection and streams at the other, on each loop, for each kind of socket.
fn on_each_kind(make: impl Fn(&Log) -> Recorder, check: impl AsyncFn(Transport, Log, Peer)) {
    on_each_loop(async || {
        let log = Log::default();
        let (client, server) = pair().await;
        for stream in [&client, &server] {
            for option in [
                asyncio_reactor::SocketOption::SendBufferSize(64 * 1024),
                asyncio_reactor::SocketOption::RecvBufferSize(64 * 1024),
            ] {
                stream.socket().set_option(option).unwrap();
            }
        }
        let (transport, _) = connect_accepted_socket(|| make(&log), client).await.unwrap();
        check(transport, log, server.into_streams()).await;
        #[cfg(unix)]
        with_unix_pair(&make, &check).await;
    });
}

#[cfg(unix)]
async fn with_unix_pair(make: impl Fn(&Log) -> Recorder, check: impl AsyncFn(Transport, Log, Peer)) {
    let log = Log::default();
    let (one, other) = asyncio_net::UnixStream::pair().unwrap();
    let (transport, _) = connect_accepted_socket(|| make(&log), one).await.unwrap();
    check(transport, log, other.into_streams()).await;
}

/// As [`on_each_kind`], with sockets that take more only when the peer has read: TCP moves bytes from one buffer to the other in its own time.
#[cfg(unix)]
fn on_unix_sockets(make: impl Fn(&Log) -> Recorder, check: impl AsyncFn(Transport, Log, Peer)) {
    on_each_loop(async || with_unix_pair(&make, &check).await);
}

//! Datagram protocols.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use asyncio_net::UdpSocket;
use asyncio_net::protocol::{
    DatagramHandle, DatagramProtocol, DatagramTransport, EndpointOptions, create_datagram_endpoint,
};
use asyncio_tasks::yield_now;

use super::{Log, settled};
use crate::cancel::polled;
use crate::worlds::{on_each_loop, reporting};

struct Recorder {
    log: Log,
    does: Box<dyn FnMut(&str)>,
}

impl Recorder {
    fn new(log: &Log) -> Self {
        Self::that(log, |_| {})
    }

    fn that(log: &Log, does: impl FnMut(&str) + 'static) -> Self {
        Self { log: log.clone(), does: Box::new(does) }
    }

    fn tell(&mut self, event: String) {
        self.log.note(event.clone());
        (self.does)(&event);
    }
}

impl DatagramProtocol for Recorder {
    fn connection_made(&mut self, _: DatagramTransport) {
        self.tell("made".into());
    }

    fn datagram_received(&mut self, data: &[u8], from: SocketAddr) {
        assert!(from.ip().is_loopback());
        let text = if data.len() < 100 {
            String::from_utf8_lossy(data).into_owned()
        } else {
            data.len().to_string()
        };
        self.tell(format!("data {text}"));
    }

    fn error_received(&mut self, error: io::Error) {
        self.tell(format!("error {:?}", error.kind()));
    }

    fn connection_lost(&mut self, error: Option<io::Error>) {
        self.tell(format!("lost {:?}", error.map(|error| error.kind())));
    }
}

fn here() -> SocketAddr {
    "127.0.0.1:0".parse().unwrap()
}

async fn endpoint(log: &Log) -> (DatagramTransport, DatagramHandle<Recorder>) {
    create_datagram_endpoint(|| Recorder::new(log), &EndpointOptions::new().local_addr(here())).await.unwrap()
}

#[test]
fn datagrams_come_whole_also_empty_ones() {
    on_each_loop(async || {
        let log = Log::default();
        let (transport, _) = endpoint(&log).await;
        assert_eq!(log.take(), ["made"], "before whoever made it goes on");
        let socket = UdpSocket::bind(here()).await.unwrap();
        let to = transport.local_addr().unwrap();
        for data in [&b"one"[..], b"", &[7; 65_507]] {
            socket.send_to(data, to).await.unwrap();
        }
        log.until("data 65507").await;
        assert_eq!(log.take(), ["data one", "data ", "data 65507"]);

        let back = socket.local_addr().unwrap();
        let mut buf = vec![0; 70_000];
        for data in [&b"two"[..], b"", &[8; 65_507]] {
            transport.send_to(data, back);
            let (n, from) = socket.recv_from(&mut buf).await.unwrap();
            assert_eq!((&buf[..n], from), (data, to));
        }
        assert_eq!(transport.write_buffer_size(), 0);
        assert!(transport.peer_addr().is_err());
    });
}

#[test]
fn one_with_a_remote_address_talks_with_nobody_else() {
    on_each_loop(async || {
        let log = Log::default();
        let (peer, other) = (UdpSocket::bind(here()).await.unwrap(), UdpSocket::bind(here()).await.unwrap());
        let remote = peer.local_addr().unwrap();
        let options = EndpointOptions::new().local_addr(here()).remote_addr(remote);
        let (transport, _) = create_datagram_endpoint(|| Recorder::new(&log), &options).await.unwrap();
        assert_eq!(transport.peer_addr().unwrap(), remote);
        transport.send(b"question");
        transport.send_to(b"question", remote);
        let mut buf = [0; 100];
        for _ in 0..2 {
            assert_eq!(peer.recv(&mut buf).await.unwrap(), 8);
        }
        let local = transport.local_addr().unwrap();
        other.send_to(b"from a stranger", local).await.unwrap();
        peer.send_to(b"answer", local).await.unwrap();
        log.until("data answer").await;
        assert_eq!(log.take(), ["made", "data answer"]);
    });
}

#[test]
fn errors_of_datagrams_are_told_and_the_socket_goes_on() {
    on_each_loop(async || {
        let log = Log::default();
        let (transport, _) = endpoint(&log).await;
        // Larger than there are.
        transport.send_to(&[0; 65_508], here());
        while !log.0.borrow().iter().any(|event| event.starts_with("error ")) {
            yield_now().await;
        }
        let socket = UdpSocket::bind(here()).await.unwrap();
        socket.send_to(b"still here", transport.local_addr().unwrap()).await.unwrap();
        log.until("data still here").await;
    });
}

/// Bug I7 of `reference/reliability.md`: the error stayed in the socket, and the loop spun or hung.
#[test]
#[cfg(target_os = "linux")]
fn a_port_at_which_nobody_listens_is_told() {
    on_each_loop(async || {
        let log = Log::default();
        let gone = UdpSocket::bind(here()).await.unwrap();
        let remote = gone.local_addr().unwrap();
        drop(gone);
        let options = EndpointOptions::new().remote_addr(remote);
        let (transport, _) = create_datagram_endpoint(|| Recorder::new(&log), &options).await.unwrap();
        // More than would make a socket broken that has nothing but errors.
        for _ in 0..150 {
            log.take();
            transport.send(b"anybody there?");
            log.until("error ConnectionRefused").await;
        }
        assert!(!transport.is_closing());
        let back = UdpSocket::bind(remote).await.unwrap();
        transport.send(b"now there is");
        let mut buf = [0; 100];
        assert_eq!(back.recv(&mut buf).await.unwrap(), 12);
    });
}

#[test]
fn it_ends_once_and_soon() {
    on_each_loop(async || {
        let log = Log::default();
        let (transport, handle) = endpoint(&log).await;
        let (other, addr) = (transport.clone(), transport.local_addr().unwrap());
        transport.send_to(b"to myself", addr);
        transport.close();
        transport.close();
        assert!(transport.is_closing());
        transport.send_to(b"dropped", addr);
        assert_eq!(log.take(), ["made"], "soon, not now");
        log.until("lost None").await;
        settled().await;
        other.abort();
        other.send_to(b"x", addr);
        other.set_write_buffer_limits(2, 1);
        assert!(other.is_closing() && other.socket().is_none());
        assert_eq!(other.local_addr().unwrap_err().to_string(), "the socket is closed");
        assert_eq!(format!("{other:?}"), "DatagramTransport { state: \"closed\", .. }");
        assert_eq!(log.take(), ["lost None"]);
        handle.with(|protocol| assert!(protocol.log.take().is_empty()));
        UdpSocket::bind(addr).await.unwrap();
    });
}

#[test]
fn a_panic_in_a_callback_closes_its_socket() {
    let (runner, reports) = reporting();
    runner.build().unwrap().run(async {
        let log = Log::default();
        let make = || Recorder::that(&log, |event| assert!(event != "data x", "on purpose"));
        let options = EndpointOptions::new().local_addr(here());
        let (transport, _) = create_datagram_endpoint(make, &options).await.unwrap();
        let addr = transport.local_addr().unwrap();
        transport.send_to(b"x", addr);
        log.until("lost Some(Other)").await;
    });
    let reports = reports.lock().unwrap();
    assert!(
        reports.len() == 1 && reports[0].contains("`datagram_received` of a datagram protocol panicked"),
        "{reports:?}"
    );
}

#[test]
fn the_end_of_the_loop_is_told() {
    let events = Arc::<Mutex<Vec<String>>>::default();
    let sink = events.clone();
    asyncio_runtime::run(async {
        let log = Log::default();
        let make = || Recorder::that(&log, move |event| sink.lock().unwrap().push(event.to_owned()));
        create_datagram_endpoint(make, &EndpointOptions::new().local_addr(here())).await.unwrap();
    });
    assert_eq!(*events.lock().unwrap(), ["made", "lost None"]);
}

#[test]
fn whoever_gives_up_leaves_no_socket() {
    on_each_loop(async || {
        let log = Log::default();
        let addr = UdpSocket::bind(here()).await.unwrap().local_addr().unwrap();
        for polls in 0..3 {
            let options = EndpointOptions::new().local_addr(addr);
            let made = polled(create_datagram_endpoint(|| Recorder::new(&log), &options), polls).await;
            if let Some(made) = made {
                made.unwrap().0.abort();
            }
            while UdpSocket::bind(addr).await.is_err() {
                yield_now().await;
            }
        }
    });
}

#[test]
fn an_endpoint_of_nowhere_and_one_that_is_taken_are_refused() {
    on_each_loop(async || {
        let make = || Recorder::new(&Log::default());
        let error = create_datagram_endpoint(make, &EndpointOptions::new()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        let taken = UdpSocket::bind(here()).await.unwrap().local_addr().unwrap();
        let _taken = UdpSocket::bind(taken).await.unwrap();
        let error =
            create_datagram_endpoint(make, &EndpointOptions::new().local_addr(taken)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AddrInUse);
        assert!(error.to_string().contains(&taken.to_string()), "{error}");
    });
}

#[test]
#[cfg(target_os = "linux")]
fn options_are_the_sockets() {
    on_each_loop(async || {
        let log = Log::default();
        let options = EndpointOptions::new().local_addr(here()).reuse_port(true).broadcast(true);
        let (one, _) = create_datagram_endpoint(|| Recorder::new(&log), &options).await.unwrap();
        let again = options.clone().local_addr(one.local_addr().unwrap());
        let (_other, _) = create_datagram_endpoint(|| Recorder::new(&log), &again).await.unwrap();
        let broadcast = one.socket().unwrap().option(asyncio_reactor::OptionName::Broadcast).unwrap();
        assert_eq!(broadcast, asyncio_reactor::SocketOption::Broadcast(true));
    });
}

#[test]
#[should_panic(expected = "`send` without a remote address")]
fn to_send_to_nobody_is_a_mistake() {
    on_each_loop(async || endpoint(&Log::default()).await.0.send(b"x"));
}

#[test]
#[should_panic(expected = "by an endpoint whose remote address is")]
fn to_send_to_another_is_a_mistake() {
    on_each_loop(async || {
        let options = EndpointOptions::new().remote_addr("127.0.0.1:9".parse().unwrap());
        let make = || Recorder::new(&Log::default());
        let (transport, _) = create_datagram_endpoint(make, &options).await.unwrap();
        transport.send_to(b"x", "127.0.0.1:10".parse().unwrap());
    });
}

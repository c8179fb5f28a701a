//! What the checks stand on: a reactor, a loop of five lines around it, pairs of sockets, and wakers that count.

use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::pin;
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use asyncio_base::shim::{Arc, AtomicUsize, Ordering};
use socket2::{Domain, SockAddr, Type};

use crate::reactor::{self, Reactor};
use crate::socket::{SendMsg, Socket};
use crate::waiter::Waiter;

/// No check waits longer than this for what must happen.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);
/// How long a check watches for what must not happen.
pub(super) const SILENCE: Duration = Duration::from_millis(20);

/// A check of a reactor, with its name.
pub(super) type Check = (&'static str, fn(&World));

pub(super) struct World {
    pub(super) reactor: Arc<dyn Reactor>,
}

impl World {
    pub(super) fn new(reactor: impl Reactor) -> Self {
        Self { reactor: Arc::new(reactor) }
    }

    /// Runs a future on the reactor: the smallest loop there is.
    pub(super) fn run<T>(&self, future: impl Future<Output = T>) -> T {
        let _entered = reactor::enter(self.reactor.clone());
        let mut future = pin!(future);
        let (woken, waker) = Counter::new();
        let mut cx = Context::from_waker(&waker);
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Poll::Ready(value) = future.as_mut().poll(&mut cx) {
                return value;
            }
            let before = woken.get();
            while woken.get() == before {
                assert!(Instant::now() < deadline, "a wake-up was lost: nothing happened for {PATIENCE:?}");
                self.reactor.turn(Some(PATIENCE)).unwrap();
            }
            woken.reset();
        }
    }

    /// Polls once on the reactor, with this waker.
    pub(super) fn poll<T>(&self, waker: &Waker, poll: impl FnOnce(&mut Context<'_>) -> T) -> T {
        let _entered = reactor::enter(self.reactor.clone());
        poll(&mut Context::from_waker(waker))
    }

    /// Turns until `done`.
    pub(super) fn turn_until(&self, mut done: impl FnMut() -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !done() {
            assert!(Instant::now() < deadline, "a wake-up was lost: nothing happened for {PATIENCE:?}");
            self.reactor.turn(Some(SILENCE)).unwrap();
        }
    }

    /// Turns for a while in which something must not happen.
    pub(super) fn turn_in_silence(&self) {
        let deadline = Instant::now() + SILENCE;
        while let Some(left) = deadline.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())
        {
            self.reactor.turn(Some(left)).unwrap();
        }
    }

    pub(super) fn socket(&self) -> Arc<dyn Socket> {
        self.reactor.socket(Domain::IPV4, Type::STREAM, None).unwrap()
    }

    pub(super) fn listener(&self) -> (Arc<dyn Socket>, SockAddr) {
        let listener = self.socket();
        listener.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
        listener.listen(16).unwrap();
        let addr = listener.local_addr().unwrap();
        (listener, addr)
    }

    /// Two ends of one connection.
    pub(super) fn pair(&self) -> (Arc<dyn Socket>, Arc<dyn Socket>) {
        let (listener, addr) = self.listener();
        let client = self.socket();
        self.run(client.connect(&addr)).unwrap();
        let (server, from) = self.run(listener.accept()).unwrap();
        assert_eq!(from.as_socket(), client.local_addr().unwrap().as_socket());
        (client, server)
    }

    pub(super) fn send_all(&self, socket: &dyn Socket, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let n = self.run(socket.send(bytes)).unwrap();
            bytes = &bytes[n..];
        }
    }

    /// Sends a few bytes, without waiting.
    pub(super) fn send_now(&self, socket: &dyn Socket, bytes: &[u8]) {
        let bufs = [io::IoSlice::new(bytes)];
        let mut waiter = Waiter::new();
        let message = SendMsg::new(&bufs);
        let sent = self.poll(Waker::noop(), |cx| socket.poll_send(cx, &mut waiter, &message));
        assert!(matches!(sent, Poll::Ready(Ok(n)) if n == bytes.len()), "a few bytes do not fit");
    }

    /// Receives once, into room for 64 bytes.
    pub(super) fn recv(&self, socket: &dyn Socket) -> io::Result<Vec<u8>> {
        let mut buf = [0; 64];
        let n = self.run(socket.recv(&mut buf))?;
        Ok(buf[..n].to_vec())
    }

    /// Receives until `count` bytes have come.
    pub(super) fn recv_exactly(&self, socket: &dyn Socket, count: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        while bytes.len() < count {
            let more = self.recv(socket).unwrap();
            assert!(!more.is_empty(), "the end came after {} of {count} bytes", bytes.len());
            bytes.extend(more);
        }
        bytes
    }
}

/// A waker that counts, and may panic.
#[derive(Debug, Default)]
pub(super) struct Counter {
    count: AtomicUsize,
}

impl Counter {
    pub(super) fn new() -> (Arc<Self>, Waker) {
        let counter = Arc::new(Self::default());
        (counter.clone(), Waker::from(counter))
    }

    pub(super) fn get(&self) -> usize {
        self.count.load(Ordering::Acquire)
    }

    pub(super) fn reset(&self) {
        self.count.store(0, Ordering::Release);
    }
}

impl Wake for Counter {
    fn wake(self: Arc<Self>) {
        self.count.fetch_add(1, Ordering::AcqRel);
    }
}

//! [`Endpoint`]: one socket of datagrams and its protocol, in a task of their own.
//!
//! The laws are those of a [`Link`](super::link::Link), K1 to K4, where there is no end of a peer. Errors of single datagrams are told, and the socket goes on.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::io::{self, IoSlice, IoSliceMut};
use std::net::SocketAddr;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use asyncio_base::budget;
use asyncio_base::panic::{Payload, catch_and_store, into_message};
use asyncio_base::report::Report;
use asyncio_base::shim::Arc;
use asyncio_reactor::{RecvMsg, SendMsg, SockAddr, Socket, Waiter};
use asyncio_tasks::{LocalGuard, guard_local, spawn_local};

use crate::protocol::datagram::{DatagramProtocol, DatagramTransport};
use crate::receive_buffer::ReceiveBuffer;
use crate::tcp::to_ip;

/// asyncio's, 64 KiB and a quarter of it.
const HIGH: usize = 64 * 1024;
const LOW: usize = HIGH / 4;
/// What a datagram counts beside its bytes.
const OVERHEAD: usize = 8;
/// The largest that there is has 65,507 bytes over IPv4, and 65,527 over IPv6.
const BUFFER_SIZE: usize = 64 * 1024;
/// After so many errors in a row the socket is taken for broken.
const ERRORS_MAX: u32 = 100;

/// One socket of datagrams and its protocol.
pub(super) struct Endpoint<P: ?Sized> {
    remote: Option<SocketAddr>,
    io: RefCell<Io>,
    stage: Cell<Stage>,
    marks: Cell<Marks>,
    /// The task's, once it has been polled.
    waker: RefCell<Option<Waker>>,
    /// Whoever waits for `connection_made`.
    made: RefCell<Option<Waker>>,
    protocol: RefCell<P>,
}

struct Io {
    /// `None` once it is closed.
    socket: Option<Arc<dyn Socket>>,
    receiving: Waiter,
    sending: Waiter,
    unsent: VecDeque<(Vec<u8>, Option<SocketAddr>)>,
    /// To be told.
    errors: VecDeque<io::Error>,
    /// Why the socket is closed.
    fault: Option<io::Error>,
    errors_in_a_row: u32,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    New,
    Open,
    /// To be closed after what is unsent.
    Closing,
    Aborted,
    Lost,
}

#[derive(Clone, Copy)]
struct Marks {
    bytes: usize,
    high: usize,
    low: usize,
    is_paused: bool,
    /// What the protocol knows.
    is_told: bool,
}

/// Starts the task of an endpoint.
pub(super) fn start<P: DatagramProtocol>(
    socket: Arc<dyn Socket>,
    remote: Option<SocketAddr>,
    protocol: P,
) -> Rc<Endpoint<P>> {
    let io = Io {
        socket: Some(socket),
        receiving: Waiter::new(),
        sending: Waiter::new(),
        unsent: VecDeque::new(),
        errors: VecDeque::new(),
        fault: None,
        errors_in_a_row: 0,
    };
    let endpoint = Rc::new(Endpoint {
        remote,
        io: RefCell::new(io),
        stage: Cell::new(Stage::New),
        marks: Cell::new(Marks { bytes: 0, high: HIGH, low: LOW, is_paused: false, is_told: false }),
        waker: RefCell::new(None),
        made: RefCell::new(None),
        protocol: RefCell::new(protocol),
    });
    // Filled once there is a task to hold it.
    let place = Rc::new(Cell::new(None));
    let taken = place.clone();
    let task = async move {
        let Some(running) = taken.take() else { return };
        let running: LocalGuard<Running> = running;
        running.0.run().await;
        drop(running.into_inner());
    };
    spawn_local(task).detach();
    place.set(Some(guard_local(Running(endpoint.clone()), Running::finish)));
    endpoint
}

/// An endpoint as its task holds it, and after that the clean-up: the end of the loop waits until what was sent has gone.
struct Running(Rc<Endpoint<dyn DatagramProtocol>>);

impl Running {
    async fn finish(self) {
        self.0.close();
        self.0.run().await;
    }
}

impl<P: DatagramProtocol> Endpoint<P> {
    pub(super) fn with<R>(&self, f: impl FnOnce(&mut P) -> R) -> Option<R> {
        Some(f(&mut *self.protocol.try_borrow_mut().ok()?))
    }
}

impl<P: DatagramProtocol + ?Sized> Endpoint<P> {
    pub(super) fn send(&self, data: &[u8], to: Option<SocketAddr>) {
        match (self.remote, to) {
            (None, None) => panic!("`send` without a remote address: `send_to` says where"),
            (Some(remote), Some(to)) if remote != to => {
                panic!("`send_to` {to} by an endpoint whose remote address is {remote}")
            }
            _ => {}
        }
        let to = if self.remote.is_some() { None } else { to };
        if self.is_closing() {
            return;
        }
        let mut io = self.io.borrow_mut();
        let waker = self.waker.borrow();
        // One after the other; and before the first poll nobody is there to be woken.
        let sent = match &*waker {
            Some(waker) if io.unsent.is_empty() => {
                budget::unlimited(|| io.poll_send(&mut Context::from_waker(waker), data, to))
            }
            _ => Poll::Pending,
        };
        drop(waker);
        match sent {
            Poll::Ready(Ok(())) => return,
            Poll::Ready(Err(error)) => io.errors.push_back(error),
            Poll::Pending => {
                io.unsent.push_back((data.to_vec(), to));
                self.count(data.len() + OVERHEAD, 0);
            }
        }
        drop(io);
        self.schedule();
    }

    /// Has the task look at it.
    fn schedule(&self) {
        let waker = self.waker.borrow().clone();
        waker.into_iter().for_each(Waker::wake);
    }

    /// So many bytes are unsent in addition, and so many are not any more.
    fn count(&self, more: usize, less: usize) {
        let mut marks = self.marks.get();
        marks.bytes = marks.bytes + more - less;
        if marks.bytes > marks.high {
            marks.is_paused = true;
        } else if marks.bytes <= marks.low {
            marks.is_paused = false;
        }
        self.marks.set(marks);
    }

    pub(super) fn set_limits(&self, high: usize, low: usize) {
        self.marks.set(Marks { high, low, ..self.marks.get() });
        self.count(0, 0);
        self.schedule();
    }

    pub(super) fn unsent(&self) -> usize {
        self.marks.get().bytes
    }

    pub(super) fn socket(&self) -> Option<Arc<dyn Socket>> {
        self.io.borrow().socket.clone()
    }

    pub(super) fn close(&self) {
        self.enter(Stage::Closing);
    }

    pub(super) fn abort(&self) {
        self.enter(Stage::Aborted);
    }

    fn enter(&self, stage: Stage) {
        if self.stage.get() < stage {
            self.stage.set(stage);
            self.schedule();
        }
    }

    pub(super) fn is_closing(&self) -> bool {
        self.stage.get() >= Stage::Closing
    }

    pub(super) fn is_lost(&self) -> bool {
        self.stage.get() == Stage::Lost
    }

    /// Waits for `connection_made`.
    pub(super) fn poll_made(&self, cx: &Context<'_>) -> Poll<()> {
        if self.stage.get() != Stage::New {
            return Poll::Ready(());
        }
        let former = self.made.borrow_mut().replace(cx.waker().clone());
        drop(former);
        Poll::Pending
    }

    fn call(&self, name: &str, f: impl FnOnce(&mut P)) {
        let mut panic = None;
        catch_and_store(&mut panic, || f(&mut *self.protocol.borrow_mut()));
        if let Some(payload) = panic {
            self.panicked(name, payload);
        }
    }

    #[cold]
    fn panicked(&self, name: &str, payload: Payload) {
        let text = into_message(payload);
        let what = format_args!("`{name}` of a datagram protocol panicked, and its socket is closed: {text}");
        Report::new("net", what).panicked().send();
        self.fail(io::Error::other(format!("`{name}` panicked: {text}")));
    }

    fn fail(&self, error: io::Error) {
        self.io.borrow_mut().fault.get_or_insert(error);
        self.enter(Stage::Aborted);
    }

    fn tell_marks(&self) {
        for _ in 0..3 {
            let marks = self.marks.get();
            if marks.is_paused == marks.is_told {
                return;
            }
            self.marks.set(Marks { is_told: marks.is_paused, ..marks });
            if marks.is_paused {
                self.call("pause_writing", P::pause_writing);
            } else {
                self.call("resume_writing", P::resume_writing);
            }
        }
        self.schedule();
    }
}

impl Endpoint<dyn DatagramProtocol> {
    async fn run(self: &Rc<Self>) {
        let mut buffer = ReceiveBuffer::new(BUFFER_SIZE);
        let mut is_made = self.stage.get() > Stage::New && self.waker.borrow().is_some();
        poll_fn(|cx| {
            let former = self.waker.borrow_mut().replace(cx.waker().clone());
            drop(former);
            if !is_made {
                is_made = true;
                self.call("connection_made", |protocol| {
                    protocol.connection_made(DatagramTransport::of(self))
                });
                if self.stage.get() == Stage::New {
                    self.stage.set(Stage::Open);
                }
                let waits = self.made.borrow_mut().take();
                waits.into_iter().for_each(Waker::wake);
            }
            self.poll(cx, &mut buffer)
        })
        .await;
    }

    fn poll(&self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<()> {
        self.send_rest(cx);
        while self.stage.get() == Stage::Open {
            self.tell_errors();
            self.tell_marks();
            let received = self.io.borrow_mut().poll_receive(cx, buffer);
            match received {
                Poll::Ready(Ok((n, from))) => {
                    self.call("datagram_received", |protocol| protocol.datagram_received(&buffer[..n], from));
                }
                Poll::Ready(Err(error)) => self.note_error(error),
                Poll::Pending => break,
            }
        }
        self.tell_errors();
        self.tell_marks();
        match self.stage.get() {
            Stage::Closing if self.io.borrow().unsent.is_empty() => self.lose(),
            Stage::Aborted => self.lose(),
            _ => return Poll::Pending,
        }
        Poll::Ready(())
    }

    fn send_rest(&self, cx: &mut Context<'_>) {
        loop {
            let mut io = self.io.borrow_mut();
            let Some((data, to)) = io.unsent.pop_front() else { return };
            let sent = io.poll_send(cx, &data, to);
            match sent {
                Poll::Pending => return io.unsent.push_front((data, to)),
                Poll::Ready(result) => {
                    self.count(0, data.len() + OVERHEAD);
                    io.errors.extend(result.err());
                }
            }
        }
    }

    fn note_error(&self, error: io::Error) {
        let mut io = self.io.borrow_mut();
        io.errors_in_a_row += 1;
        if io.errors_in_a_row > ERRORS_MAX || asyncio_base::is_loop_closed(&error) {
            drop(io);
            return self.fail(error);
        }
        io.errors.push_back(error);
    }

    fn tell_errors(&self) {
        loop {
            let error = self.io.borrow_mut().errors.pop_front();
            let Some(error) = error else { return };
            self.call("error_received", |protocol| protocol.error_received(error));
        }
    }

    fn lose(&self) {
        self.stage.set(Stage::Lost);
        let fault = self.io.borrow_mut().fault.take();
        self.call("connection_lost", |protocol| protocol.connection_lost(fault));
        let mut io = self.io.borrow_mut();
        io.receiving.leave();
        io.sending.leave();
        io.unsent.clear();
        let socket = io.socket.take();
        drop(io);
        drop(socket);
    }
}

impl Io {
    fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        data: &[u8],
        to: Option<SocketAddr>,
    ) -> Poll<io::Result<()>> {
        let Some(socket) = &self.socket else { return Poll::Ready(Ok(())) };
        let to = to.map(SockAddr::from);
        let bufs = [IoSlice::new(data)];
        let message = SendMsg { addr: to.as_ref(), ..SendMsg::new(&bufs) };
        socket.poll_send(cx, &mut self.sending, &message).map_ok(|_| ())
    }

    fn poll_receive(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<(usize, SocketAddr)>> {
        let Some(socket) = &self.socket else { return Poll::Pending };
        let mut from = None;
        let mut bufs = [IoSliceMut::new(buffer)];
        let message = &mut RecvMsg { addr: Some(&mut from), ..RecvMsg::new(&mut bufs) };
        let received = socket.poll_recv(cx, &mut self.receiving, message);
        if !matches!(received, Poll::Ready(Err(_))) {
            // They are in a row where nothing else comes between, not even a wait.
            self.errors_in_a_row = 0;
        }
        received.map(|received| {
            let received = received?;
            let from =
                from.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "a datagram from nowhere"))?;
            Ok((received.n, to_ip(&from)?))
        })
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use crate::UnixDatagram;
    use asyncio_tasks::yield_now;

    #[derive(Default)]
    struct Marked(Vec<&'static str>);

    impl DatagramProtocol for Marked {
        fn datagram_received(&mut self, _: &[u8], _: SocketAddr) {}

        fn pause_writing(&mut self) {
            self.0.push("pause");
        }

        fn resume_writing(&mut self) {
            self.0.push("resume");
        }
    }

    /// With a Unix socket, since one of UDP takes whatever comes, and drops it.
    #[test]
    fn the_protocol_is_told_at_the_marks_and_what_is_unsent_comes_in_order() {
        asyncio_runtime::run(async {
            let (one, other) = UnixDatagram::pair().unwrap();
            let endpoint = start(one.socket().clone(), Some(([127, 0, 0, 1], 1).into()), Marked::default());
            drop(one);
            poll_fn(|cx| endpoint.poll_made(cx)).await;
            endpoint.set_limits(3000, 1000);
            let mut sent = 0_u32;
            while endpoint.unsent() <= 3000 {
                endpoint.send(&sent.to_le_bytes(), None);
                sent += 1;
            }
            yield_now().await;
            yield_now().await;
            assert_eq!(endpoint.with(|protocol| protocol.0.clone()).unwrap(), ["pause"]);
            let mut buf = [0; 4];
            for n in 0..sent {
                assert_eq!(other.recv(&mut buf).await.unwrap(), 4);
                assert_eq!(u32::from_le_bytes(buf), n);
                let told = endpoint.with(|protocol| protocol.0.len()).unwrap();
                assert!(told == 1 || endpoint.unsent() <= 1000);
            }
            assert_eq!(endpoint.unsent(), 0);
            assert_eq!(endpoint.with(|protocol| protocol.0.clone()).unwrap(), ["pause", "resume"]);
            endpoint.close();
        });
    }
}

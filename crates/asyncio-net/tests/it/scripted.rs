//! A socket that does what the test says: for what depends on the moment in which a real one has room.

use std::io;
use std::net::Shutdown;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use asyncio_reactor::{OptionName, Received, RecvMsg, SendMsg, SockAddr, Socket, SocketOption, Waiter};

/// Takes as many bytes as there is room, and tells nobody of room before the test does.
#[derive(Debug, Default)]
pub(crate) struct Scripted(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    room: usize,
    sent: Vec<u8>,
    has_ended: bool,
    incoming: Vec<u8>,
    /// Behind `incoming` nothing comes any more.
    peer_has_ended: bool,
    waits: Option<Waker>,
}

impl State {
    /// One waits at a time, in whichever direction; of one who only tries nothing is kept.
    fn wait(&mut self, cx: &Context<'_>) {
        if !cx.waker().will_wake(Waker::noop()) {
            self.waits = Some(cx.waker().clone());
        }
    }
}

impl Scripted {
    pub(crate) fn sent(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().sent.clone()).unwrap()
    }

    pub(crate) fn sent_bytes(&self) -> Vec<u8> {
        self.0.lock().unwrap().sent.clone()
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.0.lock().unwrap().has_ended
    }

    /// Has bytes come.
    pub(crate) fn receive(&self, bytes: &[u8]) {
        self.0.lock().unwrap().incoming.extend(bytes);
    }

    /// Has the peer end, behind what has come.
    pub(crate) fn end(&self) {
        self.0.lock().unwrap().peer_has_ended = true;
    }

    pub(crate) fn make_room(&self, room: usize) {
        self.0.lock().unwrap().room = room;
    }

    /// Says that there is room, or that something has come.
    pub(crate) fn tell(&self) {
        let waits = self.0.lock().unwrap().waits.take();
        waits.into_iter().for_each(Waker::wake);
    }
}

fn unsupported<T>() -> io::Result<T> {
    Err(io::ErrorKind::Unsupported.into())
}

impl Socket for Scripted {
    fn bind(&self, _: &SockAddr) -> io::Result<()> {
        unsupported()
    }

    fn listen(&self, _: u32) -> io::Result<()> {
        unsupported()
    }

    fn poll_accept(
        &self,
        _: &mut Context<'_>,
        _: &mut Waiter,
    ) -> Poll<io::Result<(Arc<dyn Socket>, SockAddr)>> {
        Poll::Ready(unsupported())
    }

    fn poll_connect(&self, _: &mut Context<'_>, _: &mut Waiter, _: &SockAddr) -> Poll<io::Result<()>> {
        Poll::Ready(unsupported())
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        _: &mut Waiter,
        message: &mut RecvMsg<'_, '_>,
    ) -> Poll<io::Result<Received>> {
        let mut state = self.0.lock().unwrap();
        if state.incoming.is_empty() && !state.peer_has_ended {
            state.wait(cx);
            return Poll::Pending;
        }
        let n = io::Read::read_vectored(&mut &state.incoming[..], message.bufs)?;
        state.incoming.drain(..n);
        let mut received = Received::new(n);
        received.is_drained = state.incoming.is_empty() && !state.peer_has_ended;
        Poll::Ready(Ok(received))
    }

    fn poll_send(
        &self,
        cx: &mut Context<'_>,
        _: &mut Waiter,
        message: &SendMsg<'_, '_>,
    ) -> Poll<io::Result<usize>> {
        let mut state = self.0.lock().unwrap();
        if state.room == 0 {
            state.wait(cx);
            return Poll::Pending;
        }
        let bytes: Vec<u8> =
            message.bufs.iter().flat_map(|buf| buf.iter().copied()).take(state.room).collect();
        state.room -= bytes.len();
        state.sent.extend(&bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn shutdown(&self, _: Shutdown) -> io::Result<()> {
        self.0.lock().unwrap().has_ended = true;
        Ok(())
    }

    fn local_addr(&self) -> io::Result<SockAddr> {
        unsupported()
    }

    fn peer_addr(&self) -> io::Result<SockAddr> {
        unsupported()
    }

    fn set_option(&self, _: SocketOption) -> io::Result<()> {
        unsupported()
    }

    fn option(&self, _: OptionName) -> io::Result<SocketOption> {
        unsupported()
    }

    fn take_error(&self) -> io::Result<Option<io::Error>> {
        Ok(None)
    }
}

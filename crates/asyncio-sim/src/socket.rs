//! [`SimSocket`]: a socket of the simulated network, as a [`Socket`] like any other.

use std::fmt;
use std::io;
use std::net::Shutdown;
use std::task::{Context, Poll, ready};

use asyncio_base::budget;
use asyncio_base::shim::Arc;
use asyncio_reactor::{
    Direction, IoState, OptionName, Received, RecvMsg, SendMsg, SockAddr, Socket, SocketOption, UCred, Waiter,
};

use crate::net::{Key, Net, World};

/// What decides how bytes move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    Stream,
    LocalStream,
    Datagram,
}

pub(crate) struct SimSocket {
    net: Arc<Net>,
    key: Key,
    state: Arc<IoState>,
    shape: Shape,
}

impl SimSocket {
    pub(crate) fn new(net: Arc<Net>, key: Key, shape: Shape) -> Self {
        let state = net.with(|world| world.state(key));
        Self { net, key, state, shape }
    }

    /// Tries until it does not block any more.
    fn poll_io<T>(
        &self,
        cx: &mut Context<'_>,
        waiter: &mut Waiter,
        direction: Direction,
        mut operation: impl FnMut(&mut World) -> io::Result<T>,
    ) -> Poll<io::Result<T>> {
        ready!(budget::poll_proceed(cx));
        loop {
            let seen = self.state.seen();
            match self.net.operate(&mut operation) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.state.clear(direction, seen);
                    ready!(self.state.poll_ready(cx, waiter, direction))?;
                }
                result => {
                    budget::spend();
                    return Poll::Ready(result);
                }
            }
        }
    }

    fn of(&self, key: Key) -> Arc<dyn Socket> {
        Arc::new(Self::new(self.net.clone(), key, self.shape))
    }
}

impl Socket for SimSocket {
    fn bind(&self, addr: &SockAddr) -> io::Result<()> {
        self.net.operate(|world| world.bind(self.key, addr))
    }

    fn listen(&self, backlog: u32) -> io::Result<()> {
        self.net.operate(|world| world.listen(self.key, backlog))
    }

    fn poll_accept(
        &self,
        cx: &mut Context<'_>,
        waiter: &mut Waiter,
    ) -> Poll<io::Result<(Arc<dyn Socket>, SockAddr)>> {
        let accepted = ready!(self.poll_io(cx, waiter, Direction::Read, |world| world.accept(self.key)));
        Poll::Ready(accepted.map(|(key, from)| (self.of(key), from)))
    }

    fn poll_connect(
        &self,
        cx: &mut Context<'_>,
        waiter: &mut Waiter,
        addr: &SockAddr,
    ) -> Poll<io::Result<()>> {
        self.poll_io(cx, waiter, Direction::Write, |world| world.connect(self.key, addr))
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        waiter: &mut Waiter,
        message: &mut RecvMsg<'_, '_>,
    ) -> Poll<io::Result<Received>> {
        self.poll_io(cx, waiter, Direction::Read, |world| {
            let mut received = Received::new(0);
            match self.shape {
                Shape::Stream => received.n = world.recv_stream(self.key, message.bufs, message.peek)?,
                Shape::LocalStream => received.n = world.recv_local(self.key, message.bufs, message.peek)?,
                Shape::Datagram => {
                    let came = world.recv_datagram(self.key, message.bufs, message.peek)?;
                    (received.n, received.is_truncated) = (came.n, came.is_truncated);
                    if let Some(addr) = &mut message.addr {
                        **addr = came.from;
                    }
                }
            }
            Ok(received)
        })
    }

    fn poll_send(
        &self,
        cx: &mut Context<'_>,
        waiter: &mut Waiter,
        message: &SendMsg<'_, '_>,
    ) -> Poll<io::Result<usize>> {
        if !message.rights.is_empty() {
            let error = "a simulation has no descriptors to pass along";
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::Unsupported, error)));
        }
        self.poll_io(cx, waiter, Direction::Write, |world| match self.shape {
            Shape::Stream => world.send_stream(self.key, message.bufs),
            Shape::LocalStream => world.send_local(self.key, message.bufs),
            Shape::Datagram => world.send_datagram(self.key, message.bufs, message.addr),
        })
    }

    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.net.operate(|world| world.shut_down(self.key, how))
    }

    fn reset(&self) -> io::Result<()> {
        self.net.operate(|world| world.reset(self.key))
    }

    fn local_addr(&self) -> io::Result<SockAddr> {
        self.net.operate(|world| world.local_addr(self.key))
    }

    fn peer_addr(&self) -> io::Result<SockAddr> {
        self.net.operate(|world| world.peer_addr(self.key))
    }

    fn peer_cred(&self) -> io::Result<UCred> {
        Err(io::Error::new(io::ErrorKind::Unsupported, "a simulated host has no users"))
    }

    fn set_option(&self, option: SocketOption) -> io::Result<()> {
        self.net.operate(|world| world.set_option(self.key, option))
    }

    fn option(&self, name: OptionName) -> io::Result<SocketOption> {
        self.net.operate(|world| world.option(self.key, name))
    }

    fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.net.operate(|world| world.take_error(self.key))
    }
}

impl Drop for SimSocket {
    fn drop(&mut self) {
        self.net.operate(|world| world.close(self.key));
    }
}

impl fmt::Debug for SimSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimSocket")
            .field("key", &self.key)
            .field("shape", &self.shape)
            .finish_non_exhaustive()
    }
}

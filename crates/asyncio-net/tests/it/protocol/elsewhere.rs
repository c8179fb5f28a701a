//! A connection whose reactor another thread turns, or whoever else turns it in the midst of a poll.

use std::io::{self, Write};
use std::net::Shutdown;
use std::sync::Mutex;
use std::task::{Context, Poll};
use std::time::Duration;

use asyncio_net::protocol::connect_accepted_socket;
use asyncio_reactor::{
    OptionName, Received, RecvMsg, SendMsg, SockAddr, Socket, SocketOption, Waiter, adopt, entered,
};

use std::sync::Arc;

use super::{Log, Recorder};
use crate::worlds::on_each_loop;

/// A socket to which bytes come just after it was found empty, once, and whose reactor tells of them at once.
#[derive(Debug)]
struct Overtaken {
    below: Arc<dyn Socket>,
    peer: Mutex<Option<std::net::TcpStream>>,
}

impl Socket for Overtaken {
    fn bind(&self, addr: &SockAddr) -> io::Result<()> {
        self.below.bind(addr)
    }

    fn listen(&self, backlog: u32) -> io::Result<()> {
        self.below.listen(backlog)
    }

    fn poll_accept(
        &self,
        cx: &mut Context<'_>,
        waiter: &mut Waiter,
    ) -> Poll<io::Result<(Arc<dyn Socket>, SockAddr)>> {
        self.below.poll_accept(cx, waiter)
    }

    fn poll_connect(
        &self,
        cx: &mut Context<'_>,
        waiter: &mut Waiter,
        addr: &SockAddr,
    ) -> Poll<io::Result<()>> {
        self.below.poll_connect(cx, waiter, addr)
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        waiter: &mut Waiter,
        message: &mut RecvMsg<'_, '_>,
    ) -> Poll<io::Result<Received>> {
        let received = self.below.poll_recv(cx, waiter, message);
        let Some(mut peer) = self.peer.lock().unwrap().take().filter(|_| received.is_pending()) else {
            return received;
        };
        peer.write_all(b"x").unwrap();
        while entered().unwrap().turn(Some(Duration::from_millis(1))).unwrap() == 0 {}
        received
    }

    fn poll_send(
        &self,
        cx: &mut Context<'_>,
        waiter: &mut Waiter,
        message: &SendMsg<'_, '_>,
    ) -> Poll<io::Result<usize>> {
        self.below.poll_send(cx, waiter, message)
    }

    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.below.shutdown(how)
    }

    fn local_addr(&self) -> io::Result<SockAddr> {
        self.below.local_addr()
    }

    fn peer_addr(&self) -> io::Result<SockAddr> {
        self.below.peer_addr()
    }

    fn set_option(&self, option: SocketOption) -> io::Result<()> {
        self.below.set_option(option)
    }

    fn option(&self, name: OptionName) -> io::Result<SocketOption> {
        self.below.option(name)
    }

    fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.below.take_error()
    }
}

#[test]
fn bytes_that_come_in_the_midst_of_a_poll_are_not_the_last() {
    on_each_loop(async || {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let ours = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut peer, _) = listener.accept().unwrap();
        let below = adopt(ours.into()).unwrap();
        let overtaken = Overtaken { below, peer: Mutex::new(Some(peer.try_clone().unwrap())) };
        let log = Log::default();
        let socket: Arc<dyn Socket> = Arc::new(overtaken);
        connect_accepted_socket(|| Recorder::new(&log), socket).await.unwrap();
        log.until("data x").await;
        peer.write_all(b"y").unwrap();
        log.until("data y").await;
        drop(peer);
        log.until("lost").await;
        assert_eq!(log.take(), ["made", "data x", "data y", "eof", "lost"]);
    });
}

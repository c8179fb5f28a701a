//! Datagrams: one message a call, with or without an address.

use std::future::poll_fn;
use std::io::{self, IoSlice, IoSliceMut};
use std::task::{Poll, ready};

use asyncio_reactor::{RecvMsg, SendMsg, SockAddr, Socket, Waiter};

/// Whether the datagram stays in the socket.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Taking {
    Take,
    Peek,
}

/// Receives a datagram; what does not fit into `buf` is lost, as the system has it.
pub(crate) async fn recv(socket: &dyn Socket, buf: &mut [u8], taking: Taking) -> io::Result<usize> {
    let mut waiter = Waiter::new();
    let mut bufs = [IoSliceMut::new(buf)];
    poll_fn(|cx| {
        let mut message = RecvMsg { peek: taking == Taking::Peek, ..RecvMsg::new(&mut bufs) };
        socket.poll_recv(cx, &mut waiter, &mut message).map_ok(|received| received.n)
    })
    .await
}

/// The same, and says where it came from, if it came from anywhere.
pub(crate) async fn recv_from(
    socket: &dyn Socket,
    buf: &mut [u8],
    taking: Taking,
) -> io::Result<(usize, Option<SockAddr>)> {
    let mut waiter = Waiter::new();
    let mut bufs = [IoSliceMut::new(buf)];
    poll_fn(|cx| {
        let mut from = None;
        let peek = taking == Taking::Peek;
        let mut message = RecvMsg { peek, addr: Some(&mut from), ..RecvMsg::new(&mut bufs) };
        let received = ready!(socket.poll_recv(cx, &mut waiter, &mut message))?;
        Poll::Ready(Ok((received.n, from)))
    })
    .await
}

/// Sends a datagram: whole, or not at all.
pub(crate) async fn send(socket: &dyn Socket, buf: &[u8], to: Option<&SockAddr>) -> io::Result<usize> {
    let mut waiter = Waiter::new();
    let bufs = [IoSlice::new(buf)];
    poll_fn(|cx| socket.poll_send(cx, &mut waiter, &SendMsg { addr: to, ..SendMsg::new(&bufs) })).await
}

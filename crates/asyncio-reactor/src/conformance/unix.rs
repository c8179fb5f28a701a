//! What only sockets of a Unix system can do: pass descriptors, carry urgent data, be closed behind our back.

use std::io::{IoSlice, IoSliceMut, Read, Write};
use std::net::TcpStream;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::task::Waker;

use asyncio_base::shim::Arc;

use super::world::{Check, Counter, World};
use crate::readiness::Direction;
use crate::socket::{Ancillary, RecvMsg, SendMsg, Socket};
use crate::waiter::Waiter;

pub(super) const CHECKS: &[Check] = &[
    ("two descriptor-passing messages are two reads", two_messages_with_rights),
    ("data behind an urgent mark is not forgotten", urgent_data),
    ("a datagram cut short is followed by the next", datagrams),
    ("a descriptor closed behind our back harms nobody else", closed_behind_our_back),
    ("a descriptor can be given back", given_back),
    ("readiness of any descriptor", any_descriptor),
];

fn adopted(world: &World, socket: impl Into<socket2::Socket>) -> Option<Arc<dyn Socket>> {
    match world.reactor.adopt(socket.into()) {
        Err(error) if error.kind() == std::io::ErrorKind::Unsupported => None,
        result => Some(result.unwrap()),
    }
}

fn two_messages_with_rights(world: &World) {
    let (a, b) = UnixStream::pair().unwrap();
    let (Some(sender), Some(receiver)) = (adopted(world, a), adopted(world, b)) else { return };
    let passed = UnixStream::pair().unwrap();
    let recv = || {
        let (mut buf, mut ancillary) = ([0; 64], Ancillary::default());
        let mut waiter = Waiter::new();
        let received = world.run(std::future::poll_fn(|cx| {
            let mut bufs = [IoSliceMut::new(&mut buf)];
            let mut message = RecvMsg { ancillary: Some(&mut ancillary), ..RecvMsg::new(&mut bufs) };
            receiver.poll_recv(cx, &mut waiter, &mut message)
        }));
        (received.unwrap().n, ancillary.rights)
    };
    for _ in 0..20 {
        std::thread::scope(|scope| {
            let sending = scope.spawn(|| {
                for fd in [passed.0.as_fd(), passed.1.as_fd()] {
                    let bufs = [IoSlice::new(b"fd")];
                    let message = SendMsg { rights: &[fd], ..SendMsg::new(&bufs) };
                    let mut waiter = Waiter::new();
                    let sent = world.poll(Waker::noop(), |cx| sender.poll_send(cx, &mut waiter, &message));
                    assert!(matches!(sent, std::task::Poll::Ready(Ok(2))));
                }
            });
            let first = recv();
            sending.join().unwrap();
            // Short of the buffer, since the kernel never merges messages that carry descriptors; and yet there is more.
            let second = recv();
            assert_eq!((first.0, second.0), (2, 2), "the second message was lost behind a short read");
            assert_eq!((first.1.len(), second.1.len()), (1, 1));
        });
    }
}

fn urgent_data(world: &World) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let Some(socket) = adopted(world, listener.accept().unwrap().0) else { return };
    let peer = socket2::Socket::from(peer);
    for _ in 0..20 {
        let (counter, waker) = Counter::new();
        let mut waiter = Waiter::new();
        let mut buf = [0; 64];
        let mut bufs = [IoSliceMut::new(&mut buf)];
        let pending = world
            .poll(&waker, |cx| socket.poll_recv(cx, &mut waiter, &mut RecvMsg::new(&mut bufs)).is_pending());
        assert!(pending);
        peer.send(b"before").unwrap();
        peer.send_out_of_band(b"!").unwrap();
        peer.send(b"behind").unwrap();
        world.turn_until(|| counter.get() > 0);
        drop(waiter);
        // The read stops at the mark; what lies behind it came before the read and will not be announced again.
        assert_eq!(world.recv_exactly(&*socket, 12), b"beforebehind");
    }
}

fn datagrams(world: &World) {
    let (a, b) = std::os::unix::net::UnixDatagram::pair().unwrap();
    let Some(receiver) = adopted(world, b) else { return };
    for _ in 0..20 {
        std::thread::scope(|scope| {
            scope.spawn(|| {
                a.send(&[1; 100]).unwrap();
                a.send(b"next").unwrap();
            });
            let mut buf = [0; 10];
            let mut waiter = Waiter::new();
            let received = world.run(std::future::poll_fn(|cx| {
                let mut bufs = [IoSliceMut::new(&mut buf)];
                let mut addr = None;
                let mut message = RecvMsg { addr: Some(&mut addr), ..RecvMsg::new(&mut bufs) };
                receiver.poll_recv(cx, &mut waiter, &mut message)
            }));
            let received = received.unwrap();
            assert!(received.is_truncated && received.n == 10, "a datagram cut short says so");
            assert_eq!(world.recv_exactly(&*receiver, 4), b"next");
        });
    }
}

fn closed_behind_our_back(world: &World) {
    let (mut peer, ours) = UnixStream::pair().unwrap();
    ours.set_nonblocking(true).unwrap();
    let Ok(readiness) = world.reactor.readiness(ours.as_fd()) else { return };
    let mut waiter = Waiter::new();
    let (counter, waker) = Counter::new();
    let first = world.poll(&waker, |cx| readiness.poll_ready(cx, &mut waiter, ours.as_fd(), Direction::Read));
    assert!(first.is_pending());
    // Somebody closes it without telling us, and the number goes to the next one.
    drop(ours);
    let (client, server) = world.pair();
    let _ = peer.write(b"into the void");
    world.send_all(&*client, b"fine");
    assert_eq!(world.recv_exactly(&*server, 4), b"fine");
    world.turn_in_silence();
    drop((waiter, readiness));
    counter.reset();
    world.send_all(&*server, b"still fine");
    assert_eq!(world.recv_exactly(&*client, 10), b"still fine");
}

fn given_back(world: &World) {
    let (mut peer, ours) = UnixStream::pair().unwrap();
    let Some(socket) = adopted(world, ours) else { return };
    let mut waiter = Waiter::new();
    let mut buf = [0; 4];
    let mut bufs = [IoSliceMut::new(&mut buf)];
    let poll =
        world.poll(Waker::noop(), |cx| socket.poll_recv(cx, &mut waiter, &mut RecvMsg::new(&mut bufs)));
    assert!(poll.is_pending());
    assert!(socket.clone().into_descriptor().is_err(), "shared");
    drop(waiter);
    let ours = UnixStream::from(socket.into_descriptor().unwrap());
    ours.set_nonblocking(false).unwrap();
    peer.write_all(b"back").unwrap();
    (&ours).read_exact(&mut buf).unwrap();
    assert_eq!(&buf, b"back");
    // It can be adopted again: nothing watches it any more.
    let again = adopted(world, ours).unwrap();
    peer.write_all(b"more").unwrap();
    assert_eq!(world.recv_exactly(&*again, 4), b"more");
}

fn any_descriptor(world: &World) {
    let (mut peer, ours) = UnixStream::pair().unwrap();
    ours.set_nonblocking(true).unwrap();
    let Ok(readiness) = world.reactor.readiness(ours.as_fd()) else { return };
    for _ in 0..20 {
        let mut waiter = Waiter::new();
        let (counter, waker) = Counter::new();
        let mut poll =
            || world.poll(&waker, |cx| readiness.poll_ready(cx, &mut waiter, ours.as_fd(), Direction::Read));
        assert!(poll().is_pending());
        peer.write_all(b"x").unwrap();
        world.turn_until(|| counter.get() > 0);
        let std::task::Poll::Ready(seen) = poll() else { panic!("woken, but not ready") };
        let mut buf = [0; 8];
        assert_eq!((&ours).read(&mut buf).unwrap(), 1);
        assert!((&ours).read(&mut buf).is_err(), "empty");
        readiness.clear(Direction::Read, seen.unwrap());
    }
    readiness.deregister(ours.as_fd()).unwrap();
}

//! Bytes arrive whole and in order, ends are seen, and errors come where they belong: the laws of `Socket`.

use std::io;
use std::net::{Ipv4Addr, Shutdown, SocketAddr};
use std::time::Duration;

use super::world::{Check, World};
use crate::socket::{OptionName, SocketOption};

pub(super) const CHECKS: &[Check] = &[
    ("a message and its echo", echo),
    ("an end behind data is seen after a short read", end_behind_data),
    ("an end that comes during a short read is seen", end_after_short_read),
    ("each direction closes on its own", half_close),
    ("a reset is an error, not an end", reset),
    ("writing to a closed peer is an error, not a signal", broken_pipe),
    ("a megabyte through small buffers, byte by byte the same", bulk),
    ("a refused connection says so, and the next one works", refused),
    ("connections wait to be accepted", backlog),
    ("closing twice is no error", close_twice),
    ("options are kept", options),
];

fn echo(world: &World) {
    let (client, server) = world.pair();
    for n in 0..200_u32 {
        world.send_all(&*client, &n.to_be_bytes());
        let bytes = world.recv_exactly(&*server, 4);
        world.send_all(&*server, &bytes);
        assert_eq!(world.recv_exactly(&*client, 4), n.to_be_bytes());
    }
}

fn end_behind_data(world: &World) {
    for _ in 0..50 {
        let (client, server) = world.pair();
        // The receiver waits first, so that data and end may come in one event.
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let sender = World { reactor: world.reactor.clone() };
                sender.send_now(&*client, b"last words");
                client.shutdown(Shutdown::Write).unwrap();
            });
            assert_eq!(world.recv_exactly(&*server, 10), b"last words");
            assert_eq!(world.recv(&*server).unwrap(), b"", "the end behind the data was lost");
            assert_eq!(world.recv(&*server).unwrap(), b"", "and it stays");
        });
    }
}

fn end_after_short_read(world: &World) {
    let (client, server) = world.pair();
    world.send_all(&*client, b"one");
    assert_eq!(world.recv_exactly(&*server, 3), b"one");
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(world.recv(&*server).unwrap(), b"");
}

fn half_close(world: &World) {
    let (client, server) = world.pair();
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(world.recv(&*server).unwrap(), b"");
    world.send_all(&*server, b"still here");
    assert_eq!(world.recv_exactly(&*client, 10), b"still here");
    drop(server);
    assert_eq!(world.recv(&*client).unwrap(), b"");
}

fn reset(world: &World) {
    let (client, server) = world.pair();
    client.set_option(SocketOption::Linger(Some(Duration::ZERO))).unwrap();
    drop(client);
    let error = world.recv(&*server).expect_err("a reset came as a clean end");
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
}

fn broken_pipe(world: &World) {
    let (client, server) = world.pair();
    drop(server);
    assert_eq!(world.recv(&*client).unwrap(), b"");
    let error = (0..1000)
        .find_map(|_| world.run(client.send(b"into the void")).err())
        .expect("sending to a closed peer goes on for ever");
    assert!(
        [io::ErrorKind::BrokenPipe, io::ErrorKind::ConnectionReset].contains(&error.kind()),
        "unexpected error: {error}"
    );
}

fn bulk(world: &World) {
    let (client, server) = world.pair();
    let bytes: Vec<u8> = (0..1_u32 << 18).flat_map(u32::to_le_bytes).collect();
    let sender = async {
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let n = client.send(&rest[..rest.len().min(65_536)]).await.unwrap();
            rest = &rest[n..];
        }
        client.shutdown(Shutdown::Write).unwrap();
    };
    let receiver = async {
        let mut received = Vec::new();
        let mut buf = vec![0; 4099];
        loop {
            match server.recv(&mut buf).await.unwrap() {
                0 => return received,
                n => received.extend_from_slice(&buf[..n]),
            }
        }
    };
    let ((), received) = world.run(both(sender, receiver));
    assert!(received == bytes, "bytes were lost, doubled or changed");
}

fn refused(world: &World) {
    let (listener, addr) = world.listener();
    drop(listener);
    let error = world.run(world.socket().connect(&addr)).expect_err("nobody listens there");
    assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    world.pair();
}

fn backlog(world: &World) {
    let (listener, addr) = world.listener();
    let clients: Vec<_> = (0..8).map(|_| world.socket()).collect();
    for client in &clients {
        world.run(client.connect(&addr)).unwrap();
    }
    for _ in &clients {
        let (server, _) = world.run(listener.accept()).unwrap();
        assert_eq!(server.local_addr().unwrap().as_socket(), addr.as_socket());
    }
}

fn close_twice(world: &World) {
    let (client, server) = world.pair();
    for _ in 0..2 {
        world.run(std::future::poll_fn(|cx| client.poll_close(cx, &mut crate::Waiter::new()))).unwrap();
    }
    assert_eq!(world.recv(&*server).unwrap(), b"");
    drop(server);
    assert_eq!(world.recv(&*client).unwrap(), b"");
    world.run(std::future::poll_fn(|cx| client.poll_close(cx, &mut crate::Waiter::new()))).unwrap();
}

fn options(world: &World) {
    let (client, _server) = world.pair();
    for on in [true, false] {
        client.set_option(SocketOption::NoDelay(on)).unwrap();
        assert_eq!(client.option(OptionName::NoDelay).unwrap(), SocketOption::NoDelay(on));
    }
    assert!(client.take_error().unwrap().is_none());
    assert!(client.peer_addr().unwrap().as_socket().is_some_and(|addr| addr.ip() == Ipv4Addr::LOCALHOST));
    let unconnected = world.socket();
    assert_eq!(unconnected.peer_addr().unwrap_err().kind(), io::ErrorKind::NotConnected);
    let taken: SocketAddr = client.local_addr().unwrap().as_socket().unwrap();
    let (listener, addr) = world.listener();
    assert_ne!(addr.as_socket(), Some(taken));
    assert_eq!(
        unconnected.bind(&listener.local_addr().unwrap()).unwrap_err().kind(),
        io::ErrorKind::AddrInUse
    );
}

/// Runs two futures to their ends.
async fn both<A, B>(a: impl Future<Output = A>, b: impl Future<Output = B>) -> (A, B) {
    let (mut a, mut b) = (std::pin::pin!(a), std::pin::pin!(b));
    let (mut a_out, mut b_out) = (None, None);
    std::future::poll_fn(|cx| {
        if a_out.is_none() {
            if let std::task::Poll::Ready(value) = a.as_mut().poll(cx) {
                a_out = Some(value);
            }
        }
        if b_out.is_none() {
            if let std::task::Poll::Ready(value) = b.as_mut().poll(cx) {
                b_out = Some(value);
            }
        }
        if a_out.is_some() && b_out.is_some() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    (a_out.unwrap(), b_out.unwrap())
}

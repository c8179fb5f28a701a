//! What a socket may do at once, beside one call for one message: several datagrams, a file, a pipe. One that cannot says `Unsupported`, and nothing is lost by that.

use std::fs::File;
use std::future::poll_fn;
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroU16;
use std::os::fd::AsFd;

use asyncio_base::shim::Arc;
use rustix::pipe::pipe;
use socket2::{Domain, SockAddr, Type};

use super::world::{Check, World};
use crate::socket::{Received, RecvMsg, SendMsg, Socket};
use crate::waiter::Waiter;

pub(super) const CHECKS: &[Check] = &[
    ("several datagrams in one call are each one", several_datagrams),
    ("datagrams that are to be taken apart are, or are refused whole", segments),
    ("a part of a file is sent as it is", a_file),
    ("bytes go through a pipe as they are, up to the end", through_a_pipe),
];

fn datagram_socket(world: &World) -> Option<(Arc<dyn Socket>, SockAddr)> {
    let socket = match world.reactor.socket(Domain::IPV4, Type::DGRAM, None) {
        Err(error) if error.kind() == io::ErrorKind::Unsupported => return None,
        socket => socket.unwrap(),
    };
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
    let addr = socket.local_addr().unwrap();
    Some((socket, addr))
}

/// A datagram: what came, from whom, and whether it was cut.
type Datagram = (Vec<u8>, Option<SocketAddr>, bool);

/// Receives `count` datagrams, into room for ten bytes each.
fn receive(world: &World, socket: &dyn Socket, count: usize) -> Vec<Datagram> {
    let mut came = Vec::new();
    while came.len() < count {
        let mut memory = [[0; 10]; 4];
        let mut addrs: [Option<SockAddr>; 4] = [const { None }; 4];
        let mut received = [Received::default(); 4];
        let n = {
            let mut bufs = memory.each_mut().map(|buf| [IoSliceMut::new(buf)]);
            let places = bufs.iter_mut().zip(&mut addrs);
            let mut messages: Vec<RecvMsg<'_, '_>> =
                places.map(|(bufs, addr)| RecvMsg { addr: Some(addr), ..RecvMsg::new(bufs) }).collect();
            let mut waiter = Waiter::new();
            world
                .run(poll_fn(|cx| socket.poll_recv_many(cx, &mut waiter, &mut messages, &mut received)))
                .unwrap()
        };
        assert!((1..=4).contains(&n), "{n} of 4");
        for ((buf, addr), received) in memory.iter().zip(&addrs).zip(received).take(n) {
            let from = addr.as_ref().and_then(SockAddr::as_socket);
            came.push((buf[..received.n].to_vec(), from, received.is_truncated));
        }
    }
    came
}

fn several_datagrams(world: &World) {
    let Some((receiver, to)) = datagram_socket(world) else { return };
    let Some((sender, from)) = datagram_socket(world) else { return };
    let sent: [&[u8]; 6] = [b"one", b"", b"longer than there is room for", b"four", b"exactly 10", b"last"];
    let bufs = sent.map(|bytes| [IoSlice::new(bytes)]);
    let messages: Vec<SendMsg<'_, '_>> =
        bufs.iter().map(|bufs| SendMsg { addr: Some(&to), ..SendMsg::new(bufs) }).collect();
    let mut left = &messages[..];
    while !left.is_empty() {
        let mut waiter = Waiter::new();
        let n = world.run(poll_fn(|cx| sender.poll_send_many(cx, &mut waiter, left))).unwrap();
        assert!((1..=left.len()).contains(&n));
        left = &left[n..];
    }
    for ((bytes, came_from, is_cut), sent) in receive(world, &*receiver, 6).iter().zip(sent) {
        assert_eq!((&bytes[..], *is_cut), (&sent[..sent.len().min(10)], sent.len() > 10));
        assert_eq!(*came_from, from.as_socket());
    }
}

fn segments(world: &World) {
    let Some((receiver, to)) = datagram_socket(world) else { return };
    let Some((sender, _)) = datagram_socket(world) else { return };
    let bufs = [IoSlice::new(b"threethree"), IoSlice::new(b"of it")];
    let message = SendMsg { addr: Some(&to), segment_size: NonZeroU16::new(5), ..SendMsg::new(&bufs) };
    let mut waiter = Waiter::new();
    match world.run(poll_fn(|cx| sender.poll_send_many(cx, &mut waiter, &[message]))) {
        Ok(n) => {
            assert_eq!(n, 1);
            let came: Vec<Vec<u8>> =
                receive(world, &*receiver, 3).into_iter().map(|(bytes, ..)| bytes).collect();
            assert_eq!(came, [b"three", b"three", b"of it"]);
        }
        Err(error) => {
            assert_eq!(error.kind(), io::ErrorKind::Unsupported, "{error}");
            let bufs = [IoSlice::new(b"alone")];
            let message = SendMsg { addr: Some(&to), ..SendMsg::new(&bufs) };
            world.run(poll_fn(|cx| sender.poll_send(cx, &mut waiter, &message))).unwrap();
            assert_eq!(receive(world, &*receiver, 1)[0].0, b"alone", "nothing was sent before it");
        }
    }
}

/// A file with those bytes, which nobody else sees.
fn file(bytes: &[u8]) -> File {
    static COUNT: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
    let number = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let path = std::env::temp_dir().join(format!("asyncio-conformance-{}-{number}", std::process::id()));
    let mut file = File::options().read(true).write(true).create(true).truncate(true).open(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    file.write_all(bytes).unwrap();
    file
}

fn a_file(world: &World) {
    let (client, server) = world.pair();
    let file = file(b"0123456789");
    let mut waiter = Waiter::new();
    let mut offset = 3;
    while offset < 10 {
        let before = offset;
        let sent = world.run(poll_fn(|cx| {
            client.poll_send_file(cx, &mut waiter, file.as_fd(), &mut offset, (10 - before) as usize)
        }));
        match sent {
            Err(error) if error.kind() == io::ErrorKind::Unsupported => return assert_eq!(offset, 3),
            sent => assert_eq!(sent.unwrap() as u64, offset - before, "the offset is moved by what was sent"),
        }
    }
    assert_eq!(world.recv_exactly(&*server, 7), b"3456789");
    let sent = poll_fn(|cx| client.poll_send_file(cx, &mut waiter, file.as_fd(), &mut offset, 10));
    assert_eq!(world.run(sent).unwrap(), 0, "behind its end there is nothing");
}

fn through_a_pipe(world: &World) {
    let ((client, near), (far, server)) = (world.pair(), world.pair());
    let (reader, writer) = pipe().unwrap();
    let (mut receiving, mut sending) = (Waiter::new(), Waiter::new());
    let mut receive =
        || world.run(poll_fn(|cx| near.poll_recv_to_pipe(cx, &mut receiving, writer.as_fd(), 4096)));
    for n in 0..50_u32 {
        std::thread::scope(|scope| {
            // It waits first now and then: the pipe is empty, and so "would block" is said of the socket.
            scope.spawn(|| World { reactor: world.reactor.clone() }.send_now(&*client, &n.to_be_bytes()));
            let mut held = match receive() {
                Err(error) if error.kind() == io::ErrorKind::Unsupported => return,
                held => held.unwrap(),
            };
            assert_eq!(held, 4);
            while held > 0 {
                let sent = poll_fn(|cx| far.poll_send_from_pipe(cx, &mut sending, reader.as_fd(), held));
                held -= match world.run(sent) {
                    Err(error) if error.kind() == io::ErrorKind::Unsupported => {
                        let mut rest = [0; 4];
                        (&File::from(reader.try_clone().unwrap())).read_exact(&mut rest).unwrap();
                        assert_eq!(rest, n.to_be_bytes(), "it is in the pipe still");
                        return;
                    }
                    sent => sent.unwrap(),
                };
            }
            assert_eq!(world.recv_exactly(&*server, 4), n.to_be_bytes());
        });
    }
    client.shutdown(std::net::Shutdown::Write).unwrap();
    match receive() {
        Ok(n) => assert_eq!(n, 0, "the end"),
        Err(error) => assert_eq!(error.kind(), io::ErrorKind::Unsupported),
    }
}

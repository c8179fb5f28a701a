//! A try waits for nobody, and the calls of one buffer are those of several: the laws of `try_send` and of its like.

use std::io;
use std::net::Shutdown;
use std::task::{Poll, Waker};
use std::time::Instant;

use asyncio_base::{budget, is_loop_closed};

use super::world::{Check, Counter, PATIENCE, SILENCE, World};
use crate::reactor;
use crate::socket::Socket;
use crate::waiter::Waiter;

pub(super) const CHECKS: &[Check] = &[
    ("a try sends a part, and says when nothing is taken", a_part),
    ("a try succeeds again when there is room, though nobody waits", room_again),
    ("a try neither asks the budget nor spends it", no_budget),
    ("a try to send leaves those that wait where they are", leaves_senders),
    ("a try to send tells an error", broken),
    ("a try on a closed reactor says so", after_the_end),
    ("a send of one buffer is a send", one_buffer),
];

/// Tries on the reactor.
fn on<T>(world: &World, attempt: impl FnOnce() -> T) -> T {
    let _entered = reactor::enter(world.reactor.clone());
    attempt()
}

/// Sends numbers by tries until nothing is taken, and for so long that what is on its way has come; returns how many bytes were taken.
fn fill(world: &World, socket: &dyn Socket, mut from: usize) -> usize {
    let first = from;
    let mut room_since = Instant::now();
    while room_since.elapsed() < SILENCE {
        let bytes: Vec<u8> = (from..from + 10_007).map(|n| (n % 251) as u8).collect();
        match on(world, || socket.try_send(&bytes)) {
            Ok(n) => {
                assert!((1..=bytes.len()).contains(&n), "{n} bytes of {} were taken", bytes.len());
                (from, room_since) = (from + n, Instant::now());
            }
            Err(error) => {
                assert_eq!(error.kind(), io::ErrorKind::WouldBlock, "{error}");
                world.turn_in_silence();
            }
        }
    }
    from - first
}

/// Receives numbers as [`fill`] sends them.
fn empty(world: &World, socket: &dyn Socket, from: usize, count: usize) {
    let mut buf = vec![0; 100_000];
    let mut done = 0;
    while done < count {
        let n = world.run(socket.recv(&mut buf)).unwrap();
        assert!(n > 0, "the end came after {done} of {count} bytes");
        let is_right = |(at, byte): (usize, &u8)| *byte == ((from + done + at) % 251) as u8;
        assert!(buf[..n].iter().enumerate().all(is_right), "bytes were lost, doubled or changed");
        done += n;
    }
    assert_eq!(done, count, "more came than was taken");
}

fn a_part(world: &World) {
    let (client, server) = world.pair();
    let taken = fill(world, &*client, 0);
    assert!(taken > 10_007, "one try fills a connection: {taken}");
    for _ in 0..3 {
        let error = on(world, || client.try_send(b"more")).expect_err("there is no room");
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
    }
    client.shutdown(Shutdown::Write).unwrap();
    empty(world, &*server, 0, taken);
    assert_eq!(world.recv(&*server).unwrap(), b"", "what was not taken is not sent");
}

fn room_again(world: &World) {
    let (client, server) = world.pair();
    let mut sent = 0;
    for _ in 0..3 {
        let taken = fill(world, &*client, sent);
        assert!(taken > 0);
        empty(world, &*server, sent, taken);
        sent += taken;
        let deadline = Instant::now() + PATIENCE;
        let next = (sent % 251) as u8;
        while on(world, || client.try_send(&[next])).is_err() {
            assert!(Instant::now() < deadline, "there is room, and a try does not see it");
            world.reactor.turn(Some(SILENCE)).unwrap();
        }
        empty(world, &*server, sent, 1);
        sent += 1;
    }
}

fn no_budget(world: &World) {
    let (client, server) = world.pair();
    budget::with_budget(1, || {
        for _ in 0..20 {
            assert_eq!(on(world, || client.try_send(b"x")).unwrap(), 1);
        }
        assert_eq!(budget::remaining(), Some(1), "a try is not counted");
        budget::spend();
        assert_eq!(on(world, || client.try_send(b"x")).unwrap(), 1, "a try does not ask");
    });
    assert_eq!(world.recv_exactly(&*server, 21), [b'x'; 21]);
}

fn leaves_senders(world: &World) {
    let (client, server) = world.pair();
    let taken = fill(world, &*client, 0);
    let (counter, waker) = Counter::new();
    let mut waiter = Waiter::new();
    let polled = world.poll(&waker, |cx| client.poll_send_one(cx, &mut waiter, b"more").map(drop));
    assert!(polled.is_pending());
    for _ in 0..3 {
        assert!(on(world, || client.try_send(b"more")).is_err());
    }
    assert_eq!(counter.get(), 0, "a try wakes nobody");
    empty(world, &*server, 0, taken);
    world.turn_until(|| counter.get() > 0);
}

fn broken(world: &World) {
    let (client, server) = world.pair();
    drop(server);
    assert_eq!(world.recv(&*client).unwrap(), b"");
    let errors = (0..1000).filter_map(|_| {
        world.turn_in_silence();
        on(world, || client.try_send(b"into the void")).err()
    });
    let error = errors.into_iter().next().expect("sending to a closed peer goes on for ever");
    let expected = [io::ErrorKind::BrokenPipe, io::ErrorKind::ConnectionReset];
    assert!(expected.contains(&error.kind()), "unexpected error: {error}");
}

fn after_the_end(world: &World) {
    let (client, _server) = world.pair();
    fill(world, &*client, 0);
    world.reactor.close();
    let error = on(world, || client.try_send(b"more")).expect_err("there is no room");
    assert!(is_loop_closed(&error), "not `LoopClosed`: {error}");
}

fn one_buffer(world: &World) {
    let (client, server) = world.pair();
    let mut waiter = Waiter::new();
    budget::with_budget(3, || {
        for is_ready in [true, true, true, false] {
            let sent = world.poll(Waker::noop(), |cx| client.poll_send_one(cx, &mut waiter, b"abc"));
            match sent {
                Poll::Ready(sent) => assert!(is_ready && sent.unwrap() == 3, "a spent budget was passed by"),
                Poll::Pending => assert!(!is_ready, "nine bytes do not fit"),
            }
        }
    });
    assert_eq!(world.recv_exactly(&*server, 9), b"abcabcabc");
}

//! A try waits for nobody, and the calls of one buffer are those of several: the laws of `try_send` and of its like.

use std::io;
use std::net::Shutdown;
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

use asyncio_base::{budget, is_loop_closed};

use super::world::{Check, Counter, PATIENCE, SILENCE, World};
use crate::reactor;
use crate::socket::{Socket, SocketOption};
use crate::waiter::Waiter;

pub(super) const CHECKS: &[Check] = &[
    ("a try sends a part, and says when nothing is taken", a_part),
    ("a try succeeds again when there is room, though nobody waits", room_again),
    ("a try neither asks the budget nor spends it", no_budget),
    ("a try to send leaves those that wait where they are", leaves_senders),
    ("a try to send tells an error", broken),
    ("a try on a closed reactor says so", after_the_end),
    ("a send of one buffer is a send", send_one),
    ("a try receives what is there, and then says so", what_is_there),
    ("a try receives what has come since, though nobody waits", come_since),
    ("a try leaves those that wait to receive where they are", leaves_receivers),
    ("a try sees the end behind a short read", end_behind_a_try),
    ("a try to receive tells a reset", reset),
    ("a receive into one buffer is a receive", recv_one),
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

/// Receives by tries until `count` bytes have come.
fn receive_by_tries(world: &World, socket: &dyn Socket, count: usize) -> Vec<u8> {
    let deadline = Instant::now() + PATIENCE;
    let (mut bytes, mut buf) = (Vec::new(), [0; 64]);
    while bytes.len() < count {
        match on(world, || socket.try_recv(&mut buf)) {
            Ok(received) => {
                assert!(received.n > 0, "the end came after {} of {count} bytes", bytes.len());
                bytes.extend_from_slice(&buf[..received.n]);
            }
            Err(error) => {
                assert_eq!(error.kind(), io::ErrorKind::WouldBlock, "{error}");
                assert!(Instant::now() < deadline, "bytes have come, and a try does not see them");
                world.reactor.turn(Some(SILENCE)).unwrap();
            }
        }
    }
    bytes
}

fn a_part(world: &World) {
    let (client, server) = world.pair();
    let mut taken = fill(world, &*client, 0);
    assert!(taken > 10_007, "one try fills a connection: {taken}");
    // Each ends where nothing is taken any more; by the next one some may have gone over to the other side.
    for _ in 0..3 {
        taken += fill(world, &*client, taken);
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
    let mut count = 0;
    budget::with_budget(1, || {
        while count < 20 {
            let mut buf = [0; 1];
            match on(world, || server.try_recv(&mut buf)) {
                Ok(received) => count += received.n,
                Err(error) => assert_eq!(error.kind(), io::ErrorKind::WouldBlock, "{error}"),
            }
            world.reactor.turn(Some(Duration::ZERO)).unwrap();
        }
        assert_eq!(budget::remaining(), Some(1), "a try is not counted");
        budget::spend();
        assert_eq!(receive_by_tries(world, &*server, 1), b"x", "a try does not ask");
    });
}

fn leaves_senders(world: &World) {
    let (client, server) = world.pair();
    let next = |sent: usize| [(sent % 251) as u8];
    let mut taken = fill(world, &*client, 0);
    let (counter, waker) = Counter::new();
    let mut waiter = Waiter::new();
    let mut poll = |sent| match world.poll(&waker, |cx| client.poll_send_one(cx, &mut waiter, &next(sent))) {
        Poll::Ready(n) => n.unwrap(),
        Poll::Pending => 0,
    };
    // Some may have gone over to the other side meanwhile.
    let mut more = poll(taken);
    while more > 0 {
        taken += more;
        taken += fill(world, &*client, taken);
        more = poll(taken);
    }
    let woken = counter.get();
    let is_full = (0..3).all(|_| on(world, || client.try_send(&next(taken))).map(|n| taken += n).is_err());
    assert!(!is_full || counter.get() == woken, "a try wakes nobody");
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
    // Some may have gone over to the other side meanwhile.
    let errors = (0..1000).filter_map(|_| on(world, || client.try_send(&[0; 10_007])).err());
    let error = errors.into_iter().next().expect("a connection that nobody reads from is never full");
    assert!(is_loop_closed(&error), "not `LoopClosed`: {error}");
    let error = on(world, || client.try_recv(&mut [0; 8])).expect_err("nothing is there");
    assert!(is_loop_closed(&error), "not `LoopClosed`: {error}");
}

fn send_one(world: &World) {
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

fn what_is_there(world: &World) {
    let (client, server) = world.pair();
    let bytes: Vec<u8> = (0..200).collect();
    world.send_all(&*client, &bytes);
    assert_eq!(receive_by_tries(world, &*server, 200), bytes);
    for _ in 0..3 {
        let error = on(world, || server.try_recv(&mut [0; 64])).expect_err("nothing is there");
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
    }
}

fn come_since(world: &World) {
    let (client, server) = world.pair();
    for n in 0..50_u8 {
        assert!(on(world, || server.try_recv(&mut [0; 64])).is_err(), "nothing is there");
        world.send_now(&*client, &[n, n]);
        assert_eq!(receive_by_tries(world, &*server, 2), [n, n]);
    }
}

fn leaves_receivers(world: &World) {
    let (client, server) = world.pair();
    let (counter, waker) = Counter::new();
    let mut waiters = [Waiter::new(), Waiter::standing()];
    for round in 0..3 {
        for waiter in &mut waiters {
            let polled = world.poll(&waker, |cx| server.poll_recv_one(cx, waiter, &mut [0; 64]).map(drop));
            assert!(polled.is_pending());
        }
        assert!(on(world, || server.try_recv(&mut [0; 64])).is_err());
        assert_eq!(counter.get(), 0, "a try wakes nobody");
        world.send_now(&*client, b"x");
        world.turn_until(|| counter.get() >= 2);
        assert_eq!(receive_by_tries(world, &*server, 1), b"x", "round {round}");
        counter.reset();
    }
}

fn end_behind_a_try(world: &World) {
    for has_waited in [false, true] {
        let (client, server) = world.pair();
        if has_waited {
            assert!(on(world, || server.try_recv(&mut [0; 64])).is_err());
        }
        world.send_now(&*client, b"last words");
        client.shutdown(Shutdown::Write).unwrap();
        assert_eq!(receive_by_tries(world, &*server, 10), b"last words");
        for _ in 0..2 {
            let deadline = Instant::now() + PATIENCE;
            let end = loop {
                match on(world, || server.try_recv(&mut [0; 64])) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    end => break end,
                }
                assert!(Instant::now() < deadline, "the end behind the data was lost");
                world.reactor.turn(Some(SILENCE)).unwrap();
            };
            assert_eq!(end.unwrap().n, 0);
        }
    }
}

fn reset(world: &World) {
    let (client, server) = world.pair();
    assert!(on(world, || server.try_recv(&mut [0; 64])).is_err());
    client.set_option(SocketOption::Linger(Some(Duration::ZERO))).unwrap();
    drop(client);
    let deadline = Instant::now() + PATIENCE;
    loop {
        let error = on(world, || server.try_recv(&mut [0; 64])).expect_err("a reset came as a clean end");
        match error.kind() {
            io::ErrorKind::WouldBlock => assert!(Instant::now() < deadline, "the reset is not seen"),
            kind => return assert_eq!(kind, io::ErrorKind::ConnectionReset),
        }
        world.reactor.turn(Some(SILENCE)).unwrap();
    }
}

fn recv_one(world: &World) {
    let (client, server) = world.pair();
    world.send_all(&*client, b"0123456789");
    // So that all of it has come.
    world.turn_in_silence();
    let (counter, waker) = Counter::new();
    let mut waiter = Waiter::new();
    let mut bytes = Vec::new();
    budget::with_budget(3, || {
        for is_ready in [true, true, true, false] {
            let mut buf = [0; 3];
            match world.poll(&waker, |cx| server.poll_recv_one(cx, &mut waiter, &mut buf)) {
                Poll::Ready(received) => {
                    assert!(is_ready, "a spent budget was passed by");
                    let received = received.unwrap();
                    assert!(!received.is_drained, "a byte is left");
                    bytes.extend_from_slice(&buf[..received.n]);
                }
                Poll::Pending => assert!(!is_ready),
            }
        }
    });
    assert!(counter.get() > 0, "an operation that yields has woken its task");
    assert_eq!(bytes, b"012345678");
    assert_eq!(world.recv_exactly(&*server, 1), b"9");
    counter.reset();
    let polled = world.poll(&waker, |cx| server.poll_recv_one(cx, &mut waiter, &mut [0; 3]).map(drop));
    assert!(polled.is_pending());
    world.send_now(&*client, b"more");
    world.turn_until(|| counter.get() > 0);
    assert_eq!(world.recv_exactly(&*server, 4), b"more");
}

//! The laws of `Selector`, one by one, on pairs of TCP sockets.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use super::world::{PATIENCE, SILENCE};
use crate::readiness::{Direction, Ready};
use crate::selector::{Event, Interest, Mode, Selector};
use crate::sys::BorrowedDescriptor;

pub(super) type SelectorCheck = (&'static str, fn(&dyn Selector));

pub(super) const CHECKS: &[SelectorCheck] = &[
    ("what is ready when it is added is reported", ready_when_added),
    ("what becomes ready again is reported again", ready_again),
    ("a hang-up is ready in both directions", hang_up),
    ("what is deleted is silent", deleted),
    ("a number that is closed and opened anew has the new key", reused),
    ("a descriptor is added once, and deleted only if it was added", misuse),
    ("a notify ends a wait, also from another thread, also before it", notifies),
    ("what another thread adds takes effect on a wait", added_during_wait),
    ("a short timeout is not zero, and a long one is not short", timeouts),
];

fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (server, _) = listener.accept().unwrap();
    server.set_nonblocking(true).unwrap();
    (client, server)
}

fn source(socket: &TcpStream) -> BorrowedDescriptor<'_> {
    #[cfg(unix)]
    return std::os::fd::AsFd::as_fd(socket);
    #[cfg(windows)]
    return std::os::windows::io::AsSocket::as_socket(socket);
}

const READ: Interest = Interest { readable: true, writable: false };

/// Adds with what the mode asks for, and arms a one-shot selector for reading.
fn add(selector: &dyn Selector, socket: &TcpStream, key: usize) {
    match selector.mode() {
        Mode::Edge => selector.add(source(socket), key, Interest::BOTH).unwrap(),
        Mode::OneShot => {
            selector.add(source(socket), key, Interest::NONE).unwrap();
            rearm(selector, socket, key);
        }
    }
}

fn rearm(selector: &dyn Selector, socket: &TcpStream, key: usize) {
    if selector.mode() == Mode::OneShot {
        selector.modify(source(socket), key, READ).unwrap();
    }
}

/// Waits until an event of `key` has one of `ready`, and returns all events until then.
fn wait_for(selector: &dyn Selector, key: usize, ready: Ready) -> Vec<Event> {
    let deadline = Instant::now() + PATIENCE;
    let mut events = Vec::new();
    while !events.iter().any(|event: &Event| event.key == key && event.ready.intersects(ready)) {
        assert!(Instant::now() < deadline, "no event {ready:?} came for key {key}; there were {events:?}");
        selector.wait(&mut events, Some(PATIENCE)).unwrap();
    }
    events
}

fn events_in_silence(selector: &dyn Selector) -> Vec<Event> {
    let mut events = Vec::new();
    let deadline = Instant::now() + SILENCE;
    while let Some(left) = deadline.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
        selector.wait(&mut events, Some(left)).unwrap();
    }
    events
}

fn drain(mut socket: &TcpStream) {
    let mut buf = [0; 64];
    while socket.read(&mut buf).is_ok_and(|n| n > 0) {}
}

fn ready_when_added(selector: &dyn Selector) {
    let (mut client, server) = pair();
    client.write_all(b"before").unwrap();
    add(selector, &server, 7);
    wait_for(selector, 7, Ready::READABLE);
    selector.delete(source(&server)).unwrap();
}

fn ready_again(selector: &dyn Selector) {
    let (mut client, server) = pair();
    add(selector, &server, 7);
    for _ in 0..20 {
        client.write_all(b"x").unwrap();
        wait_for(selector, 7, Ready::READABLE);
        drain(&server);
        rearm(selector, &server, 7);
    }
    selector.delete(source(&server)).unwrap();
}

fn hang_up(selector: &dyn Selector) {
    let (client, server) = pair();
    add(selector, &server, 7);
    drop(client);
    wait_for(selector, 7, Ready::of(Direction::Read));
    server.shutdown(std::net::Shutdown::Both).unwrap();
    rearm(selector, &server, 7);
    let events = wait_for(selector, 7, Ready::of(Direction::Read));
    assert!(!events.is_empty());
    selector.delete(source(&server)).unwrap();
}

fn deleted(selector: &dyn Selector) {
    let (mut client, server) = pair();
    add(selector, &server, 7);
    client.write_all(b"x").unwrap();
    selector.delete(source(&server)).unwrap();
    client.write_all(b"y").unwrap();
    assert_eq!(events_in_silence(selector), []);
}

fn reused(selector: &dyn Selector) {
    for round in 0..20 {
        let (mut client, server) = pair();
        add(selector, &server, 100 + round);
        client.write_all(b"x").unwrap();
        selector.delete(source(&server)).unwrap();
        drop(server);
        let (mut client, server) = pair();
        add(selector, &server, 200 + round);
        client.write_all(b"x").unwrap();
        let events = wait_for(selector, 200 + round, Ready::READABLE);
        assert!(events.iter().all(|event| event.key == 200 + round), "a stale key: {events:?}");
        selector.delete(source(&server)).unwrap();
    }
}

fn misuse(selector: &dyn Selector) {
    let (_client, server) = pair();
    assert!(selector.delete(source(&server)).is_err(), "deleted without having been added");
    assert!(selector.modify(source(&server), 7, READ).is_err(), "modified without having been added");
    add(selector, &server, 7);
    assert!(selector.add(source(&server), 8, Interest::BOTH).is_err(), "added twice");
    selector.delete(source(&server)).unwrap();
    add(selector, &server, 9);
    selector.delete(source(&server)).unwrap();
}

fn notifies(selector: &dyn Selector) {
    let mut events = Vec::new();
    for _ in 0..100 {
        selector.notify().unwrap();
    }
    selector.wait(&mut events, None).unwrap();
    for _ in 0..20 {
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| {
                let mut events = Vec::new();
                selector.wait(&mut events, Some(PATIENCE)).unwrap();
            });
            while !waiting.is_finished() {
                selector.notify().unwrap();
                std::thread::yield_now();
            }
        });
    }
    assert_eq!(events, [], "a notify is not an event");
}

fn added_during_wait(selector: &dyn Selector) {
    let (mut client, server) = pair();
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| wait_for(selector, 7, Ready::READABLE));
        add(selector, &server, 7);
        client.write_all(b"x").unwrap();
        waiting.join().unwrap();
    });
    selector.delete(source(&server)).unwrap();
}

fn timeouts(selector: &dyn Selector) {
    let mut events = Vec::new();
    let start = Instant::now();
    let wait = Duration::from_millis(5);
    let mut calls = 0;
    while start.elapsed() < wait {
        // A millisecond timeout rounded down would spin here.
        selector.wait(&mut events, Some(Duration::from_micros(900))).unwrap();
        calls += 1;
    }
    assert!(calls <= 50, "{calls} waits of 0.9 ms in 5 ms: the timeout is rounded down");
    selector.wait(&mut events, Some(Duration::ZERO)).unwrap();
    for long in [Duration::from_secs(25 * 86_400), Duration::from_secs(1 << 40), Duration::MAX] {
        selector.notify().unwrap();
        selector.wait(&mut events, Some(long)).unwrap();
    }
    assert_eq!(events, []);
}

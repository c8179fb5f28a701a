//! Connecting to several addresses (RFC 8305). The clock is moved by hand: what waits for time to go by waits for the kernel.

use std::collections::HashSet;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use asyncio_net::{ConnectFailed, ConnectOptions, TcpListener, TcpStream};
use asyncio_runtime::Runner;
use asyncio_tasks::{spawn_local, yield_now};
use asyncio_timers::ManualClock;

use crate::worlds::on_each_loop;

/// An address that does not answer: a listener whose queue is full, so that the kernel drops whoever else asks.
struct Silent {
    addr: SocketAddr,
    listener: socket2::Socket,
    _queued: Vec<socket2::Socket>,
}

impl Silent {
    const QUEUED: usize = 4;

    fn at(ip: impl Into<std::net::IpAddr>, port: u16) -> io::Result<Self> {
        let addr = SocketAddr::new(ip.into(), port);
        let new = || socket2::Socket::new(socket2::Domain::for_address(addr), socket2::Type::STREAM, None);
        let listener = new()?;
        listener.bind(&addr.into())?;
        listener.listen(0)?;
        let bound = listener.local_addr()?;
        let queued: Vec<_> = (0..Self::QUEUED)
            .map(|_| {
                let client = new()?;
                client.set_nonblocking(true)?;
                // One is in the queue, and perhaps one more; the others have no answer.
                let _ = client.connect(&bound);
                Ok(client)
            })
            .collect::<io::Result<_>>()?;
        Ok(Self { addr: bound.as_socket().unwrap(), listener, _queued: queued })
    }

    /// Takes what is queued, and stays: there is room for those who ask again.
    fn answer(&self) {
        self.listener.set_nonblocking(true).unwrap();
        self.listener.listen(16).unwrap();
        while self.listener.accept().is_ok() {}
    }
}

/// An address that refuses: a socket that is bound and does not listen, so that nobody else gets its port.
struct Refusing {
    addr: SocketAddr,
    _socket: socket2::Socket,
}

impl Refusing {
    fn new() -> Self {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
        Self { addr: socket.local_addr().unwrap().as_socket().unwrap(), _socket: socket }
    }
}

fn has_ipv6() -> bool {
    std::net::TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok()
}

/// Lets the loop do all that it can do without time. It looks at timers and events after 61 polls at the latest, so this is several such turns.
async fn settle() {
    for _ in 0..500 {
        yield_now().await;
    }
}

fn with_clock(check: impl AsyncFnOnce(ManualClock)) {
    let clock = ManualClock::new();
    let mut runner = Runner::builder().clock(clock.clone()).build().unwrap();
    runner.run(check(clock));
}

/// An IPv6 address that never answers costs the delay, and no more.
#[test]
fn an_address_that_never_answers_holds_the_next_one_up_for_the_delay() {
    with_clock(async |clock| {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let alive = listener.local_addr().unwrap();
        let silent = if has_ipv6() {
            Silent::at(Ipv6Addr::LOCALHOST, 0).unwrap()
        } else {
            Silent::at(Ipv4Addr::LOCALHOST, 0).unwrap()
        };
        let addrs = [silent.addr, alive];
        let task = spawn_local(async move { TcpStream::connect(&addrs[..]).await });
        settle().await;
        clock.advance(Duration::from_millis(249));
        settle().await;
        assert!(!task.is_finished(), "the second one has waited less than 250 ms");
        clock.advance(Duration::from_millis(1));
        let stream = task.await.unwrap().unwrap();
        assert_eq!(stream.peer_addr().unwrap(), alive);
    });
}

#[test]
fn an_address_that_refuses_holds_nobody_up() {
    with_clock(async |clock| {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (alive, refusing) = (listener.local_addr().unwrap(), Refusing::new());
        // The clock stands still.
        for refusals in [1, 5] {
            let addrs: Vec<_> = std::iter::repeat_n(refusing.addr, refusals).chain([alive]).collect();
            let stream = TcpStream::connect(&addrs[..]).await.unwrap();
            assert_eq!(stream.peer_addr().unwrap(), alive);
        }
        // Beside one that still runs, too.
        let silent = Silent::at(Ipv4Addr::LOCALHOST, 0).unwrap();
        let addrs = [silent.addr, refusing.addr, alive];
        let task = spawn_local(async move { TcpStream::connect(&addrs[..]).await });
        settle().await;
        assert!(!task.is_finished());
        clock.advance(Duration::from_millis(250));
        assert_eq!(task.await.unwrap().unwrap().peer_addr().unwrap(), alive);
    });
}

/// H1: the next one waits for the last that began, not for any. It takes a second: so long the kernel waits before it asks again.
#[test]
fn an_earlier_attempt_that_fails_late_hurries_nobody() {
    with_clock(async |clock| {
        let (first, second) = (Silent::at(Ipv4Addr::LOCALHOST, 0), Silent::at(Ipv4Addr::LOCALHOST, 0));
        let (first, second) = (first.unwrap(), second.unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addrs = [first.addr, second.addr, listener.local_addr().unwrap()];
        let task = spawn_local(async move { TcpStream::connect(&addrs[..]).await });
        settle().await;
        clock.advance(Duration::from_millis(250));
        settle().await;
        drop(first);
        // Not by a sleep: the clock stands still.
        while attempts_to(addrs[0]) > 0 {
            std::thread::sleep(Duration::from_millis(20));
        }
        settle().await;
        assert!(!task.is_finished(), "the second one has just begun");
        clock.advance(Duration::from_millis(250));
        assert_eq!(task.await.unwrap().unwrap().peer_addr().unwrap(), addrs[2]);
    });
}

/// H4.
#[test]
fn a_name_with_many_addresses_does_not_take_all_descriptors() {
    with_clock(async |clock| {
        let silent: Vec<_> = (0..8).map(|_| Silent::at(Ipv4Addr::LOCALHOST, 0).unwrap()).collect();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let alive = listener.local_addr().unwrap();
        let addrs: Vec<_> = silent.iter().map(|silent| silent.addr).chain([alive]).collect();
        let task = spawn_local(async move { TcpStream::connect(&addrs[..]).await });
        for _ in 0..20 {
            settle().await;
            clock.advance(Duration::from_millis(250));
        }
        assert!(!task.is_finished(), "eight run; the ninth waits until one of them has failed");
        for (n, silent) in silent.iter().enumerate() {
            assert_eq!(attempts_to(silent.addr), Silent::QUEUED + 1, "attempt {n}");
        }
    });
}

/// H5.
#[test]
fn from_a_fixed_port_one_address_is_tried_after_the_other() {
    with_clock(async |clock| {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (alive, refusing) = (listener.local_addr().unwrap(), Refusing::new());
        let from = Refusing::new().addr;
        let options = ConnectOptions::new().local_addr(from);
        // Twice: the port is used again, although the first connection lingers on it.
        for _ in 0..2 {
            let stream = options.connect(&[refusing.addr, alive][..]).await.unwrap();
            assert_eq!(stream.local_addr().unwrap(), from);
            let (server, _) = listener.accept().await.unwrap();
            drop(stream);
            drop(server);
        }
        let silent = Silent::at(Ipv4Addr::LOCALHOST, 0).unwrap();
        let addrs = [silent.addr, alive];
        let task = spawn_local(async move { options.connect(&addrs[..]).await });
        for _ in 0..10 {
            settle().await;
            clock.advance(Duration::from_secs(1));
        }
        settle().await;
        assert!(!task.is_finished());
    });
}

#[test]
fn attempts_begin_one_after_the_other_a_delay_apart() {
    with_clock(async |clock| {
        let (first, second) = (Silent::at(Ipv4Addr::LOCALHOST, 0), Silent::at(Ipv4Addr::LOCALHOST, 0));
        let (first, second) = (first.unwrap(), second.unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addrs = [first.addr, second.addr, listener.local_addr().unwrap()];
        let options = ConnectOptions::new().attempt_delay(Duration::from_secs(1));
        let task = spawn_local(async move { options.connect(&addrs[..]).await });
        for _ in 0..2 {
            settle().await;
            assert!(!task.is_finished());
            clock.advance(Duration::from_secs(1));
        }
        assert_eq!(task.await.unwrap().unwrap().peer_addr().unwrap(), addrs[2]);
        // A delay of none would be several connections for each: it counts as 10 ms.
        let options = ConnectOptions::new().attempt_delay(Duration::ZERO);
        let task = spawn_local(async move { options.connect(&addrs[1..]).await });
        settle().await;
        assert!(!task.is_finished());
        clock.advance(Duration::from_millis(10));
        task.await.unwrap().unwrap();
    });
}

/// H1: the first attempt goes on beside the second. It takes a second: so long the kernel waits before it asks again.
#[test]
fn one_that_answers_late_still_wins() {
    with_clock(async |clock| {
        let (late, silent) = (Silent::at(Ipv4Addr::LOCALHOST, 0), Silent::at(Ipv4Addr::LOCALHOST, 0));
        let (late, silent) = (late.unwrap(), silent.unwrap());
        let addrs = [late.addr, silent.addr];
        let task = spawn_local(async move { TcpStream::connect(&addrs[..]).await });
        settle().await;
        clock.advance(Duration::from_millis(250));
        settle().await;
        assert!(!task.is_finished());
        late.answer();
        assert_eq!(task.await.unwrap().unwrap().peer_addr().unwrap(), late.addr);
    });
}

/// H1: behind one family that is dead as a whole, the other waits for one delay, not for one for each address.
#[test]
fn families_take_turns() {
    if !has_ipv6() {
        eprintln!("skipped: this machine has no IPv6");
        return;
    }
    with_clock(async |clock| {
        let silent = [(); 3].map(|()| Silent::at(Ipv6Addr::LOCALHOST, 0).unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let alive = listener.local_addr().unwrap();
        let addrs = [silent[0].addr, silent[1].addr, silent[2].addr, alive];
        let task = spawn_local(async move { TcpStream::connect(&addrs[..]).await });
        settle().await;
        assert!(!task.is_finished());
        clock.advance(Duration::from_millis(250));
        assert_eq!(task.await.unwrap().unwrap().peer_addr().unwrap(), alive);
    });
}

#[test]
fn all_errors_are_kept_if_all_fail() {
    on_each_loop(async || {
        let refusing = [Refusing::new(), Refusing::new()];
        let addrs = [refusing[0].addr, refusing[1].addr];
        let error = TcpStream::connect(&addrs[..]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        let failed: &ConnectFailed = error.get_ref().and_then(|inner| inner.downcast_ref()).unwrap();
        let failures = failed.failures();
        assert_eq!(failures.iter().map(|failure| failure.0).collect::<Vec<_>>(), addrs);
        // Each as the reactor gave it.
        for (_, error) in failures {
            assert!(error.kind() == io::ErrorKind::ConnectionRefused && error.get_ref().is_none(), "{error}");
        }
        let text = error.to_string();
        assert!(text.starts_with("none of 2 addresses could be connected to: "), "{text}");
        assert!(addrs.iter().all(|addr| text.contains(&format!("{addr}: "))), "{text}");
    });
}

#[test]
fn a_connection_comes_from_where_it_is_to_come_from() {
    on_each_loop(async || {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let from = SocketAddr::from((Ipv4Addr::new(127, 0, 0, 2), 0));
        let options = ConnectOptions::new().local_addr("[::1]:0".parse().unwrap()).local_addr(from);
        let stream = options.connect(addr).await.unwrap();
        assert_eq!(stream.local_addr().unwrap().ip(), from.ip());
        assert_eq!(listener.accept().await.unwrap().1, stream.local_addr().unwrap());
        let only_v6 = ConnectOptions::new().local_addr("[::1]:0".parse().unwrap());
        // What cannot be tried is no reason to be told last.
        let refusing = Refusing::new();
        let v4 = ConnectOptions::new().local_addr("127.0.0.1:0".parse().unwrap());
        let error = v4.connect(&[refusing.addr, "[::1]:1".parse().unwrap()][..]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        let error = only_v6.connect(addr).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrNotAvailable);
        assert!(error.to_string().contains("no local address of its family"), "{error}");
        // An address that is not this machine's.
        let foreign = ConnectOptions::new().local_addr("192.0.2.1:0".parse().unwrap());
        let error = foreign.connect(addr).await.unwrap_err();
        assert!(error.to_string().contains("binding to the local address 192.0.2.1:0"), "{error}");
    });
}

#[test]
fn attempts_that_were_given_up_are_closed() {
    with_clock(async |clock| {
        let silent = Silent::at(Ipv4Addr::LOCALHOST, 0).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addrs = [silent.addr, listener.local_addr().unwrap()];
        let task = spawn_local(async move { TcpStream::connect(&addrs[..]).await });
        settle().await;
        assert_eq!(attempts_to(silent.addr), Silent::QUEUED + 1);
        clock.advance(Duration::from_millis(250));
        let _stream = task.await.unwrap().unwrap();
        assert_eq!(attempts_to(silent.addr), Silent::QUEUED);
        // One that is dropped as a whole.
        let task = spawn_local(async move { TcpStream::connect(&addrs[..1]).await });
        settle().await;
        assert_eq!(attempts_to(silent.addr), Silent::QUEUED + 1);
        task.cancel();
        assert!(task.await.unwrap_err().is_cancelled());
        assert_eq!(attempts_to(silent.addr), Silent::QUEUED);
    });
}

/// How many sockets of this machine are connected to `addr`, or are about to be (proc(5), `net/tcp`: behind its number stand the socket's address, its
/// peer's, and its state).
///
/// The kernel gives the table in parts. While other tests open and close sockets one may be in two parts, or in none: so each is counted once, and the most
/// of several looks is right. One that lingers from an earlier user of the port is in neither state.
fn attempts_to(addr: SocketAddr) -> usize {
    const ESTABLISHED: &str = "01";
    const SYN_SENT: &str = "02";
    let SocketAddr::V4(addr) = addr else { panic!("an IPv4 address") };
    let to = format!("{:08X}:{:04X}", u32::from_ne_bytes(addr.ip().octets()), addr.port());
    let look = || {
        let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
        let sockets = table.lines().filter_map(|line| {
            let [_, own, peer, state, ..] = line.split_whitespace().collect::<Vec<_>>()[..] else {
                return None;
            };
            (peer == to && [ESTABLISHED, SYN_SENT].contains(&state)).then(|| own.to_owned())
        });
        sockets.collect::<HashSet<_>>().len()
    };
    (0..5).map(|_| look()).max().unwrap()
}

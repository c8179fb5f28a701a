//! `UdpSocket`: whole datagrams, addresses, peers, errors of the network.

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
#[cfg(unix)]
use std::sync::Arc;
use std::time::Duration;

use asyncio_net::{DatagramBatch, UdpSocket};
use asyncio_reactor::{OptionName, SocketOption};
use asyncio_tasks::{spawn_local, timeout};
use static_assertions::assert_impl_all;

#[cfg(unix)]
use crate::around::Around;
use crate::worlds::{on_each_loop, on_each_real_loop};

assert_impl_all!(UdpSocket: Send, Sync, Unpin);

async fn bound() -> UdpSocket {
    UdpSocket::bind("127.0.0.1:0").await.unwrap()
}

#[test]
fn datagrams_arrive_whole_and_say_where_from() {
    on_each_loop(async || {
        let (one, other) = (bound().await, bound().await);
        let to = other.local_addr().unwrap();
        for datagram in [&b"abc"[..], b"", b"defgh"] {
            assert_eq!(one.send_to(datagram, to).await.unwrap(), datagram.len());
        }
        let mut buf = [0; 4];
        let from = one.local_addr().unwrap();
        assert_eq!(other.peek_from(&mut buf).await.unwrap(), (3, from));
        assert_eq!(other.recv_from(&mut buf).await.unwrap(), (3, from));
        assert_eq!(&buf[..3], b"abc");
        assert_eq!(other.recv_from(&mut buf).await.unwrap(), (0, from), "an empty one is one too");
        // The rest of a datagram that does not fit is lost, and the next one is the next one.
        assert_eq!(other.recv(&mut buf).await.unwrap(), 4);
        assert_eq!(&buf, b"defg");
        assert!(timeout(Duration::from_millis(5), other.recv(&mut buf)).await.is_err());
    });
}

#[test]
fn a_connected_socket_hears_its_peer_alone() {
    on_each_loop(async || {
        let (one, peer, stranger) = (bound().await, bound().await, bound().await);
        one.connect(peer.local_addr().unwrap()).await.unwrap();
        assert_eq!(one.peer_addr().unwrap(), peer.local_addr().unwrap());
        stranger.send_to(b"stranger", one.local_addr().unwrap()).await.unwrap();
        peer.send_to(b"peer", one.local_addr().unwrap()).await.unwrap();
        let mut buf = [0; 16];
        assert_eq!(one.recv(&mut buf).await.unwrap(), 4);
        one.send(b"back").await.unwrap();
        assert_eq!(peer.recv_from(&mut buf).await.unwrap(), (4, one.local_addr().unwrap()));
        assert!(bound().await.send(b"to nobody").await.is_err());
    });
}

#[test]
fn a_peer_that_is_gone_is_an_error_once() {
    on_each_loop(async || {
        let one = bound().await;
        let gone = bound().await.local_addr().unwrap();
        one.connect(gone).await.unwrap();
        one.send(b"anybody there?").await.unwrap();
        let refused = timeout(Duration::from_secs(20), one.recv(&mut [0; 8])).await.unwrap();
        assert_eq!(refused.unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
        let again = timeout(Duration::from_millis(5), one.recv(&mut [0; 8])).await;
        assert!(again.is_err(), "it waits for what comes next");
    });
}

#[test]
fn many_tasks_share_one_socket() {
    on_each_loop(async || {
        let shared = Rc::new(bound().await);
        let to = shared.local_addr().unwrap();
        let receiving: Vec<_> = (0..20)
            .map(|_| {
                let shared = shared.clone();
                spawn_local(async move {
                    let mut buf = [0; 4];
                    assert_eq!(shared.recv(&mut buf).await.unwrap(), 4);
                    u32::from_be_bytes(buf)
                })
            })
            .collect();
        let sender = bound().await;
        // Until all of them wait.
        timeout(Duration::from_millis(5), std::future::pending::<()>()).await.unwrap_err();
        for n in 0..20_u32 {
            sender.send_to(&n.to_be_bytes(), to).await.unwrap();
        }
        let mut seen = Vec::new();
        for task in receiving {
            seen.push(timeout(Duration::from_secs(20), task).await.unwrap().unwrap());
        }
        seen.sort_unstable();
        assert!(seen.into_iter().eq(0..20));
    });
}

#[test]
fn errors_name_the_address_and_the_cause() {
    on_each_loop(async || {
        let one = bound().await;
        let addr = one.local_addr().unwrap();
        let error = UdpSocket::bind(addr).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        assert!(error.to_string().contains(&addr.to_string()), "{error}");
        assert!(one.send_to(&vec![0; 70_000], addr).await.is_err(), "longer than UDP has room for");
        let none: &[std::net::SocketAddr] = &[];
        assert_eq!(one.send_to(b"x", none).await.unwrap_err().kind(), io::ErrorKind::InvalidInput);
    });
}

#[test]
fn options() {
    on_each_loop(async || {
        let one = bound().await;
        assert!(!one.broadcast().unwrap());
        one.set_broadcast(true).unwrap();
        assert!(one.broadcast().unwrap());
        let v6 = UdpSocket::bind("[::1]:0").await.unwrap();
        for socket in [&one, &v6] {
            socket.set_ttl(7).unwrap();
            assert_eq!(socket.socket().option(OptionName::Ttl).unwrap(), SocketOption::Ttl(7));
        }
        assert!(one.take_error().unwrap().is_none());
    });
}

#[test]
fn std_and_back() {
    on_each_real_loop(async || {
        let one = bound().await;
        let addr = one.local_addr().unwrap();
        let back = UdpSocket::from_std(one.into_std().unwrap()).unwrap();
        assert_eq!(back.local_addr().unwrap(), addr);
    });
}

#[test]
fn the_largest_there_is_and_one_more() {
    on_each_loop(async || {
        let (one, other) = (bound().await, bound().await);
        let to = other.local_addr().unwrap();
        let bytes = crate::worlds::pattern(65_508);
        let error = one.send_to(&bytes, to).await.unwrap_err();
        assert!(error.raw_os_error().is_some(), "{error}");
        assert_eq!(one.send_to(&bytes[..65_507], to).await.unwrap(), 65_507, "the socket goes on");
        let mut buf = vec![0; 70_000];
        let (n, _) = other.recv_from(&mut buf).await.unwrap();
        assert!(buf[..n] == bytes[..65_507]);
    });
}

#[test]
fn to_all_only_if_that_is_allowed() {
    on_each_loop(async || {
        let one = UdpSocket::bind("0.0.0.0:0").await.unwrap();
        let all = ("255.255.255.255", one.local_addr().unwrap().port());
        let error = one.send_to(b"to all", all).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::PermissionDenied, "{error}");
    });
}

/// Each of a thousand comes or is dropped by the system; none twice, none changed, and in order.
#[test]
fn a_thousand_at_once() {
    on_each_loop(async || {
        let (one, other) = (bound().await, bound().await);
        let to = other.local_addr().unwrap();
        for n in 0..1000_u32 {
            one.send_to(&n.to_le_bytes().repeat(50), to).await.unwrap();
        }
        let (mut buf, mut next, mut count) = ([0; 400], 0, 0);
        while let Ok(received) = timeout(Duration::from_millis(20), other.recv(&mut buf)).await {
            assert_eq!(received.unwrap(), 200);
            let n = u32::from_le_bytes(buf[..4].try_into().unwrap());
            assert!(n >= next && buf[..200] == n.to_le_bytes().repeat(50));
            (next, count) = (n + 1, count + 1);
        }
        assert!(count > 100);
    });
}

#[test]
fn many_are_sent_and_received_at_once() {
    on_each_loop(async || {
        let (one, other) = (bound().await, bound().await);
        let to = other.local_addr().unwrap();
        let sent: Vec<(Vec<u8>, _)> = (0..100_u8).map(|n| (vec![n; usize::from(n)], to)).collect();
        let mut at = 0;
        while at < sent.len() {
            let n = one.send_many_to(&sent[at..]).await.unwrap();
            assert!(n > 0);
            at += n;
        }
        let (mut batch, mut came) = (DatagramBatch::new(40, 60), 0_u8);
        assert!(batch.is_empty());
        while came < 100 {
            let n = other.recv_many(&mut batch).await.unwrap();
            assert!((1..=40).contains(&n) && n == batch.len());
            for datagram in batch.iter() {
                assert_eq!(datagram.from, one.local_addr().unwrap());
                // The longer ones are cut, and say so.
                assert_eq!(
                    (datagram.bytes.len(), datagram.is_truncated),
                    (usize::from(came).min(60), came > 60)
                );
                assert!(datagram.bytes.iter().all(|byte| *byte == came));
                came += 1;
            }
        }
        let waits = timeout(Duration::from_millis(5), other.recv_many(&mut batch)).await;
        assert!(waits.is_err() && batch.is_empty(), "and those of before are gone");
    });
}

#[test]
fn many_to_a_peer() {
    on_each_loop(async || {
        let (one, other) = (bound().await, bound().await);
        one.connect(other.local_addr().unwrap()).await.unwrap();
        assert_eq!(one.send_many(&[]).await.unwrap(), 0);
        assert_eq!(one.send_many(&[b"a", b"", b"bc"]).await.unwrap(), 3);
        let mut batch = DatagramBatch::new(8, 0);
        let mut lengths = Vec::new();
        while lengths.len() < 3 {
            other.recv_many(&mut batch).await.unwrap();
            lengths.extend(batch.iter().map(|datagram| (datagram.bytes.len(), datagram.is_truncated)));
        }
        assert_eq!(lengths, [(0, true), (0, false), (0, true)]);
    });
}

/// What is wrong with one keeps none that stands before it.
#[test]
fn one_of_many_that_is_too_long() {
    on_each_loop(async || {
        let (one, other) = (bound().await, bound().await);
        let to = other.local_addr().unwrap();
        let long = vec![0; 70_000];
        let datagrams = [(&b"first"[..], to), (&long[..], to), (&b"last"[..], to)];
        assert_eq!(one.send_many_to(&datagrams).await.unwrap(), 1);
        one.send_many_to(&datagrams[1..]).await.unwrap_err();
        assert_eq!(one.send_many_to(&datagrams[2..]).await.unwrap(), 1);
        let mut buf = [0; 10];
        assert_eq!(other.recv_datagram(&mut buf).await.unwrap().bytes, b"first");
        assert_eq!(other.recv_datagram(&mut buf).await.unwrap().bytes, b"last");
    });
}

#[test]
fn one_that_is_cut_says_so() {
    on_each_loop(async || {
        let (one, other) = (bound().await, bound().await);
        one.send_to(b"too long", other.local_addr().unwrap()).await.unwrap();
        let mut buf = [0; 3];
        let datagram = other.recv_datagram(&mut buf).await.unwrap();
        assert_eq!((datagram.bytes, datagram.is_truncated), (&b"too"[..], true));
        assert_eq!(datagram.from, one.local_addr().unwrap());
    });
}

/// "Nobody listens there" is told once, and the socket goes on.
#[test]
fn many_to_nobody() {
    on_each_loop(async || {
        let one = bound().await;
        let gone = bound().await.local_addr().unwrap();
        one.connect(gone).await.unwrap();
        assert_eq!(one.send_many(&[b"anybody?"]).await.unwrap(), 1);
        let mut batch = DatagramBatch::new(4, 100);
        let refused = timeout(Duration::from_secs(20), one.recv_many(&mut batch)).await.unwrap();
        assert_eq!(refused.unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
        assert!(timeout(Duration::from_millis(5), one.recv_many(&mut batch)).await.is_err());
    });
}

/// Dropped at every poll, none is lost.
#[test]
fn a_batch_that_is_given_up_loses_nothing() {
    on_each_loop(async || {
        let (one, other) = (bound().await, bound().await);
        let to = other.local_addr().unwrap();
        let (mut batch, mut came) = (DatagramBatch::new(4, 10), 0);
        for n in 0..50_u8 {
            assert!(crate::cancel::polled(other.recv_many(&mut batch), 1).await.is_none());
            one.send_many_to(&[([n], to), ([n], to)]).await.unwrap();
            let mut of_this = 0;
            while of_this < 2 {
                of_this += other.recv_many(&mut batch).await.unwrap();
                assert!(batch.iter().all(|datagram| datagram.bytes == [n]));
            }
            came += of_this;
        }
        assert_eq!(came, 100);
    });
}

/// Lengths of all kinds, in runs and alone, empty ones too.
fn lengths() -> Vec<usize> {
    let run = |len, count| std::iter::repeat_n(len, count);
    let ends = [999, 1000, 1, 1, 2000, 2000];
    [500, 900]
        .into_iter()
        .chain(run(64, 100))
        .chain([3, 0, 0, 1400])
        .chain(run(1000, 70))
        .chain(ends)
        .collect()
}

/// Sends one of each length, to two places by turns of a dozen; and gives what each of them is to receive.
async fn send_all(sender: &UdpSocket, places: [&UdpSocket; 2]) -> [Vec<Vec<u8>>; 2] {
    let addrs = places.map(|place| place.local_addr().unwrap());
    let datagrams: Vec<(Vec<u8>, _)> =
        lengths().iter().enumerate().map(|(n, len)| (vec![n as u8; *len], addrs[n / 12 % 2])).collect();
    let mut sent = 0;
    while sent < datagrams.len() {
        sent += sender.send_many_to(&datagrams[sent..]).await.unwrap();
    }
    addrs.map(|addr| datagrams.iter().filter(|(_, to)| *to == addr).map(|(bytes, _)| bytes.clone()).collect())
}

async fn receive_all(
    socket: &UdpSocket,
    batch: &mut DatagramBatch,
    count: usize,
    from: SocketAddr,
) -> Vec<Vec<u8>> {
    let mut came = Vec::new();
    while came.len() < count {
        let n = timeout(Duration::from_secs(20), socket.recv_many(batch)).await.unwrap().unwrap();
        assert_eq!((n, batch.iter().count()), (batch.len(), batch.len()));
        assert!(batch.iter().all(|datagram| datagram.from == from && !datagram.is_truncated));
        came.extend(batch.iter().map(|datagram| datagram.bytes.to_vec()));
    }
    came
}

/// One or more that share a message in the system arrive as they were, whoever receives them, and however.
#[test]
fn those_that_pass_as_one_arrive_as_they_were() {
    on_each_loop(async || arrive_as_they_were(false).await);
    on_each_real_loop(async || arrive_as_they_were(true).await);
}

async fn arrive_as_they_were(puts_together: bool) {
    let (sender, one, other) = (bound().await, bound().await, bound().await);
    let mut batch = DatagramBatch::new(16, 2000);
    if puts_together {
        if cfg!(target_os = "linux") {
            one.set_gro(true).unwrap();
            assert_eq!(one.socket().option(OptionName::Gro).unwrap(), SocketOption::Gro(true));
            batch = DatagramBatch::new(3, 65_535);
        } else {
            assert_eq!(one.set_gro(true).unwrap_err().kind(), io::ErrorKind::Unsupported);
        }
    }
    let from = sender.local_addr().unwrap();
    let expected = send_all(&sender, [&one, &other]).await;
    for (socket, expected) in [&one, &other].into_iter().zip(expected) {
        let came = receive_all(socket, &mut batch, expected.len(), from).await;
        assert!(came == expected, "{:?}", came.iter().map(Vec::len).collect::<Vec<_>>());
    }
}

/// A socket that takes no message apart has each sent by itself, and is asked once.
#[cfg(unix)]
#[test]
fn where_none_is_taken_apart_each_goes_by_itself() {
    on_each_loop(async || {
        let (sender, one, other) = (bound().await, bound().await, bound().await);
        let from = sender.local_addr().unwrap();
        let below = sender.socket().clone();
        let sender = UdpSocket::from_socket(Arc::new(Around::new(below)));
        let expected = send_all(&sender, [&one, &other]).await;
        let mut batch = DatagramBatch::new(16, 2000);
        for (socket, expected) in [&one, &other].into_iter().zip(expected) {
            assert!(receive_all(socket, &mut batch, expected.len(), from).await == expected);
        }
    });
}

/// What was put together and finds no room is cut in the midst of one, which says so; and those behind it are lost.
#[cfg(target_os = "linux")]
#[test]
fn too_little_room_for_what_was_put_together() {
    on_each_real_loop(async || {
        let (sender, receiver) = (bound().await, bound().await);
        receiver.set_gro(true).unwrap();
        let to = receiver.local_addr().unwrap();
        let datagrams: Vec<_> = (0..10_u8).map(|n| ([n; 100], to)).collect();
        assert_eq!(sender.send_many_to(&datagrams).await.unwrap(), 10);
        let mut batch = DatagramBatch::new(1, 250);
        assert_eq!(receiver.recv_many(&mut batch).await.unwrap(), 3);
        let came: Vec<_> =
            batch.iter().map(|datagram| (datagram.bytes.len(), datagram.is_truncated)).collect();
        assert_eq!(came, [(100, false), (100, false), (50, true)]);
        sender.send_to(b"and on", to).await.unwrap();
        assert_eq!(receiver.recv_many(&mut batch).await.unwrap(), 1);
        assert_eq!(batch.iter().next().unwrap().bytes, b"and on");
    });
}

/// By the loopback, which knows groups where it is told to.
#[cfg(target_os = "linux")]
#[test]
fn a_group_hears_what_is_sent_to_it() {
    on_each_loop(async || {
        let group = std::net::Ipv4Addr::new(239, 1, 2, 3);
        let here = std::net::Ipv4Addr::LOCALHOST;
        let member = UdpSocket::bind((std::net::IpAddr::from(group), 0)).await.unwrap();
        member.join_multicast_v4(group, here).unwrap();
        let sender = bound().await;
        sender.set_multicast_ttl(1).unwrap();
        sender.set_multicast_loop(true).unwrap();
        assert_eq!(sender.socket().option(OptionName::MulticastTtl).unwrap(), SocketOption::MulticastTtl(1));
        let to = (std::net::IpAddr::from(group), member.local_addr().unwrap().port());
        // A socket bound to 127.0.0.1 sends by the loopback.
        sender.send_to(b"to all of you", to).await.unwrap();
        let mut buf = [0; 20];
        let heard = timeout(Duration::from_secs(20), member.recv(&mut buf)).await.unwrap().unwrap();
        assert_eq!(&buf[..heard], b"to all of you");
        member.leave_multicast_v4(group, here).unwrap();
        assert!(member.leave_multicast_v4(group, here).is_err(), "it is none any more");
        sender.send_to(b"to nobody", to).await.unwrap();
        assert!(timeout(Duration::from_millis(10), member.recv(&mut buf)).await.is_err());
    });
}

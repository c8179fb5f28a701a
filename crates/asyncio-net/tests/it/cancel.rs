//! Each async operation dropped at every poll: nothing is lost, and the next one goes on.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;

use asyncio_net::{TcpListener, TcpStream, UdpSocket, lookup_host};
use asyncio_tasks::yield_now;
use futures_lite::{AsyncReadExt, AsyncWriteExt};

use crate::worlds::{on_each_loop, pair};

/// Polls a future at most `polls` times, when it is woken, and drops it. Gives its output if it had one by then.
pub(crate) async fn polled<F: Future>(future: F, polls: usize) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut left = polls;
    poll_fn(|cx| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        match future.as_mut().poll(cx) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending if left == 0 => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

#[test]
fn reads_and_peeks() {
    on_each_loop(async || {
        for polls in 0..4 {
            let (mut client, mut server) = pair().await;
            let mut buf = [0; 4];
            assert!(polled(server.read(&mut buf), polls.min(1)).await.is_none());
            assert!(polled(server.peek(&mut buf), polls.min(1)).await.is_none());
            client.write_all(b"data").await.unwrap();
            let seen = polled(server.peek(&mut buf), polls).await;
            assert!(seen.is_none_or(|n| n.unwrap() > 0));
            server.read_exact(&mut buf).await.unwrap();
            assert_eq!(&buf, b"data", "dropped after {polls} polls");
        }
    });
}

#[test]
fn writes() {
    on_each_loop(async || {
        let (mut client, mut server) = pair().await;
        let chunk = vec![7; 65_536];
        let mut sent = 0;
        // Until the socket is full: then a write waits, and is dropped. One that waits for its budget goes on after a turn.
        let mut waits = 0;
        while waits < 2 {
            match polled(client.write(&chunk), 1).await {
                Some(n) => (sent, waits) = (sent + n.unwrap(), 0),
                None => waits += 1,
            }
            yield_now().await;
        }
        for polls in 1..3 {
            if let Some(n) = polled(client.write(&chunk), polls.min(1)).await {
                sent += n.unwrap();
            }
        }
        client.shutdown(std::net::Shutdown::Write).unwrap();
        let mut received = Vec::new();
        server.read_to_end(&mut received).await.unwrap();
        assert_eq!(received.len(), sent, "what was returned was sent, once");
    });
}

#[test]
fn accepts_and_connects() {
    on_each_loop(async || {
        for polls in 0..4 {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let addr = listener.local_addr().unwrap();
            assert!(polled(listener.accept(), polls.min(1)).await.is_none());
            drop(polled(TcpStream::connect(addr), polls).await);
            let mut good = TcpStream::connect(addr).await.unwrap();
            good.write_all(b"x").await.unwrap();
            let local = good.local_addr().unwrap();
            loop {
                // A dropped connect may have come through; it is passed over.
                if let Some(accepted) = polled(listener.accept(), polls + 1).await {
                    if accepted.unwrap().1 == local {
                        break;
                    }
                }
                yield_now().await;
            }
        }
    });
}

#[test]
fn datagrams() {
    on_each_loop(async || {
        for polls in 0..4 {
            let one = UdpSocket::bind("127.0.0.1:0").await.unwrap();
            let other = UdpSocket::bind("127.0.0.1:0").await.unwrap();
            let to = other.local_addr().unwrap();
            let mut buf = [0; 8];
            assert!(polled(other.recv(&mut buf), polls.min(1)).await.is_none());
            assert!(polled(other.recv_from(&mut buf), polls.min(1)).await.is_none());
            assert!(polled(other.peek(&mut buf), polls.min(1)).await.is_none());
            drop(polled(one.connect(to), polls).await);
            one.connect(to).await.unwrap();
            let sent = polled(one.send(b"first"), polls).await.is_some();
            one.send(b"last").await.unwrap();
            let peeked = polled(other.peek_from(&mut buf), polls).await;
            assert!(peeked.is_none_or(|peeked| peeked.unwrap().0 > 0));
            if sent {
                assert_eq!(other.recv(&mut buf).await.unwrap(), 5, "sent whole, or not at all");
            }
            assert_eq!(other.recv(&mut buf).await.unwrap(), 4);
        }
    });
}

#[cfg(unix)]
#[test]
fn datagrams_that_wait_for_room() {
    use asyncio_net::UnixDatagram;
    on_each_loop(async || {
        let (one, other) = UnixDatagram::pair().unwrap();
        let (mut sent, mut waits) = (0, 0);
        while waits < 10 {
            match polled(one.send(b"datagram"), 1).await {
                Some(n) => (sent, waits) = (sent + usize::from(n.unwrap() == 8), 0),
                None => waits += 1,
            }
            yield_now().await;
        }
        let mut received = 0;
        while let Some(n) = polled(other.recv(&mut [0; 16]), 1).await {
            received += usize::from(n.unwrap() == 8);
            yield_now().await;
        }
        assert_eq!(received, sent, "what was dropped was not sent");
    });
}

#[cfg(unix)]
#[test]
fn unix_connects() {
    use asyncio_net::{UnixListener, UnixStream};
    on_each_loop(async || {
        let path = std::env::temp_dir().join(format!("asyncio-cancel-{}", std::process::id()));
        let listener = UnixListener::bind(&path).unwrap();
        for polls in 0..2 {
            assert!(polled(listener.accept(), polls).await.is_none());
        }
        for polls in 0..3 {
            drop(polled(listener.accept(), polls.min(1)).await);
            drop(polled(UnixStream::connect(&path), polls).await);
        }
        let mut good = UnixStream::connect(&path).await.unwrap();
        good.write_all(b"x").await.unwrap();
        loop {
            let (mut accepted, _) = listener.accept().await.unwrap();
            if accepted.read(&mut [0]).await.unwrap() == 1 {
                break;
            }
        }
        // A simulated host has no files.
        let _ = std::fs::remove_file(&path);
    });
}

#[cfg(unix)]
#[test]
fn readiness() {
    use asyncio_net::Readiness;
    use std::io::Write;
    crate::worlds::on_each_real_loop(async || {
        let (one, mut other) = std::os::unix::net::UnixStream::pair().unwrap();
        let one = Readiness::new(one).unwrap();
        for polls in 0..3 {
            assert!(polled(one.readable(), polls.min(1)).await.is_none());
        }
        other.write_all(b"x").unwrap();
        one.readable().await.unwrap();
        one.readable().await.unwrap();
    });
}

#[test]
fn look_ups() {
    on_each_loop(async || {
        for polls in 0..3 {
            drop(polled(lookup_host("localhost:1"), polls).await);
            assert!(!lookup_host("localhost:1").await.unwrap().is_empty());
        }
    });
}

//! What a network does to those who do not expect it: queues that are full, ports that are used up, answers that do not come, ends in one direction.

use std::io;
use std::time::Duration;

use asyncio_net::{TcpListener, TcpStream};
use asyncio_sim::{Latency, Link, Sim};
use asyncio_tasks::{spawn_local, timeout};
use asyncio_timers::sleep;
use futures_lite::{AsyncReadExt, AsyncWriteExt};

#[test]
fn a_full_queue_does_not_answer_and_who_waits_gets_in_later() {
    let sim = Sim::builder().build();
    sim.host("server", "10.0.0.1", || async {
        let socket =
            asyncio_reactor::socket(asyncio_reactor::Domain::IPV4, asyncio_reactor::Type::STREAM, None)?;
        socket.bind(&std::net::SocketAddr::from(([0, 0, 0, 0], 7)).into())?;
        socket.listen(1)?;
        // Nobody is let in for a while.
        sleep(Duration::from_secs(10)).await;
        loop {
            let (connection, _) = socket.accept().await?;
            let mut stream = TcpStream::from_socket(connection);
            stream.write_all(b"x").await?;
        }
        #[expect(unreachable_code, reason = "says of which type the error is")]
        io::Result::Ok(())
    });
    sim.client("client", "10.0.0.2", || async {
        sleep(Duration::from_millis(1)).await;
        let clients: Vec<_> = (0..5)
            .map(|_| {
                spawn_local(async {
                    let mut stream = TcpStream::connect("server:7").await?;
                    stream.read_exact(&mut [0]).await
                })
            })
            .collect();
        for client in clients {
            client.await.unwrap().unwrap();
        }
    });
    let summary = sim.run().unwrap();
    assert!(summary.counts.accept_queue_overflows > 0, "{:?}", summary.counts);
    assert!(summary.elapsed > Duration::from_secs(10));
}

#[test]
fn ports_that_nobody_asked_for_come_to_an_end_and_are_free_after_a_minute() {
    let sim = Sim::builder().build();
    sim.host("server", "10.0.0.1", crate::worlds::echo_server);
    sim.client("client", "10.0.0.2", || async {
        asyncio_sim::current().set_ephemeral_ports("client", 40_000..=40_003);
        let mut streams = Vec::new();
        for _ in 0..4 {
            streams.push(TcpStream::connect("server:7").await.unwrap());
        }
        let error = TcpStream::connect("server:7").await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrNotAvailable);
        // Closed from this side, they are remembered.
        drop(streams);
        sleep(Duration::from_secs(30)).await;
        assert!(TcpStream::connect("server:7").await.is_err());
        sleep(Duration::from_secs(31)).await;
        TcpStream::connect("server:7").await.unwrap();
    });
    let summary = sim.run().unwrap();
    assert_eq!(summary.counts.ports_exhausted, 2);
}

#[test]
fn a_first_packet_that_is_lost_is_sent_again_after_a_second() {
    let sim = Sim::builder().build();
    sim.host("server", "10.0.0.1", crate::worlds::echo_server);
    sim.client("client", "10.0.0.2", || async {
        let sim = asyncio_sim::current();
        sim.partition_one_way("client", "server");
        sim.at(Duration::from_millis(500), |sim| sim.heal("client", "server"));
        TcpStream::connect("server:7").await.unwrap();
        let took = sim.elapsed();
        assert!((1000..1010).contains(&took.as_millis()), "{took:?}");
    });
    sim.run().unwrap();
}

#[test]
fn a_writer_waits_for_one_who_does_not_read() {
    let sim = Sim::builder().build();
    sim.client("reader", "10.0.0.1", || async {
        let listener = TcpListener::bind("0.0.0.0:7").await.unwrap();
        let (mut stream, _) = listener.accept().await.unwrap();
        sleep(Duration::from_secs(1000)).await;
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).await.unwrap();
        // Both buffers, and whatever was taken out of the first by and by.
        assert_eq!(bytes.len(), 2 * 256 * 1024, "what was taken arrives, however late");
    });
    sim.client("writer", "10.0.0.2", || async {
        sleep(Duration::from_millis(1)).await;
        let mut stream = TcpStream::connect("reader:7").await.unwrap();
        let early = timeout(Duration::from_secs(600), stream.write_all(&vec![1; 2 << 20])).await;
        assert!(early.is_err(), "nobody reads");
        drop(stream);
    });
    sim.run().unwrap();
}

#[test]
fn each_direction_ends_by_itself_and_unread_bytes_make_a_reset() {
    let link = Link::new().latency(Latency::fixed(Duration::from_millis(5)));
    let sim = Sim::builder().link(link).build();
    sim.client("server", "10.0.0.1", || async {
        let listener = TcpListener::bind("0.0.0.0:7").await.unwrap();
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut question = String::new();
        stream.read_to_string(&mut question).await.unwrap();
        stream.write_all(question.to_uppercase().as_bytes()).await.unwrap();
        drop(stream);
        let (stream, _) = listener.accept().await.unwrap();
        sleep(Duration::from_millis(100)).await;
        // With bytes in it.
        drop(stream);
    });
    sim.client("client", "10.0.0.2", || async {
        sleep(Duration::from_millis(1)).await;
        let mut stream = TcpStream::connect("server:7").await.unwrap();
        stream.write_all(b"half").await.unwrap();
        stream.close().await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert_eq!(answer, "HALF");
        let mut stream = TcpStream::connect("server:7").await.unwrap();
        stream.write_all(b"nobody reads that").await.unwrap();
        let error = stream.read(&mut [0]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    });
    let summary = sim.run().unwrap();
    assert!(summary.counts.resets > 0);
}

#[test]
fn what_was_sent_before_a_crash_does_not_reach_the_next_life() {
    let link = Link::new().latency(Latency::fixed(Duration::from_secs(1)));
    let sim = Sim::builder().link(link).build();
    sim.host("server", "10.0.0.1", || async {
        let socket = asyncio_net::UdpSocket::bind("0.0.0.0:9").await?;
        let (n, from) = socket.recv_from(&mut [0; 8]).await?;
        socket.send_to(&[n as u8], from).await?;
        io::Result::Ok(())
    });
    sim.client("client", "10.0.0.2", || async {
        let sim = asyncio_sim::current();
        let socket = asyncio_net::UdpSocket::bind("0.0.0.0:0").await.unwrap();
        socket.send_to(b"old", "10.0.0.1:9").await.unwrap();
        sim.crash("server");
        sim.restart("server");
        sleep(Duration::from_secs(5)).await;
        socket.send_to(b"newer", "10.0.0.1:9").await.unwrap();
        let mut buf = [0; 8];
        socket.recv_from(&mut buf).await.unwrap();
        assert_eq!(buf[0], 5, "the length of what came to the second life first");
    });
    sim.run().unwrap();
}

#[test]
fn an_end_that_comes_again_is_acknowledged_again() {
    ends(b"");
    // Which comes again before its end does.
    ends(b"answer");
}

fn ends(answer: &'static [u8]) {
    let link = Link::new().latency(Latency::fixed(Duration::from_millis(5)));
    let sim = Sim::builder().link(link).build();
    sim.client("server", "10.0.0.1", move || async move {
        let sim = asyncio_sim::current();
        let listener = TcpListener::bind("0.0.0.0:7").await.unwrap();
        let (mut stream, _) = listener.accept().await.unwrap();
        assert_eq!(stream.read(&mut [0]).await.unwrap(), 0);
        stream.write_all(answer).await.unwrap();
        stream.close().await.unwrap();
        // All of it is with the client by then, and the last acknowledgement on its way.
        sleep(Duration::from_millis(7)).await;
        sim.partition_one_way("client", "server");
        sleep(Duration::from_millis(50)).await;
        sim.heal("client", "server");
        sleep(Duration::from_secs(10)).await;
        assert!(stream.take_error().unwrap().is_none(), "all of it was acknowledged");
    });
    sim.client("client", "10.0.0.2", move || async move {
        sleep(Duration::from_millis(1)).await;
        let mut stream = TcpStream::connect("server:7").await.unwrap();
        stream.close().await.unwrap();
        let mut came = Vec::new();
        stream.read_to_end(&mut came).await.unwrap();
        assert_eq!(came, answer);
    });
    let counts = sim.run().unwrap().counts;
    assert!(counts.cut_off > 0, "the acknowledgement was lost");
    assert_eq!((counts.refused, counts.resets), (0, 0));
}

#[test]
fn a_listener_that_is_shut_down_tells_who_accepts_and_refuses_who_comes_until_it_listens_again() {
    let sim = Sim::builder().build();
    sim.client("server", "10.0.0.1", || async {
        let socket =
            asyncio_reactor::socket(asyncio_reactor::Domain::IPV4, asyncio_reactor::Type::STREAM, None)
                .unwrap();
        socket.bind(&std::net::SocketAddr::from(([0, 0, 0, 0], 7)).into()).unwrap();
        socket.listen(1).unwrap();
        let accepting = socket.clone();
        let accepting = spawn_local(async move { accepting.accept().await.map(drop) });
        sleep(Duration::from_secs(1)).await;
        socket.shutdown(std::net::Shutdown::Read).unwrap();
        assert_eq!(accepting.await.unwrap().unwrap_err().kind(), io::ErrorKind::InvalidInput);
        sleep(Duration::from_secs(2)).await;
        socket.listen(1).unwrap();
        socket.accept().await.unwrap();
    });
    sim.client("client", "10.0.0.2", || async {
        sleep(Duration::from_secs(2)).await;
        let error = TcpStream::connect("server:7").await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        sleep(Duration::from_secs(2)).await;
        TcpStream::connect("server:7").await.unwrap();
    });
    sim.run().unwrap();
}

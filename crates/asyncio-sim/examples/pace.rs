//! How fast a simulation is: echo between two hosts, and an hour of heartbeats of three. `cargo run --release -p asyncio-sim --example pace`

#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "an example talks, and fails loudly")]

use std::io;
use std::time::{Duration, Instant};

use asyncio_net::{TcpListener, TcpStream, UdpSocket};
use asyncio_sim::Sim;
use asyncio_timers::{interval, sleep};
use futures_lite::{AsyncReadExt, AsyncWriteExt};

const MESSAGES: u64 = 600_000;

fn echo() -> Sim {
    let sim = Sim::builder().seed(1).build();
    sim.host("server", "10.0.0.1", || async {
        let listener = TcpListener::bind("0.0.0.0:7").await?;
        let (mut stream, _) = listener.accept().await?;
        let mut buf = [0; 64];
        while let n @ 1.. = stream.read(&mut buf).await? {
            stream.write_all(&buf[..n]).await?;
        }
        io::Result::Ok(())
    });
    sim.client("client", "10.0.0.2", || async {
        sleep(Duration::from_millis(1)).await;
        let mut stream = TcpStream::connect("server:7").await?;
        let mut buf = [0; 64];
        // There and back are two.
        for _ in 0..MESSAGES / 2 {
            stream.write_all(&buf).await?;
            stream.read_exact(&mut buf).await?;
        }
        io::Result::Ok(())
    });
    sim
}

fn heartbeats() -> Sim {
    let sim = Sim::builder().seed(1).time_limit(Duration::from_secs(7200)).build();
    for n in 1..=3_u8 {
        sim.client(&format!("host{n}"), &format!("10.0.0.{n}"), move || async move {
            let socket = UdpSocket::bind("0.0.0.0:9").await?;
            let beat = async {
                let mut ticks = interval(Duration::from_millis(100));
                for _ in 0..36_000 {
                    ticks.tick().await;
                    for other in (1..=3_u8).filter(|other| *other != n) {
                        socket.send_to(b"alive", std::net::SocketAddr::from(([10, 0, 0, other], 9))).await?;
                    }
                }
                io::Result::Ok(())
            };
            let hear = async {
                let mut buf = [0; 16];
                loop {
                    socket.recv_from(&mut buf).await?;
                }
            };
            futures_lite::future::race(beat, hear).await
        });
    }
    sim
}

fn main() {
    let start = Instant::now();
    let summary = echo().run().unwrap();
    let rate = MESSAGES as f64 / start.elapsed().as_secs_f64();
    println!("echo: {rate:.0} messages a second, {} events, {:?} simulated", summary.events, summary.elapsed);
    let start = Instant::now();
    let summary = heartbeats().run().unwrap();
    let ratio = summary.elapsed.as_secs_f64() / start.elapsed().as_secs_f64();
    println!(
        "heartbeats of three hosts: {ratio:.0} times real time, {} events, {:?} simulated",
        summary.events, summary.elapsed
    );
}

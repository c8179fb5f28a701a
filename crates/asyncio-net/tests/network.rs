//! A network that has little to give: no ports left, nothing connected, an administrator who cuts connections.
//!
//! Each test starts this program again in namespaces of its own. What is not installed, or not allowed, makes it say so and pass; with
//! `ASYNCIO_REQUIRE_PEERS=1` it fails.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]
#![cfg(target_os = "linux")]

mod namespaces;

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use asyncio_net::{ConnectOptions, DatagramBatch, TcpListener, TcpStream, UdpSocket, start_server};
use asyncio_runtime::run;
use asyncio_tasks::{spawn_local, timeout};

/// Runs `test`, which has this name, behind `script`.
fn behind(script: &str, name: &str, test: impl FnOnce()) {
    if namespaces::is_inside() {
        return test();
    }
    namespaces::run_again(name, script, Path::new("-")).check();
}

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// Resets it, so that its port is free at once.
fn reset(stream: TcpStream) {
    stream.set_linger(Some(Duration::ZERO)).unwrap();
    drop(stream);
}

#[test]
fn ports_run_out() {
    let script = "echo 40000 40007 > /proc/sys/net/ipv4/ip_local_port_range";
    behind(script, "ports_run_out", || {
        run(async {
            let listener = TcpListener::bind("127.0.0.1:9").await.unwrap();
            let addr = listener.local_addr().unwrap();
            let mut streams = Vec::new();
            for _ in 0..8 {
                streams.push(TcpStream::connect(addr).await.unwrap());
            }
            let before = descriptors();
            for _ in 0..100 {
                let error = TcpStream::connect(addr).await.unwrap_err();
                assert_eq!(error.kind(), io::ErrorKind::AddrNotAvailable, "{error}");
                assert!(error.to_string().contains("127.0.0.1:9"), "{error}");
            }
            assert_eq!(descriptors(), before, "those that failed are closed");
            // Another place has ports of its own, and one that comes back can be had again.
            let other = TcpListener::bind("127.0.0.1:10").await.unwrap();
            TcpStream::connect(other.local_addr().unwrap()).await.unwrap();
            reset(streams.pop().unwrap());
            streams.push(TcpStream::connect(addr).await.unwrap());
            // By datagrams, too.
            let mut sockets = Vec::new();
            let error = loop {
                match UdpSocket::bind("127.0.0.1:0").await {
                    Ok(socket) => sockets.push(socket),
                    Err(error) => break error,
                }
            };
            assert_eq!((sockets.len(), error.kind()), (8, io::ErrorKind::AddrInUse), "{error}");
        });
    });
}

#[test]
fn nowhere_to_go() {
    behind("", "nowhere_to_go", || {
        run(async {
            for addr in ["192.0.2.1:80", "[2001:db8::1]:80"] {
                let error = TcpStream::connect(addr).await.unwrap_err();
                assert_eq!(error.kind(), io::ErrorKind::NetworkUnreachable, "{error}");
                assert!(error.to_string().contains(addr), "{error}");
            }
            // One address that can be reached is enough.
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let here = listener.local_addr().unwrap();
            let addrs: [SocketAddr; 2] = ["192.0.2.1:80".parse().unwrap(), here];
            assert_eq!(TcpStream::connect(&addrs[..]).await.unwrap().peer_addr().unwrap(), here);
            // From where one is not.
            let options = ConnectOptions::new().local_addr("192.0.2.7:0".parse().unwrap());
            let error = options.connect(here).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::AddrNotAvailable, "{error}");
            let socket = UdpSocket::bind("0.0.0.0:0").await.unwrap();
            let error = socket.send_to(b"to nobody", "192.0.2.1:80").await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::NetworkUnreachable, "{error}");
            socket.send_to(b"to somebody", socket.local_addr().unwrap().port_of_here()).await.unwrap();
            assert_eq!(socket.recv(&mut [0; 20]).await.unwrap(), 11, "the socket goes on");
        });
    });
}

/// The same port, on the loopback.
trait PortOfHere {
    fn port_of_here(&self) -> SocketAddr;
}

impl PortOfHere for SocketAddr {
    fn port_of_here(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port()))
    }
}

/// The loopback goes down: nobody is told by the system, and what was sent meanwhile arrives when it is up again.
#[test]
fn a_link_goes_and_comes_back() {
    behind("", "a_link_goes_and_comes_back", || {
        run(async {
            let handler = |mut reader: asyncio_net::StreamReader, mut writer: asyncio_net::StreamWriter| async move {
                while let Ok(bytes) = reader.read(100).await {
                    if bytes.is_empty() {
                        return;
                    }
                    writer.write(&bytes);
                }
            };
            let server = start_server(handler, "127.0.0.1:0").await.unwrap();
            let (mut reader, mut writer) =
                asyncio_net::open_connection(server.local_addrs()[0]).await.unwrap();
            writer.write(b"one");
            assert_eq!(reader.read_exact(3).await.unwrap(), b"one");
            let link = |state: &str| {
                assert!(Command::new("ip").args(["link", "set", "lo", state]).status().unwrap().success());
            };
            link("down");
            writer.write(b"two");
            let silence = timeout(Duration::from_millis(100), reader.read(3)).await;
            assert!(silence.is_err(), "{silence:?}");
            link("up");
            // The system sends it again in its own time.
            let late = timeout(Duration::from_secs(30), reader.read_exact(3)).await.unwrap();
            assert_eq!(late.unwrap(), b"two");
        });
    });
}

/// As by `ss -K`: whoever reads and whoever writes hears of it at once.
#[test]
fn an_administrator_cuts_a_connection() {
    behind("", "an_administrator_cuts_a_connection", || {
        run(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
            let (_server, _) = listener.accept().await.unwrap();
            let port = client.local_addr().unwrap().port().to_string();
            let (mut reader, mut writer) = client.into_streams();
            let writing = spawn_local(async move { while writer.write_all(&[0; 65_536]).await.is_ok() {} });
            let reading = spawn_local(async move { reader.read(1).await });
            asyncio_tasks::yield_now().await;
            let killed = Command::new("ss").args(["-K", "-t", "sport", "=", &port]).output();
            if !killed.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains(&port)) {
                return println!("skipped: `ss -K` is not to be had, or this kernel does not close sockets");
            }
            let limit = Duration::from_secs(20);
            let error = timeout(limit, reading).await.unwrap().unwrap().unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::ConnectionAborted, "{error}");
            timeout(limit, writing).await.unwrap().unwrap();
        });
    });
}

/// Datagrams that pass a link only in parts go as they are: not joined, and no error; and others are joined afterwards.
#[test]
fn a_link_of_short_packets() {
    behind("ip link set lo mtu 1400", "a_link_of_short_packets", || {
        run(async {
            let (one, other) = (
                UdpSocket::bind("127.0.0.1:0").await.unwrap(),
                UdpSocket::bind("127.0.0.1:0").await.unwrap(),
            );
            let to = other.local_addr().unwrap();
            for len in [1452, 1300, 1452] {
                let datagrams: Vec<_> = (0..20_u8).map(|n| (vec![n; len], to)).collect();
                let mut sent = 0;
                while sent < 20 {
                    sent += one.send_many_to(&datagrams[sent..]).await.unwrap();
                }
                let mut batch = DatagramBatch::new(20, 1500);
                let mut came = Vec::new();
                while came.len() < 20 {
                    timeout(Duration::from_secs(20), other.recv_many(&mut batch)).await.unwrap().unwrap();
                    came.extend(batch.iter().map(|datagram| datagram.bytes.to_vec()));
                }
                assert!(came.iter().zip(&datagrams).all(|(came, (sent, _))| came == sent), "{len}");
            }
        });
    });
}

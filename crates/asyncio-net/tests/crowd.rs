//! A crowd: 19,000 connections to one process with two workers, from another process, over several addresses of loopback. Each is used, and
//! at the end nothing is left. A process of its own, since the limit of descriptors is the process's.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

use std::net::{Ipv4Addr, SocketAddr};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use asyncio_net::{TcpListener, TcpStream};
use asyncio_runtime::{Runner, run};
use asyncio_tasks::{spawn, spawn_local};
use futures_lite::{AsyncReadExt, AsyncWriteExt};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

const CHILD: &str = "ASYNCIO_TEST_CROWD";
const CONNECTIONS: usize = 19_000;
/// How many connect at the same time: less than the listener's queue holds.
const DOORS: usize = 500;

/// As many as the system lets one process have, up to `CONNECTIONS`.
fn connections() -> usize {
    let limit = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: limit, maximum: limit }).unwrap();
    let most = limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
    CONNECTIONS.min(most.saturating_sub(200))
}

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// The clients: all connect and stay, then each says its number and hears it, then all go.
fn clients(port: u16, count: usize) {
    run(async {
        let mut streams = Vec::with_capacity(count);
        let doors: Vec<_> = (0..DOORS)
            .map(|door| {
                spawn_local(async move {
                    let mut streams = Vec::new();
                    for n in (door..count).step_by(DOORS) {
                        // Each address has ports of its own.
                        let to = Ipv4Addr::new(127, 0, 0, u8::try_from(1 + n % 4).unwrap());
                        let stream = TcpStream::connect(SocketAddr::from((to, port))).await.unwrap();
                        streams.push((n, stream));
                    }
                    streams
                })
            })
            .collect();
        for door in doors {
            streams.extend(door.await.unwrap());
        }
        assert_eq!(streams.len(), count);
        for (n, stream) in &mut streams {
            let message = u32::try_from(*n).unwrap().to_be_bytes();
            stream.write_all(&message).await.unwrap();
            let mut echo = [0; 4];
            stream.read_exact(&mut echo).await.unwrap();
            assert_eq!(echo, message);
        }
    });
}

#[test]
fn a_crowd_is_served_and_leaves_nothing_behind() {
    if let Ok(said) = std::env::var(CHILD) {
        let (port, count) = said.split_once(' ').unwrap();
        connections();
        return clients(port.parse().unwrap(), count.parse().unwrap());
    }
    let count = connections();
    if count < CONNECTIONS {
        eprintln!("the system lets a process have {count} connections");
    }
    let before = descriptors();
    let mut runner = Runner::builder().workers(2).build().unwrap();
    let (served, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    runner.run(async {
        let listener = TcpListener::bind("0.0.0.0:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "a_crowd_is_served_and_leaves_nothing_behind"])
            .env(CHILD, format!("{port} {count}"))
            .spawn()
            .unwrap();
        let mut tasks = Vec::with_capacity(count);
        for alive in 1..=count {
            let (mut stream, _) = listener.accept().await.unwrap();
            most.fetch_max(alive, Ordering::Relaxed);
            let served = served.clone();
            tasks.push(spawn(async move {
                let mut buf = [0; 4];
                while stream.read_exact(&mut buf).await.is_ok() {
                    stream.write_all(&buf).await.unwrap();
                    served.fetch_add(1, Ordering::Relaxed);
                }
            }));
        }
        for task in tasks {
            task.await.unwrap();
        }
        assert!(child.wait().unwrap().success());
    });
    assert_eq!(served.load(Ordering::Relaxed), count);
    assert_eq!(most.load(Ordering::Relaxed), count, "all were there at the same time");
    runner.close();
    drop(runner);
    assert!(descriptors() <= before, "{} descriptors are left of {before}", descriptors());
}

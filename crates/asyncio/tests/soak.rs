//! A soak: two workers under every kind of load at once, in waves. After each wave everything is back at its base: descriptors, tasks, timers,
//! memory.
//!
//! It takes two seconds, or `ASYNCIO_SOAK_SECONDS`. A process of its own, since descriptors and memory are the process's.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use asyncio::net::{TcpListener, TcpStream, UdpSocket, UnixStream};
use asyncio::{EventLoop, Runner, sleep, spawn, spawn_pinned, timeout, yield_now};
use futures_lite::{AsyncReadExt, AsyncWriteExt};

const MS: Duration = Duration::from_millis(1);

/// How many tasks are alive.
#[derive(Clone, Default)]
struct Alive(Arc<AtomicUsize>);

struct Life(Alive);

impl Alive {
    fn begin(&self) -> Life {
        self.0.fetch_add(1, Ordering::Relaxed);
        Life(self.clone())
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// What the process has in memory, in KiB.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Connections that come, talk, and go; every third is dropped in the middle of a message.
async fn connections(alive: Alive) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let clients: Vec<_> = (0..60)
        .map(|n| {
            let life = alive.begin();
            spawn(async move {
                let _life = life;
                let mut stream = TcpStream::connect(addr).await.unwrap();
                for _ in 0..20 {
                    stream.write_all(b"12345678").await.unwrap();
                    let mut echo = [0; 8];
                    stream.read_exact(&mut echo).await.unwrap();
                }
                if n % 3 == 0 {
                    stream.write_all(b"123").await.unwrap();
                }
            })
        })
        .collect();
    let mut servers = Vec::new();
    for _ in 0..60 {
        let (mut peer, _) = listener.accept().await.unwrap();
        let life = alive.begin();
        servers.push(spawn(async move {
            let _life = life;
            let mut message = [0; 8];
            while peer.read_exact(&mut message).await.is_ok() {
                peer.write_all(&message).await.unwrap();
            }
        }));
    }
    for task in clients.into_iter().chain(servers) {
        task.await.unwrap();
    }
}

/// Timers that fire, are moved, and are dropped before they do.
async fn timers(alive: Alive) {
    let tasks: Vec<_> = (0..500_u32)
        .map(|n| {
            let life = alive.begin();
            spawn(async move {
                let _life = life;
                let never = timeout(MS * (n % 5), std::future::pending::<()>()).await;
                assert!(never.is_err());
                let at_once = timeout(Duration::from_secs(3600), yield_now()).await;
                assert!(at_once.is_ok());
                sleep(MS / 4).await;
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
}

/// Descriptor pairs and datagrams, some never waited for.
async fn datagrams() {
    let udp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let to = udp.local_addr().unwrap();
    let mut buf = [0; 8];
    for _ in 0..50 {
        udp.send_to(b"datagram", to).await.unwrap();
        udp.recv_from(&mut buf).await.unwrap();
        let (mut a, mut b) = UnixStream::pair().unwrap();
        a.write_all(b"x").await.unwrap();
        b.read_exact(&mut buf[..1]).await.unwrap();
        let dropped = timeout(Duration::ZERO, b.read_exact(&mut buf)).await;
        assert!(dropped.is_err());
    }
}

/// Tasks that are pinned, tasks whose handle is dropped, tasks from another thread.
async fn tasks(alive: Alive) {
    let event_loop = EventLoop::current().unwrap();
    let from_a_thread = async {
        let life = alive.begin();
        let thread = std::thread::spawn(move || {
            event_loop.spawn(async move {
                let _life = life;
                yield_now().await;
            })
        });
        thread.join().unwrap().unwrap().await
    };
    let pinned_and_detached = async {
        for worker in [0, 1, 0, 1] {
            let life = alive.begin();
            let pinned = spawn_pinned(worker, move || async move {
                let _life = life;
                yield_now().await;
            });
            pinned.unwrap().await.unwrap();
        }
        for _ in 0..200 {
            let life = alive.begin();
            spawn(async move {
                let _life = life;
                yield_now().await;
            })
            .detach();
        }
    };
    let (joined, ()) = futures_lite::future::zip(from_a_thread, pinned_and_detached).await;
    joined.unwrap();
}

#[test]
fn everything_is_back_at_its_base() {
    let seconds = std::env::var("ASYNCIO_SOAK_SECONDS").map_or(2, |seconds| seconds.parse().unwrap());
    let before = descriptors();
    let mut runner = Runner::builder().workers(2).build().unwrap();
    let running = descriptors();
    let end = Instant::now() + Duration::from_secs(seconds);
    let alive = Alive::default();
    let mut base = None;
    let mut waves = 0;
    while Instant::now() < end || waves < 20 {
        runner.run(async {
            let loads = [spawn(connections(alive.clone())), spawn(timers(alive.clone()))];
            datagrams().await;
            tasks(alive.clone()).await;
            for load in loads {
                load.await.unwrap();
            }
            while alive.0.load(Ordering::Relaxed) > 0 {
                yield_now().await;
            }
        });
        assert_eq!(descriptors(), running, "descriptors after wave {waves}");
        assert_eq!(runner.next_deadline(), None, "a timer is left after wave {waves}");
        waves += 1;
        // The first waves bring the allocator and the queues to their size.
        if waves == 10 {
            base = Some(resident());
        }
    }
    let (base, now) = (base.unwrap(), resident());
    assert!(now < base + 4096, "{base} KiB have become {now} KiB in {waves} waves");
    drop(runner);
    assert_eq!(descriptors(), before);
}

//! A bug with what is to be kept: a write is acknowledged before it is stored, and a crash comes in between.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use asyncio_base::random;
use asyncio_net::UdpSocket;
use asyncio_sim::{Builder, FailureKind, Faults, Sim};
use asyncio_tasks::spawn_local;
use asyncio_timers::sleep;

use crate::Planted;
use crate::scene::{Caller, SIZE, Words, bounded, decode, encode, millis, monitor, report};

// 10. An answer comes too early.

pub(crate) const EARLY_ANSWER: Planted = Planted {
    name: "early_answer",
    seeds: 30,
    kinds: &[FailureKind::Panic],
    says: "what was acknowledged is there",
    scenario: early_answer,
};

const READ: u64 = 1;
const WRITE: u64 = 2;

/// Versions by key. One outlives its host, as a disk does; another is in memory.
type Versions = Rc<RefCell<BTreeMap<u64, u64>>>;

/// How long the disk takes.
const SYNC: Duration = millis(2);

/// How long a write is left in memory by one that wants to be fast.
const LAZY: Duration = millis(300);

struct Store {
    disk: Versions,
    memory: Versions,
    socket: UdpSocket,
    is_buggy: bool,
}

/// An earlier write that comes late changes nothing.
fn keep(versions: &Versions, key: u64, version: u64) {
    let mut versions = versions.borrow_mut();
    let kept = versions.entry(key).or_default();
    *kept = version.max(*kept);
}

impl Store {
    async fn answer(&self, words: Words, number: u64, to: SocketAddr) {
        // Whoever asked asks again if it is lost.
        let _ = self.socket.send_to(&encode(words, number), to).await;
    }

    async fn read(&self, key: u64, number: u64, from: SocketAddr) {
        let version = self.memory.borrow().get(&key).copied().unwrap_or_default();
        self.answer([READ, key, version], number, from).await;
    }

    async fn write(&self, key: u64, version: u64, number: u64, from: SocketAddr) {
        if self.is_buggy {
            keep(&self.memory, key, version);
            self.answer([WRITE, key, version], number, from).await;
            sleep(LAZY).await;
            keep(&self.disk, key, version);
        } else {
            sleep(SYNC).await;
            keep(&self.disk, key, version);
            keep(&self.memory, key, version);
            self.answer([WRITE, key, version], number, from).await;
        }
    }
}

async fn store_server(disk: Versions, is_buggy: bool) -> io::Result<()> {
    spawn_local(monitor()).detach();
    let memory = Versions::new(RefCell::new(disk.borrow().clone()));
    let socket = UdpSocket::bind("0.0.0.0:80").await?;
    let store = Rc::new(Store { disk, memory, socket, is_buggy });
    let mut buf = [0; SIZE];
    loop {
        let Ok((n, from)) = store.socket.recv_from(&mut buf).await else { continue };
        match decode(&buf[..n]) {
            Some(([READ, key, _], number)) => store.read(key, number, from).await,
            Some(([WRITE, key, version], number)) => {
                let store = store.clone();
                spawn_local(async move { store.write(key, version, number, from).await }).detach();
            }
            _ => {}
        }
    }
}

/// Has a key of its own, writes it, and looks whether it is there.
async fn writer(me: u64) -> io::Result<()> {
    report("10.0.0.1:514", 1000, millis(5));
    let caller = Caller::new("10.0.0.1:80").await?;
    sleep(millis(random::below(3000))).await;
    for version in 1..=1 + random::below(100) {
        caller.insist([WRITE, me, version]).await;
        sleep(millis(100)).await;
        let [_, _, read] = caller.insist([READ, me, 0]).await;
        assert_eq!(read, version, "what was acknowledged is there");
    }
    Ok(())
}

fn early_answer(builder: Builder, is_buggy: bool) -> Sim {
    let faults = Faults {
        loss: true,
        partitions: true,
        crashes: true,
        pauses: true,
        interval: Duration::from_secs(2),
        ..Faults::none()
    };
    let sim = bounded(builder).faults(faults).build();
    let disk = Versions::default();
    sim.host("server", "10.0.0.1", move || store_server(disk.clone(), is_buggy));
    sim.client("one", "10.0.0.2", || writer(1));
    sim.client("two", "10.0.0.3", || writer(2));
    sim
}

//! Churn: clients that come and go, most of them badly, against protocols, streams and sockets in tasks at once, and everybody has what he
//! sent: each message carries its connection, its number and a checksum. Afterwards nothing is left, and nothing happens.
//!
//! Three seconds and 2,000 connections, or `ASYNCIO_SOAK_SECONDS` and 19,000. The clients are a process of their own, since the limit of
//! descriptors is the process's.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

#[path = "churn/clients.rs"]
mod clients;
#[path = "churn/message.rs"]
mod message;
#[path = "churn/servers.rs"]
mod servers;

use std::process::Command;
use std::time::Duration;

use asyncio_runtime::{Runner, run};
use asyncio_tasks::all_tasks;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

const CHILD: &str = "ASYNCIO_TEST_CHURN";

/// As many descriptors as the system lets one process have.
fn raise_descriptors() -> usize {
    let limit = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: limit, maximum: limit }).unwrap();
    limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX))
}

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// How many tasks there are but for what drives protocols, which is made for the first of them, and stays.
fn tasks() -> usize {
    all_tasks().iter().filter(|task| task.name() != Some("protocols")).count()
}

/// How often threads of this process have begun to wait.
fn waits() -> u64 {
    let threads = std::fs::read_dir("/proc/self/task").unwrap();
    let of_thread = |thread: std::fs::DirEntry| {
        // One that has just ended has no status.
        let status = std::fs::read_to_string(thread.path().join("status")).ok()?;
        let line = status.lines().find(|line| line.starts_with("voluntary_ctxt_switches"))?;
        line.split_whitespace().nth(1)?.parse::<u64>().ok()
    };
    threads.filter_map(|thread| of_thread(thread.ok()?)).sum()
}

#[test]
fn nothing_is_lost_in_the_churn_and_nothing_is_left_after_it() {
    if let Ok(said) = std::env::var(CHILD) {
        raise_descriptors();
        let numbers: Vec<u64> = said.split(' ').map(|number| number.parse().unwrap()).collect();
        let [count, seconds, ports @ ..] = &numbers[..] else { panic!("{said}") };
        let ports = ports.iter().map(|port| u16::try_from(*port).unwrap()).collect();
        return run(clients::run(usize::try_from(*count).unwrap(), *seconds, ports));
    }
    let soak = std::env::var("ASYNCIO_SOAK_SECONDS").ok();
    let (seconds, wanted) = soak.map_or((3, 2_000), |seconds| (seconds.parse().unwrap(), 19_000));
    let count = wanted.min(raise_descriptors().saturating_sub(200));
    if count < wanted {
        eprintln!("the system lets a process have {count} connections");
    }
    let before = descriptors();
    let mut runner = Runner::builder().workers(2).build().unwrap();
    runner.run(async {
        let servers = servers::start().await;
        servers.greet().await;
        let base = descriptors();
        let ports = servers.ports();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "nothing_is_lost_in_the_churn_and_nothing_is_left_after_it", "--nocapture"])
            .env(CHILD, format!("{count} {seconds} {} {} {}", ports[0], ports[1], ports[2]))
            .spawn()
            .unwrap();
        let end = std::time::Instant::now() + Duration::from_secs(seconds + 120);
        let status = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break status;
            }
            if std::time::Instant::now() > end {
                child.kill().unwrap();
            }
            asyncio_timers::sleep(Duration::from_millis(100)).await;
        };
        assert!(status.success(), "{status}");
        // What the last clients left is noticed in the turns that follow.
        let end = std::time::Instant::now() + Duration::from_secs(20);
        while servers.clients() > 0 || descriptors() > base || tasks() > servers::TASKS {
            assert!(
                std::time::Instant::now() < end,
                "{} clients, {} descriptors of {base}, {} tasks of {} are left",
                servers.clients(),
                descriptors(),
                tasks(),
                servers::TASKS
            );
            asyncio_timers::sleep(Duration::from_millis(10)).await;
        }
        let waits_before = waits();
        asyncio_timers::sleep(Duration::from_secs(1)).await;
        // That of this sleep, and those of the other threads of the test.
        let idle = waits() - waits_before;
        assert!(idle <= 10, "threads waited {idle} times in an idle second");
        servers.close().await;
    });
    assert_eq!(runner.next_deadline(), None, "a timer is left");
    drop(runner);
    assert!(descriptors() <= before, "{} descriptors are left of {before}", descriptors());
}

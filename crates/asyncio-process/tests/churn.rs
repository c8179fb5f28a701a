//! Children without end: none is left a zombie, and nothing is left of any. A process of its own, since its children and descriptors are counted.
//!
//! 1,000 children, 64 at a time, or 20,000 with `ASYNCIO_SOAK_SECONDS`.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use asyncio_process::Command;
use asyncio_runtime::Runner;
use asyncio_tasks::{gather_all, yield_now};

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// The children of this process that are zombies.
fn zombies() -> BTreeSet<u32> {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap().flatten();
    let lists = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok());
    let ids =
        lists.flat_map(|list| list.split_whitespace().map(|id| id.parse().unwrap()).collect::<Vec<u32>>());
    let is_zombie = |id: &u32| {
        std::fs::read_to_string(format!("/proc/{id}/stat")).is_ok_and(|stat| stat.contains(") Z "))
    };
    ids.filter(is_zombie).collect()
}

#[test]
fn no_child_is_left_a_zombie() {
    const AT_ONCE: usize = 64;
    let children = if std::env::var_os("ASYNCIO_SOAK_SECONDS").is_some() { 20_000 } else { 1000 };
    let mut runner = Runner::new().unwrap();
    runner.run(async { Command::new("true").status().await.unwrap() });
    let before = descriptors();
    runner.run(async {
        let share = async |n: usize| {
            for round in 0..children / AT_ONCE {
                let child = Command::new("true").kill_on_drop(round % 3 == 0).spawn().unwrap();
                // Waited for, looked at, or dropped.
                match (n + round) % 4 {
                    0 | 1 => assert!(child.wait().await.unwrap().success()),
                    2 => assert!(child.try_wait().is_ok()),
                    _ => yield_now().await,
                }
            }
        };
        gather_all((0..AT_ONCE).map(share)).await;
    });
    let start = Instant::now();
    while !zombies().is_empty() || descriptors() > before {
        assert!(start.elapsed() < Duration::from_secs(20), "{:?}, {} descriptors", zombies(), descriptors());
        runner.turn(Some(Duration::from_millis(1))).unwrap();
    }
}

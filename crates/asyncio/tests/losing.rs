//! A task that loses a million races, one after another, holds no growing memory: neither what the losers registered nor their wakers stay.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

use std::time::Duration;

use asyncio::{Runner, cancel_scope, guard, race, spawn, timeout, yield_now};

const RACES: u32 = 1_000_000;
/// What the first of them take stays, for those that come.
const FIRST: u32 = 50_000;
/// Nine bytes a race, and more than one huge page.
const GROWTH_MAX: u64 = 8 << 20;

/// What the process holds: bytes.
fn resident() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: u64 = statm.split_whitespace().nth(1).unwrap().parse().unwrap();
    pages * 4096
}

async fn lose(closed: &std::cell::Cell<u32>) {
    let closing = guard((), |()| yield_now());
    let loser = async {
        let _closing = closing;
        // A wait of each sort: a timer, and a scope that can be cancelled from elsewhere.
        let _ =
            timeout(Duration::from_secs(1000), cancel_scope(async |_| std::future::pending::<()>().await))
                .await;
    };
    race!(loser, async { closed.set(closed.get() + 1) });
}

#[test]
fn a_task_that_loses_a_million_races_holds_no_growing_memory() {
    for workers in [1, 2] {
        Runner::builder().workers(workers).build().unwrap().run(async {
            let closed = std::cell::Cell::new(0);
            for _ in 0..FIRST {
                lose(&closed).await;
            }
            let before = resident();
            for n in FIRST..RACES {
                lose(&closed).await;
                if n % 100_000 == 0 {
                    // And not because nothing else ever ran.
                    spawn(async {}).await.unwrap();
                }
            }
            let grown = resident().saturating_sub(before);
            assert_eq!(closed.get(), RACES);
            assert!(grown < GROWTH_MAX, "{grown} bytes more after {RACES} races, {workers} workers");
        });
    }
}

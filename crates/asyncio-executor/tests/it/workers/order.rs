//! What each worker runs, and in which order.

use std::sync::{Arc, Mutex};

use asyncio_executor::Executor;

use super::{Baton, quiet_worker, spawn};
use crate::support::Yield;

/// Local tasks and others are in one queue.
#[test]
fn one_worker_runs_all_it_has_first_in_first_out() {
    let executor = Executor::new(2);
    let worker = quiet_worker(&executor, 0);
    let _entered = worker.enter();
    let order = Arc::new(Mutex::new(Vec::new()));
    for n in 0..1_000 {
        let order = order.clone();
        let note = async move { order.lock().unwrap().push(n) };
        if n % 3 == 0 { worker.spawn(note).detach() } else { spawn(note).detach() }
    }
    while worker.run_round() > 0 {}
    assert_eq!(*order.lock().unwrap(), (0..1_000).collect::<Vec<_>>());
}

/// The worker's tokens for what was stolen stand for nothing, and do not bring what came later forward.
#[test]
fn order_stands_when_some_are_stolen() {
    let executor = Executor::new(2);
    let (here, there) = (quiet_worker(&executor, 0), quiet_worker(&executor, 1));
    let order = Arc::new(Mutex::new(Vec::new()));
    let note = |n: u32| {
        let order = order.clone();
        async move { order.lock().unwrap().push(n) }
    };
    let entered = here.enter();
    (0..4).for_each(|n| spawn(note(n)).detach());
    here.spawn(note(4)).detach();
    spawn(note(5)).detach();
    drop(entered);
    // Half of five, rounded up: the oldest.
    assert!(there.try_idle().is_none(), "it finds work");
    let _entered = here.enter();
    while here.run_round() > 0 {}
    assert_eq!(*order.lock().unwrap(), [3, 4, 5]);
    drop(_entered);
    let _entered = there.enter();
    while there.run_round() > 0 {}
    assert_eq!(*order.lock().unwrap(), [3, 4, 5, 0, 1, 2]);
}

#[test]
fn who_is_woken_by_the_one_that_is_polled_comes_next_and_starves_nobody() {
    let executor = Executor::new(2);
    let worker = quiet_worker(&executor, 0);
    let _entered = worker.enter();
    let order = Arc::new(Mutex::new(Vec::new()));
    let (ping, pong) = (Baton::default(), Baton::default());
    let player = |name: char, mine: Baton, other: Baton, order: Arc<Mutex<Vec<char>>>| async move {
        for _ in 0..6 {
            mine.take().await;
            order.lock().unwrap().push(name);
            other.pass();
        }
    };
    spawn(player('i', ping.clone(), pong.clone(), order.clone())).detach();
    spawn(player('o', pong, ping.clone(), order.clone())).detach();
    worker.run_round();
    let others = order.clone();
    spawn(async move {
        ping.pass();
        for _ in 0..3 {
            others.lock().unwrap().push('.');
            Yield::default().await;
        }
    })
    .detach();
    while worker.run_round() > 0 {}
    let order: String = order.lock().unwrap().iter().collect();
    assert_eq!(order, ".ioi.oioi.oioio");
}

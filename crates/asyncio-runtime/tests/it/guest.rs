//! Guest mode: the loop inside of somebody else's.

#![cfg(unix)]

use asyncio_reactor::{EpollSelector, Event, Interest, PollingSelector, Selector, SelectorReactor};
use asyncio_runtime::{Builder, Runner};
use asyncio_tasks::spawn_local;
use asyncio_timers::sleep;
use std::cell::Cell;
use std::os::fd::AsFd;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// A host that waits on the runner's descriptor and deadline, with an epoll of its own.
fn host(runner: &mut Runner, mut done: impl FnMut() -> bool) -> usize {
    let hosts_own = EpollSelector::new().unwrap();
    hosts_own.add(runner.as_fd(), 1, Interest::BOTH).unwrap();
    let mut turns = 0;
    let patience = Instant::now() + Duration::from_secs(20);
    while !done() {
        assert!(Instant::now() < patience, "the host was not woken");
        turns += 1;
        runner.turn(Some(Duration::ZERO)).unwrap();
        if done() {
            break;
        }
        let wait = runner.next_deadline().map(|at| at.saturating_duration_since(Instant::now()));
        let mut events: Vec<Event> = Vec::new();
        hosts_own.wait(&mut events, wait.or(Some(Duration::from_secs(20)))).unwrap();
    }
    hosts_own.delete(runner.as_fd()).unwrap();
    turns
}

fn builders() -> [Builder; 2] {
    [Runner::builder(), Runner::builder().reactor(|_| SelectorReactor::new(PollingSelector::new()?))]
}

#[test]
fn timers_and_tasks() {
    for builder in builders() {
        let mut runner = builder.build().unwrap();
        let done = Rc::new(Cell::new(false));
        let flag = done.clone();
        runner.run(async move {
            spawn_local(async move {
                for _ in 0..3 {
                    sleep(Duration::from_millis(2)).await;
                }
                flag.set(true);
            })
            .detach();
        });
        let turns = host(&mut runner, || done.get());
        assert!(turns < 100, "{turns} turns: the host spins");
    }
}

#[test]
fn a_wake_from_another_thread_reaches_the_host() {
    for builder in builders() {
        let mut runner = builder.build().unwrap();
        let done = Rc::new(Cell::new(false));
        let flag = done.clone();
        let (sender, receiver) = futures::channel::oneshot::channel::<()>();
        runner.run(async move {
            spawn_local(async move {
                receiver.await.unwrap();
                flag.set(true);
            })
            .detach();
        });
        let thread = std::thread::spawn(move || {
            std::thread::park_timeout(Duration::from_millis(5));
            sender.send(()).unwrap();
        });
        host(&mut runner, || done.get());
        thread.join().unwrap();
    }
}

#[test]
fn a_turn_says_whether_anything_happened() {
    let mut runner = Runner::new().unwrap();
    assert!(!runner.turn(Some(Duration::ZERO)).unwrap());
    runner.run(async { spawn_local(async {}).detach() });
    assert!(runner.next_deadline().is_some_and(|at| at <= Instant::now()), "a task is ready");
    assert!(runner.turn(None).unwrap());
    assert!(!runner.turn(Some(Duration::from_millis(1))).unwrap());
    runner.close();
    assert!(asyncio_base::is_loop_closed(&runner.turn(None).unwrap_err()));
}

//! Who is woken for what, and who is not.

use std::sync::Arc;

use asyncio_executor::{Executor, LocalExecutor, Stopped, TaskOptions};

use super::{Baton, Bell, quiet_worker, spawn};
use crate::support::Yield;

#[test]
fn one_is_woken_for_one_task_and_none_while_somebody_searches() {
    let executor = Executor::new(3);
    let (bells, workers): (Vec<_>, Vec<_>) = (0..3)
        .map(|index| {
            let (bell, unpark) = Bell::new();
            (bell, executor.worker(index, unpark).unwrap())
        })
        .unzip();
    let rings = || bells.iter().map(|bell| bell.rings()).collect::<Vec<_>>();
    let idle: Vec<_> = workers.iter().map(|worker| worker.try_idle().unwrap()).collect();
    executor.spawn(TaskOptions::here(), async {}).unwrap().detach();
    assert_eq!(rings(), [1, 0, 0]);
    executor.spawn(TaskOptions::here(), async {}).unwrap().detach();
    assert_eq!(rings(), [1, 0, 0], "the one that was woken is on its way, and will look for help");
    let mut idle = idle.into_iter();
    drop(idle.next());
    assert_eq!(rings(), [1, 1, 0], "there is one more than it took");
    let mut ran = workers[0].run_round();
    drop(idle.next());
    ran += workers[1].run_round();
    assert_eq!(ran, 2);
    assert_eq!(rings(), [1, 1, 0]);
}

/// The one that is woken takes what there is, and needs no help for that.
#[test]
fn one_task_wakes_one_worker() {
    let executor = Executor::new(3);
    let (bells, workers): (Vec<_>, Vec<_>) = (0..3)
        .map(|index| {
            let (bell, unpark) = Bell::new();
            (bell, executor.worker(index, unpark).unwrap())
        })
        .unzip();
    let idle: Vec<_> = workers.iter().map(|worker| worker.try_idle().unwrap()).collect();
    executor.spawn(TaskOptions::here(), async {}).unwrap().detach();
    drop(idle.into_iter().next());
    assert_eq!(workers[0].run_round(), 1);
    assert_eq!(bells.iter().map(|bell| bell.rings()).collect::<Vec<_>>(), [1, 0, 0]);
}

/// Whoever runs something of his own, as a main future is, cannot come to what he makes ready.
#[test]
fn somebody_is_woken_for_what_main_spawns() {
    let executor = Executor::new(2);
    let here = quiet_worker(&executor, 0);
    let (bell, unpark) = Bell::new();
    let there = executor.worker(1, unpark).unwrap();
    let _asleep = there.try_idle().unwrap();
    let _entered = here.enter();
    here.main_waker().wake();
    assert_eq!(here.run_up_to(1).stopped, Stopped::Main);
    spawn(async {}).detach();
    assert_eq!(bell.rings(), 1);
}

/// Two workers: one that runs on this thread, and one that sleeps, with its bell.
struct OneAsleep {
    here: LocalExecutor,
    there: LocalExecutor,
    bell: Arc<Bell>,
    executor: Executor,
}

impl OneAsleep {
    fn new() -> Self {
        let executor = Executor::new(2);
        let (bell, unpark) = Bell::new();
        let there = executor.worker(1, unpark).unwrap();
        Self { here: quiet_worker(&executor, 0), there, bell, executor }
    }

    /// Prepares, and starts the other one's sleep when nothing is ready; then passes a baton as an event does, which is not worth a bell. Then
    /// returns how often it rings in so many polls.
    fn rings_after(&self, prepare: impl FnOnce() -> Baton, polls: usize) -> usize {
        let _entered = self.here.enter();
        let baton = prepare();
        while self.here.run_round() > 0 {}
        let _asleep = self.there.try_idle().unwrap();
        let idle = self.here.try_idle().unwrap();
        let before = self.bell.rings();
        baton.pass();
        drop(idle);
        assert_eq!(self.bell.rings(), before, "its worker comes to it next");
        self.here.run_up_to(polls);
        self.bell.rings() - before
    }
}

/// Spawns two who wake each other for ever, once the baton has been passed.
fn conversation() -> Baton {
    async fn play(mine: Baton, other: Baton) {
        loop {
            mine.take().await;
            other.pass();
        }
    }
    let (ping, pong) = (Baton::default(), Baton::default());
    spawn(play(ping.clone(), pong.clone())).detach();
    spawn(play(pong, ping.clone())).detach();
    ping
}

/// Nor for two that wake each other, for as long as nobody else waits there.
#[test]
fn nobody_is_woken_for_a_conversation() {
    assert_eq!(OneAsleep::new().rings_after(conversation, 100), 0);
}

/// One that has been hot too often lets others go first, and then it is one that somebody else may take.
#[test]
fn somebody_is_woken_for_what_has_been_hot_too_often() {
    let rings = OneAsleep::new().rings_after(
        || {
            let (here, start) = (conversation(), Baton::default());
            let begin = start.clone();
            asyncio_executor::spawn_local(TaskOptions::here(), async move {
                begin.take().await;
                here.pass();
                loop {
                    Yield::default().await;
                }
            })
            .unwrap()
            .detach();
            start
        },
        20,
    );
    assert_eq!(rings, 1);
}

#[test]
fn a_task_that_yields_alone_wakes_nobody() {
    let rings = OneAsleep::new().rings_after(
        || {
            let start = Baton::default();
            let begin = start.clone();
            spawn(async move {
                begin.take().await;
                loop {
                    Yield::default().await;
                }
            })
            .detach();
            start
        },
        100,
    );
    assert_eq!(rings, 0);
}

/// Two events are work for two.
#[test]
fn somebody_is_woken_for_the_second_of_two_events() {
    let two = OneAsleep::new();
    let _entered = two.here.enter();
    let batons = [Baton::default(), Baton::default()];
    for baton in batons.clone() {
        spawn(async move { baton.take().await }).detach();
    }
    while two.here.run_round() > 0 {}
    let _asleep = two.there.try_idle().unwrap();
    let idle = two.here.try_idle().unwrap();
    batons[0].pass();
    assert_eq!(two.bell.rings(), 0);
    batons[1].pass();
    assert_eq!(two.bell.rings(), 1, "and not the one that sees them");
    drop(idle);
    assert_eq!(two.here.run_round(), 2);
}

#[test]
fn a_guard_that_is_made_twice_or_forgotten_does_no_harm() {
    let executor = Executor::new(2);
    let (bell, unpark) = Bell::new();
    let worker = executor.worker(0, unpark).unwrap();
    let other = quiet_worker(&executor, 1);
    let (first, second) = (worker.try_idle().unwrap(), worker.try_idle().unwrap());
    drop(first);
    drop(second);
    assert!(!executor.is_closed());

    std::mem::forget(worker.try_idle());
    executor.spawn(TaskOptions::here(), async {}).unwrap().detach();
    assert_eq!(bell.rings(), 1, "it counts as waiting");
    assert!(worker.try_idle().is_none(), "it was woken, and finds what for");
    assert_eq!(worker.run_round(), 1);

    std::mem::forget(worker.try_idle());
    executor.spawn(TaskOptions::here(), async {}).unwrap().detach();
    assert_eq!(bell.rings(), 2);
    drop(worker);
    executor.spawn(TaskOptions::here(), async {}).unwrap().detach();
    let mut ran = 0;
    while other.try_idle().is_none() {
        ran += other.run_round();
    }
    assert_eq!(ran, 2, "what it was woken for is somebody else's");
    let _asleep = other.try_idle().unwrap();
    drop(_asleep);
}

/// What it was woken for is gone, and it has something of its own to do: that is no reason to go on searching.
#[test]
fn who_was_woken_in_vain_does_what_is_his() {
    let executor = Executor::new(2);
    let (here, there) = (quiet_worker(&executor, 0), quiet_worker(&executor, 1));
    let batons = [Baton::default(), Baton::default()];
    {
        let _entered = here.enter();
        for baton in batons.clone() {
            spawn(async move { baton.take().await }).detach();
        }
        here.run_round();
    }
    let idle = here.try_idle().unwrap();
    executor.spawn(TaskOptions::here(), async {}).unwrap().detach();
    assert_eq!(there.run_round(), 1, "it takes what was for both");
    let _entered = here.enter();
    batons.iter().for_each(Baton::pass);
    drop(idle);
    assert_eq!(here.run_round(), 2);
}

/// What is taken in behind something of this worker's own, which may wait for it, is somebody else's to take.
#[test]
fn somebody_is_woken_for_what_stands_behind_main() {
    let two = OneAsleep::new();
    let _asleep = two.there.try_idle().unwrap();
    let _entered = two.here.enter();
    let idle = two.here.try_idle().unwrap();
    two.here.main_waker().wake();
    // It wakes the one that was first, which is this one.
    std::thread::scope(|scope| {
        scope.spawn(|| two.executor.spawn(TaskOptions::here(), async {}).unwrap().detach());
    });
    assert_eq!(two.bell.rings(), 0);
    drop(idle);
    assert_eq!(two.bell.rings(), 1);
    assert_eq!(two.here.run_up_to(1).stopped, Stopped::Main);
}

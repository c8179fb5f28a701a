//! Spawning from other threads.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Wake, Waker};

use asyncio_base::LoopClosed;
use asyncio_executor::{LocalExecutor, SpawnLocalError, Spawner, TaskOptions, block_on, current_header};
use static_assertions::assert_impl_all;

use super::{executor, executor_with};
use crate::support::{Drops, Yield};

assert_impl_all!(Spawner: Send, Sync, Clone);

#[derive(Default)]
struct Unparks(AtomicU32);

impl Wake for Unparks {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn tasks_from_many_threads_run_on_the_executors() {
    let executor = executor();
    let home = std::thread::current().id();
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let spawner = executor.spawner();
            std::thread::spawn(move || {
                let spawn = |n| {
                    let task = async move {
                        Yield::default().await;
                        (n, std::thread::current().id())
                    };
                    spawner.spawn(TaskOptions::here(), task).unwrap()
                };
                (0..500).map(spawn).collect::<Vec<_>>()
            })
        })
        .collect();
    let tasks: Vec<_> = threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
    let ids: std::collections::HashSet<_> = tasks.iter().map(asyncio_executor::Handle::id).collect();
    assert_eq!(ids.len(), 2000);
    while executor.run_round() > 0 {}
    for (place, task) in tasks.into_iter().enumerate() {
        assert_eq!(block_on(task), Some((place % 500, home)));
    }
    assert!(executor.is_empty());
}

#[test]
fn a_parked_executor_is_woken_and_an_entered_one_is_not() {
    let unparks = Arc::new(Unparks::default());
    let executor = executor_with(Waker::from(unparks.clone()));
    let spawner = executor.spawner();
    std::thread::scope(|scope| {
        scope.spawn(|| spawner.spawn(TaskOptions::here(), async {})).join().unwrap().unwrap()
    });
    assert_eq!(unparks.0.load(Ordering::Relaxed), 1);
    let _entered = executor.enter();
    let parent = executor.spawn_with(TaskOptions::here(), {
        let spawner = spawner.clone();
        async move {
            let me = current_header(|header| header.id());
            let child =
                spawner.spawn(TaskOptions::here(), async { current_header(|header| header.parent()) });
            (me, child.unwrap().await.unwrap().flatten())
        }
    });
    while executor.run_round() > 0 {}
    let (me, parent_of_child) = block_on(parent).unwrap();
    assert!(me.is_some() && me == parent_of_child);
    assert_eq!(unparks.0.load(Ordering::Relaxed), 1, "its own thread needs no waking");
}

#[test]
fn closing_drops_what_was_spawned_and_refuses_what_comes_later() {
    let mut executor = executor();
    let spawner = executor.spawner();
    let dropped = Arc::new(());
    // Handed over, and not taken in yet.
    let waiting = std::thread::scope(|scope| {
        let guard = dropped.clone();
        let spawn = || spawner.spawn(TaskOptions::here(), async move { drop(guard) }).unwrap();
        scope.spawn(spawn).join().unwrap()
    });
    assert_eq!(Arc::strong_count(&dropped), 2);
    executor.close();
    assert_eq!(Arc::strong_count(&dropped), 1);
    assert_eq!(block_on(waiting), None);
    for is_entered in [false, true] {
        let _entered = is_entered.then(|| executor.enter());
        let guard = dropped.clone();
        let refused = spawner.spawn(TaskOptions::here(), async move { drop(guard) });
        assert_eq!(refused.unwrap_err(), LoopClosed::new());
        assert_eq!(Arc::strong_count(&dropped), 1);
    }
}

/// Threads that spawn while the executor closes: each future is dropped, once, and each handle knows.
#[test]
fn spawning_against_closing() {
    for round in 0..200 {
        let executor = executor();
        let spawner = executor.spawner();
        let spawning = std::thread::spawn(move || {
            let mut outcomes = (0, 0);
            for _ in 0..20 {
                let count = Arc::new(());
                let inside = count.clone();
                match spawner.spawn(TaskOptions::here(), async move { drop(inside) }) {
                    Ok(task) => {
                        let _ = block_on(task);
                        outcomes.0 += 1;
                    }
                    Err(_) => outcomes.1 += 1,
                }
                assert_eq!(Arc::strong_count(&count), 1);
            }
            outcomes
        });
        let rounds = Cell::new(0);
        while rounds.replace(rounds.get() + 1) < round {
            executor.run_round();
        }
        drop(executor);
        let (spawned, refused) = spawning.join().unwrap();
        assert_eq!(spawned + refused, 20);
    }
}

#[test]
fn drops_stay_on_the_executors_thread() {
    let executor = executor();
    let drops = Drops::default();
    // The guard is made by the task, on the executor's thread, and insists on it.
    let spawner = executor.spawner();
    let for_task = drops.clone();
    std::thread::spawn(move || {
        let task = async move {
            let _guard = for_task.guard();
            std::future::pending::<()>().await;
        };
        drop(spawner.spawn(TaskOptions::here(), task));
    })
    .join()
    .unwrap();
    executor.run_round();
    assert_eq!((executor.len(), drops.get()), (1, 0));
    drop(executor);
    assert_eq!(drops.get(), 1);
}

/// A schedule that spawns while it chooses, and holds what keeps the queue: the task comes later, and nothing is left behind.
#[test]
fn a_schedule_may_spawn() {
    #[derive(Debug)]
    struct Spawns(std::sync::mpsc::Receiver<Spawner>, Drops);
    impl asyncio_executor::Schedule for Spawns {
        fn next(&mut self, _ready: asyncio_executor::ReadyTasks<'_>) -> usize {
            if let Ok(spawner) = self.0.try_recv() {
                let drops = self.1.clone();
                drop(spawner.spawn(TaskOptions::here(), async move { drop(drops.guard()) }).unwrap());
            }
            0
        }
    }
    let drops = Drops::default();
    let (sender, receiver) = std::sync::mpsc::channel();
    let schedule = Spawns(receiver, drops.clone());
    let executor = LocalExecutor::with_schedule(Waker::noop().clone(), schedule);
    let _entered = executor.enter();
    // One is taken out in a choice, the other one is left inside.
    sender.send(executor.spawner()).unwrap();
    executor.spawn(async {}).detach();
    while executor.run_round() > 0 {}
    assert_eq!(drops.get(), 1);
    sender.send(executor.spawner()).unwrap();
}

#[test]
fn what_is_not_send_is_spawned_on_the_executors_thread_alone() {
    let mut executor = executor();
    let spawner = executor.spawner();
    let shared = std::rc::Rc::new(Cell::new(0));
    let seen = shared.clone();
    // It is not entered.
    let task = spawner.spawn_local(TaskOptions::here(), async move { seen.set(1) }).unwrap();
    {
        let _entered = executor.enter();
        assert!(executor.is_ready(), "what was spawned before is taken over, and comes first");
        let seen = shared.clone();
        spawner.spawn_local(TaskOptions::here(), async move { seen.set(seen.get() + 1) }).unwrap().detach();
        while executor.run_round() > 0 {}
    }
    assert_eq!(block_on(task), Some(()));
    assert_eq!(shared.get(), 2);
    let elsewhere = spawner.clone();
    let refused = std::thread::spawn(move || {
        elsewhere.spawn_local(TaskOptions::here(), async {}).map(|_| ()).unwrap_err()
    });
    assert_eq!(refused.join().unwrap(), SpawnLocalError::WrongThread);
    executor.close();
    let refused = spawner.spawn_local(TaskOptions::here(), async {}).map(|_| ());
    assert_eq!(refused.unwrap_err(), SpawnLocalError::Closed(LoopClosed::new()));
}

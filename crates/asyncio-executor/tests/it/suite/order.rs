//! Rounds, and the order inside them.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::task::Waker;

use asyncio_base::budget;
use asyncio_executor::{
    Fifo, Handle, LocalExecutor, ReadyTasks, Schedule, SeededRandom, Spawner, Stopped, TaskId, TaskOptions,
    current_header, live_tasks, spawn_local,
};
use static_assertions::{assert_impl_all, assert_not_impl_any};

use super::executor;
use crate::support::Yield;

assert_not_impl_any!(LocalExecutor: Send, Sync);
assert_not_impl_any!(asyncio_executor::EnterGuard: Send, Sync);
assert_impl_all!(asyncio_executor::Runnable: Send, Sync);
assert_impl_all!(asyncio_executor::Handle<std::cell::Cell<u8>>: Send, Sync, Unpin, std::panic::UnwindSafe);
assert_not_impl_any!(asyncio_executor::Handle<std::rc::Rc<u8>>: Send);
assert_impl_all!(asyncio_executor::Header: Send, Sync);

/// Offers what it was asked to a log, and chooses the last.
#[derive(Clone, Debug, Default)]
struct Recording {
    asked: Arc<Mutex<Vec<Vec<TaskId>>>>,
}

impl Schedule for Recording {
    fn next(&mut self, ready: ReadyTasks<'_>) -> usize {
        self.asked.lock().unwrap().push(ready.ids().collect());
        ready.len() - 1
    }
}

#[test]
fn what_becomes_ready_in_a_round_belongs_to_the_next() {
    let executor = executor();
    let _entered = executor.enter();
    let log = Rc::new(RefCell::new(Vec::new()));
    for n in 0..3 {
        let log = log.clone();
        executor
            .spawn(async move {
                log.borrow_mut().push((n, "first"));
                let inner = log.clone();
                spawn_local(TaskOptions::here(), async move { inner.borrow_mut().push((n, "child")) })
                    .unwrap()
                    .detach();
                Yield::default().await;
                log.borrow_mut().push((n, "second"));
            })
            .detach();
    }
    assert_eq!(executor.run_round(), 3);
    assert_eq!(log.take(), [(0, "first"), (1, "first"), (2, "first")]);
    assert_eq!(executor.run_round(), 6);
    let second_round: Vec<_> = (0..3).flat_map(|n| [(n, "child"), (n, "second")]).collect();
    assert_eq!(log.take(), second_round);
    assert_eq!(executor.run_round(), 0);
    assert!(executor.is_empty());
}

#[test]
fn it_is_fifo_over_many_rounds_and_limits() {
    let executor = executor();
    let _entered = executor.enter();
    let log = Rc::new(RefCell::new(Vec::new()));
    for n in 0..10 {
        let log = log.clone();
        executor
            .spawn(async move {
                for _ in 0..5 {
                    log.borrow_mut().push(n);
                    Yield::default().await;
                }
            })
            .detach();
    }
    while executor.run_up_to(3).stopped == Stopped::Limit {}
    assert!(executor.is_empty());
    let expected: Vec<_> = (0..5).flat_map(|_| 0..10).collect();
    assert_eq!(log.take(), expected);
}

#[test]
fn a_schedule_is_offered_the_round_alone() {
    let recording = Recording::default();
    let executor = LocalExecutor::with_schedule(Waker::noop().clone(), recording.clone());
    let _entered = executor.enter();
    let ids: Vec<TaskId> = (0..3)
        .map(|_| {
            let task = executor.spawn(async { Yield::default().await });
            let id = task.id();
            task.detach();
            id
        })
        .collect();
    while executor.run_round() > 0 {}
    let (a, b, c) = (ids[0], ids[1], ids[2]);
    let asked = recording.asked.lock().unwrap();
    // The last is chosen each time, and the first takes its place; what has yielded waits for the next round.
    let expected = [vec![a, b, c], vec![b, a], vec![b], vec![c, a, b], vec![a, c], vec![a]];
    assert_eq!(*asked, expected);
}

#[test]
fn fifo_by_name_is_the_default() {
    let order = |executor: LocalExecutor| {
        let _entered = executor.enter();
        let log = Rc::new(RefCell::new(Vec::new()));
        for n in 0..4 {
            let log = log.clone();
            executor
                .spawn(async move {
                    Yield::default().await;
                    log.borrow_mut().push(n);
                })
                .detach();
        }
        while executor.run_round() > 0 {}
        log.take()
    };
    assert_eq!(
        order(LocalExecutor::with_schedule(Waker::noop().clone(), Fifo::default())),
        order(executor())
    );
}

#[test]
fn every_seed_runs_everything() {
    for seed in 0..100 {
        let executor = LocalExecutor::with_schedule(Waker::noop().clone(), SeededRandom::new(seed));
        let _entered = executor.enter();
        let done = Rc::new(RefCell::new(0));
        for _ in 0..20 {
            let done = done.clone();
            executor
                .spawn(async move {
                    for _ in 0..3 {
                        Yield::default().await;
                    }
                    *done.borrow_mut() += 1;
                })
                .detach();
        }
        let mut rounds = 0;
        while executor.run_round() > 0 {
            rounds += 1;
        }
        assert_eq!((done.take(), rounds), (20, 4), "seed {seed}");
    }
}

#[test]
fn a_schedule_that_wakes_and_looks_around_is_safe() {
    #[derive(Debug)]
    struct Nosy(Arc<Mutex<Option<Waker>>>);
    impl Schedule for Nosy {
        fn next(&mut self, ready: ReadyTasks<'_>) -> usize {
            assert!(current_header(|_| ()).is_none(), "nothing is being polled");
            if let Some(waker) = self.0.lock().unwrap().take() {
                waker.wake();
            }
            ready.len() * 7 // beyond the last: taken modulo
        }
    }
    let slot = Arc::new(Mutex::new(None));
    let executor = LocalExecutor::with_schedule(Waker::noop().clone(), Nosy(slot.clone()));
    let _entered = executor.enter();
    let mut polls = 0;
    let sleeper = executor.spawn(std::future::poll_fn(move |cx| {
        polls += 1;
        *slot.lock().unwrap() = Some(cx.waker().clone());
        if polls == 3 { std::task::Poll::Ready(polls) } else { std::task::Poll::Pending }
    }));
    for _ in 0..10 {
        executor.spawn(async { Yield::default().await }).detach();
        executor.run_round();
    }
    assert_eq!(asyncio_executor::block_on(sleeper), Some(3));
}

#[test]
fn what_a_schedule_spawns_from_inside_a_choice_runs_later() {
    type Spawned = Arc<Mutex<Vec<Handle<u32>>>>;

    /// Spawns by each way there is from inside its first choice.
    #[derive(Debug)]
    struct Busy(Spawned);
    impl Schedule for Busy {
        fn next(&mut self, _ready: ReadyTasks<'_>) -> usize {
            let mut spawned = self.0.lock().unwrap();
            if spawned.is_empty() {
                let spawner = Spawner::current().unwrap();
                spawned.extend([
                    spawn_local(TaskOptions::here(), async { 1 }).unwrap(),
                    spawn_local(TaskOptions::here().eager(true), async { 2 }).unwrap(),
                    asyncio_executor::spawn(TaskOptions::here(), async { 3 }).unwrap(),
                    spawner.spawn(TaskOptions::here(), async { 4 }).unwrap(),
                    spawner.spawn_local(TaskOptions::here(), async { 5 }).unwrap(),
                ]);
                assert_eq!(live_tasks().len(), 0, "none can be listed from here");
            }
            0
        }
    }

    let spawned = Spawned::default();
    let executor = LocalExecutor::with_schedule(Waker::noop().clone(), Busy(spawned.clone()));
    let _entered = executor.enter();
    executor.spawn(async {}).detach();
    while executor.run_round() > 0 {}
    let outputs = |spawned: Spawned| {
        let spawned = std::mem::take(&mut *spawned.lock().unwrap());
        spawned.into_iter().map(|task| task.try_take().unwrap().map(Result::unwrap)).collect::<Vec<_>>()
    };
    assert_eq!(outputs(spawned), [Some(1), Some(2), Some(3), Some(4), Some(5)]);

    let spawned = Spawned::default();
    let executor = LocalExecutor::with_schedule(Waker::noop().clone(), Busy(spawned.clone()));
    let _entered = executor.enter();
    executor.spawn(async {}).detach();
    assert_eq!(executor.run_round(), 1);
    drop(executor);
    assert_eq!(outputs(spawned), [None; 5], "those that it closes before they are listed end, too");
}

#[test]
fn a_task_knows_itself_and_its_parent() {
    let executor = executor();
    let _entered = executor.enter();
    let task = executor.spawn_with(TaskOptions::here().name("outer"), async {
        let place = current_header(|header| header.spawned_at()).unwrap();
        assert_eq!(place.file(), file!());
        let me = current_header(|header| (header.id(), header.name().map(str::to_owned))).unwrap();
        let child =
            spawn_local(TaskOptions::here(), async { current_header(|header| header.parent()).unwrap() });
        Yield::default().await;
        let polls = current_header(|header| header.polls()).unwrap();
        (me, child.unwrap().await, polls)
    });
    let id = task.id();
    while executor.run_round() > 0 {}
    let ((me, name), parent, polls) = asyncio_executor::block_on(task).unwrap();
    assert_eq!((me, name.as_deref()), (id, Some("outer")));
    assert_eq!(parent, Some(Some(id)));
    assert!(polls >= 2);
    assert!(current_header(|_| ()).is_none());
}

#[test]
fn each_poll_has_the_budget() {
    let executor = executor();
    executor.set_budget(5);
    let task = executor.spawn(async {
        let first = budget::remaining();
        budget::spend();
        let second = budget::remaining();
        Yield::default().await;
        (first, second, budget::remaining())
    });
    let _entered = executor.enter();
    while executor.run_round() > 0 {}
    assert_eq!(asyncio_executor::block_on(task), Some((Some(5), Some(4), Some(5))));
    assert_eq!(budget::remaining(), None);
}

/// Whoever asks whether there is a budget asks whether a task is polled: there is one in each.
#[test]
fn a_budget_out_of_bounds_is_the_nearest_one() {
    for (asked, had) in [(0, 1), (budget::MAX + 1, budget::MAX), (u32::MAX, budget::MAX)] {
        let executor = executor();
        executor.set_budget(asked);
        let task = executor.spawn(async { budget::remaining() });
        let _entered = executor.enter();
        while executor.run_round() > 0 {}
        assert_eq!(asyncio_executor::block_on(task), Some(Some(had)), "{asked}");
    }
}

#[test]
fn the_main_future_has_its_turn_among_the_tasks() {
    let executor = executor();
    let _entered = executor.enter();
    let main = executor.main_waker();
    executor.spawn(async {}).detach();
    main.wake_by_ref();
    main.wake_by_ref();
    let waker = main.clone();
    executor.spawn(async move { waker.wake_by_ref() }).detach();
    let ran = executor.run_up_to(10);
    assert_eq!((ran.polls, ran.stopped), (1, Stopped::Main));
    std::thread::spawn(move || main.wake()).join().unwrap();
    let ran = executor.run_up_to(10);
    assert_eq!(
        (ran.polls, ran.stopped),
        (1, Stopped::Main),
        "woken twice, from two threads, it is queued once"
    );
    assert_eq!(executor.run_up_to(10).stopped, Stopped::Idle);
    executor.main_waker().wake();
    executor.spawn(async {}).detach();
    assert_eq!(executor.run_round(), 1, "a round passes it over");
}

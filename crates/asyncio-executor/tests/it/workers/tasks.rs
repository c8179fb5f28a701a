//! Tasks that may run anywhere: each runs once, whoever takes it.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, mpsc};
use std::task::{Context, Poll};
use std::thread;

use asyncio_executor::{Executor, SpawnPinnedError, TaskOptions, block_on};

use super::{Baton, Tell, quiet_worker, run_on, spawn};
use crate::support::Yield;

#[test]
fn each_task_runs_once_whoever_takes_it() {
    const TASKS: usize = 20_000;
    let polls: Arc<Vec<AtomicUsize>> = Arc::new((0..TASKS).map(|_| AtomicUsize::new(0)).collect());
    let counts = polls.clone();
    let sum = run_on(4, async move |executor| {
        // A tree: each task spawns two, on the worker where it happens to run.
        fn node(
            n: usize,
            counts: Arc<Vec<AtomicUsize>>,
        ) -> std::pin::Pin<Box<dyn Future<Output = usize> + Send>> {
            Box::pin(async move {
                counts[n].fetch_add(1, Ordering::Relaxed);
                let children: Vec<_> = [2 * n + 1, 2 * n + 2]
                    .into_iter()
                    .filter(|&child| child < TASKS)
                    .map(|child| spawn(node(child, counts.clone())))
                    .collect();
                let mut sum = n;
                for child in children {
                    sum += child.await.unwrap();
                }
                sum
            })
        }
        executor.spawn(TaskOptions::here(), node(0, counts)).unwrap().await.unwrap()
    });
    assert_eq!(sum, TASKS * (TASKS - 1) / 2);
    assert!(polls.iter().all(|count| count.load(Ordering::Relaxed) == 1));
}

#[test]
fn work_of_one_that_is_held_up_is_done_by_others() {
    run_on(2, async |executor| {
        let (told, hears) = mpsc::channel();
        let blocked = executor.spawn(TaskOptions::here(), async move {
            // On the same worker's queue, and the second one in its hot place.
            let baton = Baton::default();
            let waits = spawn({
                let (baton, told) = (baton.clone(), told.clone());
                async move {
                    baton.take().await;
                    told.send("woken").unwrap();
                }
            });
            Yield::default().await;
            baton.pass();
            spawn(async move { told.send("spawned").unwrap() }).detach();
            // This poll ends when both have run, and that is elsewhere.
            let mut heard = [hears.recv().unwrap(), hears.recv().unwrap()];
            heard.sort_unstable();
            assert_eq!(heard, ["spawned", "woken"]);
            waits.await.unwrap();
        });
        blocked.unwrap().await.unwrap();
    });
}

#[test]
fn what_is_made_on_a_worker_stays_there() {
    run_on(3, async |executor| {
        for worker in 0..3 {
            let there = executor.spawn_pinned(worker, TaskOptions::here(), || async {
                let (not_send, thread) = (Rc::new(1), thread::current().id());
                Yield::default().await;
                assert_eq!(thread::current().id(), thread);
                (*not_send, thread)
            });
            let again =
                executor.spawn_pinned(worker, TaskOptions::here(), || async { thread::current().id() });
            let (one, thread) = there.unwrap().await.unwrap();
            assert_eq!(one, 1);
            assert_eq!(again.unwrap().await, Some(thread));
        }
        let error = executor.spawn_pinned(3, TaskOptions::here(), || async {}).unwrap_err();
        assert_eq!(error, executor.spawn_pinned(3, TaskOptions::here(), || async {}).unwrap_err());
        assert_eq!(
            error.to_string(),
            "there is no worker 3 to start a task on: this runtime has 3, counted from 0"
        );
    });
    let nobody = Executor::new(1);
    let made = Arc::new(AtomicUsize::new(0));
    let tell = Tell(made.clone());
    let refused = nobody.spawn_pinned(0, TaskOptions::here(), move || async move { drop(tell) });
    assert_eq!(refused.unwrap_err(), SpawnPinnedError::Closed, "nobody sits there");
    assert_eq!(made.load(Ordering::SeqCst), 1, "and it is dropped");
}

#[test]
fn a_panic_is_its_tasks_own() {
    run_on(2, async |executor| {
        let task = executor.spawn(TaskOptions::here(), async { panic!("a bug") });
        let mut task = pin!(task.unwrap());
        let caught = poll_fn(|cx: &mut Context<'_>| {
            match std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| task.as_mut().poll(cx))) {
                Ok(Poll::Pending) => Poll::Pending,
                Ok(Poll::Ready(_)) => Poll::Ready(None),
                Err(panic) => Poll::Ready(Some(panic)),
            }
        });
        assert_eq!(*caught.await.unwrap().downcast::<&str>().unwrap(), "a bug");
        assert_eq!(executor.spawn(TaskOptions::here(), async { 1 }).unwrap().await, Some(1), "it goes on");
    });
}

#[test]
fn a_panic_in_the_drop_of_what_nobody_takes_is_reported() {
    struct Panics;
    impl Drop for Panics {
        fn drop(&mut self) {
            panic!("a drop panics on purpose");
        }
    }
    run_on(1, async |executor| {
        executor.spawn(TaskOptions::here(), async { Panics }).unwrap().detach();
        assert_eq!(executor.spawn(TaskOptions::here(), async { 1 }).unwrap().await, Some(1));
    });
}

/// The handle comes second, or the end does: nobody is unwound.
#[test]
fn a_panic_in_the_drop_of_an_output_is_reported_whoever_comes_second() {
    struct Panics;
    impl Drop for Panics {
        fn drop(&mut self) {
            panic!("a drop panics on purpose");
        }
    }
    let executor = Executor::new(1);
    let worker = quiet_worker(&executor, 0);
    let _entered = worker.enter();
    let movable = executor.spawn(TaskOptions::here(), async { Panics }).unwrap();
    let local = worker.spawn(async { Panics });
    worker.run_round();
    assert!(movable.is_finished() && local.is_finished());
    drop((movable, local));
}

/// One that does nothing but wake itself is found by whoever looks on.
#[test]
fn a_task_that_always_wakes_itself_is_listed() {
    let executor = Executor::new(1);
    let worker = quiet_worker(&executor, 0);
    let _entered = worker.enter();
    let restless = poll_fn(|cx: &mut Context<'_>| {
        cx.waker().wake_by_ref();
        Poll::<()>::Pending
    });
    executor.spawn(TaskOptions::here(), restless).unwrap().detach();
    for _ in 0..3 {
        worker.run_round();
    }
    let tasks = asyncio_executor::live_tasks();
    assert_eq!(tasks.len(), 1);
    assert_eq!(tasks[0].header().polls(), 3);
}

/// Wakes from everywhere at once, again and again, while workers fall asleep between them.
#[test]
fn no_wake_is_lost_between_workers_and_threads() {
    const ROUNDS: usize = 2_000;
    run_on(2, async |executor| {
        let batons: Vec<(Baton, Baton)> = (0..4).map(|_| (Baton::default(), Baton::default())).collect();
        let players: Vec<_> = batons
            .iter()
            .cloned()
            .map(|(there, back)| {
                executor.spawn(TaskOptions::here(), async move {
                    for _ in 0..ROUNDS {
                        there.take().await;
                        back.pass();
                    }
                })
            })
            .collect();
        let start = Arc::new(Barrier::new(batons.len()));
        let threads: Vec<_> = batons
            .into_iter()
            .map(|(there, back)| {
                let start = start.clone();
                thread::spawn(move || {
                    start.wait();
                    for _ in 0..ROUNDS {
                        there.pass();
                        block_on(back.take());
                    }
                })
            })
            .collect();
        for player in players {
            player.unwrap().await.unwrap();
        }
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
}

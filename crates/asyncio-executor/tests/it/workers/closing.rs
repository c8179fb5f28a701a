//! The end of an executor of several workers.

use std::future::{pending, poll_fn};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};
use std::thread;

use asyncio_executor::{Executor, TaskOptions, block_on};

use super::{Baton, Tell, quiet_worker, run_on, spawn};
use crate::support::Yield;

#[test]
fn closing_drops_every_future_wherever_it_is() {
    let executor = Executor::new(2);
    let worker = quiet_worker(&executor, 0);
    let drops = Arc::new(AtomicUsize::new(0));
    let entered = worker.enter();
    let baton = Baton::default();
    let tell = || Tell(drops.clone());
    let waits = {
        let (baton, tell) = (baton.clone(), tell());
        spawn(async move {
            let _tell = tell;
            baton.take().await;
            pending::<()>().await;
        })
    };
    let for_ever = {
        let tell = tell();
        spawn(async move {
            let _tell = tell;
            pending::<()>().await;
        })
    };
    worker.run_round();
    let in_ring = {
        let tell = tell();
        spawn(async move { drop(tell) })
    };
    drop(entered);
    let injected = {
        let tell = tell();
        executor.spawn(TaskOptions::here(), async move { drop(tell) }).unwrap()
    };
    baton.pass();
    assert_eq!(drops.load(Ordering::SeqCst), 0);
    executor.close();
    assert_eq!(drops.load(Ordering::SeqCst), 4);
    for handle in [waits, for_ever, in_ring, injected] {
        assert_eq!(block_on(handle), None);
    }
    let late = tell();
    assert!(executor.spawn(TaskOptions::here(), async move { drop(late) }).is_err());
    assert_eq!(drops.load(Ordering::SeqCst), 5, "dropped where it was spawned");
    let _entered = worker.enter();
    let later = tell();
    assert_eq!(block_on(spawn(async move { drop(later) })), None);
    assert_eq!(drops.load(Ordering::SeqCst), 6);
}

/// A worker that is not entered, or has another executor entered inside, polls as well as any.
#[test]
fn closing_finds_tasks_that_were_polled_in_odd_places() {
    for is_other_first in [false, true] {
        let executor = Executor::new(1);
        let worker = quiet_worker(&executor, 0);
        let drops = Arc::new(AtomicUsize::new(0));
        let wait = || {
            let tell = Tell(drops.clone());
            let future = async move {
                let _tell = tell;
                pending::<()>().await;
            };
            executor.spawn(TaskOptions::here(), future).unwrap().detach();
            worker.run_round();
        };
        wait();
        let other = Executor::new(1);
        let elsewhere = quiet_worker(&other, 0);
        let _outer = worker.enter();
        let inner = elsewhere.enter();
        wait();
        drop(inner);
        assert_eq!(drops.load(Ordering::SeqCst), 0);
        if is_other_first {
            other.close();
            assert_eq!(drops.load(Ordering::SeqCst), 0, "they are not the other one's");
        }
        executor.close();
        assert_eq!(drops.load(Ordering::SeqCst), 2);
    }
}

/// An executor that is closed by a drop while another one is being closed is closed as well.
#[test]
fn closing_inside_of_closing() {
    struct Closes(Executor);
    impl Drop for Closes {
        fn drop(&mut self) {
            self.0.close();
        }
    }
    let (outer, inner) = (Executor::new(1), Executor::new(1));
    let (outer_worker, inner_worker) = (quiet_worker(&outer, 0), quiet_worker(&inner, 0));
    let drops = Arc::new(AtomicUsize::new(0));
    let tell = Tell(drops.clone());
    let waits = inner.spawn(TaskOptions::here(), async move {
        let _tell = tell;
        pending::<()>().await;
    });
    inner_worker.run_round();
    let closes = Closes(inner);
    let closing = outer.spawn(TaskOptions::here(), async move {
        let _closes = closes;
        pending::<()>().await;
    });
    outer_worker.run_round();
    outer.close();
    assert_eq!(drops.load(Ordering::SeqCst), 1);
    assert_eq!(block_on(waits.unwrap()), None);
    assert_eq!(block_on(closing.unwrap()), None);
}

/// Whatever workers have in hand while somebody closes: nothing survives them.
#[test]
fn closing_while_workers_run() {
    for round in 0..300 {
        let drops = Arc::new(AtomicUsize::new(0));
        const TASKS: usize = 20;
        run_on(2, async |executor| {
            for n in 0..TASKS {
                let tell = Tell(drops.clone());
                let baton = Baton::default();
                executor
                    .spawn(TaskOptions::here(), async move {
                        let _tell = tell;
                        for _ in 0..(n + round) % 7 {
                            Yield::default().await;
                        }
                        baton.pass();
                        baton.take().await;
                        baton.take().await;
                    })
                    .unwrap()
                    .detach();
            }
            if round % 2 == 0 {
                thread::yield_now();
            }
        });
        assert_eq!(drops.load(Ordering::SeqCst), TASKS, "round {round}");
    }
}

/// One whose drop wakes the next one, a hundred thousand times: the stack is not as deep as that.
#[test]
fn closing_goes_one_by_one() {
    struct WakeNext(Option<Waker>);
    impl Drop for WakeNext {
        fn drop(&mut self) {
            if let Some(waker) = self.0.take() {
                waker.wake();
            }
        }
    }
    let executor = Executor::new(1);
    let worker = quiet_worker(&executor, 0);
    let _entered = worker.enter();
    let mut next: Option<Waker> = None;
    for _ in 0..100_000 {
        let mine = Arc::new(Mutex::new(None));
        let (place, wake_next) = (mine.clone(), WakeNext(next.take()));
        spawn(poll_fn(move |cx| {
            let _ = &wake_next;
            *place.lock().unwrap() = Some(cx.waker().clone());
            Poll::<()>::Pending
        }))
        .detach();
        worker.run_round();
        next = mine.lock().unwrap().take();
    }
    executor.close();
}

#[test]
fn a_task_that_is_polled_while_the_executor_closes_goes_at_the_end_of_that_poll() {
    let executor = Executor::new(1);
    let worker = quiet_worker(&executor, 0);
    let _entered = worker.enter();
    let drops = Arc::new(AtomicUsize::new(0));
    let was_gone = Arc::new(AtomicBool::new(true));
    let task = {
        let (closer, tell, drops, was_gone) =
            (executor.clone(), Tell(drops.clone()), drops.clone(), was_gone.clone());
        spawn(async move {
            let _tell = tell;
            closer.close();
            was_gone.store(drops.load(Ordering::SeqCst) == 1, Ordering::SeqCst);
            pending::<()>().await;
        })
    };
    worker.run_round();
    assert!(!was_gone.load(Ordering::SeqCst), "not under its feet");
    assert_eq!(drops.load(Ordering::SeqCst), 1);
    assert_eq!(block_on(task), None);
}

#[test]
fn who_leaves_gives_what_is_ready_to_the_others() {
    let executor = Executor::new(2);
    let leaver = quiet_worker(&executor, 0);
    let error = executor.worker(0, Waker::noop().clone()).unwrap_err();
    assert_eq!(error.to_string(), "there is a worker 0 already: drop it first, or take another number");
    let tasks = {
        let _entered = leaver.enter();
        [spawn(async { 1 }), spawn(async { 2 })]
    };
    drop(leaver);
    let stayer = quiet_worker(&executor, 1);
    let mut ran = 0;
    while ran < 2 {
        assert!(stayer.try_idle().is_none(), "there is work");
        ran += stayer.run_round();
    }
    assert_eq!(tasks.map(|task| block_on(task).unwrap()), [1, 2]);
    drop(quiet_worker(&executor, 0));
}

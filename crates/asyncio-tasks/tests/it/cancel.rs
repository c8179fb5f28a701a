//! Cancelling: once more polled, then dropped in place; inner before outer; shields; deadlines.

use std::cell::Cell;
use std::future::{Future, pending, poll_fn};
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use asyncio_executor::block_on;
use asyncio_tasks::{
    CancelHandle, Cancelled, Task, cancel_scope, guard, move_on_after, shield, spawn, spawn_local, timeout,
    timeout_at, timeout_scope, yield_now,
};
use asyncio_timers::{now, sleep};
use static_assertions::assert_impl_all;

use crate::support::{Log, Polls, ReadyAt, in_world};

assert_impl_all!(CancelHandle: Send, Sync, Clone);
assert_impl_all!(Cancelled: std::error::Error, Send, Sync);

const SECOND: Duration = Duration::from_secs(1);

fn poll_once<F: Future>(future: std::pin::Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

#[test]
fn a_body_that_was_never_polled_is_dropped_unpolled() {
    let log = Log::default();
    let polls = Cell::new(0);
    let out = block_on(cancel_scope(|scope| {
        scope.cancel();
        let on_drop = log.on_drop("body");
        let polls = &polls;
        async move {
            polls.set(1);
            let _on_drop = on_drop;
        }
    }));
    assert_eq!(out, Err(Cancelled::default()));
    assert_eq!(polls.get(), 0);
    assert_eq!(log.take(), ["body is dropped"]);
}

#[test]
fn a_body_is_polled_once_more_and_what_is_complete_is_kept() {
    for (polls_until_ready, expected) in [(1, Ok(7)), (2, Err(Cancelled::default()))] {
        let polls = Cell::new(0);
        let handle = Cell::new(None);
        let mut scope = pin!(cancel_scope(async |scope| {
            handle.set(Some(scope.handle()));
            Polls(&polls, ReadyAt(polls_until_ready)).await;
            7
        }));
        assert!(poll_once(scope.as_mut()).is_pending());
        let handle = handle.take().unwrap();
        assert!(handle.cancel());
        assert!(!handle.cancel(), "it knows");
        assert_eq!(poll_once(scope.as_mut()), Poll::Ready(expected));
        assert_eq!(polls.get(), 2);
    }
}

#[test]
fn cancelling_is_by_level() {
    // What comes after the cancellation does not wait either, though what was ready goes on.
    let log = Log::default();
    let out = block_on(cancel_scope(async |scope| {
        scope.cancel();
        log.add("what is ready goes on");
        yield_now().await;
        log.add("once more");
        let _ = timeout(SECOND, async { log.add("never polled: a scope in a cancelled one") }).await;
        log.add("not reached");
    }));
    assert!(out.is_err());
    assert_eq!(log.take(), ["what is ready goes on", "once more"]);
}

#[test]
fn a_scope_inside_ends_first_and_tells_nobody() {
    in_world(|world| {
        let log = Log::default();
        let task = spawn_local({
            let log = log.clone();
            async move {
                let inner = cancel_scope(async |_| {
                    let _guard = guard(log.closer("inner"), |closer| closer);
                    pending::<()>().await;
                });
                let _outer = guard(log.closer("outer"), |closer| closer);
                let _ = inner.await;
                log.add("the inner one has returned");
            }
        });
        world.settle();
        assert!(task.cancel());
        world.settle();
        assert!(task.is_cancelled());
        assert_eq!(log.take(), ["inner begins", "inner ends", "outer begins", "outer ends"]);
    });
}

#[test]
fn a_shield_is_waited_for() {
    in_world(|world| {
        let log = Log::default();
        let task = spawn_local({
            let log = log.clone();
            async move {
                shield(async {
                    sleep(SECOND).await;
                    log.add("shielded to its end");
                })
                .await;
                log.add("ready things go on");
                yield_now().await;
                log.add("not reached");
            }
        });
        world.settle();
        task.cancel();
        world.settle();
        assert!(!task.is_finished());
        world.advance(100 * SECOND);
        assert!(task.is_cancelled());
        assert_eq!(log.take(), ["shielded to its end", "ready things go on"]);
    });
}

#[test]
fn a_shield_that_makes_progress_outlasts_every_grace_period() {
    let reports = in_world(|world| {
        let task = spawn_local(async { shield(sleep(1000 * SECOND)).await });
        world.settle();
        task.cancel();
        for _ in 0..50 {
            world.advance(10 * SECOND);
        }
        assert!(!task.is_finished());
        world.advance(600 * SECOND);
        assert_eq!(block_on(task).unwrap(), (), "what was complete is kept");
    });
    assert_eq!(reports, [""; 0]);
}

#[test]
fn tasks_are_cancelled() {
    in_world(|world| {
        let polls = Log::default();
        let unpolled = spawn_local({
            let polls = polls.clone();
            async move { polls.add("polled") }
        });
        assert!(unpolled.cancel_because("no need"));
        assert!(!unpolled.cancel_because("another reason"));
        world.settle();
        assert!(unpolled.is_finished() && unpolled.is_cancelled());
        assert!(!unpolled.cancel(), "it has ended");
        let error = block_on(unpolled).unwrap_err();
        assert!(error.is_cancelled());
        assert_eq!(error.reason(), Some("no need"));
        assert_eq!(error.to_string(), "the task was cancelled: no need");
        assert!(polls.take().is_empty());

        let waiting = spawn_local(pending::<()>());
        world.settle();
        assert!(waiting.cancel());
        world.settle();
        assert!(block_on(waiting).unwrap_err().reason().is_none());

        let done = spawn_local(async { 5 });
        world.settle();
        assert!(!done.cancel());
        assert!(!done.is_cancelled());
        assert_eq!(block_on(done).unwrap(), 5);
    });
}

#[test]
fn a_task_that_has_completed_keeps_its_result() {
    in_world(|world| {
        let (sender, receiver) = futures::channel::oneshot::channel();
        let task = spawn_local(async { receiver.await.unwrap() });
        world.settle();
        sender.send(9).unwrap();
        task.cancel();
        world.settle();
        assert_eq!(block_on(task).unwrap(), 9);
    });
}

#[test]
fn a_task_that_cancels_itself_ends_at_its_next_wait() {
    in_world(|world| {
        let log = Log::default();
        let slot = std::rc::Rc::new(Cell::new(None::<Task<()>>));
        let me = slot.clone();
        let body = log.clone();
        slot.set(Some(spawn_local(async move {
            let task = me.take().unwrap();
            assert!(task.cancel());
            me.set(Some(task));
            body.add("on");
            yield_now().await;
            // The poll in which it was cancelled was not the one after.
            body.add("once more");
            yield_now().await;
            body.add("not reached");
        })));
        world.settle();
        assert!(slot.take().unwrap().is_cancelled());
        assert_eq!(log.take(), ["on", "once more"]);
    });
}

#[test]
fn a_task_is_cancelled_from_another_thread() {
    in_world(|world| {
        let task = spawn(pending::<()>());
        world.settle();
        std::thread::scope(|threads| {
            threads.spawn(|| assert!(task.cancel()));
        });
        world.settle();
        assert!(block_on(task).unwrap_err().is_cancelled());
    });
}

#[test]
fn of_two_deadlines_at_once_the_outer_one_tells() {
    in_world(|world| {
        let at = now() + SECOND;
        let both = spawn_local(timeout_at(at, timeout_at(at, pending::<()>())));
        let inner = spawn_local(timeout_at(at + SECOND, timeout_at(at, pending::<()>())));
        world.advance(SECOND);
        assert!(block_on(both).unwrap().is_err());
        assert!(block_on(inner).unwrap().unwrap().is_err());
    });
}

#[test]
fn a_deadline_moves() {
    in_world(|world| {
        let task = spawn_local(async {
            let mut seen = None;
            let out = timeout_scope(Some(now() + SECOND), async |timeout| {
                timeout.reschedule(Some(now() + 10 * SECOND));
                assert!(!timeout.has_expired());
                sleep(5 * SECOND).await;
                timeout.reschedule(None);
                sleep(100 * SECOND).await;
                timeout.reschedule(Some(now()));
                seen = timeout.deadline();
                sleep(SECOND).await;
            });
            let out = out.await;
            (out, seen.is_some())
        });
        for _ in 0..110 {
            world.advance(SECOND);
        }
        let (out, seen) = block_on(task).unwrap();
        assert!(out.is_err() && seen);
    });
}

#[test]
fn a_deadline_is_moved_from_outside_of_the_poll() {
    in_world(|world| {
        let handle = std::rc::Rc::new(Cell::new(None));
        let keep = handle.clone();
        let task = spawn_local(timeout_scope(None, async move |timeout| {
            keep.set(Some(timeout));
            pending::<()>().await;
        }));
        world.settle();
        handle.take().unwrap().reschedule(Some(now()));
        world.settle();
        world.advance(Duration::ZERO);
        assert!(block_on(task).unwrap().is_err());
    });
}

#[test]
fn move_on_after_gives_what_there_is() {
    in_world(|world| {
        let on = spawn_local(move_on_after(SECOND, pending::<()>()));
        let there = spawn_local(move_on_after(SECOND, async { 1 }));
        world.advance(SECOND);
        assert_eq!(block_on(on).unwrap(), None);
        assert_eq!(block_on(there).unwrap(), Some(1));
    });
}

#[test]
fn a_cancellation_wins_over_a_deadline_inside() {
    in_world(|world| {
        let log = Log::default();
        let after = log.clone();
        let task = spawn_local(async move {
            let _ = timeout(SECOND, pending::<()>()).await;
            after.add("not reached");
        });
        world.settle();
        task.cancel();
        world.advance(SECOND);
        assert!(task.is_cancelled());
        assert!(log.take().is_empty());
    });
}

#[test]
fn a_thousand_scopes_deep() {
    // Without optimisation a level takes more than 2 KiB of stack, and a test's thread has 2 MiB.
    let deep = std::thread::Builder::new().stack_size(32 << 20).spawn(thousand_deep);
    deep.unwrap().join().unwrap();
}

fn thousand_deep() {
    in_world(|world| {
        let mut body: std::pin::Pin<Box<dyn Future<Output = ()>>> = Box::pin(pending::<()>());
        for _ in 0..1000 {
            let inner = body;
            body = Box::pin(async { timeout(3600 * SECOND, inner).await.unwrap() });
        }
        let task = spawn_local(body);
        world.settle();
        task.cancel();
        world.settle();
        assert!(task.is_cancelled());
    });
}

#[test]
fn a_hundred_thousand_tasks_are_cancelled_and_cleaned_up() {
    in_world(|world| {
        let closed = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let tasks: Vec<_> = (0..100_000)
            .map(|_| {
                let closed = closed.clone();
                spawn_local(async move {
                    let _guard = guard(closed, |closed| async move {
                        closed.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    });
                    pending::<()>().await;
                })
            })
            .collect();
        world.settle();
        tasks.iter().for_each(|task| assert!(task.cancel()));
        world.settle();
        assert!(tasks.iter().all(Task::is_cancelled));
        assert_eq!(closed.load(std::sync::atomic::Ordering::Relaxed), 100_000);
    });
}

#[test]
fn a_scope_may_be_cancelled_while_it_is_polled_elsewhere() {
    // Two threads: one polls, the other cancels. A wake is not lost.
    for _ in 0..500 {
        let (sender, receiver) = std::sync::mpsc::channel();
        let canceller = std::thread::spawn(move || {
            let handle: CancelHandle = receiver.recv().unwrap();
            handle.cancel();
        });
        let out = block_on(cancel_scope(async |scope| {
            sender.send(scope.handle()).unwrap();
            poll_fn(|_| Poll::<()>::Pending).await;
        }));
        assert!(out.is_err());
        canceller.join().unwrap();
    }
}

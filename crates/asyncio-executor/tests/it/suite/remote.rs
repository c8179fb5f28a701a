//! Wakes from other threads: none is lost, and each wakes the parked owner.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::thread::Thread;

use asyncio_executor::LocalExecutor;

use super::executor_with;
use crate::support::Yield;

struct Unpark {
    thread: Thread,
    count: AtomicUsize,
}

impl std::task::Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.count.fetch_add(1, Ordering::SeqCst);
        self.thread.unpark();
    }
}

fn parking_executor() -> (LocalExecutor, Arc<Unpark>) {
    let unpark = Arc::new(Unpark { thread: std::thread::current(), count: AtomicUsize::new(0) });
    (executor_with(Waker::from(unpark.clone())), unpark)
}

#[test]
fn a_hundred_thousand_wakes_from_two_threads() {
    const ROUNDS: usize = 50_000;
    let (executor, _unpark) = parking_executor();
    let _entered = executor.enter();
    for _ in 0..2 {
        let turn = Arc::new(AtomicBool::new(false));
        let (sender, receiver) = std::sync::mpsc::sync_channel::<Waker>(1);
        let theirs = turn.clone();
        std::thread::spawn(move || {
            for waker in receiver {
                theirs.store(true, Ordering::Release);
                waker.wake();
            }
        });
        let mut left = ROUNDS;
        executor
            .spawn(std::future::poll_fn(move |cx: &mut Context<'_>| {
                if turn.swap(false, Ordering::AcqRel) {
                    left -= 1;
                } else if left != ROUNDS {
                    return Poll::Pending; // spurious
                }
                if left == 0 {
                    return Poll::Ready(());
                }
                sender.send(cx.waker().clone()).unwrap();
                if left == ROUNDS {
                    left -= 1;
                }
                Poll::Pending
            }))
            .detach();
    }
    while !executor.is_empty() {
        if executor.run_round() == 0 {
            std::thread::park();
        }
    }
}

#[test]
fn local_wakes_do_not_unpark() {
    let (executor, unpark) = parking_executor();
    let _entered = executor.enter();
    for _ in 0..10 {
        executor.spawn(async { Yield::default().await }).detach();
    }
    while executor.run_round() > 0 {}
    assert_eq!(unpark.count.load(Ordering::SeqCst), 0);
}

#[test]
fn two_executors_on_one_thread_do_not_mix() {
    let (outer, _) = parking_executor();
    let (inner, _) = parking_executor();
    let _outer = outer.enter();
    let task = outer.spawn(async move {
        let _inner = inner.enter();
        let task = inner.spawn(async {
            Yield::default().await;
            5
        });
        while inner.run_round() > 0 {}
        asyncio_executor::block_on(task)
    });
    while outer.run_round() > 0 {}
    assert_eq!(asyncio_executor::block_on(task), Some(Some(5)));
}

#[test]
fn under_local_pool_and_tokio() {
    // Somebody else's loop drives ours: guest mode in three lines.
    let drive = async {
        let (executor, _) = parking_executor();
        let task = executor.spawn(async {
            Yield::default().await;
            9
        });
        while executor.run_round() > 0 {
            Yield::default().await;
        }
        task.await
    };
    assert_eq!(futures::executor::LocalPool::new().run_until(drive), Some(9));
    let drive = async {
        let (executor, _) = parking_executor();
        let task = executor.spawn(async { 9 });
        executor.run_round();
        task.await
    };
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    assert_eq!(runtime.block_on(drive), Some(9));
}

#[test]
fn guards_may_be_dropped_in_any_order_or_never() {
    use asyncio_executor::{TaskOptions, spawn_local};
    std::thread::spawn(|| {
        let (a, _) = parking_executor();
        let (b, _) = parking_executor();
        let guards = vec![a.enter(), b.enter(), a.enter()];
        drop(guards); // first in, first out: not the order of a stack
        drop(a);
        assert!(spawn_local(TaskOptions::here(), async {}).is_err(), "nothing is entered any more");
        std::mem::forget(b.enter());
        drop(b);
        let late = spawn_local(TaskOptions::here(), async { 1 }).unwrap();
        assert_eq!(asyncio_executor::block_on(late), None, "entered for ever, but closed");
        let (c, _) = parking_executor();
        let _entered = c.enter();
        let task = spawn_local(TaskOptions::here(), async { 2 }).unwrap();
        assert_eq!(c.run_round(), 1);
        assert_eq!(asyncio_executor::block_on(task), Some(2));
    })
    .join()
    .unwrap();
}

//! Closing drops every future in place, on its own thread, whatever else happens meanwhile.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Poll, Wake, Waker};

use asyncio_executor::{Handle, LocalExecutor, TaskOptions, block_on, spawn_local};

use super::executor;
use crate::support::{Drops, Yield};

#[test]
fn every_future_is_dropped_whatever_its_state() {
    let mut executor = executor();
    let drops = Drops::default();
    let unpolled = executor.spawn({
        let guard = drops.guard();
        async move { drop(guard) }
    });
    let waiting = {
        let guard = drops.guard();
        executor.spawn(async move {
            let _guard = guard;
            std::future::pending::<()>().await;
        })
    };
    {
        let guard = drops.guard();
        executor
            .spawn(async move {
                let _guard = guard;
                loop {
                    Yield::default().await;
                }
            })
            .detach();
    }
    executor.run_up_to(0);
    assert_eq!(executor.len(), 3);
    executor.close();
    assert_eq!((drops.get(), executor.len()), (3, 0));
    assert_eq!(block_on(unpolled), None);
    assert_eq!(block_on(waiting), None);
    assert_eq!(executor.run_round(), 0);
    assert_eq!(block_on(executor.spawn(async { 1 })), None, "spawned too late");
}

#[test]
fn a_late_waker_wakes_nothing() {
    let executor = executor();
    let kept = Rc::new(RefCell::new(None));
    let slot = kept.clone();
    executor
        .spawn(std::future::poll_fn(move |cx| {
            *slot.borrow_mut() = Some(cx.waker().clone());
            Poll::<()>::Pending
        }))
        .detach();
    executor.run_round();
    drop(executor);
    let waker: Waker = kept.take().unwrap();
    waker.wake_by_ref();
    std::thread::spawn(move || waker.wake()).join().unwrap();
}

#[test]
fn what_a_drop_spawns_is_dropped_too() {
    struct Spawns(Drops);
    impl Drop for Spawns {
        fn drop(&mut self) {
            let guard = self.0.guard();
            let task = spawn_local(TaskOptions::here(), async move { drop(guard) });
            task.unwrap().detach();
        }
    }
    let executor = executor();
    let drops = Drops::default();
    for _ in 0..3 {
        let spawns = Spawns(drops.clone());
        executor
            .spawn(async move {
                let _spawns = spawns;
                std::future::pending::<()>().await;
            })
            .detach();
    }
    {
        let _entered = executor.enter();
        executor.run_round();
    }
    drop(executor);
    assert_eq!(drops.get(), 3);
}

#[test]
fn tasks_that_hold_each_others_wakers_and_handles_are_freed() {
    let executor = executor();
    let drops = Drops::default();
    let _entered = executor.enter();
    let guards: Vec<_> = (0..10).map(|_| drops.guard()).collect();
    let mut previous = None;
    for guard in guards {
        let awaited = previous.take();
        previous = Some(executor.spawn(async move {
            let _guard = guard;
            match awaited {
                Some(task) => drop::<Option<()>>(task_output(task).await),
                None => std::future::pending().await,
            }
        }));
    }
    while executor.run_round() > 0 {}
    drop(previous);
    drop(executor);
    assert_eq!(drops.get(), 10);
}

async fn task_output(task: asyncio_executor::Handle<()>) -> Option<()> {
    task.await
}

/// RUSTSEC-2021-0072 in tokio: a wake from elsewhere while the executor closes dropped a future on the wrong thread.
#[test]
fn remote_wakes_during_closing() {
    for _ in 0..300 {
        let executor = executor();
        let drops = Drops::default();
        let (sender, receiver) = std::sync::mpsc::channel::<Waker>();
        for _ in 0..20 {
            let (guard, sender) = (drops.guard(), sender.clone());
            executor
                .spawn(std::future::poll_fn(move |cx| {
                    let _ = &guard;
                    sender.send(cx.waker().clone()).unwrap();
                    Poll::<()>::Pending
                }))
                .detach();
        }
        drop(sender);
        executor.run_round();
        let waking = std::thread::spawn(move || {
            let wakers: Vec<Waker> = (0..20).map(|_| receiver.recv().unwrap()).collect();
            wakers.iter().for_each(Waker::wake_by_ref);
            wakers.into_iter().for_each(Waker::wake);
        });
        drop(executor);
        waking.join().unwrap();
        assert_eq!(drops.get(), 20);
    }
}

/// The queue keeps it, so it tells whether the queue is gone.
struct Unpark;

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {}
}

/// It is twice among what comes from elsewhere: once as a new task, and once as one that was woken.
#[test]
fn one_that_was_cancelled_before_its_executor_knew_of_it_ends_once() {
    let unpark = Arc::new(Unpark);
    let executor = LocalExecutor::new(Waker::from(unpark.clone()));
    let spawner = executor.spawner();
    let spawned = std::thread::spawn(move || {
        let tasks = [(); 3].map(|()| spawner.spawn(TaskOptions::here(), async { 1 }).unwrap());
        assert!(tasks.iter().all(Handle::request_cancel));
        tasks
    });
    let [kept, detached, dropped] = spawned.join().unwrap();
    detached.detach();
    drop(executor);
    drop(dropped);
    assert_eq!(block_on(kept), None);
    assert_eq!(Arc::strong_count(&unpark), 1, "the queue is gone");
}

#[test]
fn one_that_closes_its_executor_when_it_has_woken_itself_goes_with_it() {
    let unpark = Arc::new(Unpark);
    let executor = Rc::new(RefCell::new(Some(LocalExecutor::new(Waker::from(unpark.clone())))));
    let entered = executor.borrow().as_ref().unwrap().enter();
    let closing = executor.clone();
    let options = TaskOptions::here().eager(true);
    let task = spawn_local(
        options,
        std::future::poll_fn(move |cx| {
            cx.waker().wake_by_ref();
            drop(closing.take());
            Poll::<()>::Pending
        }),
    );
    drop(entered);
    assert_eq!(block_on(task.unwrap()), None);
    assert_eq!(Arc::strong_count(&unpark), 1, "the queue is gone");
}

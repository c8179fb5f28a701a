//! Scopes under the combinators and executors of others.

use std::future::{Future, pending};
use std::time::Duration;

use asyncio_executor::block_on;
use asyncio_tasks::{cancel_scope, guard, join, shield, spawn_local, timeout, yield_now};
use asyncio_timers::sleep;
use futures::FutureExt;
use futures::stream::{FuturesUnordered, StreamExt};

use crate::support::{Log, in_world};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_lost_select_is_cleaned_up_by_the_scope_around() {
    in_world(|world| {
        let log = Log::default();
        let body = log.clone();
        let task = spawn_local(async move {
            let loser = async {
                let _guard = guard(body.closer("loser"), |closer| closer);
                pending::<()>().await;
            };
            futures::select! {
                () = timeout(SECOND, loser).map(drop).fuse() => unreachable!(),
                () = yield_now().fuse() => body.add("select has returned"),
            }
            tokio::select! {
                biased;
                _ = timeout(SECOND, async {
                    let _guard = guard(body.closer("tokio's loser"), |closer| closer);
                    pending::<()>().await;
                }) => unreachable!(),
                () = yield_now() => body.add("tokio's has returned"),
            }
        });
        world.settle();
        block_on(task).unwrap();
        let seen = log.take();
        for what in ["loser ends", "tokio's loser ends"] {
            assert!(seen.iter().any(|seen| seen == what), "{what} in {seen:?}");
        }
    });
}

/// The children have wakers of their own and are polled only when those are woken: a cancellation wakes them.
#[test]
fn scopes_with_wakers_of_their_own_are_woken_by_a_cancellation() {
    in_world(|world| {
        let log = Log::default();
        let body = log.clone();
        let task = spawn_local(async move {
            let mut children: FuturesUnordered<_> = (0..3)
                .map(|_| {
                    let body = body.clone();
                    cancel_scope(async move |_| {
                        let _shielded = shield(async {
                            sleep(SECOND).await;
                            body.add("shield ends");
                        })
                        .await;
                        let _guard = guard(body.closer("child"), |closer| closer);
                        pending::<()>().await;
                    })
                })
                .collect();
            while children.next().await.is_some() {}
        });
        world.settle();
        task.cancel();
        world.settle();
        assert!(!task.is_finished());
        world.advance(SECOND);
        assert!(task.is_cancelled());
        let seen = log.take();
        assert_eq!(seen.iter().filter(|seen| *seen == "shield ends").count(), 3);
        assert_eq!(seen.iter().filter(|seen| *seen == "child ends").count(), 3, "{seen:?}");
    });
}

/// A join with a waker of its own is polled only when it is woken: a cancellation wakes it, so that its branches end each for itself.
#[test]
fn a_join_with_a_waker_of_its_own_is_woken_by_a_cancellation() {
    in_world(|world| {
        let log = Log::default();
        let body = log.clone();
        let task = spawn_local(async move {
            let both = async {
                join!(shield(sleep(SECOND)), async {
                    let _guard = guard(body.closer("branch"), |closer| closer);
                    pending::<()>().await;
                })
            };
            let mut children: FuturesUnordered<_> = [both].into_iter().collect();
            while children.next().await.is_some() {}
        });
        world.settle();
        task.cancel();
        world.settle();
        assert_eq!(log.take(), ["branch begins", "branch ends"]);
        assert!(!task.is_finished());
        world.advance(SECOND);
        assert!(task.is_cancelled());
    });
}

/// An operation of such a child that has completed is not lost.
#[test]
fn what_a_child_with_a_waker_of_its_own_has_completed_is_kept() {
    in_world(|world| {
        let (sender, receiver) = futures::channel::oneshot::channel::<u8>();
        let log = Log::default();
        let body = log.clone();
        let task = spawn_local(async move {
            let mut children: FuturesUnordered<_> = FuturesUnordered::new();
            children.push(timeout(SECOND, async { receiver.await.unwrap() }));
            while let Some(out) = children.next().await {
                body.add(format!("{out:?}"));
            }
        });
        world.settle();
        sender.send(4).unwrap();
        task.cancel();
        world.settle();
        block_on(task).unwrap();
        assert_eq!(log.take(), ["Ok(4)"]);
    });
}

#[test]
fn under_local_pool_and_tokio() {
    async fn program(log: Log) {
        let out = cancel_scope(async |scope| {
            let _guard = guard(log.closer("guard"), |closer| closer);
            scope.cancel();
            pending::<()>().await;
        });
        assert!(out.await.is_err());
        log.add("returned");
        let short = timeout(Duration::from_millis(1), pending::<()>());
        assert!(short.await.is_err());
    }
    fn check(run: impl FnOnce(std::pin::Pin<Box<dyn Future<Output = ()>>>)) {
        let log = Log::default();
        run(Box::pin(program(log.clone())));
        assert_eq!(log.take(), ["guard begins", "guard ends", "returned"]);
    }
    check(|program| futures::executor::LocalPool::new().run_until(program));
    check(|program| tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(program));
    check(block_on);
}

//! `join!`, `try_join!` and `race!`: who is waited for, who is dropped, and what goes on.

use std::future::{pending, ready};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use asyncio_executor::block_on;
use asyncio_tasks::{guard, join, race, shield, spawn_local, try_join, yield_now};
use asyncio_timers::sleep;

use crate::support::{Log, in_world};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn join_gives_all_in_order() {
    block_on(async {
        let out = join!(
            async {
                yield_now().await;
                1
            },
            ready("two"),
            async { 3.0 }
        );
        assert_eq!(out, (1, "two", 3.0));
        assert_eq!(join!(ready(1)), (1,));
    });
}

#[test]
fn a_race_returns_when_its_losers_are_closed() {
    in_world(|world| {
        let log = Log::default();
        let body = log.clone();
        let task = spawn_local(async move {
            let out = race!(
                async {
                    let _guard = guard(body.closer("loser"), |closer| closer);
                    pending().await
                },
                async {
                    yield_now().await;
                    body.add("wins");
                    1
                },
                async {
                    let _on_drop = body.on_drop("another loser");
                    pending().await
                }
            );
            body.add("returned");
            out
        });
        world.settle();
        assert_eq!(block_on(task).unwrap(), 1);
        assert_eq!(
            log.take(),
            ["wins", "loser begins", "another loser is dropped", "loser ends", "returned"]
        );
    });
}

#[test]
fn a_loser_is_not_polled_again() {
    let polls = std::cell::Cell::new(0);
    block_on(async {
        let loser = std::future::poll_fn(|_| {
            polls.set(polls.get() + 1);
            // A second poll would take something that is then lost.
            if polls.get() > 1 { std::task::Poll::Ready(0) } else { std::task::Poll::Pending }
        });
        assert_eq!(race!(loser, async { 1 }), 1);
        assert_eq!(race!(async { 2 }, async { unreachable!() }), 2);
    });
    assert_eq!(polls.get(), 1);
}

#[test]
fn a_race_waits_for_a_loser_that_is_shielded() {
    in_world(|world| {
        let log = Log::default();
        let body = log.clone();
        let task = spawn_local(async move {
            race!(
                async {
                    shield(sleep(SECOND)).await;
                    body.add("the shield has ended");
                    pending().await
                },
                yield_now()
            );
        });
        world.settle();
        assert!(!task.is_finished());
        world.advance(SECOND);
        assert!(task.is_finished());
        assert_eq!(log.take(), ["the shield has ended"]);
    });
}

#[test]
fn a_winner_is_kept_when_the_task_is_cancelled_meanwhile() {
    in_world(|world| {
        let (sender, receiver) = futures::channel::oneshot::channel::<u8>();
        let task = spawn_local(async move { race!(async { receiver.await.unwrap() }, pending()) });
        world.settle();
        sender.send(3).unwrap();
        task.cancel();
        world.settle();
        assert_eq!(block_on(task).unwrap(), 3);
    });
}

#[test]
fn try_join_gives_the_first_error_when_the_others_are_closed() {
    in_world(|world| {
        let log = Log::default();
        let body = log.clone();
        let task = spawn_local(async move {
            let out: Result<((), (), ()), &str> = try_join!(
                async {
                    let _guard = guard(body.closer("first"), |closer| closer);
                    pending().await
                },
                async {
                    yield_now().await;
                    Err("no")
                },
                async {
                    yield_now().await;
                    yield_now().await;
                    Err("too late")
                }
            );
            body.add(out.unwrap_err());
            let both: Result<_, ()> = try_join!(ready(Ok(1)), ready(Ok(2)));
            assert_eq!(both, Ok((1, 2)));
        });
        world.settle();
        block_on(task).unwrap();
        assert_eq!(log.take(), ["first begins", "first ends", "no"]);
    });
}

#[test]
fn a_panic_goes_on_when_the_others_have_ended() {
    let log = Log::default();
    let panic = catch_unwind(AssertUnwindSafe(|| {
        block_on(async {
            join!(
                async {
                    let _guard = guard(log.closer("other"), |closer| closer);
                    pending::<()>().await;
                },
                async { panic!("a branch panics on purpose") }
            )
        })
    }));
    assert_eq!(asyncio_base::panic::message(&*panic.unwrap_err()), "a branch panics on purpose");
    assert_eq!(log.take(), ["other begins", "other ends"]);
}

#[test]
fn branches_end_each_for_itself_when_cancelled() {
    in_world(|world| {
        let log = Log::default();
        let body = log.clone();
        let task = spawn_local(async move {
            join!(
                async {
                    let _on_drop = body.on_drop("the one that waits");
                    pending::<()>().await;
                },
                async {
                    shield(sleep(SECOND)).await;
                    body.add("the shield has ended");
                    yield_now().await;
                    body.add("not reached");
                }
            )
        });
        world.settle();
        task.cancel();
        world.settle();
        assert_eq!(log.take(), ["the one that waits is dropped"]);
        world.advance(SECOND);
        assert_eq!(log.take(), ["the shield has ended"]);
        assert!(task.is_cancelled());
    });
}

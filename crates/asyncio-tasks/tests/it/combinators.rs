//! Several futures together: who is waited for, who is dropped, and what goes on.

use std::cell::Cell;
use std::future::{pending, ready};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use asyncio_executor::block_on;
use asyncio_tasks::{
    WaitFor, as_completed, first_ok, gather, gather_all, guard, join, race, shield, spawn_local, try_join,
    wait, yield_now,
};
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

#[test]
fn gather_drops_the_others_on_an_error_and_waits_for_their_clean_up() {
    in_world(|world| {
        let log = Log::default();
        let body = log.clone();
        let task = spawn_local(async move {
            let out = gather((0..3).map(|n| {
                let body = &body;
                async move {
                    let _guard = guard(body.closer(["a", "b", "c"][n]), |closer| closer);
                    if n == 1 {
                        yield_now().await;
                        return Err("no");
                    }
                    pending::<Result<(), _>>().await
                }
            }))
            .await;
            body.add("returned");
            out
        });
        world.settle();
        assert_eq!(block_on(task).unwrap(), Err("no"));
        let seen = log.take();
        assert_eq!(seen.last().map(String::as_str), Some("returned"));
        for what in ["a ends", "b ends", "c ends"] {
            assert!(seen.iter().any(|seen| seen == what), "{what} in {seen:?}");
        }
    });
}

#[test]
fn gather_polls_only_who_was_woken() {
    let polls = Cell::new(0);
    block_on(gather_all((0..100).map(|n| {
        let polls = &polls;
        async move {
            let mut left = if n == 50 { 100 } else { 0 };
            std::future::poll_fn(|cx| {
                polls.set(polls.get() + 1);
                if left == 0 {
                    return std::task::Poll::Ready(());
                }
                left -= 1;
                cx.waker().wake_by_ref();
                std::task::Poll::Pending
            })
            .await;
        }
    })));
    assert_eq!(polls.get(), 200);
}

#[test]
fn gather_of_many_is_cancelled() {
    in_world(|world| {
        let log = Log::default();
        let body = log.clone();
        let task = spawn_local(async move {
            gather_all((0..100).map(|n| {
                let body = body.clone();
                async move {
                    if n == 7 {
                        shield(sleep(SECOND)).await;
                    }
                    let _on_drop = body.on_drop("one");
                    pending::<()>().await;
                }
            }))
            .await
        });
        world.settle();
        task.cancel();
        world.settle();
        assert_eq!(log.take().len(), 99, "each ends for itself");
        world.advance(SECOND);
        assert!(task.is_cancelled());
        assert_eq!(log.take().len(), 1);
    });
}

#[test]
fn a_panic_in_a_gather_goes_on_when_the_others_have_ended() {
    let log = Log::default();
    let panic = catch_unwind(AssertUnwindSafe(|| {
        block_on(gather_all((0..3).map(|n| {
            let log = &log;
            async move {
                let _guard = guard(log.closer("one"), |closer| closer);
                assert!(n != 1, "a child panics on purpose");
                pending::<()>().await;
            }
        })))
    }));
    assert_eq!(asyncio_base::panic::message(&*panic.unwrap_err()), "a child panics on purpose");
    assert_eq!(log.take().iter().filter(|what| *what == "one ends").count(), 3);
}

#[test]
fn first_ok_of_none_is_an_empty_list() {
    let none = std::iter::empty::<std::future::Ready<Result<(), ()>>>();
    assert_eq!(block_on(first_ok(none)), Err(vec![]));
    assert_eq!(block_on(gather(std::iter::empty::<std::future::Ready<Result<(), ()>>>())), Ok(vec![]));
}

#[test]
fn wait_cancels_nothing() {
    in_world(|world| {
        let waiter = spawn_local(async {
            let tasks = vec![
                spawn_local(async {
                    sleep(2 * SECOND).await;
                    "slow"
                }),
                spawn_local(async {
                    sleep(SECOND / 2).await;
                    "quick"
                }),
            ];
            let (done, pending) = wait(tasks, WaitFor::First, Some(SECOND)).await;
            assert_eq!((done.len(), pending.len()), (1, 1));
            let (none, pending) = wait(pending, WaitFor::All, Some(SECOND)).await;
            assert_eq!((none.len(), pending.len()), (0, 1));
            let (all, none) = wait(pending, WaitFor::All, None).await;
            assert!(none.is_empty());
            let mut words = Vec::new();
            for task in done.into_iter().chain(all) {
                words.push(task.await.unwrap());
            }
            words
        });
        for _ in 0..10 {
            world.advance(SECOND / 2);
        }
        assert!(waiter.is_finished());
        assert_eq!(block_on(waiter).unwrap(), ["quick", "slow"]);
    });
}

#[test]
fn wait_for_the_first_error_is_for_a_panic() {
    in_world(|world| {
        let waiter = spawn_local(async {
            let bad = spawn_local(async { panic!("a task panics on purpose") });
            let tasks = vec![spawn_local(pending::<()>()), spawn_local(async {}), bad];
            let (done, left) = wait(tasks, WaitFor::FirstError, None).await;
            assert_eq!((done.len(), left.len()), (2, 1));
        });
        world.settle();
        assert!(waiter.is_finished());
        block_on(waiter).unwrap();
    });
}

#[test]
fn as_completed_gives_what_there_is_and_drops_the_rest() {
    use futures::StreamExt;
    in_world(|world| {
        let log = Log::default();
        let body = log.clone();
        let task = spawn_local(async move {
            let mut outputs = as_completed((0..3_u32).map(|n| {
                let body = body.clone();
                async move {
                    let _on_drop = body.on_drop("one");
                    sleep((3 - n) * SECOND).await;
                    n
                }
            }));
            assert_eq!(futures::Stream::size_hint(&outputs), (3, Some(3)));
            [outputs.next().await, outputs.next().await]
        });
        for _ in 0..2 {
            world.advance(SECOND);
        }
        assert!(task.is_finished());
        assert_eq!(block_on(task).unwrap(), [Some(2), Some(1)]);
        assert_eq!(log.take().len(), 3);
    });
}

//! What a reader who wanted to break it came up with.

use std::cell::Cell;
use std::future::{Future, pending, poll_fn};
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use asyncio_base::budget;
use asyncio_executor::{LocalExecutor, block_on};
use asyncio_tasks::{
    cancel_scope, gather, guard, join, race, shield, spawn_local, timeout, timeout_at, yield_now,
};
use asyncio_timers::{now, sleep};
use futures::FutureExt;

use crate::support::{Log, in_world, poll_and_leak};

const SECOND: Duration = Duration::from_secs(1);

/// `timeout(d, future.as_mut())` in a loop: what is inside of the future is not hurt by a deadline around the reference.
#[test]
fn a_future_by_reference_goes_on_after_a_timeout() {
    in_world(|world| {
        let task = spawn_local(async {
            let mut job = pin!(timeout(60 * SECOND, async {
                let both = join!(sleep(5 * SECOND), async {
                    cancel_scope(async |_| sleep(4 * SECOND).await).await.unwrap();
                    gather((1..3).map(|n| async move {
                        sleep(n * SECOND).await;
                        Ok::<_, ()>(n)
                    }))
                    .await
                });
                both.1
            }));
            let mut times = 0;
            loop {
                if let Ok(out) = timeout(SECOND, job.as_mut()).await {
                    return (out.unwrap().unwrap(), times);
                }
                times += 1;
            }
        });
        for _ in 0..10 {
            world.advance(SECOND);
        }
        assert!(task.is_finished());
        let (out, times) = block_on(task).unwrap();
        assert_eq!(out, [1, 2]);
        assert!(times >= 4, "{times}");
    });
}

/// In a set of somebody else's, too, whose parts are polled only when they are woken.
#[test]
fn a_set_by_reference_goes_on_after_a_timeout() {
    use futures::stream::{FuturesUnordered, StreamExt};
    in_world(|world| {
        let task = spawn_local(async {
            let mut set: FuturesUnordered<_> = (0..3)
                .map(|n| async move {
                    sleep(SECOND).await;
                    // Its first poll comes together with the deadline.
                    timeout(60 * SECOND, sleep(n * SECOND)).await
                })
                .collect();
            let mut ended = 0;
            while ended < 3 {
                if let Ok(Some(out)) = timeout(SECOND, set.next()).await {
                    out.unwrap();
                    ended += 1;
                }
            }
        });
        for _ in 0..10 {
            world.advance(SECOND);
        }
        assert!(task.is_finished());
    });
}

/// Where some were dropped because another one held the scope, there is nothing to go on with, and that is said.
#[test]
#[should_panic(expected = "after the scope around them had been cancelled")]
fn a_join_of_which_parts_were_dropped_says_so() {
    block_on(async {
        let mut both = pin!(async { join!(pending::<()>(), shield(sleep(Duration::from_millis(5)))) });
        assert!(timeout(Duration::from_millis(1), both.as_mut()).await.is_err());
        both.await;
    });
}

#[test]
fn block_on_in_a_drop_is_not_cancelled() {
    struct Connection(mpsc::Sender<bool>);
    impl Drop for Connection {
        fn drop(&mut self) {
            let out = block_on(timeout(SECOND, async { yield_now().await }));
            self.0.send(out.is_ok()).unwrap();
        }
    }
    let (told, hears) = mpsc::channel();
    in_world(|world| {
        let connection = Connection(told.clone());
        let task = spawn_local(async move {
            drop(timeout(SECOND, async move {
                let _connection = connection;
                pending::<()>().await;
            }));
            let _another = Connection(told);
            pending::<()>().await;
        });
        world.settle();
        task.cancel();
        world.settle();
    });
    assert_eq!(hears.iter().collect::<Vec<_>>(), [true, true]);
}

/// It was polled once more, and then never again.
#[test]
fn a_shield_that_is_given_up_after_the_cancellation_does_not_hold_for_ever() {
    let reports = in_world(|world| {
        let task = spawn_local(async {
            timeout(SECOND, async {
                let shielded = pin!(shield(sleep(Duration::from_secs(3600))));
                let short = pin!(shield(sleep(2 * SECOND)));
                futures::future::select(shielded, short).await;
                pending::<()>().await;
            })
            .await
        });
        for _ in 0..3 {
            world.advance(SECOND);
        }
        // In a while it is looked whether it is still polled; then it has its time.
        for _ in 0..2 {
            assert!(!task.is_finished());
            world.advance(10 * SECOND);
        }
        assert!(task.is_finished());
        assert!(block_on(task).unwrap().is_err());
    });
    assert_eq!(reports.len(), 1, "{reports:?}");
}

#[test]
fn what_is_dropped_whole_is_closed_from_inside_out() {
    in_world(|world| {
        let log = Log::default();
        let body = log.clone();
        let task = spawn_local(async move {
            race!(
                async {
                    let _connection = guard(body.closer("connection"), |closer| closer);
                    let _ = timeout(SECOND, async {
                        let _transaction = guard(body.closer("transaction"), |closer| closer);
                        pending::<()>().await;
                    })
                    .await;
                },
                yield_now()
            );
        });
        world.settle();
        block_on(task).unwrap();
        let order = ["transaction begins", "transaction ends", "connection begins", "connection ends"];
        assert_eq!(log.take(), order);
    });
}

/// The time that a leaked hold has used up is not that of the clean-up.
#[test]
fn clean_up_after_a_leak_has_its_own_time() {
    let log = Log::default();
    let body = log.clone();
    let reports = in_world(|world| {
        let task = spawn_local(async move {
            poll_and_leak(shield(pending::<()>())).await;
            let _guard = guard(body.closer("guard"), |closer| closer);
            pending::<()>().await;
        });
        world.settle();
        task.cancel();
        world.advance(10 * SECOND);
        assert!(task.is_cancelled());
    });
    assert_eq!(log.take(), ["guard begins", "guard ends"]);
    assert_eq!(reports.len(), 1, "the leak alone: {reports:?}");
}

/// The poll that comes with a deadline has a budget of its own.
#[test]
fn what_is_ready_at_the_deadline_is_not_refused_for_a_spent_budget() {
    in_world(|_| {
        let leaf = || {
            poll_fn(|cx| {
                std::task::ready!(budget::poll_proceed(cx));
                budget::spend();
                Poll::Ready(())
            })
        };
        let mut both = pin!(timeout_at(now(), async {
            leaf().await;
            leaf().await;
            7
        }));
        let mut cx = Context::from_waker(Waker::noop());
        assert!(budget::with_budget(1, || both.as_mut().poll(&mut cx)).is_pending());
        assert_eq!(budget::with_budget(1, || both.as_mut().poll(&mut cx)), Poll::Ready(Ok(7)));
    });
}

#[test]
fn closers_that_register_closers_without_end_do_not_keep_the_thread() {
    fn again(count: Arc<AtomicUsize>) {
        drop(guard((), move |()| async move {
            if count.fetch_add(1, Ordering::Relaxed) < 100_000 {
                again(count);
            }
        }));
    }
    in_world(|world| {
        let count = Arc::new(AtomicUsize::new(0));
        let counted = count.clone();
        let task = spawn_local(async move { again(counted) });
        world.executor.run_round();
        assert!(count.load(Ordering::Relaxed) < 1_000, "one poll does not do them all");
        world.settle();
        block_on(task).unwrap();
        assert_eq!(count.load(Ordering::Relaxed), 100_001);
    });
}

#[test]
fn of_two_deadlines_that_are_over_before_the_outer_one_tells() {
    in_world(|world| {
        let past = now();
        world.advance(SECOND);
        let task = spawn_local(timeout_at(past, timeout_at(past, pending::<()>())));
        world.settle();
        assert!(block_on(task).unwrap().is_err());
    });
}

#[test]
fn a_task_that_is_dropped_in_its_clean_up_was_cancelled() {
    let mut executor = LocalExecutor::new(Waker::noop().clone());
    let entered = executor.enter();
    let task = spawn_local(async {
        let _guard = guard((), |()| pending());
    });
    while executor.run_round() > 0 {}
    assert!(!task.is_finished());
    drop(entered);
    executor.close();
    assert!(task.is_cancelled());
    assert!(block_on(task).unwrap_err().is_cancelled());
}

/// A handle that is kept does not keep what it cannot cancel any more.
#[test]
fn a_handle_does_not_keep_its_task() {
    in_world(|world| {
        let kept = Arc::new(());
        let inside = kept.clone();
        let handle = std::rc::Rc::new(Cell::new(None));
        let slot = handle.clone();
        let task = spawn_local(async move {
            cancel_scope(async |scope| {
                slot.set(Some(scope.handle()));
                yield_now().await;
                drop(inside);
            })
            .await
        });
        world.settle();
        drop(task);
        assert_eq!(Arc::strong_count(&kept), 1);
        assert!(handle.take().is_some_and(|handle| handle.cancel()), "it may still be asked");
    });
}

/// The scope that was left to the one around it has a time for its clean-up, too.
#[test]
fn a_stuck_closer_in_a_branch_is_cut_off() {
    let reports = in_world(|world| {
        let task = spawn_local(timeout(SECOND, async {
            join!(async {
                drop(guard((), |()| pending()));
                pending::<()>().await;
            })
        }));
        world.advance(SECOND);
        assert!(!task.is_finished());
        world.advance(10 * SECOND);
        assert!(task.is_finished());
    });
    assert!(reports[0].contains("cut off after 10s"), "{reports:?}");
}

/// Both deadlines come in one poll: the inner one is silent, and tells whoever goes on with it.
#[test]
fn a_scope_that_was_silent_tells_later() {
    use futures::stream::{FuturesUnordered, StreamExt};
    in_world(|world| {
        let task = spawn_local(async {
            let mut set: FuturesUnordered<_> = [timeout(SECOND, pending::<()>())].into_iter().collect();
            loop {
                if let Ok(Some(out)) = timeout(SECOND, set.next()).await {
                    return out;
                }
            }
        });
        for _ in 0..5 {
            world.advance(SECOND);
        }
        assert!(task.is_finished());
        assert!(block_on(task).unwrap().is_err());
    });
}

/// A scope stands between the reference and the set.
#[test]
fn a_scope_by_reference_with_a_set_in_it_goes_on() {
    use futures::stream::{FuturesUnordered, StreamExt};
    let reports = in_world(|world| {
        let task = spawn_local(async {
            let mut job = pin!(timeout(10 * SECOND, async {
                let mut set: FuturesUnordered<_> = (0..2_u32)
                    .map(|n| async move {
                        sleep((n + 1) * SECOND).await;
                        // The first of them comes together with the deadline around.
                        timeout(60 * SECOND, sleep(SECOND)).await.unwrap();
                        shield(sleep(30 * SECOND)).await;
                        n
                    })
                    .collect();
                let mut ended = Vec::new();
                while let Some(n) = set.next().await {
                    ended.push(n);
                }
                ended
            }));
            assert!(timeout(SECOND, job.as_mut()).await.is_err());
            job.await
        });
        for _ in 0..40 {
            world.advance(SECOND);
        }
        assert!(task.is_finished());
        assert_eq!(block_on(task).unwrap(), Ok(vec![0, 1]), "what was complete is kept");
    });
    assert_eq!(reports, [""; 0], "no shield was taken for leaked");
}

/// Nothing had to be dropped: then what is complete is kept.
#[test]
fn a_join_of_which_nothing_was_dropped_is_kept() {
    in_world(|world| {
        let commit = || shield(sleep(2 * SECOND));
        let joined = spawn_local(timeout(SECOND, async move { join!(async { 1 }, commit()).0 }));
        let gathered = spawn_local(timeout(SECOND, async move {
            gather([commit()].map(|shield| shield.map(Ok::<_, ()>))).await
        }));
        world.advance(SECOND);
        world.advance(SECOND);
        assert_eq!(block_on(joined).unwrap(), Ok(1));
        assert_eq!(block_on(gathered).unwrap(), Ok(Ok(vec![()])));
    });
}

#[test]
fn a_panic_behind_a_shield_is_not_swallowed() {
    in_world(|world| {
        let bad = || {
            shield(async {
                sleep(2 * SECOND).await;
                panic!("a shield panics on purpose");
            })
        };
        let joined = spawn_local(timeout(SECOND, async move { join!(pending::<()>(), bad()) }));
        let gathered = spawn_local(timeout(SECOND, async move {
            asyncio_tasks::gather_all((0..2).map(|n| async move {
                if n == 0 {
                    pending::<()>().await;
                }
                bad().await
            }))
            .await
        }));
        for _ in 0..3 {
            world.advance(SECOND);
        }
        assert!(joined.is_finished() && gathered.is_finished());
        assert!(block_on(joined).unwrap_err().is_panic());
        assert!(block_on(gathered).unwrap_err().is_panic());
    });
}

#[test]
fn a_leaked_hold_does_not_end_a_shield_that_goes_on() {
    let log = Log::default();
    let body = log.clone();
    in_world(|world| {
        let task = spawn_local(timeout(SECOND, async move {
            poll_and_leak(shield(pending::<()>())).await;
            shield(async {
                sleep(60 * SECOND).await;
                body.add("the shield has ended");
            })
            .await;
            pending::<()>().await;
        }));
        for _ in 0..90 {
            world.advance(SECOND);
        }
        assert!(task.is_finished());
    });
    assert_eq!(log.take(), ["the shield has ended"]);
}

#[test]
fn a_set_that_is_given_up_after_the_cancellation_does_not_hold_for_ever() {
    use futures::stream::{FuturesUnordered, StreamExt};
    in_world(|world| {
        let task = spawn_local(timeout(SECOND, async {
            let hour = shield(sleep(Duration::from_secs(3600)));
            let mut set: FuturesUnordered<_> = [hour].into_iter().collect();
            futures::future::select(set.next(), pin!(shield(sleep(2 * SECOND)))).await;
            pending::<()>().await;
        }));
        for _ in 0..60 {
            world.advance(SECOND);
        }
        assert!(task.is_finished());
    });
}

#[test]
fn without_any_time_for_clean_up_a_shield_is_waited_for_quietly() {
    in_world(|world| {
        let task = spawn_local(cancel_scope(async |scope| {
            scope.set_cleanup_grace(Duration::ZERO);
            scope.cancel();
            shield(sleep(SECOND)).await;
        }));
        let mut rounds = 0;
        while world.executor.run_round() > 0 {
            rounds += 1;
            assert!(rounds < 100, "it is polled again and again");
        }
        world.advance(SECOND);
        assert!(task.is_finished());
    });
}

/// An inner scope that had to be dropped, since something in it was leaked, does not say that its own deadline has come.
#[test]
fn a_scope_that_was_given_up_is_silent() {
    let log = Log::default();
    let body = log.clone();
    in_world(|world| {
        let task = spawn_local(async move {
            let out = timeout(Duration::from_secs(3600), async {
                poll_and_leak(shield(pending::<()>())).await;
                pending::<()>().await;
            });
            body.add(format!("{:?}", out.await));
        });
        world.settle();
        task.cancel();
        for _ in 0..30 {
            world.advance(SECOND);
        }
        assert!(task.is_cancelled());
    });
    assert_eq!(log.take(), [""; 0]);
}

/// What holds the scope is dropped somewhere else: the scope is told.
#[test]
fn a_hold_that_is_released_elsewhere_wakes_the_scope() {
    in_world(|world| {
        let place = std::rc::Rc::new(Cell::new(None));
        let keep = place.clone();
        let task = spawn_local(async move {
            let mut shielded = Box::pin(shield(pending::<()>()));
            poll_fn(|cx| {
                assert!(shielded.as_mut().poll(cx).is_pending());
                Poll::Ready(())
            })
            .await;
            keep.set(Some(shielded));
            pending::<()>().await;
        });
        world.settle();
        task.cancel();
        world.settle();
        assert!(!task.is_finished());
        drop(place.take());
        world.settle();
        assert!(task.is_cancelled(), "without waiting for the grace period");
    });
}

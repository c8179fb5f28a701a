//! Clean-up: at once and beside the body, in order, shielded, before the scope returns, wherever the guard was dropped.

use std::cell::Cell;
use std::future::{Future, pending, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::rc::Rc;
use std::sync::mpsc;
use std::task::Poll;
use std::time::Duration;

use asyncio_executor::block_on;
use asyncio_tasks::{
    AsyncClose, Guard, LocalGuard, cancel_scope, defer, defer_local, guard, guard_local, shield, spawn,
    spawn_local, timeout, with, yield_now,
};
use asyncio_timers::sleep;
use static_assertions::{assert_impl_all, assert_not_impl_any};

use crate::support::{Log, in_world, poll_and_leak};

assert_impl_all!(Guard<u8>: Send);
assert_not_impl_any!(LocalGuard<Rc<u8>>: Send);

const SECOND: Duration = Duration::from_secs(1);

fn closing(log: &Log, name: &'static str) -> Guard<impl Future<Output = ()> + Send + use<>> {
    guard(log.closer(name), |closer| closer)
}

#[test]
fn guards_that_go_together_are_closed_last_in_first_out() {
    let log = Log::default();
    block_on(cancel_scope(async |_| {
        let _first = closing(&log, "first");
        defer(log.closer("deferred"));
        let _second = closing(&log, "second");
        yield_now().await;
        log.add("the body ends");
    }))
    .unwrap();
    let expected = [
        "the body ends",
        "second begins",
        "second ends",
        "deferred begins",
        "deferred ends",
        "first begins",
        "first ends",
    ];
    assert_eq!(log.take(), expected);
}

#[test]
fn a_closer_starts_at_once_beside_the_body() {
    in_world(|world| {
        let log = Log::default();
        let body = log.clone();
        let task = spawn_local(async move {
            drop(closing(&body, "guard"));
            body.add("the body goes on");
            sleep(SECOND).await;
            body.add("the body ends");
        });
        world.settle();
        assert_eq!(log.take(), ["the body goes on", "guard begins", "guard ends"]);
        world.advance(SECOND);
        assert_eq!(log.take(), ["the body ends"]);
        block_on(task).unwrap();
    });
}

#[test]
fn a_closer_is_not_cancelled() {
    in_world(|world| {
        let log = Log::default();
        let body = log.clone();
        let task = spawn_local(async move {
            let _guard = guard((), move |()| async move {
                timeout(5 * SECOND, sleep(SECOND)).await.unwrap();
                // Its own guards are closed, too.
                let _inside = closing(&body, "inside");
                shield(sleep(SECOND)).await;
                body.add("closed");
            });
            pending::<()>().await;
        });
        world.settle();
        task.cancel();
        world.advance(SECOND);
        world.advance(SECOND);
        assert_eq!(log.take(), ["closed", "inside begins", "inside ends"]);
        assert!(task.is_cancelled());
    });
}

#[test]
fn a_scope_waits_however_it_ends() {
    for how in ["value", "error", "cancelled", "timed out", "panics"] {
        in_world(|world| {
            let log = Log::default();
            let body = log.clone();
            let task = spawn_local(async move {
                let inner = async {
                    let _guard = closing(&body, "guard");
                    yield_now().await;
                    match how {
                        "value" => Ok(()),
                        "error" => Err(()),
                        "panics" => panic!("a body panics on purpose"),
                        _ => pending().await,
                    }
                };
                match how {
                    "cancelled" => {
                        let _ = cancel_scope(async |scope| {
                            yield_now().await;
                            scope.cancel();
                            inner.await
                        })
                        .await;
                    }
                    _ => {
                        let _ = timeout(SECOND, inner).await;
                    }
                }
                body.add("returned");
            });
            world.settle();
            world.advance(SECOND);
            let expected: &[&str] = match how {
                "panics" => &["guard begins", "guard ends"],
                _ => &["guard begins", "guard ends", "returned"],
            };
            assert_eq!(log.take(), expected, "{how}");
            assert_eq!(block_on(task).is_ok(), how != "panics");
        });
    }
}

#[test]
fn a_scope_that_is_dropped_hands_its_closers_on() {
    in_world(|world| {
        let log = Log::default();
        let body = log.clone();
        let task = spawn_local(async move {
            {
                let mut inner = Box::pin(cancel_scope(async |_| {
                    let _guard = closing(&body, "guard");
                    defer(body.closer("deferred"));
                    drop(closing(&body, "running"));
                    pending::<()>().await;
                }));
                futures::future::poll_fn(|cx| {
                    assert!(inner.as_mut().poll(cx).is_pending());
                    std::task::Poll::Ready(())
                })
                .await;
                body.add("dropped");
            }
            body.add("the body ends");
        });
        world.settle();
        let expected = [
            "running begins",
            "dropped",
            "the body ends",
            "running ends",
            "guard begins",
            "guard ends",
            "deferred begins",
            "deferred ends",
        ];
        let seen = log.take();
        assert_eq!(seen.len(), expected.len(), "{seen:?}");
        for what in expected {
            assert!(seen.iter().any(|seen| seen == what), "{what} in {seen:?}");
        }
        let at = |what: &str| seen.iter().position(|seen| seen == what);
        assert!(at("deferred ends") < at("guard begins"), "the guard was made first: {seen:?}");
        block_on(task).unwrap();
    });
}

#[test]
fn a_task_that_is_dropped_with_its_executor_is_cleaned_up() {
    let (told, hears) = mpsc::channel();
    in_world(|world| {
        spawn_local(async move {
            let _guard = guard(told, |told| async move {
                yield_now().await;
                told.send(std::thread::current().name().map(str::to_owned)).unwrap();
            });
            pending::<()>().await;
        })
        .detach();
        world.settle();
        let mut executor = asyncio_executor::LocalExecutor::new(std::task::Waker::noop().clone());
        executor.close();
    });
    // The executor has refused the job: it is closed.
    let name = hears.recv_timeout(Duration::from_secs(20)).unwrap();
    assert_eq!(name.as_deref(), Some("asyncio-cleanup"));
}

#[test]
fn outside_of_every_scope_there_is_a_thread_for_it() {
    let (told, hears) = mpsc::channel();
    for n in 0..100 {
        drop(guard(told.clone(), move |told| async move {
            sleep(Duration::from_millis(1)).await;
            told.send(n).unwrap();
        }));
    }
    let mut seen: Vec<_> = (0..100).map(|_| hears.recv_timeout(Duration::from_secs(20)).unwrap()).collect();
    seen.sort_unstable();
    assert_eq!(seen, Vec::from_iter(0..100));
}

#[test]
fn outside_of_every_scope_but_on_a_loop_it_is_a_job() {
    in_world(|world| {
        let log = Log::default();
        drop(closing(&log, "guard"));
        assert_eq!(world.cleanup.jobs(), 1);
        world.settle();
        assert_eq!(log.take(), ["guard begins", "guard ends"]);
        assert_eq!(world.cleanup.jobs(), 0);
    });
}

#[test]
fn a_panic_goes_on_when_the_clean_up_has_ended() {
    let log = Log::default();
    let reports = in_world(|_| {
        let panic = catch_unwind(AssertUnwindSafe(|| {
            block_on(cancel_scope(async |_| {
                let _guard = closing(&log, "guard");
                let _bad = guard((), |()| async { panic!("a closer panics on purpose") });
                panic!("a body panics on purpose");
            }))
        }));
        assert_eq!(asyncio_base::panic::message(&*panic.unwrap_err()), "a body panics on purpose");
    });
    assert_eq!(log.take(), ["guard begins", "guard ends"], "the bad one does not stop the others");
    assert_eq!(reports.len(), 1);
    assert!(reports[0].contains("guard.rs"), "{reports:?}");
    assert!(reports[0].ends_with("panicked: a closer panics on purpose"), "{reports:?}");
}

#[test]
fn what_outlasts_its_time_is_cut_off_and_named() {
    let log = Log::default();
    let reports = in_world(|world| {
        let body = log.clone();
        let task = spawn_local(async move {
            let _first = closing(&body, "first");
            let on_drop = body.on_drop("hangs");
            let _hangs = guard(on_drop, |on_drop| async move {
                let _on_drop = on_drop;
                pending::<()>().await;
            });
            pending::<()>().await;
        });
        world.settle();
        task.cancel();
        world.settle();
        world.advance(9 * SECOND);
        assert!(!task.is_finished());
        world.advance(SECOND);
        assert!(task.is_cancelled());
    });
    assert_eq!(log.take(), ["hangs is dropped"]);
    assert_eq!(reports.len(), 2, "{reports:?}");
    assert!(reports.iter().all(|report| report.contains("cut off after 10s")), "{reports:?}");
    assert!(reports.iter().all(|report| report.contains("guard.rs:")), "{reports:?}");
}

#[test]
fn the_time_is_set_by_a_scope_and_inherited() {
    let reports = in_world(|world| {
        let task = spawn_local(cancel_scope(async |scope| {
            scope.set_cleanup_grace(2 * SECOND);
            let _ = cancel_scope(async |inner| {
                let _hangs = guard((), |()| pending());
                inner.cancel();
                pending::<()>().await;
            })
            .await;
        }));
        world.settle();
        world.advance(SECOND);
        assert!(!task.is_finished());
        world.advance(SECOND);
        block_on(task).unwrap().unwrap();
    });
    assert!(reports[0].contains("cut off after 2s"), "{reports:?}");
}

#[test]
fn a_leaked_shield_does_not_hold_for_ever() {
    let reports = in_world(|world| {
        let task = spawn_local(async {
            poll_and_leak(shield(pending::<()>())).await;
            pending::<()>().await;
        });
        world.settle();
        task.cancel();
        world.settle();
        assert!(!task.is_finished(), "it might be polled again");
        world.advance(10 * SECOND);
        assert!(task.is_cancelled());
    });
    assert_eq!(reports.len(), 1, "{reports:?}");
    assert!(reports[0].contains("not polled any more"), "{reports:?}");
}

#[test]
fn finish_closes_now_and_goes_on_when_it_is_dropped() {
    in_world(|world| {
        let log = Log::default();
        let body = log.clone();
        let task = spawn_local(async move {
            closing(&body, "first").finish().await;
            body.add("closed");
            let kept = closing(&body, "kept").into_inner();
            drop(kept);
            closing(&body, "second").finish().await;
            body.add("not reached");
        });
        world.executor.run_round();
        world.executor.run_round();
        assert_eq!(log.take(), ["first begins", "first ends", "closed", "second begins"]);
        task.cancel();
        world.executor.run_round();
        // The poll that came with the cancellation completed it; what was complete goes on to the next wait, which is the end.
        assert_eq!(log.take(), ["second ends", "not reached"]);
        block_on(task).unwrap();
    });
}

#[test]
fn a_finish_that_is_dropped_midway_goes_on() {
    in_world(|world| {
        let log = Log::default();
        let body = log.clone();
        let task = spawn_local(async move {
            guard(body, |log| async move {
                log.add("begins");
                sleep(SECOND).await;
                log.add("ends");
            })
            .finish()
            .await;
        });
        world.settle();
        task.cancel();
        world.settle();
        assert!(!task.is_finished());
        world.advance(SECOND);
        assert!(task.is_cancelled());
        assert_eq!(log.take(), ["begins", "ends"]);
    });
}

struct Connection(Log);

impl AsyncClose for Connection {
    async fn close(self) {
        self.0.closer("connection").await;
    }
}

#[test]
fn with_closes_before_it_returns() {
    in_world(|world| {
        let log = Log::default();
        let body = log.clone();
        let task = spawn(async move {
            let n = with(Connection(body.clone()), async |connection: &mut Connection| {
                connection.0.add("used");
                1
            })
            .await;
            body.add("returned");
            with(Connection(body.clone()), async |_: &mut Connection| pending::<()>().await).await;
            n
        });
        world.settle();
        assert_eq!(log.take(), ["used", "connection begins", "connection ends", "returned"]);
        task.cancel();
        world.settle();
        assert_eq!(log.take(), ["connection begins", "connection ends"]);
        assert!(task.is_cancelled());
    });
}

#[test]
fn a_local_closer_is_a_job_that_the_scope_waits_for() {
    in_world(|world| {
        let log = Log::default();
        let body = log.clone();
        let closed = Rc::new(Cell::new(false));
        let flag = closed.clone();
        let task = spawn_local(async move {
            let out = cancel_scope(async |_| {
                let _guard = guard_local((flag, body.clone()), |(flag, log)| async move {
                    log.closer("local").await;
                    flag.set(true);
                });
                defer_local(body.closer("deferred"));
                let _sendable = closing(&body, "sendable");
            });
            out.await.unwrap();
            body.add("returned");
        });
        world.settle();
        let expected = [
            "sendable begins",
            "sendable ends",
            "deferred begins",
            "deferred ends",
            "local begins",
            "local ends",
            "returned",
        ];
        assert_eq!(log.take(), expected);
        assert!(closed.get());
        block_on(task).unwrap();
        assert_eq!(world.cleanup.jobs(), 0);
    });
}

#[test]
fn a_local_guard_is_finished_at_once_and_also_if_nobody_waits_for_it() {
    for polls in 0..4 {
        in_world(|world| {
            let log = Log::default();
            let body = log.clone();
            let task = spawn_local(async move {
                let out = cancel_scope(async |_| {
                    let guard = guard_local(body.clone(), |log| async move { log.closer("local").await });
                    let mut finishing = pin!(guard.finish());
                    let mut left = polls;
                    poll_fn(|cx| {
                        // Dropped after so many polls, or at its end.
                        if finishing.as_mut().poll(cx).is_ready() {
                            body.add("finished");
                            return Poll::Ready(());
                        }
                        left -= 1;
                        if left < 0 { Poll::Ready(()) } else { Poll::Pending }
                    })
                    .await;
                });
                out.await.unwrap();
                body.add("returned");
            });
            world.settle();
            let mut said = log.take();
            said.retain(|what| what != "finished");
            assert_eq!(said, ["local begins", "local ends", "returned"], "{polls} polls");
            block_on(task).unwrap();
        });
    }
}

#[test]
fn a_local_guard_that_is_dropped_between_two_awaits_leaves_its_task_sendable() {
    in_world(|world| {
        let log = Log::default();
        let body = log.clone();
        let task = spawn(async move {
            drop(guard_local(Rc::new(body.clone()), |log| async move { log.add("closed") }));
            yield_now().await;
        });
        world.settle();
        block_on(task).unwrap();
        assert_eq!(log.take(), ["closed"]);
    });
}

#[test]
fn a_local_closer_without_a_loop_is_dropped_and_reported() {
    let reports = Rc::new(std::cell::RefCell::new(Vec::new()));
    let seen = reports.clone();
    let handler = Rc::new(move |report: &asyncio_base::report::Report<'_>| {
        seen.borrow_mut().push(report.message.to_string());
    });
    asyncio_base::report::with_handler(handler, || {
        drop(guard_local((), |()| async { unreachable!() }));
    });
    assert!(reports.borrow()[0].contains("dropped unrun"), "{reports:?}");
}

#[test]
fn a_task_of_lost_races_does_not_pile_up() {
    // Each lost race leaves a scope, a closer and a waker of its own behind.
    in_world(|world| {
        let task = spawn_local(async {
            for _ in 0..100_000 {
                let mut unordered = futures::stream::FuturesUnordered::new();
                unordered.push(timeout(SECOND, shield(pending::<()>())));
                futures::future::poll_fn(|cx| {
                    assert!(futures::StreamExt::poll_next_unpin(&mut unordered, cx).is_pending());
                    std::task::Poll::Ready(())
                })
                .await;
                drop(guard((), |()| async {}));
                yield_now().await;
            }
        });
        world.settle();
        block_on(task).unwrap();
    });
}

#[test]
fn a_closer_runs_beside_the_body_of_an_outermost_scope_that_waits_for_it() {
    let is_closed = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let flag = is_closed.clone();
    let body = async move |_| {
        let closes = flag.clone();
        drop(guard((), move |()| async move {
            yield_now().await;
            closes.store(true, std::sync::atomic::Ordering::SeqCst);
        }));
        // It would wait for ever if the closer began after it.
        while !flag.load(std::sync::atomic::Ordering::SeqCst) {
            yield_now().await;
        }
    };
    assert_eq!(block_on(cancel_scope(body)), Ok(()));
    assert!(is_closed.load(std::sync::atomic::Ordering::SeqCst));
}

//! The end of a runtime: tasks are cancelled, their clean-up is waited for, with a bound (`drain.rs`).

use std::cell::RefCell;
use std::future::pending;
use std::rc::Rc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use asyncio_base::report;
use asyncio_runtime::{EventLoop, Runner, run};
use asyncio_tasks::{
    defer, guard, guard_local, shield, spawn, spawn_local, spawn_pinned, timeout, yield_now,
};
use asyncio_timers::sleep;

use crate::worlds::{on_each, runners};

const MS: Duration = Duration::from_millis(1);

type Log = Arc<Mutex<Vec<&'static str>>>;

fn note(log: &Log, what: &'static str) {
    log.lock().unwrap().push(what);
}

async fn close_slowly(log: Log, what: &'static str) {
    sleep(MS).await;
    yield_now().await;
    note(&log, what);
}

/// D1 and D2.
#[test]
fn what_is_left_is_cancelled_and_cleaned_up_before_run_returns() {
    for mut runner in runners() {
        let log = Log::default();
        let begun = Arc::new(AtomicU32::new(0));
        runner.run(async {
            for (what, task) in [("anywhere", 0), ("here", 1), ("on the last worker", 2)] {
                let (closer, begun) = (log.clone(), begun.clone());
                let work = async move {
                    let _guard = guard(closer, move |log| close_slowly(log, what));
                    begun.fetch_add(1, Ordering::Relaxed);
                    pending::<()>().await;
                };
                let last = EventLoop::current().unwrap().worker().max(runner_workers() - 1);
                match task {
                    0 => spawn(work).detach(),
                    1 => spawn_local(work).detach(),
                    _ => spawn_pinned(last, || work).unwrap().detach(),
                }
            }
            let all_have_begun = async {
                while begun.load(Ordering::Relaxed) < 3 {
                    sleep(MS).await;
                }
            };
            timeout(60 * 1000 * MS, all_have_begun).await.expect("each task begins");
        });
        drop(runner);
        let mut seen = log.lock().unwrap().clone();
        seen.sort_unstable();
        assert_eq!(seen, ["anywhere", "here", "on the last worker"]);
    }
    fn runner_workers() -> usize {
        // A runner of one has worker 0 alone.
        if spawn_pinned(1, || async {}).is_ok() { 2 } else { 1 }
    }
}

/// D1: as asyncio has it, a coroutine that never began does not.
#[test]
fn what_never_began_does_not() {
    for mut runner in runners() {
        let began = Log::default();
        runner.run(async {
            let (one, two) = (began.clone(), began.clone());
            // While main holds on to its thread nobody else comes to the second one.
            spawn_local(async move { note(&one, "local") }).detach();
            drop(two);
        });
        drop(runner);
        assert!(began.lock().unwrap().is_empty());
    }
}

/// D1: what other threads have spawned here is there, too.
#[test]
fn what_came_from_another_thread_does_not_begin() {
    // Whatever is overlooked is waited for, for ever.
    let mut runner = Runner::builder().cleanup_grace(Duration::MAX).build().unwrap();
    runner.run(async {});
    let event_loop = runner.event_loop();
    let began = Log::default();
    let log = began.clone();
    let elsewhere = std::thread::spawn(move || {
        let late = event_loop.spawn(async move {
            note(&log, "began");
            pending::<()>().await;
        });
        late.unwrap().detach();
    });
    elsewhere.join().unwrap();
    drop(runner);
    assert!(began.lock().unwrap().is_empty());
}

/// D2: what clean-up starts is not cancelled.
#[test]
fn clean_up_may_start_tasks() {
    for mut runner in runners() {
        let log = Log::default();
        let body = log.clone();
        runner.run(async {
            spawn_local(async move {
                let _guard = guard(body, |log| async move {
                    let helper = spawn(async move {
                        close_slowly(log, "helped").await;
                        7
                    });
                    assert_eq!(helper.await.unwrap(), 7);
                });
                pending::<()>().await;
            })
            .detach();
            yield_now().await;
        });
        drop(runner);
        assert_eq!(*log.lock().unwrap(), ["helped"]);
    }
}

#[test]
fn main_is_a_scope() {
    on_each(async || {});
    for mut runner in runners() {
        let log = Log::default();
        let out = runner.run(async {
            let _guard = guard(log.clone(), |log| close_slowly(log, "guard"));
            defer(close_slowly(log.clone(), "deferred"));
            let _local = guard_local(Rc::new(log.clone()), |log| async move {
                close_slowly((*log).clone(), "local").await;
            });
            1
        });
        assert_eq!(out, 1);
        assert_eq!(*log.lock().unwrap(), ["local", "deferred", "guard"]);
    }
}

#[test]
fn main_that_panics_is_cleaned_up() {
    let log = Log::default();
    let closer = log.clone();
    let panic = std::panic::catch_unwind(move || {
        run(async {
            let task = closer.clone();
            spawn_local(async move {
                let _guard = guard(task, |log| close_slowly(log, "a task's"));
                pending::<()>().await;
            })
            .detach();
            yield_now().await;
            let _guard = guard(closer, |log| close_slowly(log, "main's"));
            panic!("main panics on purpose");
        })
    });
    assert!(panic.is_err());
    assert_eq!(*log.lock().unwrap(), ["main's", "a task's"]);
}

/// D3.
#[test]
fn what_would_not_die_is_named_and_dropped() {
    let reports = Rc::new(RefCell::new(Vec::new()));
    let seen = reports.clone();
    let handler = Rc::new(move |report: &report::Report<'_>| seen.borrow_mut().push(report.to_string()));
    let dropped = Arc::new(());
    report::with_handler(handler, || {
        let mut runner = Runner::builder().cleanup_grace(20 * MS).build().unwrap();
        runner.run(async {
            let held = dropped.clone();
            asyncio_tasks::Builder::new()
                .name("stubborn")
                .spawn_local(async move {
                    let _held = held;
                    shield(pending::<()>()).await;
                })
                .detach();
            yield_now().await;
        });
        drop(runner);
    });
    assert_eq!(Arc::strong_count(&dropped), 1);
    let reports = reports.borrow();
    assert!(
        reports.iter().any(|report| report.contains("stubborn") && report.contains("drain.rs")),
        "{reports:?}"
    );
}

#[test]
fn a_runner_that_is_dropped_inside_of_a_loop_leaves_its_clean_up_there() {
    let log = Log::default();
    let mut inner = Runner::new().unwrap();
    let closer = log.clone();
    inner.run(async {
        spawn_local(async move {
            let _guard = guard(closer, |log| close_slowly(log, "closed"));
            pending::<()>().await;
        })
        .detach();
        yield_now().await;
    });
    run(async {
        drop(inner);
        while log.lock().unwrap().is_empty() {
            yield_now().await;
        }
    });
}

#[test]
fn many_tasks_of_many_kinds_end() {
    for mut runner in runners() {
        let left = Arc::new(());
        runner.run(async {
            for n in 0..2_000_u32 {
                let held = left.clone();
                let work = async move {
                    let _guard = guard(held, |held| async move {
                        yield_now().await;
                        drop(held);
                    });
                    if n % 2 == 0 {
                        sleep(Duration::from_secs(3600)).await;
                    }
                    pending::<()>().await;
                };
                match n % 3 {
                    0 => spawn_local(work).detach(),
                    _ => spawn(work).detach(),
                }
                if n % 100 == 0 {
                    yield_now().await;
                }
            }
        });
        drop(runner);
        assert_eq!(Arc::strong_count(&left), 1);
    }
}

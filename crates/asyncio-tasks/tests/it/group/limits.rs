//! Limits, and children that say when they are ready.

use std::cell::Cell;
use std::future::{Future, pending};
use std::io;
use std::rc::Rc;
use std::task::{Context, Waker};
use std::time::Duration;

use asyncio_tasks::{Ready, TaskError, TaskGroup, move_on_after, spawn_local, task_group, yield_now};
use asyncio_timers::sleep;

use super::settle;
use crate::support::{Log, in_world};

const SECOND: Duration = Duration::from_secs(1);

/// Counts who runs at once.
#[derive(Clone, Default)]
struct Crowd {
    now: Rc<Cell<usize>>,
    most: Rc<Cell<usize>>,
}

impl Crowd {
    async fn stay(&self, rounds: usize) {
        self.now.set(self.now.get() + 1);
        self.most.set(self.most.get().max(self.now.get()));
        for _ in 0..rounds {
            yield_now().await;
        }
        self.now.set(self.now.get() - 1);
    }
}

#[test]
fn a_limit_bounds_who_runs_and_turns_are_in_order() {
    let log = Log::default();
    in_world(|world| {
        let crowd = Crowd::default();
        let (log, seen) = (log.clone(), crowd.clone());
        settle(world, async move {
            let group = TaskGroup::<()>::builder().limit(3);
            group
                .run(async |group| {
                    for n in 0..10 {
                        let (crowd, log) = (seen.clone(), log.clone());
                        group
                            .spawn_local(async move {
                                log.add(n.to_string());
                                crowd.stay(n % 4 + 1).await;
                                Ok(())
                            })
                            .detach();
                    }
                    Ok(())
                })
                .await
        })
        .unwrap();
        assert_eq!(crowd.most.get(), 3);
    });
    assert_eq!(log.take(), (0..10).map(|n| n.to_string()).collect::<Vec<_>>());
}

#[test]
fn a_producer_waits_for_a_free_place() {
    in_world(|world| {
        let produced = Rc::new(Cell::new(0));
        let seen = produced.clone();
        let task = spawn_local(TaskGroup::<()>::builder().limit(2).run(async move |group| {
            for _ in 0..100 {
                group
                    .spawn_when_free(async {
                        sleep(SECOND).await;
                        Ok(())
                    })
                    .await
                    .detach();
                seen.set(seen.get() + 1);
            }
            Ok(())
        }));
        world.settle();
        assert_eq!(produced.get(), 2);
        world.advance(SECOND);
        assert_eq!(produced.get(), 4);
        task.cancel();
        world.settle();
        assert!(task.is_cancelled());
    });
}

#[test]
fn a_turn_that_nobody_takes_goes_on() {
    in_world(|world| {
        let out = settle(
            world,
            TaskGroup::<()>::builder().limit(1).run(async |group| {
                let first = group.spawn(async {
                    yield_now().await;
                    yield_now().await;
                    Ok(())
                });
                // It waits in line, and gives up; and one that is cancelled in line.
                let mut gives_up = Box::pin(group.spawn_when_free(async { Ok(()) }));
                assert!(gives_up.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
                let cancelled = group.spawn(async { Ok(()) });
                yield_now().await;
                cancelled.cancel();
                let last = group.spawn(async { Ok(9) });
                first.await.unwrap();
                drop(gives_up);
                assert!(cancelled.await.unwrap_err().is_cancelled());
                Ok(last.await.unwrap())
            }),
        );
        assert_eq!(out.unwrap(), 9);
    });
}

#[test]
fn a_child_that_waits_in_line_is_cancelled_unpolled() {
    in_world(|world| {
        let log = Log::default();
        let inside = log.clone();
        let task = spawn_local(TaskGroup::<()>::builder().limit(1).run(async move |group| {
            group.spawn(pending::<Result<(), _>>()).detach();
            group
                .spawn(async move {
                    inside.add("polled");
                    Ok(())
                })
                .detach();
            Ok(())
        }));
        world.settle();
        task.cancel();
        world.settle();
        assert!(task.is_cancelled() && world.executor.is_empty());
        assert_eq!(log.take(), Vec::<String>::new());
    });
}

#[test]
fn start_waits_until_the_child_is_ready() {
    in_world(|world| {
        let out = settle(
            world,
            task_group(async |group: TaskGroup<io::Error>| {
                let port: u16 = group
                    .start(async |ready: Ready<u16>| {
                        yield_now().await;
                        ready.set(8080);
                        yield_now().await;
                        Ok(())
                    })
                    .await?;
                assert_eq!(group.len(), 1);
                Ok(port)
            }),
        );
        assert_eq!(out.unwrap(), 8080);
        let out = settle(
            world,
            task_group(async |group: TaskGroup<io::Error>| {
                Ok(group.start(async |_: Ready<u16>| Ok(())).await?)
            }),
        );
        let error = out.unwrap_err().into_errors().remove(0);
        assert_eq!(error.to_string(), "the task ended before it said that it was ready");
        let out: Result<(), _> = settle(
            world,
            task_group(async |group: TaskGroup<io::Error>| {
                let out: Result<u8, TaskError> = group.start(async |_| Err(io::Error::other("in use"))).await;
                assert!(out.unwrap_err().is_in_group());
                Ok(())
            }),
        );
        assert_eq!(out.unwrap_err().to_string(), "a task of the group failed: in use");
    });
}

#[test]
fn a_start_that_is_given_up_cancels_the_child() {
    in_world(|world| {
        let out = settle(
            world,
            task_group(async |group: TaskGroup<()>| {
                let out =
                    move_on_after(Duration::ZERO, group.start(async |_: Ready<()>| pending().await)).await;
                assert!(out.is_none());
                Ok(())
            }),
        );
        out.unwrap();
    });
}

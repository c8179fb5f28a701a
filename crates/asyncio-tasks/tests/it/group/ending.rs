//! Task groups: who cancels whom, what is kept, and that nothing outlives its group.

use std::cell::Cell;
use std::future::{Future, pending, ready};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use asyncio_executor::block_on;
use asyncio_tasks::{
    GroupBuilder, GroupError, OnError, Ready, Task, TaskGroup, cancel_scope, defer, guard, shield, spawn,
    spawn_local, task_group, timeout, yield_now,
};
use static_assertions::{assert_impl_all, assert_not_impl_any};

use super::settle;
use crate::support::{Log, in_world};

assert_impl_all!(TaskGroup<io::Error>: Send, Sync, Clone);
assert_impl_all!(GroupBuilder<io::Error>: Send, Sync);
assert_impl_all!(Ready<Cell<u8>>: Send);
assert_not_impl_any!(Ready<Rc<u8>>: Send);
assert_impl_all!(GroupError<Box<dyn std::error::Error + Send + Sync>>: std::error::Error, Send, Sync);

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_group_that_is_empty_gives_the_value_of_its_body() {
    assert_eq!(block_on(task_group(async |_: TaskGroup<()>| Ok(7))).unwrap(), 7);
    let error = block_on(task_group(async |_| Err::<(), _>("no"))).unwrap_err();
    assert_eq!(error.errors(), ["no"]);
    assert!(!error.is_cancelled());
}

#[test]
fn a_group_waits_for_all_its_children() {
    let log = Log::default();
    in_world(|world| {
        let log = log.clone();
        let out = settle(world, async move {
            task_group(async |group: TaskGroup<String>| {
                for name in ["first", "second"] {
                    let log = log.clone();
                    group
                        .spawn(async move {
                            let _guard = guard((), {
                                let closer = log.closer(name);
                                move |()| closer
                            });
                            yield_now().await;
                            log.add(name);
                            Ok(())
                        })
                        .detach();
                }
                assert_eq!(group.len(), 2);
                log.add("body");
                Ok(1)
            })
            .await
            .inspect(|_| log.add("group"))
        });
        assert_eq!(out.unwrap(), 1);
    });
    let expected =
        ["body", "first", "first begins", "second", "second begins", "first ends", "second ends", "group"];
    assert_eq!(log.take(), expected);
}

#[test]
fn the_first_failure_cancels_siblings_and_body_and_all_errors_are_kept_in_order() {
    let log = Log::default();
    in_world(|world| {
        let log = log.clone();
        let out = settle(world, async move {
            task_group(async |group| {
                // It fails while it is being cancelled: that is kept, too.
                let last_words = group.spawn(shield(async {
                    yield_now().await;
                    yield_now().await;
                    Err::<(), _>("second")
                }));
                let closer = log.closer("sibling");
                let sibling = group.spawn(async move {
                    let _guard = guard((), move |()| closer);
                    pending::<Result<(), _>>().await
                });
                let failed = group.spawn(async { Err::<(), _>("first") });
                let _on_drop = log.on_drop("body");
                let _keep = (last_words, sibling, failed);
                pending::<Result<(), _>>().await
            })
            .await
        });
        let error = out.unwrap_err();
        assert_eq!(error.errors(), ["first", "second"]);
        assert_eq!(error.to_string(), "2 tasks of the group failed: first; second");
        assert_eq!(error.into_errors(), ["first", "second"]);
    });
    assert_eq!(log.take(), ["sibling begins", "body is dropped", "sibling ends"]);
}

#[test]
fn an_error_of_the_body_cancels_the_children() {
    in_world(|world| {
        for on_error in [OnError::CancelSiblings, OnError::KeepGoing] {
            let (send, child) = std::sync::mpsc::channel();
            let out = settle(world, async move {
                let group = TaskGroup::builder().on_error(on_error);
                group
                    .run(async |group| {
                        send.send(group.spawn(pending::<Result<(), _>>())).unwrap();
                        yield_now().await;
                        Err::<(), _>("body")
                    })
                    .await
            });
            assert_eq!(out.unwrap_err().errors(), ["body"]);
            assert!(child.recv().unwrap().is_cancelled());
        }
    });
}

#[test]
fn a_supervisor_goes_on() {
    in_world(|world| {
        let out = settle(world, async {
            let group = TaskGroup::builder().on_error(OnError::KeepGoing);
            group
                .run(async |group| {
                    let failed = group.spawn(async { Err::<(), _>(1) });
                    let other = group.spawn(async {
                        yield_now().await;
                        Ok(5)
                    });
                    let error = failed.await.unwrap_err();
                    assert!(error.is_in_group());
                    assert!(!error.is_cancelled() && !error.is_panic());
                    assert_eq!(other.await.unwrap(), 5);
                    group.spawn(async { Err::<(), _>(2) }).detach();
                    Ok(())
                })
                .await
        });
        assert_eq!(out.unwrap_err().errors(), [1, 2]);
    });
}

#[test]
fn a_panic_goes_on_when_the_others_have_ended() {
    let log = Log::default();
    in_world(|world| {
        let task = spawn_local({
            let log = log.clone();
            task_group(async move |group: TaskGroup<()>| {
                let closer = log.closer("sibling");
                let sibling = group.spawn(async move {
                    let _guard = guard((), move |()| closer);
                    pending::<Result<(), _>>().await
                });
                let culprit = group.spawn(async {
                    if true {
                        panic!("a bug");
                    }
                    Ok(())
                });
                let _ = (sibling.await, culprit.await);
                Ok(())
            })
        });
        world.settle();
        let error = block_on(task).unwrap_err();
        assert_eq!(error.to_string(), "the task panicked: a bug");
    });
    assert_eq!(log.take(), ["sibling begins", "sibling ends"]);
}

#[test]
fn a_panic_of_the_body_cancels_the_children() {
    in_world(|world| {
        let (send, child) = std::sync::mpsc::channel();
        let task = spawn_local(task_group(async move |group: TaskGroup<()>| {
            send.send(group.spawn(pending::<Result<(), _>>())).unwrap();
            yield_now().await;
            if true {
                panic!("a bug");
            }
            Ok(())
        }));
        world.settle();
        assert!(block_on(task).unwrap_err().is_panic());
        assert!(child.recv().unwrap().is_cancelled());
    });
}

#[test]
fn one_child_that_is_cancelled_by_hand_does_not_concern_the_others() {
    in_world(|world| {
        let out = settle(
            world,
            task_group(async |group: TaskGroup<()>| {
                let cancelled = group.spawn(pending::<Result<(), _>>());
                let other = group.spawn(async {
                    yield_now().await;
                    yield_now().await;
                    Ok(3)
                });
                yield_now().await;
                assert!(cancelled.cancel_because("enough"));
                let error = cancelled.await.unwrap_err();
                assert!(error.is_cancelled());
                assert_eq!(error.reason(), Some("enough"));
                Ok(other.await.unwrap())
            }),
        );
        assert_eq!(out.unwrap(), 3);
    });
}

#[test]
fn cancelling_a_group_ends_it_without_an_error() {
    in_world(|world| {
        let out = settle(
            world,
            task_group(async |group: TaskGroup<()>| {
                let (waits, new) = (group.spawn(pending::<Result<(), _>>()), group.clone());
                yield_now().await;
                assert!(group.cancel_because("done"));
                assert!(!group.cancel(), "it knows");
                assert!(group.is_cancelled());
                Ok((waits, new.spawn(async { Ok(()) })))
            }),
        );
        let (waits, late) = out.unwrap();
        for task in [waits, late] {
            let error = block_on(task).unwrap_err();
            assert!(error.is_cancelled());
            assert_eq!(error.reason(), Some("done"));
        }
        // A body that has no value.
        let out = settle(
            world,
            task_group(async |group: TaskGroup<String>| {
                group.cancel();
                pending::<Result<(), _>>().await
            }),
        );
        let error = out.unwrap_err();
        assert!(error.is_cancelled());
        assert_eq!(error.to_string(), "the group was cancelled");
    });
}

#[test]
fn spawning_into_a_group_that_has_ended_gives_a_task_that_is_cancelled() {
    in_world(|world| {
        let log = Log::default();
        let group = settle(world, task_group(async |group: TaskGroup<()>| Ok(group))).unwrap();
        let on_drop = log.on_drop("future");
        let task = group.spawn(async move {
            let _on_drop = on_drop;
            Ok(())
        });
        assert!(task.is_finished() && task.is_cancelled());
        assert_eq!(log.take(), ["future is dropped"]);
        assert!(!task.cancel());
        assert_eq!(block_on(task).unwrap_err().reason(), Some("its task group has ended, or was cancelled"));
        assert!(!group.cancel(), "there is nothing to cancel");
        assert_eq!(world.executor.len(), 0);
    });
}

#[test]
fn the_cancellation_of_the_scope_around_reaches_the_children_and_is_its_own_to_tell() {
    let log = Log::default();
    in_world(|world| {
        let task = spawn_local({
            let log = log.clone();
            async move {
                let out = timeout(
                    SECOND,
                    task_group(async |group: TaskGroup<()>| {
                        let closer = log.closer("child");
                        group
                            .spawn(async move {
                                let _guard = guard((), move |()| closer);
                                pending::<Result<(), _>>().await
                            })
                            .detach();
                        let _on_drop = log.on_drop("body");
                        pending::<Result<(), _>>().await
                    }),
                )
                .await;
                log.add("timeout");
                assert!(out.is_err());
            }
        });
        world.settle();
        world.advance(SECOND);
        block_on(task).unwrap();
    });
    assert_eq!(log.take(), ["body is dropped", "child begins", "child ends", "timeout"]);
}

#[test]
fn errors_are_told_though_the_scope_around_is_cancelled() {
    in_world(|world| {
        let out = settle(world, async {
            cancel_scope(async |scope| {
                let group = task_group(async |group| {
                    let failing = shield(async {
                        yield_now().await;
                        Err::<(), _>("late")
                    });
                    group.spawn(failing).detach();
                    // Now it has begun.
                    yield_now().await;
                    scope.cancel();
                    pending::<Result<(), _>>().await
                });
                group.await.unwrap_err().into_errors()
            })
            .await
        });
        assert_eq!(out.unwrap(), ["late"]);
    });
}

#[test]
fn a_value_to_which_nothing_is_missing_is_kept_though_the_scope_around_is_cancelled() {
    in_world(|world| {
        let kept = settle(world, async {
            cancel_scope(async |scope| {
                task_group(async |group: TaskGroup<()>| {
                    group
                        .spawn(async {
                            shield(yield_now()).await;
                            Ok(())
                        })
                        .detach();
                    yield_now().await;
                    scope.cancel();
                    Ok(4)
                })
                .await
            })
            .await
        });
        assert_eq!(kept.unwrap().unwrap(), 4);
        let lost = settle(world, async {
            cancel_scope(async |scope| {
                task_group(async |group: TaskGroup<()>| {
                    group.spawn(pending::<Result<(), _>>()).detach();
                    yield_now().await;
                    scope.cancel();
                    Ok(4)
                })
                .await
            })
            .await
        });
        assert!(lost.is_err(), "a child was cut off");
    });
}

#[test]
fn what_is_deferred_in_the_body_comes_after_the_children() {
    let log = Log::default();
    in_world(|world| {
        let log = log.clone();
        settle(world, async move {
            task_group(async |group: TaskGroup<()>| {
                defer(log.closer("deferred"));
                let log = log.clone();
                group
                    .spawn(async move {
                        yield_now().await;
                        log.add("child");
                        Ok(())
                    })
                    .detach();
                Ok(())
            })
            .await
        })
        .unwrap();
    });
    assert_eq!(log.take(), ["child", "deferred begins", "deferred ends"]);
}

#[test]
fn a_group_that_is_dropped_leaves_the_waiting_to_the_scope_around() {
    let log = Log::default();
    in_world(|world| {
        let task = spawn_local({
            let log = log.clone();
            async move {
                let closer = log.closer("child");
                let mut group = Box::pin(task_group(async move |group: TaskGroup<()>| {
                    group
                        .spawn(async move {
                            let _guard = guard((), move |()| closer);
                            pending::<Result<(), _>>().await
                        })
                        .detach();
                    pending::<Result<(), _>>().await
                }));
                // As another crate's `select!` does.
                for _ in 0..2 {
                    let mut first = true;
                    std::future::poll_fn(|cx| {
                        assert!(group.as_mut().poll(cx).is_pending());
                        if std::mem::take(&mut first) {
                            cx.waker().wake_by_ref();
                            return Poll::Pending;
                        }
                        Poll::Ready(())
                    })
                    .await;
                }
                drop(group);
                log.add("dropped");
            }
        });
        world.settle();
        assert!(task.is_finished());
        assert!(world.executor.is_empty());
    });
    assert_eq!(log.take(), ["dropped", "child begins", "child ends"]);
}

#[test]
fn groups_nest_and_a_million_children_are_no_matter() {
    fn nested(depth: u32) -> Pin<Box<dyn Future<Output = Result<u32, String>> + Send>> {
        if depth == 0 {
            return Box::pin(ready(Ok(1)));
        }
        Box::pin(async move {
            let sum = task_group(async |group: TaskGroup<String>| {
                let (one, two) = (group.spawn(nested(depth - 1)), group.spawn(nested(depth - 1)));
                Ok(one.await.unwrap() + two.await.unwrap())
            });
            sum.await.map_err(|error| error.to_string())
        })
    }
    in_world(|world| {
        assert_eq!(settle(world, nested(8)), Ok(256));
        let count = Rc::new(Cell::new(0));
        let counter = count.clone();
        settle(world, async move {
            task_group(async |group: TaskGroup<()>| {
                for _ in 0..1_000_000 {
                    let count = counter.clone();
                    group
                        .spawn_local(async move {
                            count.set(count.get() + 1);
                            Ok(())
                        })
                        .detach();
                }
                Ok(())
            })
            .await
        })
        .unwrap();
        assert_eq!(count.get(), 1_000_000);
    });
}

#[test]
fn children_that_are_dropped_with_their_executor_leave_their_group() {
    let group: Rc<Cell<Option<TaskGroup<()>>>> = Rc::default();
    in_world(|world| {
        let inside = group.clone();
        spawn_local(task_group(async move |group: TaskGroup<()>| {
            group.spawn(pending::<Result<(), _>>()).detach();
            inside.set(Some(group));
            pending::<Result<(), _>>().await
        }))
        .detach();
        world.settle();
    });
    let group = group.take().unwrap();
    assert_eq!(group.len(), 0);
    assert!(group.is_cancelled());
}

#[test]
fn a_group_in_a_task_that_moves() {
    fn assert_send<T: Send>(value: T) -> T {
        value
    }
    in_world(|world| {
        let task: Task<u32> = spawn(assert_send(async {
            let sum = task_group(async |group: TaskGroup<String>| {
                let one = group.spawn(async { Ok(1) });
                Ok(one.await.unwrap_or_default())
            });
            sum.await.unwrap_or_default()
        }));
        world.settle();
        assert_eq!(block_on(task).unwrap(), 1);
    });
}

#[test]
fn dropping_a_group_at_each_of_its_polls_loses_no_child() {
    for polls in 0..8 {
        let log = Log::default();
        in_world(|world| {
            let inside = log.clone();
            spawn_local(async move {
                let closer = inside.closer("child");
                let mut group = pin!(Some(TaskGroup::<()>::builder().limit(1).run(async move |group| {
                    let one = group.spawn_when_free(async move {
                        let _guard = guard((), move |()| closer);
                        yield_now().await;
                        Ok(())
                    });
                    let one = one.await;
                    group.spawn_when_free(async { Ok(()) }).await.detach();
                    Ok(one.await.is_ok())
                })));
                for _ in 0..polls {
                    let group = group.as_mut().as_pin_mut().unwrap();
                    let mut poll = Some(group);
                    let is_ready = std::future::poll_fn(|cx| {
                        let group = poll.take().unwrap();
                        Poll::Ready(group.poll(cx).is_ready())
                    })
                    .await;
                    if is_ready {
                        break;
                    }
                    yield_now().await;
                }
                group.set(None);
            })
            .detach();
            world.settle();
            assert!(world.executor.is_empty(), "after {polls} polls");
        });
        let log = log.take();
        assert!(log.is_empty() || log == ["child begins", "child ends"], "after {polls} polls: {log:?}");
    }
}

#[test]
fn an_error_that_is_shown_in_the_usual_ways() {
    let error = block_on(task_group(async |_| Err::<(), _>(io::Error::other("disk")))).unwrap_err();
    assert_eq!(
        format!("{error:?}"),
        "GroupError { errors: [Custom { kind: Other, error: \"disk\" }], reason: None }"
    );
    assert_eq!(io::Error::from(error).to_string(), "a task of the group failed: disk");
    let panics = catch_unwind(AssertUnwindSafe(|| TaskGroup::<()>::builder().limit(0)));
    assert!(panics.is_err());
}

#[test]
fn what_the_body_was_told_of_a_child_is_not_one_more_error() {
    type BoxError = Box<dyn std::error::Error + Send + Sync>;
    in_world(|world| {
        let out = settle(
            world,
            task_group(async |group: TaskGroup<io::Error>| {
                Ok(group.spawn(async { Err::<(), _>(io::Error::other("disk")) }).await?)
            }),
        );
        assert_eq!(out.unwrap_err().to_string(), "a task of the group failed: disk");
        let out = settle(
            world,
            task_group(async |group: TaskGroup<BoxError>| {
                Ok(group.spawn(async { Err::<(), _>("disk".into()) }).await?)
            }),
        );
        assert_eq!(out.unwrap_err().to_string(), "a task of the group failed: disk");
        // But one that was cancelled by hand, where nothing failed, is an error of the body.
        let out = settle(
            world,
            task_group(async |group: TaskGroup<io::Error>| {
                let child = group.spawn(pending::<Result<(), _>>());
                child.cancel();
                Ok(child.await?)
            }),
        );
        assert_eq!(out.unwrap_err().to_string(), "a task of the group failed: the task was cancelled");
    });
}

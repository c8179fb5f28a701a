//! What readers broke.

use std::future::{Future, pending};
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use asyncio_executor::block_on;
use asyncio_tasks::{TaskGroup, cancel_scope, guard, spawn_local, task_group, timeout, yield_now};
use futures::StreamExt;
use futures::stream::FuturesUnordered;

use super::settle;
use crate::support::{Log, in_world};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_body_that_panics_before_it_gives_its_future_leaves_no_child() {
    in_world(|world| {
        let (send, child) = channel();
        let task = spawn_local(task_group(move |group: TaskGroup<()>| {
            send.send(group.spawn(pending::<Result<(), _>>())).unwrap();
            if true {
                panic!("a bug");
            }
            async { Ok(()) }
        }));
        world.settle();
        assert!(block_on(task).unwrap_err().is_panic());
        assert!(child.recv().unwrap().is_cancelled());
        assert!(world.executor.is_empty());
    });
}

#[test]
fn a_group_begun_in_a_scope_that_is_cancelled() {
    in_world(|world| {
        let task = spawn_local(cancel_scope(async |outer| {
            outer.cancel();
            yield_now().await;
            let group = task_group(|group: TaskGroup<()>| {
                group.spawn(pending::<Result<(), _>>()).detach();
                async { Ok(()) }
            });
            group.await
        }));
        world.settle();
        assert!(task.is_finished() && world.executor.is_empty());
        assert!(block_on(task).unwrap().is_err());
    });
}

#[test]
fn the_clean_up_of_a_child_that_was_cancelled_in_line_is_waited_for() {
    in_world(|world| {
        let log = Log::default();
        let inside = log.clone();
        settle(world, async move {
            let closer = inside.closer("guard");
            let resource = guard((), move |()| closer);
            let group = TaskGroup::<()>::builder().limit(1);
            let out = group
                .run(async move |group| {
                    group.spawn(pending::<Result<(), _>>()).detach();
                    group
                        .spawn(async move {
                            let _resource = resource;
                            Ok(())
                        })
                        .detach();
                    yield_now().await;
                    group.cancel();
                    Ok(())
                })
                .await;
            inside.add("group");
            out
        })
        .unwrap();
        assert_eq!(log.take(), ["guard begins", "guard ends", "group"]);
    });
}

#[test]
fn whoever_goes_on_with_a_group_that_was_cancelled_is_told() {
    in_world(|world| {
        let task = spawn_local(async {
            let mut groups = FuturesUnordered::new();
            groups.push(task_group(async |group: TaskGroup<()>| {
                group.spawn(pending::<Result<(), _>>()).detach();
                pending::<Result<(), _>>().await
            }));
            assert!(timeout(SECOND, groups.next()).await.is_err());
            assert!(groups.next().await.unwrap().unwrap_err().is_cancelled());
        });
        world.settle();
        world.advance(SECOND);
        assert!(task.is_finished());
        block_on(task).unwrap();
    });
}

struct PanickingWaker;

impl Wake for PanickingWaker {
    fn wake(self: Arc<Self>) {
        panic!("a waker of somebody else's");
    }
}

#[test]
fn a_waker_that_panics_does_not_keep_a_child_in_its_group() {
    let reports = in_world(|world| {
        let out = settle(
            world,
            TaskGroup::<()>::builder().limit(1).run(async |group| {
                let first = group.spawn(async {
                    yield_now().await;
                    Ok(1)
                });
                let mut waits = Box::pin(group.spawn_when_free(async { Ok(()) }));
                let waker = Waker::from(Arc::new(PanickingWaker));
                assert!(waits.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
                Ok(first.await.unwrap())
            }),
        );
        assert_eq!(out.unwrap(), 1);
    });
    assert_eq!(reports, ["a waker panicked: a waker of somebody else's"]);
}

#[test]
fn a_panic_in_a_group_that_was_dropped_is_told() {
    let reports = in_world(|world| {
        spawn_local(async {
            let mut group = Box::pin(task_group(async |group: TaskGroup<()>| {
                group
                    .spawn(async {
                        let _panics = Panics;
                        pending::<Result<(), _>>().await
                    })
                    .detach();
                pending::<Result<(), _>>().await
            }));
            std::future::poll_fn(|cx| std::task::Poll::Ready(group.as_mut().poll(cx).is_ready())).await;
            yield_now().await;
        })
        .detach();
        world.settle();
        assert!(world.executor.is_empty());
    });
    assert_eq!(reports.len(), 1);
    assert!(reports[0].ends_with("which was dropped, panicked: in a drop"), "{reports:?}");
}

struct Panics;

impl Drop for Panics {
    fn drop(&mut self) {
        panic!("in a drop");
    }
}

#[test]
fn a_group_without_children_that_is_dropped_starts_nothing() {
    let mut group = Box::pin(task_group(async |_: TaskGroup<()>| pending::<Result<(), ()>>().await));
    assert!(group.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    in_world(|world| {
        drop(group);
        assert_eq!(world.cleanup.jobs(), 0);
    });
}

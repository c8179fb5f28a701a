//! Scopes whose children borrow.

use std::cell::{Cell, RefCell};
use std::future::{Future, pending};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};
use std::time::Duration;

use asyncio_executor::block_on;
use asyncio_tasks::{
    Child, LocalScope, Scope, Task, cancel_scope, guard, scope, scope_local, shield, spawn, spawn_local,
    timeout, yield_now,
};
use asyncio_timers::sleep;
use static_assertions::{assert_impl_all, assert_not_impl_any};

use crate::support::{Log, ReadyAt, in_world};

assert_impl_all!(Scope<'static>: Send, Sync, Clone);
assert_not_impl_any!(LocalScope<'static>: Send, Sync);
assert_impl_all!(Child<Cell<u8>>: Send);
assert_not_impl_any!(Child<Rc<u8>>: Send);

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn children_borrow_and_give_their_outputs() {
    let words = ["a", "scope", "inside"].map(String::from);
    let lengths = block_on(scope(async |s| {
        let children: Vec<_> = words.iter().map(|word| s.spawn(async { word.len() })).collect();
        let mut lengths = Vec::new();
        for child in children {
            lengths.push(child.await);
        }
        lengths
    }));
    assert_eq!(lengths, [1, 5, 6]);
    drop(words);
}

#[test]
fn a_scope_waits_for_children_that_nobody_awaits_and_for_theirs() {
    let log = RefCell::new(Vec::new());
    let value = block_on(scope_local(async |s| {
        let inner = s.clone();
        let log = &log;
        s.spawn(async move {
            yield_now().await;
            inner
                .spawn(async move {
                    yield_now().await;
                    log.borrow_mut().push("grandchild");
                })
                .detach();
            log.borrow_mut().push("child");
        })
        .detach();
        log.borrow_mut().push("body");
        7
    }));
    assert_eq!(value, 7);
    assert_eq!(*log.borrow(), ["body", "child", "grandchild"]);
}

#[test]
fn a_scope_in_a_task_that_moves_and_a_local_one_in_one_that_does_not() {
    fn assert_send<T: Send>(value: T) -> T {
        value
    }
    in_world(|world| {
        let task: Task<u32> = spawn(assert_send(async {
            let words = [String::from("a scope inside a task that may move")];
            scope(async |s| s.spawn(async { words.len() as u32 }).await).await
        }));
        let local = spawn_local(async {
            let count = Rc::new(Cell::new(0));
            scope_local(async |s| s.spawn(async { count.set(count.get() + 1) }).await).await;
            count.get()
        });
        world.settle();
        assert_eq!(block_on(task).unwrap(), 1);
        assert_eq!(block_on(local).unwrap(), 1);
    });
}

#[test]
fn a_panic_of_a_child_cancels_the_others_and_goes_on_when_they_have_ended() {
    let log = Log::default();
    let out = catch_unwind(AssertUnwindSafe(|| {
        block_on(scope(async |s| {
            let closer = log.closer("sibling");
            s.spawn(async move {
                let _guard = guard((), move |()| closer);
                pending::<()>().await;
            })
            .detach();
            let culprit: Child<()> = s.spawn(async {
                yield_now().await;
                panic!("a bug");
            });
            let _on_drop = log.on_drop("body");
            culprit.await;
        }));
    }));
    assert_eq!(out.unwrap_err().downcast_ref(), Some(&"a bug"));
    assert_eq!(log.take(), ["body is dropped", "sibling begins", "sibling ends"]);
}

#[test]
fn a_panic_of_the_body_cancels_the_children() {
    let log = Log::default();
    let out = catch_unwind(AssertUnwindSafe(|| {
        block_on(scope(async |s| {
            let on_drop = log.on_drop("child");
            s.spawn(async move {
                let _on_drop = on_drop;
                pending::<()>().await;
            })
            .detach();
            yield_now().await;
            if true {
                panic!("a bug");
            }
        }));
    }));
    assert!(out.is_err());
    assert_eq!(log.take(), ["child is dropped"]);
}

#[test]
fn the_scope_around_cancels_body_and_children() {
    let log = Log::default();
    in_world(|world| {
        let log = log.clone();
        let task = spawn_local(async move {
            let out = timeout(
                SECOND,
                scope(async |s| {
                    let closer = log.closer("child");
                    s.spawn(async move {
                        let _guard = guard((), move |()| closer);
                        pending::<()>().await;
                    })
                    .detach();
                    let on_drop = log.on_drop("other child");
                    s.spawn(async move {
                        let _on_drop = on_drop;
                        pending::<()>().await;
                    })
                    .detach();
                    let _on_drop = log.on_drop("body");
                    pending::<()>().await
                }),
            );
            assert!(out.await.is_err());
            log.add("timeout");
        });
        world.settle();
        world.advance(SECOND);
        block_on(task).unwrap();
    });
    let log = log.take();
    assert_eq!(log[log.len() - 3..], ["child begins", "child ends", "timeout"]);
    assert!(
        log.contains(&String::from("body is dropped"))
            && log.contains(&String::from("other child is dropped"))
    );
}

#[test]
fn a_child_that_holds_does_not_keep_the_others_alive() {
    let log = Log::default();
    in_world(|world| {
        let log = log.clone();
        let task = spawn_local(async move {
            let out = cancel_scope(async |outer| {
                scope(async |s| {
                    let inside = log.clone();
                    s.spawn(async move {
                        shield(async {
                            for _ in 0..10 {
                                yield_now().await;
                            }
                        })
                        .await;
                        inside.add("shield has ended");
                        pending::<()>().await;
                    })
                    .detach();
                    let on_drop = log.on_drop("other");
                    s.spawn(async move {
                        let _on_drop = on_drop;
                        pending::<()>().await;
                    })
                    .detach();
                    yield_now().await;
                    outer.cancel();
                    pending::<()>().await
                })
                .await
            });
            assert!(out.await.is_err());
        });
        world.settle();
        block_on(task).unwrap();
    });
    assert_eq!(log.take(), ["other is dropped", "shield has ended"]);
}

#[test]
fn dropping_a_scope_at_each_of_its_polls_drops_all_and_loses_no_clean_up() {
    for polls in 0..6 {
        let log = Log::default();
        in_world(|world| {
            let inside = log.clone();
            spawn_local(async move {
                let words = [1, 2, 3];
                let closer = inside.closer("child");
                let mut scope = Box::pin(scope(async |s| {
                    let guard = guard((), move |()| closer);
                    let child = s.spawn(async move {
                        let _guard = guard;
                        ReadyAt(2).await;
                    });
                    child.await;
                    words.len()
                }));
                for _ in 0..polls {
                    let is_ready =
                        std::future::poll_fn(|cx| Poll::Ready(scope.as_mut().poll(cx).is_ready())).await;
                    if is_ready {
                        break;
                    }
                    yield_now().await;
                }
                drop(scope);
            })
            .detach();
            world.settle();
            assert!(world.executor.is_empty(), "after {polls} polls");
        });
        let log = log.take();
        assert!(log.is_empty() || log == ["child begins", "child ends"], "after {polls} polls: {log:?}");
        assert_eq!(log.is_empty(), polls == 0);
    }
}

#[test]
fn only_those_that_are_woken_are_polled() {
    let polls = Cell::new(0);
    block_on(
        scope_local(async |s| {
            for _ in 0..10 {
                s.spawn(async {
                    std::future::poll_fn(|cx| {
                        polls.set(polls.get() + 1);
                        if polls.get() > 10 {
                            return Poll::Ready(());
                        }
                        // Only the last one wakes itself.
                        if polls.get() == 10 {
                            cx.waker().wake_by_ref();
                        }
                        Poll::Pending
                    })
                    .await;
                    // The others are not woken any more: it cancels them by its panic.
                    panic!("enough");
                })
                .detach();
            }
        })
        .catch(),
    );
    assert_eq!(polls.get(), 11);
}

/// A panic as a value.
trait Catch: Future + Sized {
    async fn catch(self) -> bool {
        let mut future = Box::pin(self);
        std::future::poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(_)) => Poll::Ready(false),
            Err(_) => Poll::Ready(true),
        })
        .await
    }
}

impl<F: Future> Catch for F {}

#[test]
fn a_scope_that_has_ended_takes_no_child() {
    let handle = block_on(scope(async |s: Scope<'static>| s));
    let out = catch_unwind(AssertUnwindSafe(|| handle.spawn(async {}).detach()));
    assert_eq!(out.unwrap_err().downcast_ref(), Some(&"a child was spawned into a scope that has ended"));
}

#[test]
fn a_child_that_is_spawned_from_elsewhere_wakes_the_scope() {
    let body_waits = Arc::new((AtomicBool::new(false), Mutex::new(None::<Waker>)));
    block_on(scope(async |s: Scope<'static>| {
        let shared = body_waits.clone();
        let thread = std::thread::spawn(move || {
            // When the scope waits: its body has left a waker.
            while shared.1.lock().unwrap().is_none() {
                std::thread::yield_now();
            }
            s.spawn(async move {
                shared.0.store(true, Ordering::SeqCst);
                shared.1.lock().unwrap().take().unwrap().wake();
            })
            .detach();
        });
        std::future::poll_fn(|cx| {
            if body_waits.0.load(Ordering::SeqCst) {
                return Poll::Ready(());
            }
            *body_waits.1.lock().unwrap() = Some(cx.waker().clone());
            Poll::Pending
        })
        .await;
        thread.join().unwrap();
    }));
}

#[test]
fn a_grandchild_that_is_spawned_in_the_poll_of_the_panic_is_cancelled_too() {
    let out = catch_unwind(AssertUnwindSafe(|| {
        block_on(scope(async |s| {
            let inner = s.clone();
            s.spawn(async move { inner.spawn(pending::<()>()).detach() }).detach();
            s.spawn(async {
                if true {
                    panic!("a bug");
                }
            })
            .detach();
        }));
    }));
    assert!(out.is_err());
}

#[test]
fn a_child_that_is_awaited_under_a_shield_is_cancelled_nevertheless_and_says_so() {
    in_world(|world| {
        let task = spawn_local(async {
            let body = scope(async |s| {
                let child = s.spawn(async {
                    sleep(SECOND * 10).await;
                    1
                });
                shield(child).await
            });
            timeout(SECOND, body).await
        });
        world.settle();
        world.advance(SECOND);
        let error = block_on(task).unwrap_err();
        assert!(
            error.to_string().contains("a child was awaited that was cancelled with its scope"),
            "{error}"
        );
    });
}

#[test]
fn a_body_that_spawns_before_it_gives_its_future_in_a_scope_that_is_cancelled() {
    let log = Log::default();
    in_world(|world| {
        let log = log.clone();
        let task = spawn_local(async move {
            let out = cancel_scope(async |outer| {
                outer.cancel();
                yield_now().await;
                scope(|s| {
                    let (inner, on_drop) = (s.clone(), log.on_drop("child"));
                    s.spawn(async move {
                        let _keep = (inner, on_drop);
                        pending::<()>().await;
                    })
                    .detach();
                    async move { drop(s) }
                })
                .await;
            });
            out.await.is_err()
        });
        world.settle();
        assert!(block_on(task).unwrap());
    });
    // It was never begun, since nothing begins in what is cancelled.
    assert_eq!(log.take(), Vec::<String>::new());
    let out = catch_unwind(AssertUnwindSafe(|| {
        block_on(scope(|s| {
            let (inner, on_drop) = (s.clone(), log.on_drop("child"));
            s.spawn(async move {
                let _keep = (inner, on_drop);
            })
            .detach();
            if true {
                panic!("before its future");
            }
            async {}
        }));
    }));
    assert!(out.is_err());
    assert_eq!(log.take(), ["child is dropped"]);
}

#[test]
fn an_output_that_nobody_wants_and_that_panics_in_its_drop_is_a_panic_of_the_child() {
    struct PanicsOnDrop;
    impl Drop for PanicsOnDrop {
        fn drop(&mut self) {
            panic!("in the drop of an output");
        }
    }
    let sibling_has_ended = Cell::new(false);
    let out = catch_unwind(AssertUnwindSafe(|| {
        block_on(scope_local(async |s| {
            s.spawn(shield(async {
                yield_now().await;
                yield_now().await;
                sibling_has_ended.set(true);
            }))
            .detach();
            s.spawn(async { PanicsOnDrop }).detach();
        }));
    }));
    assert_eq!(out.unwrap_err().downcast_ref(), Some(&"in the drop of an output"));
    assert!(sibling_has_ended.get(), "it was waited for");
}

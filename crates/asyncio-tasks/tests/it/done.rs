//! Done callbacks, shared tasks, completions, eager tasks, errors that nobody reads.

use std::cell::{Cell, RefCell};
use std::future::pending;
use std::io;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use asyncio_executor::block_on;
use asyncio_tasks::{
    Builder, Completion, Setter, SharedTask, Task, TaskGroup, completion, current_task, join, spawn,
    spawn_checked, spawn_local, task_group, yield_now,
};
use static_assertions::{assert_impl_all, assert_not_impl_any};

use crate::support::{Log, in_world};

assert_impl_all!(Task<u8>: Send, Sync, Unpin);
assert_not_impl_any!(Task<Rc<u8>>: Send, Sync);
assert_impl_all!(SharedTask<u8>: Clone, Send, Sync);
assert_impl_all!(Completion<u8, io::Error>: Clone, Send, Sync, Unpin);
assert_impl_all!(Setter<u8, io::Error>: Send, Sync);

#[test]
fn callbacks_are_called_in_order_before_whoever_awaits_goes_on() {
    let log = Log::default();
    in_world(|world| {
        let task = spawn_local(async { 7 });
        for name in ["first", "second"] {
            let log = log.clone();
            task.on_done(move |result| log.add(format!("{name}: {}", result.unwrap())));
        }
        let awaiter = spawn_local({
            let log = log.clone();
            async move { log.add(format!("awaited: {}", task.await.unwrap())) }
        });
        log.add("not inline");
        world.settle();
        block_on(awaiter).unwrap();
    });
    assert_eq!(log.take(), ["not inline", "first: 7", "second: 7", "awaited: 7"]);
}

#[test]
fn callbacks_hear_of_errors_cancellations_and_panics_each_in_its_way() {
    let log = Log::default();
    let tell = |name: &'static str| {
        let log = log.clone();
        move |result: Result<&(), &asyncio_tasks::TaskError>| {
            log.add(format!("{name}: {}", result.unwrap_err()))
        }
    };
    in_world(|world| {
        let panicked: Task<()> = spawn_local(async { panic!("a bug") });
        panicked.on_done(tell("panicked"));
        let cancelled: Task<()> = spawn_local(pending());
        cancelled.on_done(tell("cancelled"));
        cancelled.cancel_because("enough");
        let group = spawn_local({
            let told = tell("child");
            task_group(async move |group: TaskGroup<&'static str>| {
                group.spawn(async { Err("failed") }).on_done(told);
                Ok(())
            })
        });
        world.settle();
        assert!(block_on(panicked).unwrap_err().is_panic());
        assert!(block_on(cancelled).unwrap_err().is_cancelled());
        assert_eq!(block_on(group).unwrap().unwrap_err().errors(), ["failed"]);
    });
    let expected = [
        "panicked: the task panicked: a bug",
        "cancelled: the task was cancelled: enough",
        "child: the task failed; the error is in the group's error",
    ];
    assert_eq!(log.take(), expected);
}

#[test]
fn a_callback_that_comes_late_is_called_soon_and_takes_nothing_away() {
    let log = Log::default();
    in_world(|world| {
        let task = spawn_local(async { String::from("value") });
        world.settle();
        assert!(task.is_finished());
        for name in ["first", "second"] {
            let log = log.clone();
            task.on_done(move |result| log.add(format!("{name}: {}", result.unwrap())));
        }
        assert_eq!(log.take(), Vec::<String>::new(), "not inline");
        world.settle();
        assert_eq!(log.take(), ["first: value", "second: value"]);
        assert_eq!(block_on(task).unwrap(), "value");

        // Awaited, or dropped, before its turn.
        let task = spawn_local(async { 1 });
        let dropped = spawn_local(async { 2 });
        world.settle();
        for task in [&task, &dropped] {
            let log = log.clone();
            task.on_done(move |result| log.add(result.unwrap().to_string()));
        }
        drop(dropped);
        assert_eq!(block_on(task).unwrap(), 1);
        assert_eq!(log.take(), ["1"]);
        world.settle();
        assert_eq!(log.take(), ["2"]);
    });
    // Where no loop runs any more: at once.
    let task = {
        let mut kept = None;
        in_world(|world| {
            let task = spawn_local(async { 3 });
            world.settle();
            kept = Some(task);
        });
        kept.unwrap()
    };
    let inside = log.clone();
    task.on_done(move |result| inside.add(result.unwrap().to_string()));
    assert_eq!(log.take(), ["3"]);
}

#[test]
fn a_panic_of_a_callback_is_reported_and_the_others_are_called() {
    let log = Log::default();
    let reports = in_world(|world| {
        let task = spawn_local(async { 7 });
        task.on_done(|_| panic!("a bug"));
        let inside = log.clone();
        task.on_done(move |_| inside.add("called"));
        world.settle();
        assert_eq!(block_on(task).unwrap(), 7);
    });
    assert_eq!(log.take(), ["called"]);
    assert_eq!(reports, ["a callback of a task that is done panicked: a bug"]);
}

#[test]
fn a_shared_task_gives_each_its_clone() {
    in_world(|world| {
        let shared = spawn(async {
            yield_now().await;
            String::from("value")
        })
        .shared();
        let both = spawn_local({
            let shared = shared.clone();
            async move { join!(shared.clone(), shared) }
        });
        world.settle();
        assert!(shared.is_finished());
        let (one, two) = block_on(both).unwrap();
        assert_eq!(
            (one.unwrap(), two.unwrap(), block_on(shared).unwrap()),
            ("value".into(), "value".into(), "value".into())
        );

        let panicked = spawn(async {
            if true {
                panic!("a bug")
            }
        })
        .shared();
        world.settle();
        let (one, two) = (block_on(panicked.clone()).unwrap_err(), block_on(panicked).unwrap_err());
        assert_eq!(one.into_panic().downcast_ref(), Some(&"a bug"));
        assert_eq!(two.to_string(), "the task panicked: a bug");
        assert_eq!(two.into_panic().downcast_ref::<String>().unwrap(), "a bug");

        let cancelled = spawn(pending::<()>()).shared();
        world.settle();
        assert!(cancelled.cancel_because("enough"));
        world.settle();
        assert_eq!(block_on(cancelled).unwrap_err().reason(), Some("enough"));
    });
}

#[test]
fn a_shared_task_that_goes_with_its_loop_is_cancelled() {
    let mut kept = None;
    in_world(|world| {
        kept = Some(spawn(pending::<()>()).shared());
        world.settle();
    });
    assert!(block_on(kept.unwrap()).unwrap_err().is_cancelled());
}

#[test]
fn those_who_wait_for_a_completion_go_on_in_the_order_in_which_they_came() {
    let log = Log::default();
    in_world(|world| {
        let (setter, completion) = completion::<u32, io::Error>();
        let waiter = |name: &'static str| {
            let (log, completion) = (log.clone(), completion.clone());
            spawn_local(async move { log.add(format!("{name}: {}", completion.await.unwrap())) }).detach();
            world.settle();
        };
        let callback = |name: &'static str| {
            let log = log.clone();
            completion.on_done(move |result| log.add(format!("{name}: {}", result.unwrap())));
        };
        waiter("first");
        callback("second");
        waiter("third");
        callback("fourth");
        spawn_local({
            let log = log.clone();
            async move {
                setter.set(7);
                log.add("set");
            }
        })
        .detach();
        assert!(!completion.is_done());
        world.settle();
        assert_eq!(log.take(), ["set", "first: 7", "second: 7", "third: 7", "fourth: 7"]);
        // What is set already does not wait (ORD-4), and a callback that comes late is not inline.
        let mut set = completion.clone();
        let mut cx = Context::from_waker(Waker::noop());
        assert!(matches!(std::pin::Pin::new(&mut set).poll(&mut cx), Poll::Ready(Ok(7))));
        callback("late");
        assert_eq!(log.take(), Vec::<String>::new());
        world.settle();
        assert_eq!(log.take(), ["late: 7"]);
    });
}

#[test]
fn a_completion_fails_or_is_abandoned() {
    let (setter, failed) = completion::<u32, io::Error>();
    setter.fail(io::Error::other("disk"));
    let error = block_on(failed.clone()).unwrap_err();
    assert_eq!(error.to_string(), "disk");
    assert_eq!(error.error().unwrap().kind(), io::ErrorKind::Other);
    assert!(failed.outcome().unwrap().is_err());
    let (setter, abandoned) = completion::<u32, io::Error>();
    let waits = std::thread::spawn({
        let abandoned = abandoned.clone();
        move || block_on(abandoned)
    });
    drop(setter);
    assert!(waits.join().unwrap().unwrap_err().is_abandoned());
    assert_eq!(block_on(abandoned).unwrap_err().to_string(), "the one who was to complete this has gone");
}

#[test]
fn a_completion_that_is_given_up_a_million_times_holds_nothing() {
    let (setter, completion) = completion::<u32, io::Error>();
    for _ in 0..1000 {
        let mut waits = completion.clone();
        let mut cx = Context::from_waker(Waker::noop());
        assert!(std::pin::Pin::new(&mut waits).poll(&mut cx).is_pending());
    }
    setter.set(1);
    assert_eq!(block_on(completion).unwrap(), 1);
}

#[test]
fn an_eager_task_is_polled_where_it_is_spawned() {
    let log = Log::default();
    in_world(|world| {
        let inside = log.clone();
        let task = Builder::new().name("eager").eager(true).spawn_local(async move {
            inside.add(current_task().unwrap().name().unwrap());
            yield_now().await;
            inside.add("second poll");
            3
        });
        log.add("spawned");
        world.settle();
        assert_eq!(block_on(task).unwrap(), 3);
        // From inside of a task: the task that is polled is the right one afterwards.
        let outer = spawn_local(async {
            let before = current_task().unwrap().id();
            let inner = Builder::new().eager(true).spawn(async { current_task().unwrap().parent() });
            assert_eq!(current_task().unwrap().id(), before);
            (before, inner.await.unwrap())
        });
        world.settle();
        let (id, parent) = block_on(outer).unwrap();
        assert_eq!(parent, Some(id));
        let panicked: Task<()> = Builder::new().eager(true).spawn_local(async { panic!("a bug") });
        assert!(block_on(panicked).unwrap_err().is_panic());
    });
    assert_eq!(log.take(), ["eager", "spawned", "second poll"]);
}

#[test]
fn an_error_that_nobody_reads_is_reported_once() {
    let reports = in_world(|world| {
        // Read: not reported.
        let task = spawn_checked(async { Err::<(), _>("read") });
        world.settle();
        assert_eq!(block_on(task).unwrap(), Err("read"));
        // Detached before and after its end, and one that does not fail.
        spawn_checked(async { Err::<(), _>("before") }).detach();
        world.settle();
        let task = spawn_checked(async { Err::<(), _>("after") });
        world.settle();
        drop(task);
        spawn_checked(async { Ok::<_, ()>(()) }).detach();
        world.settle();
    });
    assert_eq!(reports.len(), 2, "{reports:?}");
    assert!(reports[0].ends_with("nobody has read its error: \"before\""));
    assert!(reports[1].ends_with("nobody has read its error: \"after\"") && reports[1].contains("done.rs"));
}

#[test]
fn waiting_by_blocking_is_refused_where_it_would_block_a_loop() {
    in_world(|world| {
        let task = spawn_local(async { 1 });
        world.settle();
        let error = task.wait_blocking().unwrap_err();
        assert!(!error.is_cancelled() && !error.is_panic());
        assert!(error.to_string().contains("await it"), "{error}");
        let task = spawn(async { 2 });
        let thread = std::thread::spawn(move || task.wait_blocking());
        while !thread.is_finished() {
            world.settle();
        }
        assert_eq!(thread.join().unwrap().unwrap(), 2);
    });
}

asyncio_tasks::task_local! {
    static REQUEST: u32;
    static USER: String;
}

#[test]
fn a_task_inherits_and_what_it_changes_its_parent_does_not_see() {
    in_world(|world| {
        let seen = Rc::new(RefCell::new(Vec::new()));
        let inside = seen.clone();
        spawn_local(async move {
            REQUEST.set(1);
            let child = spawn_local(async {
                let inherited = REQUEST.get();
                REQUEST.set(2);
                yield_now().await;
                (inherited, REQUEST.get())
            });
            let of_child = child.await.unwrap();
            inside.borrow_mut().push(of_child);
            let scoped = REQUEST.scope(9, async {
                USER.set(String::from("somebody"));
                (REQUEST.get(), spawn(async { REQUEST.get() }).await.unwrap())
            });
            let in_scope = scoped.await;
            inside.borrow_mut().push(in_scope);
            inside.borrow_mut().push((REQUEST.get(), 0));
            assert_eq!(USER.get(), "somebody", "it is the task's, not the scope's");
        })
        .detach();
        spawn_local(async { assert_eq!(REQUEST.try_get(), None) }).detach();
        world.settle();
        assert_eq!(*seen.borrow(), [(1, 2), (9, 9), (1, 0)]);
        assert_eq!(REQUEST.try_get(), None);
    });
}

#[test]
fn a_future_that_is_dropped_has_its_value_until_it_is_gone() {
    struct Looks(Rc<Cell<Option<u32>>>);
    impl Drop for Looks {
        fn drop(&mut self) {
            self.0.set(REQUEST.try_get());
        }
    }
    in_world(|world| {
        let seen = Rc::new(Cell::new(None));
        let looks = Looks(seen.clone());
        let loser = spawn_local(async {
            asyncio_tasks::race!(
                REQUEST.scope(3, async move {
                    let _looks = looks;
                    pending::<()>().await;
                }),
                yield_now()
            );
            REQUEST.try_get()
        });
        world.settle();
        assert_eq!((block_on(loser).unwrap(), seen.take()), (None, Some(3)));
        // The same where it has ended: it goes at once.
        let looks = Looks(seen.clone());
        let ended = REQUEST.scope(4, async move { drop(looks) });
        block_on(ended);
        assert_eq!(seen.take(), Some(4));
    });
}

#[test]
fn a_task_local_whose_drop_panics_is_reported() {
    #[derive(Clone)]
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("on purpose");
        }
    }
    asyncio_tasks::task_local! { static BOMB: Bomb; }
    let reports = in_world(|world| {
        spawn_local(async { BOMB.set(Bomb) }).detach();
        world.settle();
        // The loop goes on.
        let next = spawn_local(async { 1 });
        world.settle();
        assert_eq!(block_on(next).unwrap(), 1);
    });
    assert!(reports.iter().any(|report| report.contains("on purpose")), "{reports:?}");
}

#[test]
fn a_context_is_a_snapshot() {
    in_world(|world| {
        let context = REQUEST.scope_sync(5, asyncio_tasks::Context::capture);
        assert_eq!(REQUEST.try_get(), None);
        let of_task = Builder::new().context(context.clone()).spawn(async {
            REQUEST.set(REQUEST.get() + 1);
            REQUEST.get()
        });
        world.settle();
        assert_eq!(block_on(of_task).unwrap(), 6);
        let inside = spawn_local(async move {
            REQUEST.set(1);
            let in_context = context.run(|| {
                REQUEST.set(REQUEST.get() + 10);
                // What another task sees is its own.
                let eager = Builder::new().eager(true).spawn_local(async { REQUEST.get() });
                (REQUEST.get(), eager)
            });
            (in_context.0, in_context.1.await.unwrap(), REQUEST.get())
        });
        world.settle();
        assert_eq!(block_on(inside).unwrap(), (15, 15, 1));
    });
}

#[test]
fn a_callback_that_is_registered_by_a_callback_is_called() {
    let log = Log::default();
    in_world(|world| {
        let task = std::sync::Arc::new(spawn_local(async { 7 }));
        let (again, inside) = (task.clone(), log.clone());
        task.on_done(move |_| {
            let log = inside.clone();
            again.on_done(move |result| inside.add(format!("inner: {}", result.unwrap())));
            log.add("outer");
        });
        world.settle();
        assert_eq!(block_on(std::sync::Arc::into_inner(task).unwrap()).unwrap(), 7);
    });
    assert_eq!(log.take(), ["outer", "inner: 7"]);
}

#[test]
fn a_late_callback_that_registers_itself_again_comes_in_the_next_round() {
    fn again(task: &std::sync::Arc<Task<u32>>, left: u32, log: &Log) {
        let (kept, inside) = (task.clone(), log.clone());
        task.on_done(move |_| {
            inside.add(left.to_string());
            if left > 0 {
                again(&kept, left - 1, &inside);
            }
        });
    }
    let log = Log::default();
    in_world(|world| {
        let task = std::sync::Arc::new(spawn_local(async { 7 }));
        world.settle();
        again(&task, 10_000, &log);
        assert_eq!(world.executor.run_round(), 1);
        assert_eq!(log.take().len(), 1);
        world.settle();
    });
    assert_eq!(log.take().len(), 10_000);
}

#[test]
fn tasks_of_other_threads_that_end_while_they_are_shared_are_told() {
    let (sender, receiver) = std::sync::mpsc::channel();
    let thread = std::thread::spawn(move || {
        let executor = asyncio_executor::LocalExecutor::new(Waker::noop().clone());
        let _entered = executor.enter();
        for n in 0..20_000 {
            sender.send(spawn(async move { n })).unwrap();
            executor.run_round();
        }
    });
    for (n, task) in receiver.into_iter().enumerate() {
        assert_eq!(block_on(task.shared()).unwrap(), n);
    }
    thread.join().unwrap();
}

#[test]
fn a_callback_of_a_completion_that_panics_keeps_nobody_asleep() {
    let log = Log::default();
    let reports = in_world(|world| {
        let (setter, abandoned) = completion::<u32, io::Error>();
        abandoned.on_done(|_| panic!("a bug"));
        let (inside, waits) = (log.clone(), abandoned.clone());
        spawn_local(async move { inside.add(waits.await.unwrap_err().is_abandoned().to_string()) }).detach();
        world.settle();
        let told = log.clone();
        abandoned.on_done(move |result| told.add(result.is_err().to_string()));
        drop(setter);
        assert_eq!(log.take(), Vec::<String>::new(), "never inline");
        world.settle();
    });
    assert_eq!(log.take(), ["true", "true"]);
    assert_eq!(reports, ["a callback of a completion panicked: a bug"]);
}

#[test]
fn an_error_that_is_read_through_a_shared_handle_is_read() {
    let reports = in_world(|world| {
        let shared = spawn_checked(async { Err::<(), _>("x") }).shared();
        world.settle();
        assert_eq!(block_on(shared).unwrap(), Err("x"));
    });
    assert_eq!(reports, Vec::<String>::new());
}

#[test]
fn a_panic_with_the_error_of_another_task_is_a_panic() {
    in_world(|world| {
        let cancelled: Task<()> = spawn_local(pending());
        cancelled.cancel();
        world.settle();
        let error = block_on(cancelled).unwrap_err();
        let panicked: Task<()> = spawn(async move { std::panic::panic_any(error) });
        panicked.on_done(|_| ());
        world.settle();
        assert!(block_on(panicked).unwrap_err().is_panic());
    });
}

#[test]
fn an_eager_task_that_drops_its_executor_leaves_nothing() {
    let executor = asyncio_executor::LocalExecutor::new(Waker::noop().clone());
    let entered = executor.enter();
    let dropped = Rc::new(());
    let weak = Rc::downgrade(&dropped);
    let task = Builder::new().eager(true).spawn_local(async move {
        let _held = dropped;
        drop(executor);
        pending::<()>().await;
    });
    assert!(weak.upgrade().is_none());
    assert!(block_on(task).unwrap_err().is_cancelled());
    drop(entered);
}

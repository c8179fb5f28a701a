//! Portals, contexts of runners and callbacks, slow polls.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use asyncio_runtime::{EventLoop, Portal, Runner};
use asyncio_tasks::{Context, current_task, spawn_local, yield_now};
use asyncio_timers::sleep;
use static_assertions::assert_impl_all;

assert_impl_all!(Portal: Clone, Send, Sync);

asyncio_tasks::task_local! { static REQUEST: u32; }

#[test]
fn blocking_code_calls_in_from_many_threads() {
    let portal = Portal::start().unwrap();
    let threads: Vec<_> = (0..4)
        .map(|n| {
            let portal = portal.clone();
            std::thread::spawn(move || {
                portal.call(async move {
                    sleep(Duration::from_millis(1)).await;
                    n
                })
            })
        })
        .collect();
    let sum: u32 = threads.into_iter().map(|thread| thread.join().unwrap().unwrap()).sum();
    assert_eq!(sum, 6);
    assert!(portal.call(async { panic!("a bug") }).unwrap_err().is_panic());
    let event_loop = portal.event_loop();
    // From inside of a loop it would block that.
    let error = asyncio_runtime::run(async move { portal.call(async { 1 }).unwrap_err() });
    assert!(error.to_string().contains("await it"), "{error}");
    assert!(event_loop.is_closed(), "the last clone is gone");
}

#[test]
fn a_portal_to_a_loop_that_runs_and_to_one_that_is_closed() {
    let mut runner = Runner::new().unwrap();
    let portal = runner.event_loop().portal();
    runner.run(async {
        let inside = portal.clone();
        let thread = std::thread::spawn(move || inside.call(async { current_task().is_some() }));
        while !thread.is_finished() {
            yield_now().await;
        }
        assert!(thread.join().unwrap().unwrap());
    });
    runner.close();
    let error = portal.call(async { 1 }).unwrap_err();
    assert!(error.is_cancelled());
    assert!(error.reason().unwrap().contains("closed"), "{error}");
}

#[test]
fn a_portal_to_a_loop_of_this_thread_that_does_not_run_says_so() {
    let runner = Runner::new().unwrap();
    let error = runner.event_loop().portal().call(async {}).unwrap_err();
    assert!(error.to_string().contains("await it"), "{error}");
}

#[test]
fn a_portal_that_is_dropped_by_a_task_of_its_own_ends_by_itself() {
    let portal = Portal::start().unwrap();
    let event_loop = portal.event_loop();
    event_loop.spawn(async move { drop(portal) }).unwrap().wait_blocking().unwrap();
    while !event_loop.is_closed() {
        std::thread::yield_now();
    }
}

#[test]
fn a_runner_keeps_one_context_over_all_its_runs() {
    REQUEST.set(1);
    let mut runner = Runner::new().unwrap();
    let mut other = Runner::new().unwrap();
    runner.run(async {
        assert_eq!(REQUEST.get(), 1, "it begins as a copy");
        REQUEST.set(2);
        assert_eq!(spawn_local(async { REQUEST.get() }).await.unwrap(), 2);
    });
    assert_eq!(REQUEST.get(), 1);
    other.run(async { assert_eq!(REQUEST.get(), 1) });
    runner.run(async { assert_eq!(REQUEST.get(), 2) });
}

#[test]
fn callbacks_have_the_context_in_which_they_were_registered() {
    let mut runner = Runner::new().unwrap();
    let seen = Rc::new(Cell::new((0, 0)));
    let inside = seen.clone();
    runner.run(async {
        let event_loop = EventLoop::current().unwrap();
        REQUEST.set(1);
        let first = inside.clone();
        event_loop.call_soon(move || first.set((REQUEST.get(), 0))).unwrap();
        let context: Context = REQUEST.scope_sync(7, Context::capture);
        event_loop
            .call_soon_in(&context, move || {
                inside.set((inside.get().0, REQUEST.get()));
                REQUEST.set(8);
            })
            .unwrap();
        REQUEST.set(2);
        yield_now().await;
        yield_now().await;
        assert_eq!(context.run(|| REQUEST.get()), 7, "what it changed was a copy");
    });
    assert_eq!(seen.get(), (1, 7));
}

#[test]
fn a_poll_that_holds_the_loop_is_named_in_debug_mode() {
    // Each poll is too long, or none is.
    for (workers, threshold) in
        [(1, Duration::ZERO), (2, Duration::ZERO), (1, Duration::MAX), (2, Duration::MAX)]
    {
        let events = Arc::new(Mutex::new(Vec::new()));
        let sink = events.clone();
        let mut runner = Runner::builder()
            .workers(workers)
            .debug(true)
            .slow_poll_threshold(threshold)
            .on_unhandled(move |event| sink.lock().unwrap().push(event.to_string()))
            .build()
            .unwrap();
        runner.run(async {
            spawn_local(async {}).await.unwrap();
            asyncio_tasks::spawn(async { yield_now().await }).await.unwrap();
        });
        assert!(runner.event_loop().metrics().polls > 0);
        runner.close();
        let events = events.lock().unwrap();
        let is_of_a_task =
            |e: &&String| e.contains("of task") && e.contains("portal.rs") && e.contains("held its loop");
        let named = events.iter().filter(is_of_a_task).count();
        // One poll of the first task, two of the second, here or on the other worker.
        assert_eq!(named, if threshold.is_zero() { 3 } else { 0 }, "{events:?}");
    }
}

//! Panics in polls, in drops, in wakers: the executor goes on.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use asyncio_base::panic::message;
use asyncio_base::report;
use asyncio_executor::{block_on, current_header};

use super::executor;

struct PanicsOnDrop;

impl Drop for PanicsOnDrop {
    fn drop(&mut self) {
        panic!("in drop");
    }
}

#[test]
fn a_panic_ends_its_task_alone_and_goes_to_whoever_awaits() {
    let executor = executor();
    let before = executor.spawn(async { 1 });
    let bad = executor.spawn(async { panic!("boom") });
    let after = executor.spawn(async { 2 });
    assert_eq!(executor.run_round(), 3);
    assert_eq!(block_on(before), Some(1));
    assert_eq!(block_on(after), Some(2));
    let panic = catch_unwind(AssertUnwindSafe(|| block_on(bad))).unwrap_err();
    assert_eq!(message(&*panic), "boom");
    assert!(executor.is_empty());
}

#[test]
fn a_panic_in_the_drop_of_a_future_is_reported() {
    let lines = Rc::new(std::cell::RefCell::new(Vec::new()));
    let sink = lines.clone();
    report::with_handler(Rc::new(move |line| sink.borrow_mut().push(line.to_string())), || {
        let mut executor = executor();
        let finishing = executor.spawn(async {
            let _bad = PanicsOnDrop;
            std::future::ready(()).await;
        });
        // A drop inside of a poll is a panic of that poll.
        executor.run_round();
        assert!(catch_unwind(AssertUnwindSafe(|| block_on(finishing))).is_err());
        executor
            .spawn(async {
                let _bad = PanicsOnDrop;
                std::future::pending::<()>().await;
            })
            .detach();
        executor.run_round();
        executor.close();
        assert!(executor.is_empty());
    });
    let lines = lines.take();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].contains("panics.rs") && lines[0].contains("in drop"), "{lines:?}");
}

/// What an upper layer attaches is dropped with the memory of the task, by whoever gives up the last reference: in a round, or with a waker.
#[test]
fn a_panic_in_the_drop_of_what_is_attached_is_reported() {
    let lines = Rc::new(std::cell::RefCell::new(Vec::new()));
    let sink = lines.clone();
    report::with_handler(Rc::new(move |line| sink.borrow_mut().push(line.to_string())), || {
        let executor = executor();
        let attach = || current_header(|header| header.attach(|| PanicsOnDrop).is_some());
        let kept = Rc::new(std::cell::Cell::new(None));
        let place = kept.clone();
        executor.spawn(async move { assert_eq!(attach(), Some(true)) }).detach();
        executor
            .spawn(std::future::poll_fn(move |cx| {
                assert_eq!(attach(), Some(true));
                place.set(Some(cx.waker().clone()));
                std::task::Poll::Ready(())
            }))
            .detach();
        assert_eq!(executor.run_round(), 2);
        assert!(executor.is_empty());
        drop(kept.take());
        assert_eq!(block_on(async { 1 }), 1);
    });
    let lines = lines.take();
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines.iter().all(|line| line.contains("panics.rs") && line.contains("in drop")), "{lines:?}");
}

#[test]
fn ten_thousand_panics_leave_nothing_behind() {
    let executor = executor();
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    for _ in 0..10_000 {
        executor.spawn(async { panic!("again") }).detach();
        executor.run_round();
    }
    std::panic::set_hook(hook);
    assert!(executor.is_empty());
}

//! What a task promises: one poll at a time, one output, and that everything of it is dropped once, in the right place.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::{Arc, mpsc};
use std::task::{Context, Poll, Wake, Waker};

use asyncio_base::report;
use asyncio_executor::{Handle, Runnable, Spawn, TaskOptions, block_on, spawn_on};

use super::{executor, executor_with};
use crate::support::Drops;

fn poll_once<T>(handle: &mut Handle<T>, waker: &Waker) -> Poll<Option<T>> {
    Pin::new(handle).poll(&mut Context::from_waker(waker))
}

#[test]
fn a_poll_does_not_nest_in_itself() {
    let by_own_thread = |waker: &Waker| waker.wake_by_ref();
    let by_another = |waker: &Waker| {
        let waker = waker.clone();
        std::thread::spawn(move || waker.wake()).join().unwrap();
    };
    for wake in [by_own_thread as fn(&Waker), by_another] {
        let executor = Rc::new(executor());
        let _entered = executor.enter();
        let (is_inside, polls) = (Cell::new(false), Rc::new(Cell::new(0)));
        let (inner, count) = (executor.clone(), polls.clone());
        executor
            .spawn(poll_fn(move |cx| {
                assert!(!is_inside.replace(true), "polled inside of its own poll");
                count.set(count.get() + 1);
                wake(cx.waker());
                let other = inner.spawn(async {});
                inner.run_round();
                assert!(other.is_finished(), "but others are");
                is_inside.set(false);
                if count.get() < 3 { Poll::Pending } else { Poll::Ready(()) }
            }))
            .detach();
        for _ in 0..5 {
            executor.run_round();
        }
        assert_eq!((polls.get(), executor.len()), (3, 0));
    }
}

#[test]
fn a_wake_from_the_drop_of_the_future_wakes_nothing() {
    struct WakesInDrop(Rc<RefCell<Option<Waker>>>);
    impl Drop for WakesInDrop {
        fn drop(&mut self) {
            let waker = self.0.borrow_mut().take().unwrap();
            waker.wake_by_ref();
            waker.wake();
        }
    }
    for is_entered in [true, false] {
        let executor = executor();
        let entered = is_entered.then(|| executor.enter());
        let slot = Rc::new(RefCell::new(None));
        let (guard, place) = (WakesInDrop(slot.clone()), slot);
        executor
            .spawn(poll_fn(move |cx| {
                let _ = &guard;
                *place.borrow_mut() = Some(cx.waker().clone());
                Poll::Ready(())
            }))
            .detach();
        assert_eq!(executor.run_round(), 1);
        assert_eq!((executor.run_round(), executor.len()), (0, 0));
        drop(entered);
    }
}

#[test]
fn a_handle_gives_its_output_once() {
    let executor = executor();
    let mut handle = executor.spawn(async { Box::new(7) });
    assert!(poll_once(&mut handle, Waker::noop()).is_pending());
    executor.run_round();
    assert!(handle.is_finished());
    assert_eq!(poll_once(&mut handle, Waker::noop()), Poll::Ready(Some(Box::new(7))));
    assert_eq!(poll_once(&mut handle, Waker::noop()), Poll::Ready(None));
}

#[test]
fn the_last_waker_of_a_handle_is_the_one_that_is_woken() {
    #[derive(Default)]
    struct Count(std::sync::atomic::AtomicU32);
    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        }
    }
    let executor = executor();
    let counts = [(); 2].map(|()| Arc::new(Count::default()));
    let mut handle = executor.spawn(async {});
    for count in &counts {
        assert!(poll_once(&mut handle, &Waker::from(count.clone())).is_pending());
    }
    assert_eq!(Arc::strong_count(&counts[0]), 1, "the former waker is dropped");
    executor.run_round();
    assert_eq!(counts.map(|count| count.0.load(std::sync::atomic::Ordering::Relaxed)), [0, 1]);
}

#[test]
fn an_output_is_dropped_once_whoever_has_it() {
    let drops = Drops::default();
    let executor = executor();
    // Detached before the end, after the end, taken, and left in the handle when the executor goes.
    let guards = [(); 4].map(|()| drops.guard());
    let [detached, late, taken, left] = guards.map(|guard| executor.spawn(async move { guard }));
    detached.detach();
    executor.run_round();
    assert_eq!(drops.get(), 1);
    late.detach();
    assert_eq!(drops.get(), 2);
    drop(block_on(taken));
    assert_eq!(drops.get(), 3);
    drop(executor);
    drop(left);
    assert_eq!(drops.get(), 4);
}

#[test]
fn panics_that_are_nobodys_are_reported() {
    struct PanicsOnDrop;
    impl Drop for PanicsOnDrop {
        fn drop(&mut self) {
            panic!("in drop");
        }
    }
    struct PanicsOnWake;
    impl Wake for PanicsOnWake {
        fn wake(self: Arc<Self>) {
            panic!("in wake");
        }
    }
    let lines = Rc::new(RefCell::new(Vec::new()));
    let sink = lines.clone();
    report::with_handler(Rc::new(move |line| sink.borrow_mut().push(line.to_string())), || {
        let executor = executor();
        executor.spawn(async { PanicsOnDrop }).detach();
        let mut awaited = executor.spawn(async { 5 });
        let waker = Waker::from(Arc::new(PanicsOnWake));
        assert!(poll_once(&mut awaited, &waker).is_pending());
        assert_eq!(executor.run_round(), 2, "and the round goes on");
        assert_eq!(block_on(awaited), Some(5));
        assert!(executor.is_empty());
    });
    let lines = lines.take();
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines[0].contains("output") && lines[0].contains("in drop"), "{lines:?}");
    assert!(lines[1].contains("awaits") && lines[1].contains("in wake"), "{lines:?}");
}

/// A handler whose panic panics again: the task ends all the same, and so does closing.
#[test]
fn a_handler_that_panics_twice_stops_nothing() {
    struct Twice;
    impl Drop for Twice {
        fn drop(&mut self) {
            panic!("in the drop of the panic of the handler");
        }
    }
    struct PanicsOnDrop;
    impl Drop for PanicsOnDrop {
        fn drop(&mut self) {
            panic!("in drop");
        }
    }
    report::with_handler(Rc::new(|_| std::panic::panic_any(Twice)), || {
        let mut executor = executor();
        for _ in 0..2 {
            executor
                .spawn(async {
                    let _bad = PanicsOnDrop;
                    std::future::pending::<()>().await;
                })
                .detach();
        }
        executor.spawn(async { PanicsOnDrop }).detach();
        executor.run_round();
        assert_eq!(executor.len(), 2);
        executor.close();
        assert!(executor.is_empty());
    });
}

/// Whoever keeps the waker of a task that has ended disturbs nobody with it.
#[test]
fn a_remote_wake_of_a_task_that_has_ended_does_not_unpark() {
    #[derive(Default)]
    struct Unparks(std::sync::atomic::AtomicU32);
    impl Wake for Unparks {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        }
    }
    let unparks = Arc::new(Unparks::default());
    let executor = executor_with(Waker::from(unparks.clone()));
    let slot = Rc::new(RefCell::new(None));
    let place = slot.clone();
    executor
        .spawn(poll_fn(move |cx| {
            *place.borrow_mut() = Some(cx.waker().clone());
            Poll::Ready(())
        }))
        .detach();
    executor.run_round();
    let waker: Waker = slot.take().unwrap();
    for _ in 0..3 {
        std::thread::scope(|scope| drop(scope.spawn(|| waker.wake_by_ref())));
        assert_eq!(executor.run_round(), 0);
    }
    assert_eq!(unparks.0.load(std::sync::atomic::Ordering::Relaxed), 0);
}

/// What is left of a task after its end, on any thread, is memory; it goes with the last waker.
#[test]
fn wakers_outlive_their_executor_on_other_threads() {
    let drops = Drops::default();
    let (sender, receiver) = std::sync::mpsc::channel::<Waker>();
    let thread = std::thread::spawn(move || {
        let wakers: Vec<Waker> = receiver.iter().collect();
        for waker in &wakers {
            waker.wake_by_ref();
            let another = waker.clone();
            another.wake();
        }
    });
    for _ in 0..100 {
        let executor = executor();
        let _entered = executor.enter();
        for ends in [true, false] {
            let (guard, sender) = (drops.guard(), sender.clone());
            executor
                .spawn(poll_fn(move |cx| {
                    let _ = &guard;
                    sender.send(cx.waker().clone()).unwrap();
                    if ends { Poll::Ready(()) } else { Poll::Pending }
                }))
                .detach();
        }
        executor.run_round();
    }
    drop(sender);
    thread.join().unwrap();
    assert_eq!(drops.get(), 200);
}

/// A future that is not `Send`, awaited elsewhere: the output crosses, the future does not.
#[test]
fn a_handle_is_awaited_on_another_thread() {
    for _ in 0..200 {
        let executor = executor();
        let handle = executor.spawn(async {
            let local = Rc::new(20);
            crate::support::Yield::default().await;
            *local + 1
        });
        let remote = std::thread::spawn(move || block_on(async { pin!(handle).await }));
        while executor.run_round() > 0 {}
        assert_eq!(remote.join().unwrap(), Some(21));
    }
}

/// Nobody has its handle, nobody has its waker: it will not be polled again. Its future is dropped all the same, as whoever it is pinned for
/// must see.
#[test]
fn a_task_that_nobody_can_wake_any_more_drops_its_future() {
    struct Channel(mpsc::Sender<Runnable>);
    impl Spawn for Channel {
        fn schedule(&self, runnable: Runnable) {
            self.0.send(runnable).ok();
        }
    }
    let (sender, receiver) = mpsc::channel();
    let drops = Drops::default();
    let guard = drops.guard();
    spawn_on(Arc::new(Channel(sender)), TaskOptions::here(), async move {
        let _guard = guard;
        std::future::pending::<()>().await;
    })
    .detach();
    receiver.recv().unwrap().run();
    // It may come once more, to be dropped.
    drop(receiver);
    assert_eq!(drops.get(), 1);
}

//! Callbacks, `stop`, and the exception handler.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use asyncio_base::LoopClosed;
use asyncio_runtime::{CallHandle, EventLoop, LoopError, Runner, Unhandled, run};
use asyncio_tasks::{spawn_local, yield_now};
use asyncio_timers::{ManualClock, sleep};
use static_assertions::assert_impl_all;

use crate::worlds::runners;

assert_impl_all!(CallHandle: Send, Sync, Clone);
assert_impl_all!(LoopError: std::error::Error, Send, Sync);
assert_impl_all!(Unhandled: std::fmt::Display, Send, Sync);

const MILLISECOND: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

/// What happened, in order.
#[derive(Clone, Default)]
struct Log(Rc<RefCell<Vec<&'static str>>>);

impl Log {
    fn note(&self, what: &'static str) -> impl FnOnce() + use<> {
        let log = self.clone();
        move || log.0.borrow_mut().push(what)
    }

    fn take(&self) -> Vec<&'static str> {
        self.0.take()
    }

    fn len(&self) -> usize {
        self.0.borrow().len()
    }
}

/// Runs until all that is ready, or becomes ready by that, has run.
fn run_until_idle(runner: &mut Runner) {
    while runner.turn(Some(Duration::ZERO)).unwrap() {}
}

#[test]
fn callbacks_and_tasks_are_first_in_first_out() {
    for mut runner in runners() {
        let log = Log::default();
        runner.run(async {
            let event_loop = EventLoop::current().unwrap();
            event_loop.call_soon(log.note("callback")).unwrap();
            let task = spawn_local({
                let note = log.note("task");
                async { note() }
            });
            event_loop.call_soon(log.note("another callback")).unwrap();
            task.await.unwrap();
            yield_now().await;
        });
        assert_eq!(log.take(), ["callback", "task", "another callback"]);
    }
}

#[test]
fn what_a_callback_registers_comes_in_the_next_round() {
    for mut runner in runners() {
        let (log, event_loop) = (Log::default(), runner.event_loop());
        let (first, third, inner) = (log.note("first"), log.note("third"), event_loop.clone());
        event_loop
            .call_soon(move || {
                inner.call_soon(third).unwrap();
                first();
            })
            .unwrap();
        event_loop.call_soon(log.note("second")).unwrap();
        run_until_idle(&mut runner);
        assert_eq!(log.take(), ["first", "second", "third"]);
    }
}

#[test]
fn a_stop_lets_the_batch_come_to_its_end_and_leaves_what_is_new() {
    for mut runner in runners() {
        let (log, event_loop) = (Log::default(), runner.event_loop());
        let (new, inner) = (log.note("new"), event_loop.clone());
        event_loop
            .call_soon(move || {
                inner.call_soon(new).unwrap();
                inner.stop();
            })
            .unwrap();
        event_loop.call_soon(log.note("behind")).unwrap();
        runner.run_forever();
        assert_eq!(log.take(), ["behind"]);
        event_loop.stop();
        runner.run_forever();
        assert_eq!(log.take(), ["new"], "a stop that came before ends the first round");
        // It ends nothing but `run_forever`.
        event_loop.stop();
        assert_eq!(runner.run(async { 7 }), 7);
        runner.run_forever();
    }
}

#[test]
fn a_stop_from_another_thread_wakes_the_loop() {
    for mut runner in runners() {
        let event_loop = runner.event_loop();
        let thread = std::thread::spawn(move || event_loop.stop());
        runner.run_forever();
        thread.join().unwrap();
    }
}

#[test]
fn timers_are_called_in_the_order_of_their_deadlines_and_ties_in_that_of_registration() {
    let clock = ManualClock::jumping();
    let mut runner = Runner::builder().clock(clock).build().unwrap();
    let log = Log::default();
    let event_loop = runner.event_loop();
    let start = event_loop.time();
    let late = event_loop.call_later(3 * SECOND, log.note("third")).unwrap();
    event_loop.call_at(start + SECOND, log.note("first")).unwrap();
    event_loop.call_at(start + SECOND, log.note("second")).unwrap();
    let never = event_loop.call_later(Duration::MAX, log.note("never")).unwrap();
    assert!(late.when().unwrap() >= start + 3 * SECOND);
    assert_eq!(never.when(), None);
    runner.run(sleep(4 * SECOND));
    assert_eq!(log.take(), ["first", "second", "third"]);
    late.cancel();
    assert!(!late.is_cancelled(), "it has run");
}

#[test]
fn of_two_timers_that_are_both_over_the_earlier_one_comes_first() {
    let clock = ManualClock::new();
    let mut runner = Runner::builder().clock(clock.clone()).build().unwrap();
    let (log, event_loop) = (Log::default(), runner.event_loop());
    runner.run(async {
        let start = event_loop.time();
        event_loop.call_at(start + 20 * MILLISECOND, log.note("later")).unwrap();
        event_loop.call_at(start + 10 * MILLISECOND, log.note("earlier")).unwrap();
        event_loop.call_at(start, log.note("at once")).unwrap();
        assert_eq!(log.take(), Vec::<&str>::new(), "none comes while it is registered");
        // Nothing was polled meanwhile.
        clock.advance(30 * MILLISECOND);
        while log.len() < 3 {
            yield_now().await;
        }
        assert_eq!(log.take(), ["at once", "earlier", "later"]);
    });
}

#[test]
fn what_is_dropped_with_the_loop_cannot_register_any_more() {
    struct Registers(EventLoop, Rc<RefCell<Vec<Result<(), LoopError>>>>);
    impl Drop for Registers {
        fn drop(&mut self) {
            let later = self.0.call_later(MILLISECOND, || unreachable!("the loop is closed"));
            let soon = self.0.call_soon(|| unreachable!("the loop is closed"));
            self.1.borrow_mut().extend([later, soon].map(|call| call.map(drop)));
        }
    }
    let seen = Rc::default();
    let mut runner = Runner::builder().cleanup_grace(Duration::ZERO).on_unhandled(|_| {}).build().unwrap();
    let registers = Registers(runner.event_loop(), Rc::clone(&seen));
    runner.run(async {
        // It would not die.
        let stays = asyncio_tasks::shield(async move {
            let _registers = registers;
            std::future::pending::<()>().await;
        });
        spawn_local(stays).detach();
        yield_now().await;
    });
    drop(runner);
    assert!(matches!(seen.borrow()[..], [Err(LoopError::Closed(_)), Err(LoopError::Closed(_))]), "{seen:?}");
}

#[test]
fn a_callback_that_is_cancelled_never_runs_even_if_it_is_due_in_the_same_turn() {
    for mut runner in runners() {
        let (log, event_loop) = (Log::default(), runner.event_loop());
        let victim = Rc::new(RefCell::new(None::<CallHandle>));
        let seen = victim.clone();
        event_loop.call_soon(move || seen.borrow().as_ref().unwrap().cancel()).unwrap();
        *victim.borrow_mut() = Some(event_loop.call_soon(log.note("soon")).unwrap());
        run_until_idle(&mut runner);
        assert!(victim.borrow().as_ref().unwrap().is_cancelled());

        // Both are due at once; the first one cancels the second.
        let seen = victim.clone();
        let when = event_loop.time();
        event_loop.call_at(when, move || seen.borrow().as_ref().unwrap().cancel()).unwrap();
        let second = event_loop.call_at(when, log.note("at")).unwrap();
        *victim.borrow_mut() = Some(second);
        runner.run(sleep(Duration::from_millis(1)));
        assert_eq!(log.take(), Vec::<&str>::new());
    }
}

#[test]
fn a_callback_whose_time_has_come_is_cancelled_by_the_one_before() {
    let mut runner = Runner::builder().clock(ManualClock::jumping()).build().unwrap();
    let (log, event_loop) = (Log::default(), runner.event_loop());
    let victim = Rc::new(RefCell::new(None::<CallHandle>));
    let seen = victim.clone();
    let when = event_loop.time() + SECOND;
    event_loop.call_at(when, move || seen.borrow().as_ref().unwrap().cancel()).unwrap();
    // Both wait, and both timers fire in one turn.
    *victim.borrow_mut() = Some(event_loop.call_at(when, log.note("cancelled")).unwrap());
    runner.run(sleep(2 * SECOND));
    assert_eq!(log.take(), Vec::<&str>::new());
    assert!(victim.borrow().as_ref().unwrap().is_cancelled());
}

#[test]
fn what_a_cancelled_callback_holds_is_dropped_soon() {
    let mut runner = Runner::new().unwrap();
    let held = Rc::new(());
    let weak = Rc::downgrade(&held);
    let handle = runner.event_loop().call_later(3600 * SECOND, move || drop(held)).unwrap();
    run_until_idle(&mut runner);
    handle.cancel();
    run_until_idle(&mut runner);
    assert!(weak.upgrade().is_none());
    assert_eq!(runner.next_deadline(), None);
}

#[test]
fn from_another_thread_there_is_the_threadsafe_one() {
    for mut runner in runners() {
        let event_loop = runner.event_loop();
        let seen = Arc::new(Mutex::new(None));
        let (inner, place) = (event_loop.clone(), seen.clone());
        let thread = std::thread::spawn(move || {
            assert_eq!(inner.call_soon(|| ()).unwrap_err(), LoopError::WrongThread);
            let stops = inner.clone();
            inner
                .call_soon_threadsafe(move || {
                    *place.lock().unwrap() = Some(std::thread::current().id());
                    stops.stop();
                })
                .unwrap();
        });
        runner.run_forever();
        thread.join().unwrap();
        assert_eq!(*seen.lock().unwrap(), Some(std::thread::current().id()));
        runner.close();
        assert_eq!(event_loop.call_soon_threadsafe(|| ()).unwrap_err(), LoopClosed::new());
        assert_eq!(event_loop.call_soon(|| ()).unwrap_err(), LoopError::Closed(LoopClosed::new()));
        assert_eq!(event_loop.call_later(SECOND, || ()).unwrap_err(), LoopError::Closed(LoopClosed::new()));
    }
}

#[test]
fn a_panic_in_a_callback_goes_to_the_exception_handler_and_the_loop_goes_on() {
    for workers in [1, 2] {
        let events = Arc::new(Mutex::new(Vec::new()));
        let (sink, replaced) = (events.clone(), events.clone());
        let mut runner = Runner::builder()
            .workers(workers)
            .on_unhandled(move |event: &Unhandled| sink.lock().unwrap().push(format!("builder: {event}")))
            .build()
            .unwrap();
        let event_loop = runner.event_loop();
        let line = line!() + 1;
        event_loop.call_soon(|| panic!("a bug")).unwrap();
        let went_on = Rc::new(Cell::new(false));
        let flag = went_on.clone();
        event_loop.call_soon(move || flag.set(true)).unwrap();
        run_until_idle(&mut runner);
        assert!(went_on.get());
        let seen = events.lock().unwrap().pop().unwrap();
        assert!(seen.starts_with("builder: asyncio runtime: the callback that was registered at "), "{seen}");
        assert!(
            seen.ends_with("panicked: a bug") && seen.contains(&format!("callbacks.rs:{line}:")),
            "{seen}"
        );

        event_loop.set_exception_handler(move |event| {
            assert!(event.is_panic() && event.task().is_some() && event.layer() == "runtime");
            assert!(event.spawned_at().unwrap().file().ends_with("callbacks.rs"));
            replaced.lock().unwrap().push(event.message().to_owned());
            panic!("a handler that panics is no matter");
        });
        runner.run(async {
            let event_loop = EventLoop::current().unwrap();
            event_loop.call_later(Duration::ZERO, || panic!("later")).unwrap();
            sleep(Duration::from_millis(1)).await;
        });
        assert_eq!(events.lock().unwrap().len(), 1);
    }
}

#[test]
fn callbacks_that_are_not_due_at_the_end_are_dropped() {
    let held = Rc::new(());
    let weak = Rc::downgrade(&held);
    let begin = Instant::now();
    run(async move {
        EventLoop::current().unwrap().call_later(3600 * SECOND, move || drop(held)).unwrap();
        yield_now().await;
    });
    assert!(weak.upgrade().is_none());
    assert!(begin.elapsed() < 600 * SECOND);
}

#[test]
fn a_handler_that_has_a_handle_to_its_loop_does_not_keep_it() {
    let kept = Arc::new(());
    let weak = Arc::downgrade(&kept);
    let mut runner = Runner::new().unwrap();
    let event_loop = runner.event_loop();
    runner.event_loop().set_exception_handler(move |_| {
        let _kept = &kept;
        event_loop.stop();
    });
    runner.close();
    assert!(weak.upgrade().is_none());
}

#[test]
fn a_handler_that_reports_is_not_called_for_that() {
    let count = Arc::new(Mutex::new(0));
    let counter = count.clone();
    let mut runner = Runner::builder()
        .on_unhandled(move |event| {
            *counter.lock().unwrap() += 1;
            asyncio_base::report::report("test", format_args!("from inside of a handler: {event}"));
        })
        .build()
        .unwrap();
    runner.event_loop().call_soon(|| panic!("a bug")).unwrap();
    run_until_idle(&mut runner);
    assert_eq!(*count.lock().unwrap(), 1);
}

#[test]
fn a_callback_that_cancels_itself_has_run() {
    let mut runner = Runner::new().unwrap();
    let handle = Rc::new(RefCell::new(None::<CallHandle>));
    let own = handle.clone();
    *handle.borrow_mut() =
        Some(runner.event_loop().call_soon(move || own.borrow().as_ref().unwrap().cancel()).unwrap());
    run_until_idle(&mut runner);
    assert!(!handle.borrow().as_ref().unwrap().is_cancelled());
}

#[test]
fn what_was_registered_before_a_run_comes_before_main() {
    for mut runner in runners() {
        let log = Log::default();
        runner.event_loop().call_soon(log.note("callback")).unwrap();
        let main = log.note("main");
        runner.run(async { main() });
        assert_eq!(log.take(), ["callback", "main"]);
    }
}

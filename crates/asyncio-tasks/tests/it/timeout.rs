//! Timeouts: who wins, when the clock starts, and what is dropped.

use asyncio_tasks::{WithTimeout, timeout, timeout_at, yield_now};
use asyncio_timers::{Clock, DEFAULT_TICK, ManualClock, Timers};
use static_assertions::{assert_impl_all, assert_not_impl_any};
use std::future::{Future, pending, poll_fn, ready};
use std::marker::PhantomPinned;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

assert_impl_all!(WithTimeout<std::future::Ready<u8>>: Send, Unpin);
assert_not_impl_any!(WithTimeout<Pinned>: Unpin);

struct Pinned(PhantomPinned);

impl Future for Pinned {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        let _ = &self.0;
        Poll::Ready(())
    }
}

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn it_starts_at_the_first_wait_and_touches_no_timer_before() {
    let clock = ManualClock::new();
    let timers = Timers::new(clock.clone(), Waker::noop().clone());
    let _entered = timers.enter();
    let mut cx = Context::from_waker(Waker::noop());
    {
        let mut waiting = pin!(timeout(SECOND, pending::<()>()));
        clock.advance(10 * SECOND);
        assert!(waiting.as_mut().poll(&mut cx).is_pending(), "the clock starts at the first wait");
        assert_eq!(timers.len(), 1);
        clock.advance(SECOND + DEFAULT_TICK);
        timers.fire_due();
        assert!(matches!(waiting.as_mut().poll(&mut cx), Poll::Ready(Err(_))));
    }
    assert_eq!(
        pin!(timeout(Duration::ZERO, ready(1))).poll(&mut cx),
        Poll::Ready(Ok(1)),
        "a ready value wins"
    );
    assert!(timers.is_empty());
}

#[test]
fn a_value_that_is_ready_at_the_deadline_wins() {
    let clock = ManualClock::new();
    let timers = Timers::new(clock.clone(), Waker::noop().clone());
    let _entered = timers.enter();
    let mut cx = Context::from_waker(Waker::noop());
    let mut polls = 0;
    let second_time = poll_fn(|_| {
        polls += 1;
        if polls == 2 { Poll::Ready(polls) } else { Poll::Pending }
    });
    let mut both = pin!(timeout_at(clock.now() + SECOND, second_time));
    assert!(both.as_mut().poll(&mut cx).is_pending());
    clock.advance(2 * SECOND);
    timers.fire_due();
    assert_eq!(both.as_mut().poll(&mut cx), Poll::Ready(Ok(2)));
}

/// Panics when it is dropped.
struct Bad;

impl Future for Bad {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        Poll::Pending
    }
}

impl Drop for Bad {
    fn drop(&mut self) {
        panic!("a drop panics on purpose");
    }
}

#[test]
fn its_timer_goes_with_it_however_it_ends() {
    let timers = Timers::new(ManualClock::new(), Waker::noop().clone());
    let _entered = timers.enter();
    let mut cx = Context::from_waker(Waker::noop());

    let mut waiting = Box::pin(timeout(SECOND, pending::<()>()));
    assert!(waiting.as_mut().poll(&mut cx).is_pending());
    assert_eq!(timers.len(), 1);
    drop(waiting);
    assert!(timers.is_empty(), "dropped while it waits");

    let mut has_waited = Box::pin(timeout(SECOND, yield_now()));
    assert!(has_waited.as_mut().poll(&mut cx).is_pending());
    assert_eq!(has_waited.as_mut().poll(&mut cx), Poll::Ready(Ok(())));
    drop(has_waited);
    assert!(timers.is_empty(), "dropped when it has a value");

    let mut bad = Box::pin(timeout(SECOND, Bad));
    assert!(bad.as_mut().poll(&mut cx).is_pending());
    assert!(catch_unwind(AssertUnwindSafe(|| drop(bad))).is_err());
    assert!(timers.is_empty(), "the drop of its future panicked");
}

struct Unpark;

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {}
}

/// A sleep that has fired is in the wheel no more, but it keeps what belongs to the wheel.
#[test]
fn its_sleep_goes_with_it_when_the_time_is_over() {
    let (clock, unpark) = (ManualClock::new(), Arc::new(Unpark));
    let timers = Timers::new(clock.clone(), Waker::from(unpark.clone()));
    let entered = timers.enter();
    let mut cx = Context::from_waker(Waker::noop());
    for is_polled_again in [true, false] {
        let mut waiting = Box::pin(timeout(SECOND, pending::<()>()));
        assert!(waiting.as_mut().poll(&mut cx).is_pending());
        clock.advance(2 * SECOND);
        timers.fire_due();
        if is_polled_again {
            assert!(matches!(waiting.as_mut().poll(&mut cx), Poll::Ready(Err(_))));
        }
    }
    drop(entered);
    drop((timers, clock));
    assert_eq!(Arc::strong_count(&unpark), 1, "the wheel is gone");
}

#[test]
fn the_future_is_dropped_before_it_returns() {
    struct Flag<'a>(&'a std::cell::Cell<bool>);
    impl Drop for Flag<'_> {
        fn drop(&mut self) {
            self.0.set(true);
        }
    }
    let dropped = std::cell::Cell::new(false);
    asyncio_executor::block_on(async {
        let flag = Flag(&dropped);
        let result = timeout(Duration::from_millis(1), async {
            let _flag = flag;
            pending::<()>().await;
        });
        let mut result = pin!(result);
        assert!(result.as_mut().await.is_err());
        assert!(dropped.get());
    });
}

#[test]
fn one_that_spends_every_budget_still_times_out() {
    use asyncio_base::budget;
    let clock = ManualClock::new();
    let timers = Timers::new(clock.clone(), Waker::noop().clone());
    let _entered = timers.enter();
    let mut cx = Context::from_waker(Waker::noop());
    let greedy = poll_fn(|cx| -> Poll<()> {
        loop {
            std::task::ready!(budget::poll_proceed(cx));
            budget::spend();
        }
    });
    let mut greedy = pin!(timeout(SECOND, greedy));
    budget::with_budget(10, || assert!(greedy.as_mut().poll(&mut cx).is_pending()));
    clock.advance(2 * SECOND);
    timers.fire_due();
    budget::with_budget(10, || assert!(greedy.as_mut().poll(&mut cx).is_ready()));
}

#[test]
fn under_local_pool_and_tokio() {
    let program = || async {
        assert_eq!(timeout(SECOND, async { yield_now().await }).await, Ok(()));
        assert!(timeout(Duration::from_millis(2), pending::<()>()).await.is_err());
    };
    futures::executor::LocalPool::new().run_until(program());
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(program());
}

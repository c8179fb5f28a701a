//! The laws of `Sleep` and of its home, on a manual clock.

use asyncio_timers::{Clock, DEFAULT_TICK, Idle, ManualClock, Sleep, TimedOut, Timers, sleep, sleep_until};
use static_assertions::assert_impl_all;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Wake, Waker};
use std::time::{Duration, Instant};

assert_impl_all!(Sleep: Send, Sync, Unpin);
assert_impl_all!(Timers: Send, Sync, Clone);
assert_impl_all!(ManualClock: Send, Sync, Clone);
assert_impl_all!(TimedOut: std::error::Error, Send, Sync);

const SECOND: Duration = Duration::from_secs(1);

#[derive(Default)]
struct Count(AtomicUsize);

impl Count {
    fn get(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

fn counting() -> (Arc<Count>, Waker) {
    let count = Arc::new(Count::default());
    (count.clone(), Waker::from(count))
}

fn is_ready(sleep: &mut Sleep, waker: &Waker) -> bool {
    Pin::new(sleep).poll(&mut Context::from_waker(waker)).is_ready()
}

fn manual() -> (ManualClock, Timers) {
    let clock = ManualClock::new();
    let timers = Timers::new(clock.clone(), Waker::noop().clone());
    (clock, timers)
}

#[test]
fn it_is_never_early_and_its_deadline_is_fixed_at_the_call() {
    let (clock, timers) = manual();
    let _entered = timers.enter();
    let (count, waker) = counting();
    let mut nap = sleep(SECOND);
    clock.advance(SECOND / 2);
    assert!(!is_ready(&mut nap, &waker), "first polled half a second late");
    clock.advance(SECOND / 2 - Duration::from_nanos(1));
    assert_eq!(timers.fire_due(), 0);
    clock.advance(DEFAULT_TICK);
    assert_eq!(timers.fire_due(), 1);
    assert_eq!(count.get(), 1);
    assert!(is_ready(&mut nap, &waker));
}

/// On a clock that is moved by hand: there is no tick to round up to.
#[test]
fn a_clock_that_is_moved_to_a_deadline_has_come_to_it() {
    let (clock, timers) = manual();
    let _entered = timers.enter();
    for nanos in [1, 999, 16_385, 1_000_000_007, 3_600_000_000_001] {
        let (count, waker) = counting();
        let duration = Duration::from_nanos(nanos);
        let mut nap = sleep(duration);
        assert!(!is_ready(&mut nap, &waker));
        clock.advance(duration - Duration::from_nanos(1));
        timers.fire_due();
        assert_eq!((count.get(), is_ready(&mut nap, &waker)), (0, false), "{nanos}");
        clock.advance(Duration::from_nanos(1));
        assert_eq!((timers.fire_due(), count.get()), (1, 1), "{nanos}");
        assert!(is_ready(&mut nap, &waker));
    }
}

#[test]
fn dropping_it_leaves_nothing_behind() {
    let (_clock, timers) = manual();
    let _entered = timers.enter();
    let (count, waker) = counting();
    for _ in 0..1000 {
        let mut nap = sleep(SECOND);
        assert!(!is_ready(&mut nap, &waker));
        assert_eq!(timers.len(), 1);
    }
    assert_eq!(timers.len(), 0);
    drop(waker);
    assert_eq!(Arc::strong_count(&count), 1);
}

#[test]
fn a_later_deadline_is_only_stored_and_an_earlier_one_moves_the_timer() {
    let (clock, timers) = manual();
    let _entered = timers.enter();
    let (count, waker) = counting();
    let mut nap = sleep(SECOND);
    assert!(!is_ready(&mut nap, &waker));
    let first = timers.next_deadline().unwrap();

    nap.reset(clock.now() + 10 * SECOND);
    assert!(!is_ready(&mut nap, &waker));
    assert_eq!(timers.next_deadline().unwrap(), first, "the timer stays where it is");
    clock.advance(SECOND + DEFAULT_TICK);
    timers.fire_due();
    assert_eq!(count.get(), 1, "it wakes at the old deadline");
    assert!(!is_ready(&mut nap, &waker), "and goes on");

    nap.reset(clock.now() + SECOND);
    assert!(!is_ready(&mut nap, &waker));
    clock.advance(SECOND + DEFAULT_TICK);
    timers.fire_due();
    assert!(is_ready(&mut nap, &waker));
}

#[test]
fn the_last_waker_counts() {
    let (clock, timers) = manual();
    let _entered = timers.enter();
    let ((first, first_waker), (second, second_waker)) = (counting(), counting());
    let mut nap = sleep(SECOND);
    assert!(!is_ready(&mut nap, &first_waker));
    assert!(!is_ready(&mut nap, &second_waker));
    clock.advance(2 * SECOND);
    timers.fire_due();
    assert_eq!((first.get(), second.get()), (0, 1));
}

#[test]
fn the_ends_of_time_are_safe() {
    let (clock, timers) = manual();
    let _entered = timers.enter();
    let (_count, waker) = counting();
    let far = (0..63).map(|shift| Duration::from_nanos(u64::MAX >> shift));
    for duration in far.chain([Duration::MAX, Duration::from_secs(u64::MAX / 2)]) {
        let mut nap = sleep(duration);
        let ready = is_ready(&mut nap, &waker);
        assert!(!ready, "{duration:?}");
        nap.reset_after(Duration::MAX);
        assert!(!is_ready(&mut nap, &waker));
        assert_eq!(nap.deadline(), None);
    }
    assert!(is_ready(&mut sleep(Duration::ZERO), &waker), "what is over is ready at once");
    assert!(is_ready(&mut sleep_until(clock.now()), &waker));
    let mut never = Sleep::never();
    assert!(!is_ready(&mut never, &waker));
    clock.advance(Duration::MAX);
}

#[test]
fn a_process_of_any_age_keeps_time() {
    // 2^30 ms is tokio #8334, 2^31 ms mio #1948; an `Instant` cannot lie further back than the machine's start, so
    // the clock moves instead of the origin.
    for age_ms in [1_u64 << 30, 1 << 31, 1 << 36, 10 * 365 * 86_400_000] {
        let (clock, timers) = manual();
        let _entered = timers.enter();
        let (_count, waker) = counting();
        let mut resident = sleep(Duration::from_secs(100 * 365 * 86_400));
        assert!(!is_ready(&mut resident, &waker));
        clock.advance(Duration::from_millis(age_ms) - 5 * SECOND);
        timers.fire_due();
        for _ in 0..100 {
            let mut nap = sleep(SECOND / 10);
            assert!(!is_ready(&mut nap, &waker));
            clock.advance(SECOND / 10 + DEFAULT_TICK);
            assert!(timers.fire_due() >= 1, "age {age_ms} ms: a short sleep did not fire");
            assert!(is_ready(&mut nap, &waker));
        }
        assert!(!is_ready(&mut resident, &waker));
    }
}

#[test]
fn a_closed_home_wakes_all_and_time_goes_on_elsewhere() {
    let (_clock, timers) = manual();
    let (count, waker) = counting();
    let mut nap = {
        let _entered = timers.enter();
        let mut nap = sleep(Duration::from_millis(1));
        assert!(!is_ready(&mut nap, &waker));
        timers.close();
        assert_eq!(count.get(), 1);
        nap.reset(Instant::now() + Duration::from_millis(1));
        nap
    };
    let start = Instant::now();
    futures::executor::block_on(&mut nap);
    assert!(start.elapsed() < Duration::from_secs(60));
}

#[test]
fn an_earlier_deadline_from_another_thread_stays_at_home_and_unparks_it() {
    let (count, unpark) = counting();
    let clock = ManualClock::new();
    let timers = Timers::new(clock.clone(), unpark);
    let mut nap = sleep(100 * SECOND);
    {
        let _entered = timers.enter();
        assert!(timers.next_deadline().is_none());
        assert!(!is_ready(&mut nap, Waker::noop()));
    }
    assert_eq!(count.get(), 0, "the thread that turns it needs no unpark");
    let poll_elsewhere = |mut nap: Sleep, seconds: u32| {
        nap.reset(clock.now() + seconds * SECOND);
        let poll = move || {
            assert!(!is_ready(&mut nap, Waker::noop()));
            nap
        };
        std::thread::spawn(poll).join().unwrap()
    };
    let nap = poll_elsewhere(nap, 10);
    assert_eq!(count.get(), 1, "an earlier deadline unparks");
    assert_eq!(timers.len(), 1, "tokio #8169: a reset does not move a timer to another loop");
    assert!(timers.next_deadline().unwrap() <= clock.now() + 10 * SECOND + DEFAULT_TICK);
    let nap = poll_elsewhere(nap, 20);
    assert_eq!(count.get(), 1, "a later one does not");
    drop(nap);
    assert!(timers.is_empty());
}

#[test]
fn panicking_wakers_do_not_rob_the_others() {
    struct Panics;
    impl Wake for Panics {
        fn wake(self: Arc<Self>) {
            panic!("waker");
        }
    }
    let (clock, timers) = manual();
    let _entered = timers.enter();
    let (count, waker) = counting();
    let panics = Waker::from(Arc::new(Panics));
    let (mut a, mut b) = (sleep(SECOND), sleep(SECOND));
    assert!(!is_ready(&mut a, &panics) && !is_ready(&mut b, &waker));
    clock.advance(2 * SECOND);
    assert!(catch_unwind(AssertUnwindSafe(|| timers.fire_due())).is_err());
    assert_eq!(count.get(), 1);
    assert!(is_ready(&mut a, &waker) && is_ready(&mut b, &waker));
}

#[test]
fn clocks_say_how_to_idle() {
    let still = ManualClock::new();
    let jumping = ManualClock::jumping();
    let later = Some(still.now() + 10 * SECOND);
    assert_eq!(still.idle(later), Idle::Forever, "a manual clock never sleeps");
    assert_eq!(jumping.idle(Some(jumping.now() + SECOND)), Idle::Jump);
    assert_eq!(jumping.idle(None), Idle::Forever);
    assert_eq!(still.idle(Some(still.now())), Idle::For(Duration::ZERO));

    let (count, waker) = counting();
    still.subscribe(&waker);
    still.advance(SECOND);
    assert_eq!(count.get(), 1);
    still.unsubscribe(&waker);
    still.advance(SECOND);
    assert_eq!(count.get(), 1);
}

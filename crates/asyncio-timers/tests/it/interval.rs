//! The three missed-tick policies, on a manual clock.

use asyncio_timers::{Clock, DEFAULT_TICK, Interval, ManualClock, MissedTick, Timers};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

/// Ticks twice on time, misses three and a half, and says at which half seconds the next four ticks were due.
fn check(policy: MissedTick) -> Vec<u128> {
    let clock = ManualClock::new();
    let timers = Timers::new(clock.clone(), Waker::noop().clone());
    let _entered = timers.enter();
    let start = clock.now();
    let mut interval = Interval::new(SECOND);
    interval.set_missed_tick(policy);
    let mut cx = Context::from_waker(Waker::noop());
    let mut next = |clock: &ManualClock| loop {
        match interval.poll_tick(&mut cx) {
            Poll::Ready(due) => return (due - start).as_millis() / 500,
            Poll::Pending => {
                clock.advance(DEFAULT_TICK * 100);
                timers.fire_due();
            }
        }
    };
    assert_eq!((next(&clock), next(&clock)), (0, 2));
    clock.advance(SECOND * 7 / 2 + SECOND);
    timers.fire_due();
    (0..4).map(|_| next(&clock)).collect()
}

#[test]
fn burst_catches_up() {
    assert_eq!(check(MissedTick::Burst), [4, 6, 8, 10]);
}

#[test]
fn delay_starts_anew_from_the_late_tick() {
    assert_eq!(check(MissedTick::Delay), [4, 13, 15, 17]);
}

#[test]
fn skip_keeps_to_the_multiples() {
    assert_eq!(check(MissedTick::Skip), [4, 12, 14, 16]);
}

#[test]
#[should_panic(expected = "must be longer than zero")]
fn a_period_of_zero_is_refused() {
    Interval::new(Duration::ZERO);
}

#[test]
fn the_end_of_time_is_safe() {
    let mut interval = Interval::new(Duration::MAX);
    let mut cx = Context::from_waker(Waker::noop());
    assert!(interval.poll_tick(&mut cx).is_ready(), "the first tick is at once");
    assert!(interval.poll_tick(&mut cx).is_pending());
}

//! Deadlines → wakers: a timer wheel, [`Sleep`], [`Interval`] and clocks, for any executor.
//!
//! Inside a loop of asyncio the loop owns the wheel and fires it. Anywhere else (tokio, futures' `LocalPool`, a thread
//! with a `block_on`) the same futures work: the first sleep starts one background thread, "asyncio-timers", that
//! fires for all of them. There is no "no timer running" panic.
//!
//! When to use it: you need to wait for time in a library that should not choose its users' runtime, or you write a
//! loop of your own and want a wheel for it ([`Timers`]). When not: you need calendar time, or to be woken while
//! the machine is suspended.
//!
//! # Examples
//!
//! ```
//! use asyncio_timers::{Interval, sleep};
//! use std::time::{Duration, Instant};
//!
//! futures::executor::block_on(async {
//!     let start = Instant::now();
//!     sleep(Duration::from_millis(2)).await;
//!     assert!(start.elapsed() >= Duration::from_millis(2), "never early");
//!
//!     let mut ticks = Interval::new(Duration::from_millis(1));
//!     let first = ticks.tick().await;
//!     assert!(ticks.tick().await > first);
//! });
//! ```
//!
//! # How late
//!
//! A sleep ends at the first tick at or after its deadline: up to 16 µs late with the default tick of 2^14 ns, to which the system
//! adds its own slack (50 µs on Linux), and never early. Where many timers fire, the loop looks at most every 115 µs. A loop asks for a
//! finer tick with [`Timers::with_tick`].

#![forbid(unsafe_code)]

mod wheel;

mod clock;
mod driver;
mod error;
mod home;
mod interval;
mod sleep;

pub use clock::{Clock, Idle, ManualClock, MonotonicClock};
pub use error::TimedOut;
pub use home::{EnterGuard, Timers, now};
pub use interval::{Interval, MissedTick, interval};
pub use sleep::{Sleep, sleep, sleep_until};
pub use wheel::{DEFAULT_TICK, Key, Wheel};

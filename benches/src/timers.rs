//! What a runtime charges for time.

use std::future::{Future, poll_fn, ready};
use std::hint::black_box;
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::{Duration, Instant};

use crate::process;
use crate::subject::Subject;

const LONG: Duration = Duration::from_secs(60);

/// Polls once, whatever comes of it.
async fn poll_once<F: Future>(mut future: Pin<&mut F>) {
    poll_fn(|cx| {
        let _ = black_box(future.as_mut().poll(cx));
        Poll::Ready(())
    })
    .await;
}

/// Makes a sleep, polls it once, drops it.
pub fn insert_drop<S: Subject>(count: usize) {
    S::run(async {
        for _ in 0..count {
            poll_once(pin!(S::sleep(LONG))).await;
        }
    });
}

/// A hundred thousand sleeps alive at once: making, polling and dropping, each.
pub fn live_100k<S: Subject>(count: usize) {
    const LIVE: usize = 100_000;
    S::run(async {
        for _ in 0..count.div_ceil(LIVE) {
            let mut sleeps: Vec<_> = (0..LIVE)
                .map(|n| Box::pin(S::sleep(LONG + Duration::from_micros(n as u64 * 7 % 1_000_000))))
                .collect();
            for sleep in &mut sleeps {
                poll_once(sleep.as_mut()).await;
            }
        }
    });
}

/// Moves the deadline of a sleep, and polls it.
pub fn reset<S: Subject>(count: usize) {
    S::run(async {
        let mut sleep = pin!(S::sleep(LONG));
        poll_once(sleep.as_mut()).await;
        for _ in 0..count {
            S::reset(sleep.as_mut(), Instant::now() + LONG);
            poll_once(sleep.as_mut()).await;
        }
    });
}

/// A timeout around a future that is ready.
pub fn timeout_ready<S: Subject>(count: usize) {
    S::run(async {
        for n in 0..count {
            black_box(S::timeout(LONG, ready(black_box(n))).await);
        }
    });
}

pub struct Lateness {
    pub p50_us: f64,
    pub cpu_us_each: f64,
}

/// A hundred thousand tasks, each of which sleeps once, spread over one second.
pub fn lateness<S: Subject>() -> Lateness {
    const COUNT: u32 = 100_000;
    let (mut late, cpu) = S::run(async {
        // All are made before the first one is due.
        let start = Instant::now() + Duration::from_millis(300);
        let tasks: Vec<_> = (0..COUNT)
            .map(|n| {
                // In an order that is not that of their deadlines.
                let deadline = start + Duration::from_secs(1) * (n * 7919 % COUNT) / COUNT;
                S::spawn(async move {
                    S::sleep(deadline.saturating_duration_since(Instant::now())).await;
                    // Early would be negative.
                    let now = Instant::now();
                    assert!(now >= deadline, "{} woke a sleep early", S::NAME);
                    now - deadline
                })
            })
            .collect();
        S::sleep(start.saturating_duration_since(Instant::now() + Duration::from_millis(10))).await;
        let before = process::cpu_time(std::process::id()).unwrap();
        let mut late = Vec::with_capacity(COUNT as usize);
        for task in tasks {
            late.push(task.await);
        }
        (late, process::cpu_time(std::process::id()).unwrap() - before)
    });
    late.sort_unstable();
    Lateness {
        p50_us: late[late.len() / 2].as_nanos() as f64 / 1000.0,
        cpu_us_each: cpu.as_nanos() as f64 / 1000.0 / f64::from(COUNT),
    }
}

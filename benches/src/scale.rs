//! What happens when there is more: of processors, of tasks, of timers.

use std::future::{Future, poll_fn};
use std::hint::black_box;
use std::pin::Pin;
use std::task::Poll;
use std::time::{Duration, Instant};

use crate::subject::Subject;

/// 10,000 tasks that compute for 10 µs each, without a system call: ns of the wall's time a task.
pub fn cpu_bound<S: Subject>() -> f64 {
    const TASKS: u32 = 10_000;
    // How many steps are 10 µs on this machine.
    let steps_each = {
        const STEPS: u64 = 2_000_000;
        let once = |_| {
            let start = Instant::now();
            black_box(compute(STEPS));
            start.elapsed().as_nanos()
        };
        // The shortest of many: whoever is disturbed here would have less to do.
        (0..20).map(once).min().map_or(0, |nanos| (u128::from(STEPS) * 10_000 / nanos) as u64)
    };
    let mut runtime = S::runtime();
    let best = (0..3).map(|_| {
        S::block_on(&mut runtime, async {
            let start = Instant::now();
            let tasks: Vec<_> =
                (0..TASKS).map(|_| S::spawn(async move { black_box(compute(steps_each)) })).collect();
            for task in tasks {
                task.await;
            }
            start.elapsed().as_nanos() as f64 / f64::from(TASKS)
        })
    });
    best.fold(f64::INFINITY, f64::min)
}

/// Xorshift: a chain that no compiler shortens.
fn compute(steps: u64) -> u64 {
    let mut x = black_box(88_172_645_463_325_252_u64);
    for _ in 0..steps {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
    }
    x
}

/// Spawning and ending a task where 1,000,000 are alive, over the same where one is.
pub fn tasks<S: Subject>() -> f64 {
    let cost_beside = |alive: usize| {
        S::run(async {
            for _ in 0..alive {
                drop(S::spawn(std::future::pending::<()>()));
            }
            // All have been polled when this comes back.
            for _ in 0..3 {
                crate::micro::WakeSelf::default().await;
            }
            middle_of(|| async {
                for n in 0..10_000 {
                    black_box(S::spawn(async move { black_box(n) }).await);
                }
            })
            .await
        })
    };
    let few = cost_beside(1);
    cost_beside(1_000_000) / few
}

/// Making and dropping a timer where 1,000,000 are alive, over the same where one is.
pub fn timers<S: Subject>() -> f64 {
    let cost_beside = |alive: u64| {
        S::run(async {
            let mut others: Vec<_> = (0..alive)
                .map(|n| {
                    Box::pin(S::sleep(Duration::from_secs(60) + Duration::from_micros(n * 7 % 10_000_000)))
                })
                .collect();
            for other in &mut others {
                poll_once(other.as_mut()).await;
            }
            middle_of(|| async {
                for _ in 0..10_000 {
                    let mut sleep = Box::pin(S::sleep(Duration::from_secs(60)));
                    poll_once(sleep.as_mut()).await;
                }
            })
            .await
        })
    };
    let few = cost_beside(1);
    cost_beside(1_000_000) / few
}

async fn poll_once<F: Future>(mut future: Pin<&mut F>) {
    poll_fn(|cx| {
        let _ = black_box(future.as_mut().poll(cx));
        Poll::Ready(())
    })
    .await;
}

/// The middle one of many: what it costs mostly. Two workers cost three times as much where both take part, so that the shortest says only whether
/// one of them was ever alone.
async fn middle_of<F: Future<Output = ()>>(work: impl Fn() -> F) -> f64 {
    let mut all = Vec::new();
    for _ in 0..21 {
        let start = Instant::now();
        work().await;
        all.push(start.elapsed().as_nanos() as f64);
    }
    all.sort_by(f64::total_cmp);
    all[all.len() / 2]
}

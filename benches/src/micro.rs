//! What a runtime charges for tasks: spawning, yielding, waking.

use std::future::{Future, poll_fn};
use std::hint::black_box;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures::task::AtomicWaker;

use crate::subject::Subject;

/// Spawns a task and awaits it, from the main future.
pub fn spawn_join<S: Subject>(count: usize) {
    S::run(async {
        for n in 0..count {
            black_box(S::spawn(async move { black_box(n) }).await);
        }
    });
}

/// Spawns a thousand tasks, awaits them all, and again.
pub fn spawn_many<S: Subject>(count: usize) {
    S::run(async {
        let mut tasks = Vec::with_capacity(1000);
        for _ in 0..count.div_ceil(1000) {
            tasks.extend((0..1000).map(|n| S::spawn(async move { black_box(n) })));
            for task in tasks.drain(..) {
                black_box(task.await);
            }
        }
    });
}

/// Wakes itself once and is pending: the same yield for every subject.
#[derive(Default)]
pub struct WakeSelf(bool);

impl Future for WakeSelf {
    type Output = ();

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if std::mem::replace(&mut self.0, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

/// A thousand tasks that wake themselves.
pub fn yields<S: Subject>(count: usize) {
    S::run(async {
        let each = count.div_ceil(1000);
        let tasks: Vec<_> = (0..1000)
            .map(|_| {
                S::spawn(async move {
                    for _ in 0..each {
                        WakeSelf::default().await;
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await;
        }
    });
}

/// One side of a table at which two tasks play.
#[derive(Default)]
struct Side {
    has_ball: AtomicBool,
    waker: AtomicWaker,
}

impl Side {
    fn serve(&self) {
        self.has_ball.store(true, Ordering::Release);
        self.waker.wake();
    }

    async fn receive(&self) {
        poll_fn(|cx| {
            if self.has_ball.swap(false, Ordering::AcqRel) {
                return Poll::Ready(());
            }
            self.waker.register(cx.waker());
            if self.has_ball.swap(false, Ordering::AcqRel) { Poll::Ready(()) } else { Poll::Pending }
        })
        .await
    }
}

/// Two tasks that wake each other; a count is a round trip.
pub fn ping_pong<S: Subject>(count: usize) {
    S::run(async {
        let table = Arc::new((Side::default(), Side::default()));
        let other = table.clone();
        let there = S::spawn(async move {
            for _ in 0..count {
                other.1.receive().await;
                other.0.serve();
            }
        });
        let back = S::spawn(async move {
            for _ in 0..count {
                table.1.serve();
                table.0.receive().await;
            }
        });
        there.await;
        back.await;
    });
}

/// Runs a future that is ready, on a runtime that exists.
pub fn block_on_ready<S: Subject>(count: usize) {
    let mut runtime = S::runtime();
    for n in 0..count {
        black_box(S::block_on(&mut runtime, async { black_box(n) }));
    }
}

/// From a wake on another processor to the poll of a runtime that sleeps: the median, in ns.
pub fn cross_thread_wake<S: Subject>() -> f64 {
    const ROUNDS: usize = 2000;
    let side = Arc::new(Side::default());
    let sent_at = Arc::new(AtomicU64::new(0));
    let wanted = Arc::new(AtomicBool::new(false));
    let epoch = Instant::now();
    let thread = std::thread::spawn({
        let (side, sent_at, wanted) = (side.clone(), sent_at.clone(), wanted.clone());
        move || {
            crate::process::pin_to(1).unwrap();
            for _ in 0..ROUNDS {
                while !wanted.swap(false, Ordering::AcqRel) {
                    std::hint::spin_loop();
                }
                // Long enough for the runtime to fall asleep.
                let asleep = Instant::now() + Duration::from_micros(100);
                while Instant::now() < asleep {
                    std::hint::spin_loop();
                }
                sent_at.store(epoch.elapsed().as_nanos() as u64, Ordering::Release);
                side.serve();
            }
        }
    });
    let mut latencies = S::run(async {
        let mut latencies = Vec::with_capacity(ROUNDS);
        for _ in 0..ROUNDS {
            wanted.store(true, Ordering::Release);
            side.receive().await;
            latencies.push(epoch.elapsed().as_nanos() as u64 - sent_at.load(Ordering::Acquire));
        }
        latencies
    });
    thread.join().unwrap();
    latencies.sort_unstable();
    latencies[ROUNDS / 2] as f64
}

/// A thread wakes a loop that is never idle, a thousand times, between two system calls that mark it.
pub fn wake_busy<S: Subject>() {
    const WAKES: usize = 1000;
    let side = Arc::new(Side::default());
    let is_waiting = Arc::new(AtomicBool::new(false));
    let is_over = Arc::new(AtomicBool::new(false));
    let thread = std::thread::spawn({
        let (side, is_waiting, is_over) = (side.clone(), is_waiting.clone(), is_over.clone());
        move || {
            for n in 0..WAKES {
                while !is_waiting.swap(false, Ordering::AcqRel) {
                    std::hint::spin_loop();
                }
                if n == 0 {
                    black_box(rustix::process::getppid());
                }
                side.serve();
            }
            black_box(rustix::process::getppid());
            is_over.store(true, Ordering::Release);
        }
    });
    S::run(async {
        let busy = S::spawn({
            let is_over = is_over.clone();
            async move {
                while !is_over.load(Ordering::Acquire) {
                    WakeSelf::default().await;
                }
            }
        });
        for _ in 0..WAKES {
            is_waiting.store(true, Ordering::Release);
            side.receive().await;
        }
        busy.await;
    });
    thread.join().unwrap();
}

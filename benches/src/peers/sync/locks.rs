//! Locks, semaphores, events.

use std::future::Future;
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::micro::WakeSelf;
use crate::peers::sync::peers::Mutex;
use crate::subject::Subject;
use crate::subjects::asyncio::{AsyncioLocal, AsyncioWorkers2};

pub fn run(case: &str, library: &str, count: usize) -> Option<Duration> {
    macro_rules! with_mutex {
        ($workload:ident) => {
            match library {
                "asyncio" => $workload::<asyncio::sync::Mutex<u64>>(count),
                "tokio" => $workload::<tokio::sync::Mutex<u64>>(count),
                "async-lock" => $workload::<async_lock::Mutex<u64>>(count),
                "futures" => $workload::<futures::lock::Mutex<u64>>(count),
                _ => return None,
            }
        };
    }
    Some(match case {
        "sync_mutex" => with_mutex!(uncontended),
        "sync_mutex_contended" => with_mutex!(contended_one_loop),
        "sync_mutex_contended_workers2" => with_mutex!(contended_two_workers),
        "sync_rw_lock_read" => read(library, count)?,
        "sync_rw_lock_write" => write(library, count)?,
        "sync_semaphore" => semaphore(library, count)?,
        "sync_event_1000" => event(library, count, 1000)?,
        "sync_event_10000" => event(library, count, 10_000)?,
        _ => return None,
    })
}

/// Runs `future` on our own loop, and says how long it took.
fn timed<F: Future>(future: F) -> Duration {
    AsyncioLocal::run(async {
        let start = Instant::now();
        black_box(future.await);
        start.elapsed()
    })
}

/// Locks and unlocks, from a task.
fn uncontended<M: Mutex>(count: usize) -> Duration {
    timed(async move {
        let mutex = M::new();
        for _ in 0..count {
            *black_box(&mutex).lock().await += 1;
        }
    })
}

/// Eight tasks that hold the lock over a yield.
fn contended<S: Subject, M: Mutex>(count: usize) -> Duration {
    const TASKS: usize = 8;
    S::run(async move {
        let start = Instant::now();
        let mutex = Arc::new(M::new());
        let tasks: Vec<_> = (0..TASKS)
            .map(|_| {
                let mutex = mutex.clone();
                S::spawn(async move {
                    for _ in 0..count / TASKS {
                        let mut guard = mutex.lock().await;
                        *guard += 1;
                        WakeSelf::default().await;
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await;
        }
        start.elapsed()
    })
}

fn contended_one_loop<M: Mutex>(count: usize) -> Duration {
    contended::<AsyncioLocal, M>(count)
}

fn contended_two_workers<M: Mutex>(count: usize) -> Duration {
    contended::<AsyncioWorkers2, M>(count)
}

fn read(library: &str, count: usize) -> Option<Duration> {
    macro_rules! workload {
        ($lock:expr) => {
            timed(async move {
                let lock = $lock;
                for _ in 0..count {
                    black_box(*black_box(&lock).read().await);
                }
            })
        };
    }
    Some(match library {
        "asyncio" => workload!(asyncio::sync::RwLock::new(0_u64)),
        "tokio" => workload!(tokio::sync::RwLock::new(0_u64)),
        "async-lock" => workload!(async_lock::RwLock::new(0_u64)),
        _ => return None,
    })
}

fn write(library: &str, count: usize) -> Option<Duration> {
    macro_rules! workload {
        ($lock:expr) => {
            timed(async move {
                let lock = $lock;
                for _ in 0..count {
                    *black_box(&lock).write().await += 1;
                }
            })
        };
    }
    Some(match library {
        "asyncio" => workload!(asyncio::sync::RwLock::new(0_u64)),
        "tokio" => workload!(tokio::sync::RwLock::new(0_u64)),
        "async-lock" => workload!(async_lock::RwLock::new(0_u64)),
        _ => return None,
    })
}

fn semaphore(library: &str, count: usize) -> Option<Duration> {
    macro_rules! workload {
        ($semaphore:expr) => {
            timed(async move {
                let semaphore = $semaphore;
                for _ in 0..count {
                    drop(black_box(black_box(&semaphore).acquire().await));
                }
            })
        };
    }
    Some(match library {
        "asyncio" => workload!(asyncio::sync::Semaphore::new(3)),
        "tokio" => workload!(tokio::sync::Semaphore::new(3)),
        "async-lock" => workload!(async_lock::Semaphore::new(3)),
        _ => return None,
    })
}

/// Tasks that wait are all woken, and wait again; a count is one that was woken.
fn event(library: &str, count: usize, waiting: usize) -> Option<Duration> {
    macro_rules! workload {
        ($event:expr, |$waited:ident| $wait:expr, |$set:ident| $wake:expr) => {{
            let event = Arc::new($event);
            timed(async move {
                let rounds = count.div_ceil(waiting);
                let tasks: Vec<_> = (0..waiting)
                    .map(|_| {
                        let event = event.clone();
                        AsyncioLocal::spawn(async move {
                            for _ in 0..rounds {
                                let $waited = &*event;
                                $wait.await;
                            }
                        })
                    })
                    .collect();
                WakeSelf::default().await;
                for _ in 0..rounds {
                    let $set = &*event;
                    $wake;
                    WakeSelf::default().await;
                }
                for task in tasks {
                    task.await;
                }
            })
        }};
    }
    Some(match library {
        "asyncio" => workload!(asyncio::sync::Event::new(), |event| event.wait(), |event| {
            event.set();
            event.clear();
        }),
        "tokio" => workload!(tokio::sync::Notify::new(), |notify| notify.notified(), |notify| {
            notify.notify_waiters()
        }),
        _ => return None,
    })
}

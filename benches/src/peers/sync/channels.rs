//! Channels and queues.

use std::hint::black_box;
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

use crate::micro::WakeSelf;
use crate::peers::sync::peers::{AsyncChannel, Asyncio, Channel, Flume, Kanal, Tokio};
use crate::subject::Subject;
use crate::subjects::asyncio::AsyncioLocal;

pub fn run(case: &str, library: &str, count: usize) -> Option<Duration> {
    macro_rules! with_channel {
        ($workload:ident) => {
            match library {
                "asyncio" => $workload::<Asyncio>(count),
                "tokio" => $workload::<Tokio>(count),
                "async-channel" => $workload::<AsyncChannel>(count),
                "kanal" => $workload::<Kanal>(count),
                "flume" => $workload::<Flume>(count),
                _ => return None,
            }
        };
    }
    Some(match case {
        "sync_channel_1" => with_channel!(one_producer),
        "sync_channel_4" => with_channel!(four_producers),
        "sync_channel_threads" => with_channel!(threads),
        "sync_queue" => queue(library, count)?,
        "sync_oneshot" => oneshot(library, count)?,
        "sync_oneshot_wait" => oneshot_wait(library, count)?,
        "sync_broadcast_1" => broadcast(library, count, 1)?,
        "sync_broadcast_10" => broadcast(library, count, 10)?,
        "sync_broadcast_1000" => broadcast(library, count, 1000)?,
        "sync_watch_1" => watch(library, count, 1)?,
        "sync_watch_10" => watch(library, count, 10)?,
        "sync_watch_1000" => watch(library, count, 1000)?,
        _ => return None,
    })
}

/// As in `reference/perf.md`.
const CAPACITY: usize = 1024;

/// Producers and the consumer are tasks of one loop; a count is a message.
fn producers<C: Channel>(count: usize, producers: usize) -> Duration {
    AsyncioLocal::run(async move {
        let start = Instant::now();
        let (sender, mut receiver) = C::new(CAPACITY);
        for _ in 0..producers {
            let sender = sender.clone();
            AsyncioLocal::spawn(async move {
                for n in 0..count / producers {
                    C::send(&sender, n as u64).await;
                }
            });
        }
        drop(sender);
        AsyncioLocal::spawn(async move { while black_box(C::recv(&mut receiver).await).is_some() {} }).await;
        start.elapsed()
    })
}

fn one_producer<C: Channel>(count: usize) -> Duration {
    producers::<C>(count, 1)
}

fn four_producers<C: Channel>(count: usize) -> Duration {
    producers::<C>(count, 4)
}

/// The producer on a loop of its own, on the other processor.
fn threads<C: Channel>(count: usize) -> Duration {
    let (sender, mut receiver) = C::new(CAPACITY);
    let ready = Arc::new(Barrier::new(2));
    let thread = std::thread::spawn({
        let ready = ready.clone();
        move || {
            crate::process::pin_to(1).unwrap();
            AsyncioLocal::run(async move {
                ready.wait();
                for n in 0..count {
                    C::send(&sender, n as u64).await;
                }
            });
        }
    });
    let elapsed = AsyncioLocal::run(async move {
        ready.wait();
        let start = Instant::now();
        while black_box(C::recv(&mut receiver).await).is_some() {}
        start.elapsed()
    });
    thread.join().unwrap();
    elapsed
}

/// The same as with one producer, through a queue.
fn queue(library: &str, count: usize) -> Option<Duration> {
    if library != "asyncio" {
        return None;
    }
    Some(AsyncioLocal::run(async move {
        let start = Instant::now();
        let queue = Arc::new(asyncio::sync::Queue::new(CAPACITY));
        let consumed = queue.clone();
        AsyncioLocal::spawn(async move {
            for n in 0..count {
                queue.put(n as u64).await.unwrap();
            }
            queue.shutdown(asyncio::sync::Shutdown::AfterDrain);
        });
        AsyncioLocal::spawn(async move { while black_box(consumed.get().await).is_ok() {} }).await;
        start.elapsed()
    }))
}

/// Made, sent, received, in one task.
fn oneshot(library: &str, count: usize) -> Option<Duration> {
    macro_rules! workload {
        ($new:expr) => {
            AsyncioLocal::run(async move {
                let start = Instant::now();
                for n in 0..count {
                    let (sender, receiver) = black_box($new);
                    sender.send(n).unwrap();
                    black_box(receiver.await.unwrap());
                }
                start.elapsed()
            })
        };
    }
    Some(match library {
        "asyncio" => workload!(asyncio::sync::oneshot::<usize>()),
        "tokio" => workload!(tokio::sync::oneshot::channel::<usize>()),
        "futures" => workload!(futures::channel::oneshot::channel::<usize>()),
        _ => return None,
    })
}

/// The receiver waits: two tasks, of which one answers the other.
fn oneshot_wait(library: &str, count: usize) -> Option<Duration> {
    macro_rules! workload {
        ($new:expr) => {
            AsyncioLocal::run(async move {
                let start = Instant::now();
                for n in 0..count {
                    let (sender, receiver) = black_box($new);
                    futures::join!(async { black_box(receiver.await.unwrap()) }, async {
                        sender.send(n).unwrap()
                    },);
                }
                start.elapsed()
            })
        };
    }
    Some(match library {
        "asyncio" => workload!(asyncio::sync::oneshot::<usize>()),
        "tokio" => workload!(tokio::sync::oneshot::channel::<usize>()),
        "futures" => workload!(futures::channel::oneshot::channel::<usize>()),
        _ => return None,
    })
}

/// Sends sixteen, and lets all receivers run, and again; a count is one that was received.
fn broadcast(library: &str, count: usize, receivers: usize) -> Option<Duration> {
    macro_rules! workload {
        ($new:expr) => {
            AsyncioLocal::run(async move {
                let start = Instant::now();
                let (sender, first) = $new;
                drop(first);
                let tasks: Vec<_> = (0..receivers)
                    .map(|_| {
                        let mut receiver = sender.subscribe();
                        AsyncioLocal::spawn(async move { while black_box(receiver.recv().await).is_ok() {} })
                    })
                    .collect();
                for _ in 0..count.div_ceil(receivers * 16) {
                    for n in 0..16_u64 {
                        sender.send(n).unwrap();
                    }
                    WakeSelf::default().await;
                }
                drop(sender);
                for task in tasks {
                    task.await;
                }
                start.elapsed()
            })
        };
    }
    Some(match library {
        "asyncio" => workload!(asyncio::sync::broadcast::<u64>(64)),
        "tokio" => workload!(tokio::sync::broadcast::channel::<u64>(64)),
        _ => return None,
    })
}

/// Sends one, and lets all receivers run, and again; a count is one that was seen.
fn watch(library: &str, count: usize, receivers: usize) -> Option<Duration> {
    macro_rules! workload {
        ($new:expr) => {
            AsyncioLocal::run(async move {
                let start = Instant::now();
                let (sender, first) = $new;
                let tasks: Vec<_> = (0..receivers)
                    .map(|_| {
                        let mut receiver = first.clone();
                        AsyncioLocal::spawn(async move {
                            while receiver.changed().await.is_ok() {
                                black_box(*receiver.borrow_and_update());
                            }
                        })
                    })
                    .collect();
                for n in 0..count.div_ceil(receivers) {
                    sender.send(n as u64).unwrap();
                    WakeSelf::default().await;
                }
                drop(sender);
                for task in tasks {
                    task.await;
                }
                start.elapsed()
            })
        };
    }
    Some(match library {
        "asyncio" => workload!(asyncio::sync::watch(0_u64)),
        "tokio" => workload!(tokio::sync::watch::channel(0_u64)),
        _ => return None,
    })
}

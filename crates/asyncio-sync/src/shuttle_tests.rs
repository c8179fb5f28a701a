//! What is too large for loom, under random orders of the threads: `RUSTFLAGS="--cfg shuttle" cargo test --release -p asyncio-sync --lib shuttle_tests`.

use asyncio_base::shim::{Arc, AtomicUsize, Ordering, thread};
use shuttle::future::block_on;
use shuttle::rand::{Rng, thread_rng};

use crate::{
    Condition, Mutex, OnceCell, Queue, RwLock, Semaphore, Shutdown, broadcast, channel, oneshot, rendezvous,
    watch,
};

const ORDERS: usize = 3_000;

/// Polls once and drops what is pending, now and then.
async fn maybe<F: Future>(future: F) -> Option<F::Output> {
    if thread_rng().gen_bool(0.3) {
        futures_lite::future::poll_once(future).await
    } else {
        Some(future.await)
    }
}

fn threads(count: usize, thread: impl Fn(usize) + Send + Sync + 'static) {
    let thread = Arc::new(thread);
    let handles: Vec<_> = (0..count)
        .map(|n| {
            let thread = thread.clone();
            thread::spawn(move || thread(n))
        })
        .collect();
    handles.into_iter().for_each(|handle| handle.join().unwrap());
}

#[test]
fn locks_with_those_who_go() {
    shuttle::check_random(
        || {
            let (mutex, lock, semaphore) = (Mutex::new(0), RwLock::new(0), Semaphore::bounded(2));
            let counts = Arc::new((mutex, lock, semaphore, AtomicUsize::new(0)));
            let shared = counts.clone();
            threads(4, move |n| {
                let (mutex, lock, semaphore, done) = &*shared;
                block_on(async {
                    for _ in 0..3 {
                        if let Some(mut guard) = maybe(mutex.lock()).await {
                            *guard += 1;
                            done.fetch_add(1, Ordering::SeqCst);
                        }
                        match n % 2 {
                            0 => drop(maybe(lock.read()).await),
                            _ => drop(maybe(lock.write()).await),
                        }
                        drop(maybe(semaphore.acquire_many(1 + n % 2)).await);
                    }
                });
            });
            let (mutex, lock, semaphore, done) = &*counts;
            assert_eq!(*mutex.try_lock().unwrap(), done.load(Ordering::SeqCst));
            assert!(lock.try_write().is_ok());
            assert_eq!(semaphore.available_permits(), 2);
        },
        ORDERS,
    );
}

#[test]
fn channels_with_those_who_go() {
    for capacity in 0..3 {
        shuttle::check_random(
            move || {
                let (sender, receiver) = if capacity == 0 { rendezvous() } else { channel(capacity) };
                let counts = Arc::new((AtomicUsize::new(0), AtomicUsize::new(0)));
                let receiving: Vec<_> = (0..2)
                    .map(|n| {
                        let (receiver, counts) = (receiver.clone(), counts.clone());
                        thread::spawn(move || {
                            block_on(async {
                                loop {
                                    // The second one goes now and then.
                                    let received = match n {
                                        0 => Some(receiver.recv().await),
                                        _ => maybe(receiver.recv()).await,
                                    };
                                    match received {
                                        Some(Ok(())) => _ = counts.1.fetch_add(1, Ordering::SeqCst),
                                        Some(Err(_)) => return,
                                        None => {}
                                    }
                                }
                            });
                        })
                    })
                    .collect();
                let sending: Vec<_> = (0..2)
                    .map(|_| {
                        let (sender, counts) = (sender.clone(), counts.clone());
                        thread::spawn(move || {
                            block_on(async {
                                for _ in 0..3 {
                                    if thread_rng().gen_bool(0.3) {
                                        if let Some(Ok(slot)) = maybe(sender.reserve()).await {
                                            slot.send(());
                                            counts.0.fetch_add(1, Ordering::SeqCst);
                                        }
                                    } else {
                                        sender.send(()).await.unwrap();
                                        counts.0.fetch_add(1, Ordering::SeqCst);
                                    }
                                }
                            });
                        })
                    })
                    .collect();
                drop((sender, receiver));
                sending.into_iter().chain(receiving).for_each(|thread| thread.join().unwrap());
                assert_eq!(counts.0.load(Ordering::SeqCst), counts.1.load(Ordering::SeqCst));
            },
            ORDERS,
        );
    }
}

#[test]
fn a_queue_of_requests_that_are_answered() {
    shuttle::check_random(
        || {
            let queue = Arc::new(Queue::new(1));
            let serving = queue.clone();
            let server = thread::spawn(move || {
                block_on(async {
                    while let Ok((n, answer)) = serving.get().await {
                        let answer: crate::oneshot::Sender<usize> = answer;
                        _ = answer.send(n + 1);
                        serving.task_done();
                    }
                });
            });
            let asking = queue.clone();
            threads(2, move |n| {
                block_on(async {
                    for _ in 0..2 {
                        let (answer, question) = oneshot();
                        asking.put((n, answer)).await.map_err(|_| ()).unwrap();
                        if let Some(answer) = maybe(question).await {
                            assert_eq!(answer, Ok(n + 1));
                        }
                    }
                });
            });
            block_on(queue.join());
            queue.shutdown(Shutdown::AfterDrain);
            server.join().unwrap();
        },
        ORDERS,
    );
}

#[test]
fn turns_by_a_condition() {
    shuttle::check_random(
        || {
            let (condition, cell) = (Arc::new(Condition::new(0)), Arc::new(OnceCell::new()));
            let shared = condition.clone();
            threads(3, move |n| {
                block_on(async {
                    let step = *cell.get_or_init(|| async { 1 }).await;
                    let mut guard = shared.lock().await;
                    guard.wait_for(|now| *now == n).await;
                    *guard += step;
                    guard.notify_all();
                });
            });
            assert_eq!(*condition.try_lock().unwrap(), 3);
        },
        ORDERS,
    );
}

#[test]
fn news_for_all() {
    shuttle::check_random(
        || {
            let ((news, _), (newest, _)) = (broadcast(2), watch(0));
            let listening: Vec<_> = (0..2)
                .map(|_| {
                    let (mut news, mut newest) = (news.subscribe(), newest.subscribe());
                    thread::spawn(move || {
                        block_on(async {
                            let mut heard = 0;
                            loop {
                                match news.recv().await {
                                    Ok(_) => heard += 1,
                                    Err(crate::BroadcastError::Lagged(count)) => heard += count,
                                    Err(_) => break,
                                }
                            }
                            assert_eq!(heard, 4);
                            while newest.changed().await.is_ok() {}
                            assert_eq!(*newest.borrow(), 4);
                        });
                    })
                })
                .collect();
            for n in 1..=4 {
                news.send(n).unwrap();
                newest.send(n).unwrap();
            }
            drop((news, newest));
            listening.into_iter().for_each(|thread| thread.join().unwrap());
        },
        ORDERS,
    );
}

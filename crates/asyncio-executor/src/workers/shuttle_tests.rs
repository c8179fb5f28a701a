//! The whole scheduler under random orders of its threads: local tasks and shared ones, wakes from everywhere, closing at any moment.
//!
//! The crate `concurrent-queue` is taken as it is: between two steps of its nobody else comes in.

use std::future::{Future, poll_fn};
use std::task::{Context, Poll, Wake, Waker};

use asyncio_base::shim::{Arc, AtomicUsize, Mutex, Ordering, thread};
use shuttle::rand::Rng;

use super::{Executor, spawn};
use crate::header::Header;
use crate::local::{LocalExecutor, current_header, spawn_local};
use crate::spawn::TaskOptions;

/// How many orders a test tries.
const ORDERS: usize = 5_000;
const WORKERS: usize = 3;

fn try_orders(test: impl Fn() + Send + Sync + 'static) {
    let test = Arc::new(test);
    let again = test.clone();
    shuttle::check_random(move || test(), ORDERS);
    // Few switches, at bad moments (Burckhardt and others, "A Randomized Scheduler with Probabilistic Guarantees of Finding Bugs", 2010).
    shuttle::check_pct(move || again(), ORDERS, 3);
}

struct Unpark(thread::Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

fn here() -> Waker {
    Waker::from(Arc::new(Unpark(thread::current())))
}

/// Starts the workers; each begins with `first`, on its executor.
fn start(
    executor: &Executor,
    first: impl Fn(&LocalExecutor) + Send + Sync + 'static,
) -> Vec<thread::JoinHandle<()>> {
    let first = Arc::new(first);
    (0..WORKERS)
        .map(|index| {
            let (executor, first) = (executor.clone(), first.clone());
            thread::spawn(move || {
                let worker = executor.worker(index, here()).unwrap();
                let _entered = worker.enter();
                first(&worker);
                while !executor.is_closed() {
                    while worker.run_round() > 0 {}
                    if let Some(_idle) = worker.try_idle() {
                        thread::park();
                    }
                }
            })
        })
        .collect()
}

fn end(executor: &Executor, workers: Vec<thread::JoinHandle<()>>) {
    executor.close();
    for worker in workers {
        worker.thread().unpark();
        worker.join().unwrap();
    }
}

/// Lets the others do something, or much.
fn pause() {
    for _ in 0..shuttle::rand::thread_rng().gen_range(0..40) {
        thread::yield_now();
    }
}

/// Runs a future on this thread.
fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = Box::pin(future);
    let waker = here();
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output;
        }
        thread::park();
    }
}

/// Opened once, by anybody; many wait.
#[derive(Clone, Default)]
struct Gate(Arc<Mutex<(bool, Vec<Waker>)>>);

impl Gate {
    fn open(&self) {
        let wakers = {
            let mut gate = self.0.lock();
            gate.0 = true;
            std::mem::take(&mut gate.1)
        };
        wakers.into_iter().for_each(Waker::wake);
    }

    async fn pass(&self) {
        poll_fn(|cx| {
            let mut gate = self.0.lock();
            if gate.0 {
                return Poll::Ready(());
            }
            gate.1.push(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }
}

async fn yield_once() {
    let mut has_yielded = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut has_yielded, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

#[derive(Clone, Default)]
struct Count(Arc<AtomicUsize>);

impl Count {
    fn get(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }

    fn on_drop(&self) -> OnDrop {
        OnDrop(self.clone())
    }
}

struct OnDrop(Count);

impl Drop for OnDrop {
    fn drop(&mut self) {
        self.0.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn every_task_ends() {
    try_orders(|| {
        let executor = Executor::new(WORKERS);
        let gates: [Gate; WORKERS] = Default::default();
        let local = gates.clone();
        // A task of each worker's own, which others wake.
        let workers = start(&executor, move |worker| {
            let (mine, next) = (worker.worker().unwrap(), (worker.worker().unwrap() + 1) % WORKERS);
            let gates = local.clone();
            let work = async move {
                gates[mine].pass().await;
                gates[next].open();
            };
            spawn_local(TaskOptions::here(), work).unwrap().detach();
        });
        gates[0].open();
        for n in 0..3 {
            // One at a time: by then all may be asleep, or about to be.
            pause();
            let task = async move {
                yield_once().await;
                let child = spawn(TaskOptions::here(), async move {
                    yield_once().await;
                    n
                });
                child.unwrap().await.unwrap() + 1
            };
            let task = executor.spawn(TaskOptions::here(), task).unwrap();
            assert_eq!(block_on(task), Some(n + 1));
        }
        block_on(async {
            for gate in &gates {
                gate.pass().await;
            }
        });
        end(&executor, workers);
    });
}

#[test]
fn closing_at_any_moment_drops_every_task_once() {
    try_orders(|| {
        let executor = Executor::new(WORKERS);
        let dropped = Count::default();
        let spawned = Count::default();
        let (gate, never) = (Gate::default(), Gate::default());
        let counts = (dropped.clone(), spawned.clone(), gate.clone(), never.clone());
        let workers = start(&executor, move |_| {
            let (dropped, spawned, gate, never) = counts.clone();
            for gate in [gate, never] {
                spawned.on_drop();
                let on_drop = dropped.on_drop();
                let work = async move {
                    let _on_drop = on_drop;
                    yield_once().await;
                    gate.pass().await;
                };
                // Refused after closing: then it is dropped there.
                drop(spawn(TaskOptions::here(), work));
            }
        });
        for _ in 0..2 {
            spawned.on_drop();
            let (on_drop, gate) = (dropped.on_drop(), gate.clone());
            let work = async move {
                let _on_drop = on_drop;
                gate.pass().await;
                yield_once().await;
            };
            drop(executor.spawn(TaskOptions::here(), work));
        }
        pause();
        gate.open();
        pause();
        end(&executor, workers);
        assert_eq!(dropped.get(), spawned.get());
    });
}

/// Whoever asks a task to end while it begins to wait wakes it, or is seen by it.
#[test]
fn a_task_that_is_asked_to_end_sees_it() {
    try_orders(|| {
        let executor = Executor::new(WORKERS);
        let workers = start(&executor, |_| {});
        let asked = || async {
            poll_fn(|_| match current_header(Header::is_cancel_requested) {
                Some(true) => Poll::Ready(()),
                _ => Poll::Pending,
            })
            .await;
        };
        let (one, all) = (asked(), asked());
        let one = executor.spawn(TaskOptions::here(), one).unwrap();
        pause();
        assert!(one.request_cancel());
        assert_eq!(block_on(one), Some(()));
        let all = executor.spawn(TaskOptions::here(), all).unwrap();
        pause();
        executor.request_cancel_all();
        assert_eq!(block_on(all), Some(()));
        end(&executor, workers);
    });
}

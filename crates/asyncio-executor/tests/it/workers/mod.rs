//! An executor of several workers.

mod closing;
mod order;
mod tasks;
mod waking;

use std::future::poll_fn;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex};
use std::task::{Poll, Wake, Waker};
use std::thread;

use asyncio_executor::{Executor, Handle, LocalExecutor, TaskOptions, block_on};

/// Counts how often a worker is woken.
#[derive(Default)]
pub(super) struct Bell(AtomicUsize);

impl Bell {
    pub(super) fn new() -> (Arc<Self>, Waker) {
        let bell = Arc::new(Self::default());
        (bell.clone(), bell.into())
    }

    pub(super) fn rings(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

pub(super) fn quiet_worker(executor: &Executor, index: usize) -> LocalExecutor {
    executor.worker(index, Waker::noop().clone()).unwrap()
}

/// Spawns where it is called, without a word.
pub(super) fn spawn<F>(future: F) -> Handle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    asyncio_executor::spawn(TaskOptions::here(), future).unwrap()
}

/// Runs a program on so many workers, each on a thread that parks. The first of them runs main.
pub(super) fn run_on<R>(workers: usize, main: impl AsyncFnOnce(Executor) -> R) -> R {
    struct Unpark(thread::Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    fn work(worker: &LocalExecutor, executor: &Executor) {
        while !executor.is_closed() {
            while worker.run_round() > 0 {}
            if let Some(_idle) = worker.try_idle() {
                thread::park();
            }
        }
    }
    let executor = Executor::new(workers);
    let seated = Arc::new(Barrier::new(workers + 1));
    let threads: Vec<_> = (0..workers)
        .map(|index| {
            let (executor, seated) = (executor.clone(), seated.clone());
            thread::spawn(move || {
                let unpark = Arc::new(Unpark(thread::current()));
                let worker = executor.worker(index, unpark.into()).unwrap();
                let _entered = worker.enter();
                seated.wait();
                work(&worker, &executor);
            })
        })
        .collect();
    seated.wait();
    let result = block_on(main(executor.clone()));
    executor.close();
    for thread in threads {
        thread.thread().unpark();
        thread.join().unwrap();
    }
    result
}

/// Wakes the one who waits for it.
#[derive(Clone, Default)]
pub(super) struct Baton(Arc<Mutex<(bool, Option<Waker>)>>);

impl Baton {
    pub(super) fn pass(&self) {
        let mut baton = self.0.lock().unwrap();
        baton.0 = true;
        let waker = baton.1.take();
        drop(baton);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    pub(super) async fn take(&self) {
        poll_fn(|cx| {
            let mut baton = self.0.lock().unwrap();
            if std::mem::take(&mut baton.0) {
                return Poll::Ready(());
            }
            baton.1 = Some(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }
}

/// Says when it is dropped.
pub(super) struct Tell(pub(super) Arc<AtomicUsize>);

impl Drop for Tell {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

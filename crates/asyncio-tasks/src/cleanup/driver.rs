//! The thread that does the clean-up of threads without a loop, and their work in the background; started when it is first needed.

use std::future::poll_fn;
use std::sync::PoisonError;
use std::task::{Poll, Waker};

use asyncio_base::shim::{Arc, Mutex};
use asyncio_executor::{LocalExecutor, Spawner, TaskOptions, block_on};

use crate::scope::{Batch, Kind, Scope};

/// A job of this thread.
struct OfThread;

impl Kind for OfThread {
    const IS_SHIELD: bool = true;
    const IS_ROOT: bool = true;
}

/// The executor of the thread; `None` if the system has no more threads. It is tried again then.
pub(super) fn spawner() -> Option<Spawner> {
    /// std's, since it is a static.
    static DRIVER: std::sync::Mutex<Option<Spawner>> = std::sync::Mutex::new(None);
    let mut driver = DRIVER.lock().unwrap_or_else(PoisonError::into_inner);
    if driver.is_none() {
        *driver = start();
    }
    driver.clone()
}

pub(super) fn adopt(batches: Vec<Batch>) {
    let why = "was cut off: the thread for it could not be started";
    match spawner() {
        Some(driver) => {
            // The executor is never closed. Nobody awaits what it does.
            if let Ok(job) = driver.spawn(TaskOptions::here(), Scope::of_batches(batches, OfThread)) {
                job.detach();
            }
        }
        None => batches.into_iter().for_each(|batch| batch.cut(why)),
    }
}

/// Starts the thread.
fn start() -> Option<Spawner> {
    let (made, was_made) = std::sync::mpsc::channel();
    let body = move || {
        // The waker of the thread is known from its first poll on.
        let unpark = Arc::new(Unpark(Mutex::new(Waker::noop().clone())));
        let executor = LocalExecutor::new(Waker::from(unpark.clone()));
        let _entered = executor.enter();
        block_on(async {
            poll_fn(|cx| {
                *unpark.0.lock() = cx.waker().clone();
                Poll::Ready(())
            })
            .await;
            // OK because whoever starts it waits for it.
            let _ = made.send(executor.spawner());
            poll_fn(|_| {
                while executor.run_round() > 0 {}
                Poll::<()>::Pending
            })
            .await;
        });
    };
    std::thread::Builder::new().name("asyncio-cleanup".into()).spawn(body).ok()?;
    was_made.recv().ok()
}

struct Unpark(Mutex<Waker>);

impl std::task::Wake for Unpark {
    fn wake(self: Arc<Self>) {
        let waker = self.0.lock().clone();
        waker.wake();
    }
}

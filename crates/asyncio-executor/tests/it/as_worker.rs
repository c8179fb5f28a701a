//! The suite on one of two workers, the other one away.

use asyncio_executor::{Executor, LocalExecutor};
use std::cell::RefCell;
use std::task::Waker;

thread_local! {
    /// Dropping one closes it, so they stay until the thread of the test ends.
    static EXECUTORS: RefCell<Vec<Executor>> = const { RefCell::new(Vec::new()) };
}

fn executor_with(unpark: Waker) -> LocalExecutor {
    let executor = Executor::new(2);
    let worker = executor.worker(0, unpark).unwrap();
    EXECUTORS.with_borrow_mut(|executors| executors.push(executor));
    worker
}

fn executor() -> LocalExecutor {
    executor_with(Waker::noop().clone())
}

#[path = "suite/mod.rs"]
mod suite;

//! The suite on an executor by itself.

use asyncio_executor::LocalExecutor;
use std::task::Waker;

fn executor_with(unpark: Waker) -> LocalExecutor {
    LocalExecutor::new(unpark)
}

fn executor() -> LocalExecutor {
    executor_with(Waker::noop().clone())
}

#[path = "suite/mod.rs"]
mod suite;

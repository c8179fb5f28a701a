//! The suite on an executor by itself.

use asyncio_executor::LocalExecutor;
use std::task::Waker;

fn executor_with(unpark: Waker) -> LocalExecutor {
    LocalExecutor::new(unpark)
}

fn executor() -> LocalExecutor {
    executor_with(Waker::noop().clone())
}

#[path = "suite/closing.rs"]
mod closing;
#[path = "suite/order.rs"]
mod order;
#[path = "suite/panics.rs"]
mod panics;
#[path = "suite/remote.rs"]
mod remote;
#[path = "suite/spawner.rs"]
mod spawner;
#[path = "suite/task.rs"]
mod task;

//! Several workers.

mod closing;
mod failing;
mod looking;
mod placement;

use asyncio_runtime::{EventLoop, Runner};

pub(super) fn runner(workers: usize) -> Runner {
    Runner::builder().workers(workers).build().unwrap()
}

pub(super) fn worker() -> usize {
    EventLoop::current().unwrap().worker()
}

//! The runtimes that the suite runs on: one loop, and two workers.

use std::future::Future;
use std::pin::{Pin, pin};

use asyncio_runtime::Runner;

/// A runner of one loop, and one of two workers.
pub(crate) fn runners() -> [Runner; 2] {
    [1, 2].map(|workers| Runner::builder().workers(workers).build().unwrap())
}

/// Runs a check as main of each.
pub(crate) fn on_each(check: impl AsyncFn()) {
    for mut runner in runners() {
        // By a `dyn`, so that what runs it is compiled once.
        let check: Pin<&mut dyn Future<Output = ()>> = pin!(check());
        runner.run(check);
    }
}

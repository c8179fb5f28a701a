//! [`to_thread`]: the pool of the runtime, and that of the process where there is none.

use std::sync::OnceLock;
use std::time::Duration;

use asyncio_tasks::{Belonging, Cleanup};

use crate::call::Call;
use crate::thread_pool::ThreadPool;

/// Runs a blocking call on a thread of this runtime's pool. asyncio's `to_thread`.
///
/// The pool has at most as many threads as the runner's builder says (`blocking_threads_max`): if nobody does, 4 more than there are CPUs, at most
/// 32, as in asyncio. Calls beyond that wait in line. The [context](asyncio_tasks::Context) goes along. The end of the runtime cancels those in line,
/// and waits for those that run, within a bound.
///
/// Outside of a runtime the pool is one of the process.
///
/// # Errors
///
/// Gives a [`TaskError`](asyncio_tasks::TaskError) if the call panics, if the runtime ends before it has begun, and if no thread can be started.
///
/// # Cancel safety
///
/// Dropping it cancels a call that has not begun. One that runs goes on, and what it returns is dropped.
///
/// # Examples
///
/// ```
/// let text = asyncio_runtime::run(asyncio_blocking::to_thread(|| std::fs::read_to_string("Cargo.toml")));
/// assert!(text.unwrap().unwrap().contains("asyncio-blocking"));
///
/// let error = asyncio_runtime::run(asyncio_blocking::to_thread(|| panic!("a bug"))).unwrap_err();
/// assert!(error.is_panic());
/// ```
#[track_caller]
pub fn to_thread<F, T>(f: F) -> Call<T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    match Cleanup::current() {
        Some(runtime) => runtime.belonging(|| OfRuntime::new(runtime.blocking_threads_max())).pool.run(f),
        None => of_process().run(f),
    }
}

/// The pool of a runtime.
struct OfRuntime {
    pool: ThreadPool,
}

impl OfRuntime {
    fn new(threads_max: Option<usize>) -> Self {
        let builder = ThreadPool::builder();
        let builder = match threads_max {
            Some(count) => builder.threads_max(count),
            None => builder,
        };
        Self { pool: builder.build() }
    }
}

impl Belonging for OfRuntime {
    fn close(&self, grace: Duration) {
        self.pool.close(grace);
    }
}

fn of_process() -> &'static ThreadPool {
    static POOL: OnceLock<ThreadPool> = OnceLock::new();
    POOL.get_or_init(|| ThreadPool::builder().build())
}

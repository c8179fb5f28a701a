//! [`Pool`]: the seam. Where blocking calls run.

use std::panic::Location;

use crate::call::{Call, Job, call};

/// Runs blocking calls: threads, this thread, or something of a user's own.
///
/// # Laws
///
/// 1. `run` does not wait for the job.
/// 2. A job is run once, or dropped: whoever awaits it hears of either.
/// 3. A job does not panic.
pub trait Pool: Send + Sync {
    /// Has a job run.
    fn run(&self, job: Job);
}

impl dyn Pool + '_ {
    /// Runs a blocking call on this pool; see [`ThreadPool::run`](crate::ThreadPool::run).
    #[track_caller]
    pub fn call<F, T>(&self, f: F) -> Call<T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        let (job, call) = call(f, Location::caller());
        self.run(job);
        call
    }
}

/// Runs each job at once, where it is called: for tests, and for simulations, in which nothing is to happen elsewhere.
///
/// # Examples
///
/// ```
/// use asyncio_blocking::{Inline, Pool};
///
/// let here = std::thread::current().id();
/// let pool: &dyn Pool = &Inline;
/// let there = asyncio_executor::block_on(pool.call(|| std::thread::current().id())).unwrap();
/// assert_eq!(here, there);
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Inline;

impl Pool for Inline {
    fn run(&self, job: Job) {
        job.run();
    }
}

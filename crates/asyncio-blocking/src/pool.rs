//! [`Pool`]: the seam. Where blocking calls run.

use std::fmt;

use crate::call::{Call, call};

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

/// A blocking call that is to be run.
pub struct Job {
    run: Box<dyn FnOnce() + Send>,
}

impl Job {
    pub(crate) fn new(run: impl FnOnce() + Send + 'static) -> Self {
        Self { run: Box::new(run) }
    }

    /// Runs it, here and now.
    pub fn run(self) {
        (self.run)();
    }
}

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Job").finish_non_exhaustive()
    }
}

impl dyn Pool + '_ {
    /// Runs a blocking call on this pool; see [`ThreadPool::run`](crate::ThreadPool::run).
    pub fn call<F, T>(&self, f: F) -> Call<T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        let (job, call) = call(f);
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

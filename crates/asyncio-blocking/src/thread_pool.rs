//! [`ThreadPool`]: threads that are started as calls wait, and end when there is nothing to do.
//!
//! - T1: a call that comes finds an idle thread, or has one started while there are fewer than the most; otherwise it waits in line, first in, first
//!   out. The line has no bound of its own: each call in it is somebody's future, who waits for it.
//! - T2: a thread that has been idle for a while ends.
//! - T3: closing takes no more, drops those in line, and waits for those that run, within a bound; what is left is named, and goes on by itself.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Condvar, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use asyncio_base::report;
use asyncio_base::shim::Arc;

use crate::call::{Call, call};
use crate::pool::{Job, Pool};

/// As in asyncio: enough for a disk and a slow library, few enough for a small machine.
const THREADS_MAX: usize = 32;
/// Besides one a CPU.
const THREADS_EXTRA: usize = 4;
/// Long enough that a steady trickle of calls finds its thread again.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// Not for ever at once: a duration that is too long is none for the system.
const LONG: Duration = Duration::from_secs(3600);

/// Makes a [`ThreadPool`].
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until it builds"]
pub struct ThreadPoolBuilder {
    threads_max: usize,
    keep_alive: Duration,
    thread_name: String,
}

impl ThreadPoolBuilder {
    fn new() -> Self {
        let cpus = thread::available_parallelism().map_or(1, usize::from);
        Self {
            threads_max: (cpus + THREADS_EXTRA).min(THREADS_MAX),
            keep_alive: KEEP_ALIVE,
            thread_name: String::from("asyncio-blocking"),
        }
    }

    /// Sets how many threads there are at most. The default is 4 more than CPUs, at most 32.
    ///
    /// # Panics
    ///
    /// Panics if it is zero: no call would ever run.
    #[track_caller]
    pub fn threads_max(mut self, count: usize) -> Self {
        assert!(count > 0, "a pool without threads would run nothing: allow at least one");
        self.threads_max = count;
        self
    }

    /// Sets how long a thread waits for its next call before it ends. The default is 10 s.
    pub fn keep_alive(mut self, duration: Duration) -> Self {
        self.keep_alive = duration;
        self
    }

    /// Sets what the threads are called.
    pub fn thread_name(mut self, name: impl Into<String>) -> Self {
        self.thread_name = name.into();
        self
    }

    /// Makes the pool. It starts no thread before there is a call.
    pub fn build(self) -> ThreadPool {
        let shared =
            Shared { options: self, state: std::sync::Mutex::new(State::default()), changed: Condvar::new() };
        ThreadPool { shared: Arc::new(shared) }
    }
}

/// A pool of threads for blocking calls. Dropping it cancels the calls in line; those that run go on, and their threads end after them.
///
/// # Examples
///
/// ```
/// use asyncio_blocking::ThreadPool;
///
/// let pool = ThreadPool::new(2);
/// let answer = asyncio_executor::block_on(pool.run(|| 6 * 7));
/// assert_eq!(answer.unwrap(), 42);
/// ```
pub struct ThreadPool {
    shared: Arc<Shared>,
}

struct Shared {
    options: ThreadPoolBuilder,
    /// std's, since a condition variable needs it.
    state: std::sync::Mutex<State>,
    /// There is a job, the pool is closing, or a thread has ended.
    changed: Condvar,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Job>,
    threads: usize,
    /// Of these, how many wait, or have been woken and have not looked yet.
    idle: usize,
    is_closing: bool,
}

impl ThreadPool {
    /// Makes a pool with at most so many threads.
    ///
    /// # Panics
    ///
    /// Panics if there are to be none.
    #[track_caller]
    pub fn new(threads_max: usize) -> Self {
        Self::builder().threads_max(threads_max).build()
    }

    /// Makes a pool to measure.
    pub fn builder() -> ThreadPoolBuilder {
        ThreadPoolBuilder::new()
    }

    /// Runs a blocking call on a thread of this pool.
    ///
    /// # Errors
    ///
    /// Gives a [`TaskError`](asyncio_tasks::TaskError) if the call panics, if the pool is closed before it has begun, and if no thread can be started.
    ///
    /// # Cancel safety
    ///
    /// Dropping it cancels a call that has not begun. One that runs goes on, and what it returns is dropped.
    pub fn run<F, T>(&self, f: F) -> Call<T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        let (job, call) = call(f);
        self.push(job);
        call
    }

    /// Returns how many threads there are right now.
    pub fn threads(&self) -> usize {
        self.shared.lock().threads
    }

    /// Takes no more calls, cancels those in line, and waits for those that run, at most for `grace`, by blocking this thread. Those that are left then
    /// go on by themselves, which is reported. Says whether all have ended.
    pub fn close(&self, grace: Duration) -> bool {
        self.stop();
        let deadline = Instant::now().checked_add(grace);
        let mut state = self.shared.lock();
        while state.threads > 0 {
            let left =
                deadline.map_or(Duration::MAX, |deadline| deadline.saturating_duration_since(Instant::now()));
            if left.is_zero() {
                // Those that are idle have been told, and end by themselves.
                let running = state.threads - state.idle;
                drop(state);
                if running == 0 {
                    return true;
                }
                report::report(
                    "blocking",
                    format_args!(
                        "{running} blocking calls have not ended {grace:?} after their pool was closed: they go on by themselves"
                    ),
                );
                return false;
            }
            let left = left.min(LONG);
            state = self.shared.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    fn stop(&self) {
        let queue = {
            let mut state = self.shared.lock();
            state.is_closing = true;
            std::mem::take(&mut state.queue)
        };
        self.shared.changed.notify_all();
        drop(queue);
    }

    fn push(&self, job: Job) {
        let mut state = self.shared.lock();
        if state.is_closing {
            drop(state);
            // Whoever waits for it is told.
            return drop(job);
        }
        state.queue.push_back(job);
        // Each one that is idle has been woken for one of those in line, or is now.
        if state.queue.len() <= state.idle {
            drop(state);
            return self.shared.changed.notify_one();
        }
        if state.threads == self.shared.options.threads_max {
            return;
        }
        state.threads += 1;
        let name = format!("{}-{}", self.shared.options.thread_name, state.threads);
        drop(state);
        let shared = self.shared.clone();
        if let Err(error) = thread::Builder::new().name(name).spawn(move || shared.work()) {
            self.shared.give_up(&error);
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // No code of a user's runs under it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A thread could not be started. What is in line waits for those that there are; if there is none, nobody would come.
    #[cold]
    fn give_up(&self, error: &std::io::Error) {
        let lost = {
            let mut state = self.lock();
            state.threads -= 1;
            if state.threads > 0 { VecDeque::new() } else { std::mem::take(&mut state.queue) }
        };
        self.changed.notify_all();
        report::report(
            "blocking",
            format_args!(
                "a thread for blocking calls could not be started: {error}; {} calls are cancelled",
                lost.len()
            ),
        );
        drop(lost);
    }

    /// What a thread does.
    fn work(&self) {
        while let Some(job) = self.next() {
            job.run();
        }
        // Whoever closes the pool waits for this.
        self.changed.notify_all();
    }

    /// Returns the next job; nothing, if the thread is to end: then it is not counted any more. Both happen under one lock, so a call that comes finds
    /// a thread that will look, or one fewer.
    fn next(&self) -> Option<Job> {
        let mut state = self.lock();
        // One that is past all time never comes.
        let idle_until = Instant::now().checked_add(self.options.keep_alive);
        loop {
            if let Some(job) = state.queue.pop_front() {
                return Some(job);
            }
            let left =
                idle_until.map_or(LONG, |until| until.saturating_duration_since(Instant::now())).min(LONG);
            if state.is_closing || left.is_zero() {
                state.threads -= 1;
                return None;
            }
            state.idle += 1;
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
            state.idle -= 1;
        }
    }
}

impl Pool for ThreadPool {
    fn run(&self, job: Job) {
        self.push(job);
    }
}

impl Drop for ThreadPool {
    fn drop(&mut self) {
        self.stop();
    }
}

impl fmt::Debug for ThreadPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.shared.lock();
        f.debug_struct("ThreadPool")
            .field("threads_max", &self.shared.options.threads_max)
            .field("threads", &state.threads)
            .field("queued", &state.queue.len())
            .finish_non_exhaustive()
    }
}

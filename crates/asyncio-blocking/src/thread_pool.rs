//! [`ThreadPool`]: threads that are started as calls wait, and end when there is nothing to do.
//!
//! - T1: a call that comes finds an idle thread, or has one started while there are fewer than the most; otherwise it waits in [line](crate::line), first in, first
//!   out. The line has no bound unless it is given one. What a dropped call would have done is dropped at once, and its place in the line when a thread comes to it.
//! - T2: a thread that has been idle for a while ends.
//! - T3: closing takes no more, drops those in line, and waits for those that run, within a bound; what is left is named, and goes on by itself.

use std::fmt;
use std::io;
use std::panic::Location;
use std::sync::{Condvar, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use asyncio_base::shim::{Arc, AtomicBool, AtomicUsize, Mutex, Ordering};
use asyncio_base::{closed_world, report};
use concurrent_queue::PushError;

use crate::call::{Call, Job, call};
use crate::line::{Attention, Line, Rest, Thread};
use crate::pool::Pool;

/// As in asyncio: enough for a disk and a slow library, few enough for a small machine.
const THREADS_MAX: usize = 32;
/// Besides one a CPU.
const THREADS_EXTRA: usize = 4;
/// Long enough that a steady trickle of calls finds its thread again.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// Not for ever at once: a duration that is too long is none for the system.
const LONG: Duration = Duration::from_secs(3600);

const CLOSED: &str = "the pool of threads was closed before the call had begun";
const FULL: &str = "as many calls wait for a thread as may";
const NO_THREAD: &str = "no thread could be started for the call";

/// Makes a [`ThreadPool`].
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until it builds"]
pub struct ThreadPoolBuilder {
    threads_max: usize,
    calls_max: Option<usize>,
    keep_alive: Duration,
    name: String,
}

impl ThreadPoolBuilder {
    fn new() -> Self {
        let cpus = thread::available_parallelism().map_or(1, usize::from);
        Self {
            threads_max: (cpus + THREADS_EXTRA).min(THREADS_MAX),
            calls_max: None,
            keep_alive: KEEP_ALIVE,
            name: String::from("asyncio-blocking"),
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

    /// Sets how many calls may wait for a thread. One more is cancelled at once, and its error says so. One that is dropped while it waits counts until a thread comes
    /// to it. The default is no bound.
    ///
    /// # Panics
    ///
    /// Panics if it is zero: a call waits until a thread takes it, however short that is.
    #[track_caller]
    pub fn calls_max(mut self, count: usize) -> Self {
        assert!(count > 0, "a call waits until a thread takes it: allow at least one");
        self.calls_max = Some(count);
        self
    }

    /// Sets how long a thread waits for its next call before it ends. The default is 10 s.
    pub fn keep_alive(mut self, duration: Duration) -> Self {
        self.keep_alive = duration;
        self
    }

    /// Sets what the threads are called: this, and a number. Linux shows the first 15 bytes. The default is "asyncio-blocking".
    ///
    /// # Panics
    ///
    /// Panics for a name with a zero byte, which the system does not take.
    #[track_caller]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        assert!(!self.name.contains('\0'), "the name of a thread has no zero byte");
        self
    }

    /// Makes the pool. It starts no thread before there is a call.
    pub fn build(self) -> ThreadPool {
        let shared = Shared {
            line: Line::new(self.threads_max, self.calls_max),
            workers: Mutex::new(Vec::new()),
            started: AtomicUsize::new(0),
            is_short: AtomicBool::new(false),
            ending: std::sync::Mutex::new(()),
            ended: Condvar::new(),
            options: self,
        };
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
    line: Line<Job>,
    /// Those that there are.
    workers: Mutex<Vec<Arc<Worker>>>,
    /// How many were started ever: their numbers.
    started: AtomicUsize,
    /// A thread could not be started, and nobody has been told since one could.
    is_short: AtomicBool,
    /// std's, since a condition variable needs it. It keeps nothing.
    ending: std::sync::Mutex<()>,
    /// A thread has ended.
    ended: Condvar,
}

/// A thread, as others see it.
#[derive(Default)]
struct Worker {
    /// Where the call that it runs was asked for.
    runs: Mutex<Option<&'static Location<'static>>>,
    /// It runs one, or is about to take one.
    is_busy: AtomicBool,
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
    /// Gives a [`TaskError`](asyncio_tasks::TaskError) if the call panics, if the pool is closed before it has begun, if as many wait as
    /// [may](ThreadPoolBuilder::calls_max), and if no thread can be started.
    ///
    /// # Cancel safety
    ///
    /// Dropping it cancels a call that has not begun. One that runs goes on, and what it returns is dropped.
    #[track_caller]
    pub fn run<F, T>(&self, f: F) -> Call<T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        let (job, call) = call(f, Location::caller());
        self.shared.push(job);
        call
    }

    /// Returns how many threads there are right now.
    pub fn threads(&self) -> usize {
        self.shared.line.threads()
    }

    /// Takes no more calls, cancels those in line, and waits for those that run, at most for `grace`, by blocking this thread. Those that are left then
    /// go on by themselves, and are reported by the places where they were asked for. Says whether all have ended. A call of this pool that does this waits for itself.
    pub fn close(&self, grace: Duration) -> bool {
        let shared = &self.shared;
        shared.stop();
        let deadline = Instant::now().checked_add(grace);
        let mut ending = shared.ending.lock().unwrap_or_else(PoisonError::into_inner);
        while shared.line.threads() > 0 {
            let left =
                deadline.map_or(Duration::MAX, |deadline| deadline.saturating_duration_since(Instant::now()));
            if left.is_zero() {
                drop(ending);
                return shared.report_running(grace);
            }
            let left = left.min(LONG);
            ending = shared.ended.wait_timeout(ending, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }
}

impl Shared {
    fn push(self: &Arc<Self>, job: Job) {
        match self.line.push(job) {
            Ok(attention) => self.attend(attention),
            Err(PushError::Closed(job)) => job.refuse(CLOSED),
            Err(PushError::Full(job)) => job.refuse(FULL),
        }
    }

    fn attend(self: &Arc<Self>, attention: Attention) {
        match attention {
            Attention::Given => {}
            Attention::Start => self.start(),
        }
    }

    #[cold]
    fn start(self: &Arc<Self>) {
        // Relaxed: a number.
        let number = self.started.fetch_add(1, Ordering::Relaxed) + 1;
        let shared = self.clone();
        let name = format!("{}-{number}", self.options.name);
        let start = || thread::Builder::new().name(name).spawn(move || shared.work());
        match closed_world::check("a thread for blocking calls").and_then(|()| start()) {
            Ok(_) => self.is_short.store(false, Ordering::Relaxed),
            Err(error) => self.not_started(&error),
        }
    }

    /// What is in line waits for those that there are; if there is none, nobody would come.
    fn not_started(&self, error: &io::Error) {
        let mut lost = Vec::new();
        if self.line.not_started() {
            // Until somebody else has started one.
            while self.line.threads() == 0 {
                let Some(job) = self.line.pop() else { break };
                lost.push(job);
            }
        }
        // Not for each of many calls.
        if !self.is_short.swap(true, Ordering::Relaxed) || !lost.is_empty() {
            report::report(
                "blocking",
                format_args!(
                    "a thread for blocking calls could not be started: {error}; {} calls are cancelled, and others wait for the threads that there are",
                    lost.len()
                ),
            );
        }
        lost.into_iter().for_each(|job| job.refuse(NO_THREAD));
        self.tell_closer();
    }

    /// Whoever closes the pool waits for threads to end, and looks under the lock.
    fn tell_closer(&self) {
        drop(self.ending.lock());
        self.ended.notify_all();
    }

    /// What a thread does.
    fn work(self: Arc<Self>) {
        let (thread, worker) = (Thread::current(), Arc::new(Worker::default()));
        self.workers.lock().push(worker.clone());
        let mut searches = true;
        loop {
            worker.is_busy.store(true, Ordering::SeqCst);
            if let Some(job) = self.line.pop() {
                *worker.runs.lock() = Some(job.place());
                if std::mem::take(&mut searches) {
                    self.attend(self.line.found());
                    let start = Instant::now();
                    job.run();
                    self.line.took(start.elapsed());
                } else {
                    job.run();
                }
                *worker.runs.lock() = None;
                continue;
            }
            worker.is_busy.store(false, Ordering::SeqCst);
            match self.line.rest(&thread, searches, self.options.keep_alive) {
                Rest::Rises { searches: again } => searches = again,
                Rest::Ends => break,
            }
        }
        self.workers.lock().retain(|other| !Arc::ptr_eq(other, &worker));
        self.tell_closer();
    }

    fn stop(&self) {
        self.line.close();
        while let Some(job) = self.line.pop() {
            job.refuse(CLOSED);
        }
    }

    /// Names what has not ended; says whether there is nothing.
    fn report_running(&self, grace: Duration) -> bool {
        let workers = self.workers.lock().clone();
        let places: Vec<String> =
            workers.iter().filter_map(|worker| *worker.runs.lock()).map(ToString::to_string).collect();
        if places.is_empty() {
            // Those that are idle have been told, and end by themselves. One that is not known yet may take a call.
            let are_idle = workers.iter().all(|worker| !worker.is_busy.load(Ordering::SeqCst));
            return are_idle && workers.len() >= self.line.threads();
        }
        report::report(
            "blocking",
            format_args!(
                "{} blocking calls have not ended {grace:?} after their pool was closed, and go on by themselves: those of {}",
                places.len(),
                places.join(", ")
            ),
        );
        false
    }
}

impl Pool for ThreadPool {
    fn run(&self, job: Job) {
        self.shared.push(job);
    }
}

impl Drop for ThreadPool {
    fn drop(&mut self) {
        self.shared.stop();
    }
}

impl fmt::Debug for ThreadPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = &self.shared.line;
        f.debug_struct("ThreadPool")
            .field("threads_max", &self.shared.options.threads_max)
            .field("threads", &line.threads())
            .field("asleep", &line.asleep())
            .field("queued", &line.calls())
            .finish_non_exhaustive()
    }
}

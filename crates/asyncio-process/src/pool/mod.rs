//! [`ProcessPool`]: calls in other processes, which may crash, and may be ended.
//!
//! - W1: a worker runs one call at a time, and is kept for the next: no process is made for a call, once there are as many workers as calls at once.
//! - W2: a call that is dropped, or takes too long, takes its worker with it. So does a worker that ends by itself. Another one is started when it is needed.
//! - W3: calls beyond the number of workers wait, first in, first out: that is the back-pressure.

mod error;
mod frame;
mod functions;
mod running;
mod worker;

use std::any::type_name;
use std::ffi::OsString;
use std::fmt;
use std::io;
use std::thread;
use std::time::Duration;

use asyncio_base::shim::Mutex;
use asyncio_sync::Semaphore;
use asyncio_tasks::{gather_all, timeout};
use serde::Serialize;
use serde::de::DeserializeOwned;

use frame::{Answer, Request, decode, encode, framed};
use running::{Failed, Worker};

pub use error::CallError;
pub use functions::Functions;

/// How long a worker that has failed may take to end.
const GRACE: Duration = Duration::from_secs(1);

/// Makes a [`ProcessPool`].
#[derive(Debug)]
#[must_use = "a builder does nothing until it builds"]
pub struct ProcessPoolBuilder {
    functions: Functions,
    workers_max: usize,
    calls_max: Option<u64>,
    time_max: Option<Duration>,
    memory_max: Option<u64>,
    worker_args: Vec<OsString>,
}

impl ProcessPoolBuilder {
    /// Sets how many workers there are at most. The default is one a CPU: more compete for those.
    ///
    /// # Panics
    ///
    /// Panics if it is zero: no call would ever run.
    #[track_caller]
    pub fn workers_max(mut self, count: usize) -> Self {
        assert!(count > 0, "a pool without workers would run nothing: allow at least one");
        self.workers_max = count;
        self
    }

    /// Sets after how many calls a worker is replaced: for functions that leave something behind. The default is that it is kept.
    ///
    /// # Panics
    ///
    /// Panics if it is zero: a worker runs at least one.
    #[track_caller]
    pub fn calls_max(mut self, count: u64) -> Self {
        assert!(count > 0, "a worker runs at least one call");
        self.calls_max = Some(count);
        self
    }

    /// Sets how long a call may take, from when it is sent to its worker. One that takes longer is an error, and its worker is killed. The default is as long as it takes.
    pub fn time_max(mut self, limit: Duration) -> Self {
        self.time_max = Some(limit);
        self
    }

    /// Sets how many bytes of address space a call may take besides what its worker has (`RLIMIT_AS`, setrlimit(2)). An allocation beyond that fails, of which most
    /// programs die: the call has crashed. The default is no limit. It is kept on Linux.
    pub fn memory_max(mut self, bytes: u64) -> Self {
        self.memory_max = Some(bytes);
        self
    }

    /// Sets the arguments that this program is started with to become a worker, up to where it [enters](Functions::enter). The default is none.
    pub fn worker_args(mut self, args: impl IntoIterator<Item = impl Into<OsString>>) -> Self {
        self.worker_args = args.into_iter().map(Into::into).collect();
        self
    }

    /// Makes the pool. It starts no worker before there is a call.
    pub fn build(self) -> ProcessPool {
        ProcessPool { turns: Semaphore::new(self.workers_max), idle: Mutex::new(Vec::new()), options: self }
    }
}

/// A pool of processes that run functions of this program: asyncio's `run_in_executor` with a `ProcessPoolExecutor`.
///
/// For what may crash, what cannot be stopped otherwise, and code that is not to be trusted with this process. A thread is enough for what only keeps a processor busy:
/// [`to_thread`](https://docs.rs/asyncio) has it.
///
/// A worker is this very program, started once more, which [enters](Functions::enter) early in `main`. It runs one call after the other. What a function
/// writes to its standard output and error output goes where this process's goes; it has nothing to read.
///
/// Dropping the pool kills its workers, and so does a call that is dropped or takes too long; what a function has started goes on.
///
/// # Examples
///
/// ```no_run
/// use asyncio_process::{Functions, ProcessPool};
///
/// fn fibonacci(n: u64) -> u64 {
///     if n < 2 { n } else { fibonacci(n - 1) + fibonacci(n - 2) }
/// }
///
/// fn main() {
///     // A worker goes no further.
///     let functions = Functions::new().with(fibonacci).enter();
///     asyncio_runtime::run(async {
///         let pool = ProcessPool::builder(functions).workers_max(2).build();
///         assert_eq!(pool.run(fibonacci, 20).await.unwrap(), 6765);
///         pool.close().await;
///     });
/// }
/// ```
pub struct ProcessPool {
    options: ProcessPoolBuilder,
    /// One for each worker that there may be (W3).
    turns: Semaphore,
    idle: Mutex<Vec<Worker>>,
}

impl ProcessPool {
    /// Makes a pool of these functions, with the defaults of [`builder`](Self::builder).
    pub fn new(functions: Functions) -> Self {
        Self::builder(functions).build()
    }

    /// Makes a pool to measure.
    pub fn builder(functions: Functions) -> ProcessPoolBuilder {
        let workers_max = thread::available_parallelism().map_or(1, usize::from);
        ProcessPoolBuilder {
            functions,
            workers_max,
            calls_max: None,
            time_max: None,
            memory_max: None,
            worker_args: Vec::new(),
        }
    }

    /// Runs a function of the pool in a worker, once one is free.
    ///
    /// # Errors
    ///
    /// Fails with [`CallError`] where the function is not among those of the pool, panics, or takes longer than it may; where its worker ends in the middle of it; where
    /// the argument or the result cannot be sent; and where no worker can be started.
    ///
    /// # Cancel safety
    ///
    /// Dropped while it waits for a worker, it does nothing. Dropped later, it kills its worker, and with it the call.
    pub async fn run<F, A, R>(&self, f: F, argument: A) -> Result<R, CallError>
    where
        F: Fn(A) -> R + 'static,
        A: Serialize,
        R: DeserializeOwned,
    {
        // It is known by its type, which has one value.
        let _ = f;
        let Some(function) = self.options.functions.name_of::<F>() else {
            return Err(CallError::Unknown(type_name::<F>()));
        };
        let encoding = |error: postcard::Error| CallError::Encoding(error.to_string());
        let argument = encode(&argument).map_err(encoding)?;
        match self.call(function, &argument).await? {
            Answer::Returned(bytes) => decode(&bytes).map_err(encoding),
            Answer::Panicked(message) => Err(CallError::Panicked(message)),
            Answer::Encoding(what) => Err(CallError::Encoding(what)),
        }
    }

    async fn call(&self, function: &str, argument: &[u8]) -> Result<Answer, CallError> {
        // Never closed.
        let _turn =
            self.turns.acquire().await.map_err(|error| CallError::Io(io::Error::other(error.to_string())))?;
        loop {
            let (worker, is_new) = self.worker().await.map_err(CallError::Io)?;
            let request =
                Request { number: worker.number(), function, memory_max: self.options.memory_max, argument };
            let message = framed(&request).map_err(|error| CallError::Encoding(error.to_string()))?;
            let outcome = match self.options.time_max {
                None => worker.call(&message).await,
                Some(limit) => match timeout(limit, worker.call(&message)).await {
                    Ok(outcome) => outcome,
                    Err(_) => return Err(CallError::TimedOut(limit)),
                },
            };
            match outcome {
                Ok((worker, answer)) => {
                    if worker.is_fit(self.options.calls_max) {
                        self.idle.lock().push(worker);
                    }
                    return Ok(answer);
                }
                // It had ended while it had nothing to do.
                Err((_, failed)) if failed.is_untouched && !is_new => {}
                Err((worker, failed)) => return Err(why(worker, failed).await),
            }
        }
    }

    /// Takes one that is idle, or starts one; says whether it is new.
    async fn worker(&self) -> io::Result<(Worker, bool)> {
        loop {
            let idle = self.idle.lock().pop();
            match idle {
                // One that has ended in the meantime was in the middle of nothing.
                Some(worker) if !worker.is_fit(None) => {}
                Some(worker) => return Ok((worker, false)),
                None => return Worker::start(&self.options).await.map(|worker| (worker, true)),
            }
        }
    }

    /// Returns the numbers of the workers that have nothing to do at present.
    pub fn idle_workers(&self) -> Vec<u32> {
        self.idle.lock().iter().map(Worker::id).collect()
    }

    /// Ends the workers in good order, and waits until they have ended. Calls that run hold the pool, so there are none.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it kills those that are left.
    pub async fn close(self) {
        let idle = std::mem::take(&mut *self.idle.lock());
        // They end by themselves, since nobody is there any more, or are ended; at once, since each may hold what another one waits for.
        gather_all(idle.into_iter().map(Worker::end)).await;
    }
}

/// Why a call has no answer: its worker has ended, or does not do as it should.
async fn why(worker: Worker, failed: Failed) -> CallError {
    use io::ErrorKind::{BrokenPipe, ConnectionReset, UnexpectedEof};
    let has_ended = matches!(failed.error.kind(), BrokenPipe | ConnectionReset | UnexpectedEof);
    match worker.end().await {
        Ok(status) if has_ended => CallError::Crashed(status),
        _ => CallError::Io(failed.error),
    }
}

impl fmt::Debug for ProcessPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProcessPool")
            .field("options", &self.options)
            .field("idle", &self.idle_workers())
            .finish_non_exhaustive()
    }
}

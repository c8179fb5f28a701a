//! [`to_thread`]: the pool of the runtime, and that of the process where there is none.

use std::sync::OnceLock;
use std::time::Duration;

use asyncio_base::shim::Arc;
use asyncio_tasks::{Belonging, Cleanup};

use crate::call::Call;
use crate::pool::Pool;
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
        Some(runtime) => {
            let of_runtime = runtime.belonging(|| OfRuntime::on_threads(runtime.blocking_threads_max()));
            match &of_runtime.pool {
                Chosen::Threads(pool) => pool.run(f),
                Chosen::Other(pool) => pool.call(f),
            }
        }
        None => of_process().run(f),
    }
}

/// Has [`to_thread`] and the functions of `fs` run on `pool`, in the runtime that runs on this thread. Says whether that could be set: not outside of a runtime, and not in
/// one that has made its pool already.
///
/// # Examples
///
/// ```
/// use asyncio_blocking::{Inline, set_pool, to_thread};
///
/// let here = std::thread::current().id();
/// asyncio_runtime::run(async {
///     assert!(set_pool(Inline));
///     assert_eq!(to_thread(|| std::thread::current().id()).await.unwrap(), here);
/// });
/// ```
pub fn set_pool(pool: impl Pool + 'static) -> bool {
    let Some(runtime) = Cleanup::current() else { return false };
    let own: Arc<dyn Pool> = Arc::new(pool);
    let of_runtime = runtime.belonging(|| OfRuntime { pool: Chosen::Other(own.clone()) });
    // Another worker may have been faster.
    matches!(&of_runtime.pool, Chosen::Other(chosen) if Arc::ptr_eq(chosen, &own))
}

/// The pool of a runtime.
struct OfRuntime {
    pool: Chosen,
}

enum Chosen {
    Threads(ThreadPool),
    Other(Arc<dyn Pool>),
}

impl OfRuntime {
    fn on_threads(threads_max: Option<usize>) -> Self {
        let builder = ThreadPool::builder();
        let builder = match threads_max {
            Some(count) => builder.threads_max(count),
            None => builder,
        };
        Self { pool: Chosen::Threads(builder.build()) }
    }
}

impl Belonging for OfRuntime {
    fn close(&self, grace: Duration) {
        if let Chosen::Threads(pool) = &self.pool {
            pool.close(grace);
        }
    }
}

fn of_process() -> &'static ThreadPool {
    static POOL: OnceLock<ThreadPool> = OnceLock::new();
    POOL.get_or_init(|| ThreadPool::builder().build())
}

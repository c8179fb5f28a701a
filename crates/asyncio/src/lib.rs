//! Python's asyncio for Rust: an event loop that owns time, I/O and tasks, and that you can take apart and swap.
//!
//! This crate is the facade: it re-exports the layers and holds no code of its own. Each layer is useful alone, under any executor:
//! [`executor`], [`reactor`], [`timers`], [`net`].
//!
//! When to use it: for programs that wait for many things at once, most of all for sockets. When not: for work that keeps a processor
//! busy; a thread pool does that better.
//!
//! # Examples
//!
//! ```
//! use asyncio::net::{TcpListener, TcpStream};
//! use futures_lite::{AsyncReadExt, AsyncWriteExt};
//! use std::time::Duration;
//!
//! #[asyncio::main]
//! async fn main() -> std::io::Result<()> {
//!     let listener = TcpListener::bind("127.0.0.1:0").await?;
//!     let addr = listener.local_addr()?;
//!     let server = asyncio::spawn(async move {
//!         let (mut stream, _) = listener.accept().await?;
//!         let mut buf = [0; 4];
//!         stream.read_exact(&mut buf).await?;
//!         stream.write_all(&buf).await
//!     });
//!
//!     let mut stream = TcpStream::connect(addr).await?;
//!     stream.write_all(b"ping").await?;
//!     let mut echo = [0; 4];
//!     asyncio::timeout(Duration::from_secs(5), stream.read_exact(&mut echo)).await??;
//!     assert_eq!(&echo, b"ping");
//!     server.await?
//! }
//! ```
//!
//! # Features
//!
//! - `macros` (default): the attributes `#[asyncio::main]` and `#[asyncio::test]`.
//! - `net` (default): sockets, streams and names: [`net`].
//! - `process` (default): child processes, pipes and the standard streams: [`process`], [`io`].
//! - `hickory`: names by asking name servers, without threads.
//! - `sim`: simulated hosts in virtual time, a network with faults, and the same run for the same seed: `asyncio::sim`, `#[asyncio::test(sim)]`.
//! - `tls`: TLS on rustls, for streams, servers and protocols: `asyncio::net::tls`.
//! - `tracing`: sends the log lines of every layer to `tracing`.
//! - `conformance`: the conformance suites, which any implementation of a seam can run: `asyncio::reactor::conformance`.

#![forbid(unsafe_code)]

#[doc(inline)]
pub use asyncio_runtime::{
    Builder as RunnerBuilder, CallHandle, EventLoop, Histogram, Interrupted, LoopError, Metrics, NoEventLoop,
    Portal, Runner, Unhandled, run,
};

#[doc(inline)]
pub use asyncio_tasks::{
    AsCompleted, AsyncClose, CancelHandle, CancelScope, Cancelled, Child, Completion, CompletionError,
    Context, DEFAULT_GRACE, Finish, GroupBuilder, GroupError, Guard, LocalGuard, LocalScope, OnError, Ready,
    Scope, Setter, SharedTask, Shield, SpawnPinnedError, Task, TaskError, TaskGroup, TaskId, TaskInfo,
    TaskLocal, TaskState, Timeout, WaitFor, WithTimeout, YieldNow, all_tasks, as_completed, cancel_scope,
    completion, current_task, defer, defer_local, first_ok, gather, gather_all, guard, guard_local, join,
    move_on_after, race, scope, scope_local, shield, spawn, spawn_checked, spawn_local, spawn_pinned,
    task_group, task_local, timeout, timeout_at, timeout_scope, try_join, wait, with, yield_now,
};
#[doc(inline)]
pub use asyncio_timers::{Interval, MissedTick, Sleep, TimedOut, interval, sleep, sleep_until};

#[doc(inline)]
pub use asyncio_base::{LoopClosed, is_loop_closed};

#[cfg(feature = "macros")]
#[doc(inline)]
pub use asyncio_macros::{main, test};

/// Tasks: names, and executors of others.
pub mod task {
    #[doc(inline)]
    pub use asyncio_tasks::{
        Builder, Cleanup, CleanupGuard, RootScope, Runnable, Spawn, spawn_on, spawn_with,
    };
}

#[cfg(feature = "net")]
#[doc(inline)]
pub use asyncio_net as net;

#[cfg(feature = "process")]
#[doc(inline)]
pub use asyncio_process as process;
#[cfg(feature = "process")]
#[doc(inline)]
pub use asyncio_process::io;

#[doc(inline)]
pub use asyncio_blocking as blocking;
#[doc(inline)]
pub use asyncio_blocking::{fs, to_thread};
#[cfg(feature = "sim")]
#[doc(inline)]
pub use asyncio_sim as sim;

#[doc(inline)]
pub use asyncio_base::random;
#[doc(inline)]
pub use asyncio_signal as signal;
#[doc(inline)]
pub use asyncio_sync as sync;
#[doc(inline)]
pub use asyncio_tasks::debug;
#[doc(inline)]
pub use asyncio_tasks::stream;
#[doc(no_inline)]
pub use futures_core::Stream;
#[doc(no_inline)]
pub use futures_lite::StreamExt;

#[doc(inline)]
pub use asyncio_base as base;
#[doc(inline)]
pub use asyncio_executor as executor;
#[doc(inline)]
pub use asyncio_reactor as reactor;
#[doc(inline)]
pub use asyncio_timers as timers;

/// The pages of `docs/`, so that their links and examples are tested.
pub mod _docs {
    #[doc = include_str!("../../../docs/architecture.md")]
    pub mod architecture {}
    #[doc = include_str!("../../../docs/cancellation.md")]
    pub mod cancellation {}
    #[doc = include_str!("../../../docs/from-python.md")]
    pub mod from_python {}
    #[doc = include_str!("../../../docs/from-tokio.md")]
    pub mod from_tokio {}
    #[doc = include_str!("../../../docs/glossary.md")]
    pub mod glossary {}
    #[doc = include_str!("../../../docs/performance.md")]
    pub mod performance {}
    #[cfg(feature = "sim")]
    #[doc = include_str!("../../../docs/simulation.md")]
    pub mod simulation {}
    #[doc = include_str!("../../../docs/synchronisation.md")]
    pub mod synchronisation {}
}

/// The guide, for those who come from asyncio or from tokio: a page for each part, to be read in this order.
pub mod guide {
    #[doc = include_str!("../../../docs/guide/01-concepts.md")]
    pub mod concepts {}
    #[doc = include_str!("../../../docs/guide/02-cooperative-multitasking.md")]
    pub mod cooperative_multitasking {}
    #[doc = include_str!("../../../docs/guide/03-scheduling-calls.md")]
    pub mod scheduling_calls {}
    #[doc = include_str!("../../../docs/guide/04-results-and-futures.md")]
    pub mod results_and_futures {}
    #[doc = include_str!("../../../docs/guide/05-tasks.md")]
    pub mod tasks {}
    #[doc = include_str!("../../../docs/guide/06-composing.md")]
    pub mod composing {}
    #[doc = include_str!("../../../docs/guide/07-synchronisation.md")]
    pub mod synchronisation {}
    #[doc = include_str!("../../../docs/guide/08-protocols.md")]
    pub mod protocols {}
    #[doc = include_str!("../../../docs/guide/09-streams.md")]
    pub mod streams {}
    #[doc = include_str!("../../../docs/guide/10-tls.md")]
    pub mod tls {}
    #[doc = include_str!("../../../docs/guide/11-names.md")]
    pub mod names {}
    #[doc = include_str!("../../../docs/guide/12-subprocesses.md")]
    pub mod subprocesses {}
    #[doc = include_str!("../../../docs/guide/13-signals.md")]
    pub mod signals {}
    #[doc = include_str!("../../../docs/guide/14-threads-and-processes.md")]
    pub mod threads_and_processes {}
    #[doc = include_str!("../../../docs/guide/15-debugging.md")]
    pub mod debugging {}
    #[doc = include_str!("../../../docs/guide/16-structured-concurrency.md")]
    pub mod structured_concurrency {}
    #[doc = include_str!("../../../docs/guide/17-testing-with-a-clock.md")]
    pub mod testing_with_a_clock {}
    #[doc = include_str!("../../../docs/guide/18-your-own-reactor.md")]
    pub mod your_own_reactor {}
}

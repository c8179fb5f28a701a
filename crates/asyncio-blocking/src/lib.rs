//! Blocking calls → futures: [`to_thread`], [`ThreadPool`], the [`Pool`] seam, and files: the module [`fs`].
//!
//! - A call that blocks would hold all that is on its loop. On a thread of a pool it holds nobody.
//! - A runtime has one pool, which is made at the first call, grows as calls wait, and is joined when the runtime ends, within a bound.
//! - Where no runtime is entered there is a pool of the process: the fallback.
//!
//! When to use it: for files, for libraries that block, for what keeps a processor busy for longer than a millisecond. When not: for what waits on
//! sockets, which the loop does for nothing.
//!
//! # Examples
//!
//! ```
//! let sum = asyncio_executor::block_on(asyncio_blocking::to_thread(|| (1..=10).sum::<u32>()));
//! assert_eq!(sum.unwrap(), 55);
//! ```

#![forbid(unsafe_code)]

pub mod fs;

mod call;
#[cfg(target_os = "linux")]
#[path = "cpu/linux.rs"]
mod cpu;
#[cfg(not(target_os = "linux"))]
#[path = "cpu/none.rs"]
mod cpu;
mod line;
#[cfg(all(test, loom))]
mod loom_tests;
mod pool;
mod runtime;
mod thread_pool;

pub use call::{Call, Job};
pub use pool::{Inline, Pool};
pub use runtime::{set_pool, to_thread};
pub use thread_pool::{ThreadPool, ThreadPoolBuilder};

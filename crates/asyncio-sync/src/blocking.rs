//! [`wait_blocking`]: a future of this crate, awaited by a thread.

use std::future::Future;
use std::pin::pin;

use asyncio_base::budget;

/// Blocks the thread until `future` is ready.
///
/// # Panics
///
/// Panics inside of a task of an executor of ours, which this would keep from running, maybe the very one that is waited for.
#[track_caller]
pub(crate) fn wait_blocking<F: Future>(operation: &str, instead: &str, future: F) -> F::Output {
    assert!(
        budget::remaining().is_none(),
        "`{operation}` would block the event loop, which may be what it waits for; use `{instead}`, or call it under `to_thread`"
    );
    futures_lite::future::block_on(pin!(future))
}

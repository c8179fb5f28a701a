//! Tasks on an executor of somebody else's: where they go ([`Spawn`]), and [`spawn_on`].

use std::future::Future;

use asyncio_base::shim::Arc;

use crate::spawn::{Handle, TaskOptions, fresh_id};
use crate::task::{Home, Runnable};

/// Where the [`Runnable`] of a task goes: the seam to executors of others.
///
/// # Examples
///
/// Tasks on a plain channel, polled by whoever receives:
///
/// ```
/// use asyncio_executor::{Runnable, Spawn, TaskOptions, block_on, spawn_on};
/// use std::sync::{Arc, mpsc};
///
/// struct Channel(mpsc::Sender<Runnable>);
/// impl Spawn for Channel {
///     fn schedule(&self, runnable: Runnable) {
///         self.0.send(runnable).ok();
///     }
/// }
///
/// let (sender, receiver) = mpsc::channel();
/// let task = spawn_on(Arc::new(Channel(sender)), TaskOptions::here(), async { 6 * 7 });
/// receiver.recv().unwrap().run();
/// assert_eq!(block_on(task), Some(42));
/// ```
pub trait Spawn: Send + Sync + 'static {
    /// Takes a task that is ready, to be [run](Runnable::run) soon, on any thread. Called from wakers: it must not block.
    fn schedule(&self, runnable: Runnable);
}

/// Spawns a future on an executor of somebody else's.
pub fn spawn_on<F>(home: Arc<dyn Spawn>, options: TaskOptions, future: F) -> Handle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    let (runnable, handle) = Runnable::create(fresh_id(), options, Home::Foreign(home), future);
    runnable.schedule();
    Handle::movable(handle)
}

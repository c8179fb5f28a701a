//! Tasks on an executor of somebody else's: [`spawn_on`], the [`Runnable`] it polls, and where that goes ([`Spawn`]).
//!
//! They stand on `async-task`, since any thread may poll them. A panic in the `Drop` of an output that nobody takes, or in the waker of
//! whoever awaits, ends the process: async-task aborts there. Its `cancel` is never called: cancelling is the business of upper layers.

#![expect(unsafe_code, reason = "the pinned future of a task, and its header beside it")]

use std::fmt::{self, Debug};
use std::future::Future;
use std::mem::ManuallyDrop;
use std::pin::Pin;
use std::task::{Context, Poll};

use asyncio_base::shim::Arc;

use crate::header::{Header, TaskId};
use crate::queue::Polling;
use crate::spawn::{Handle, TaskOptions, fresh_id};
use crate::task::guard;

/// What async-task keeps beside the future.
pub(crate) struct Metadata {
    header: Header,
    home: Arc<dyn Spawn>,
}

/// A task that is ready to be polled.
///
/// Dropping it ends the task: its future is dropped, and its handle gives `None`.
pub struct Runnable {
    inner: async_task::Runnable<Metadata>,
}

impl Runnable {
    /// Polls the task once. Says whether it was made ready again meanwhile.
    #[inline]
    pub fn run(self) -> bool {
        self.inner.run()
    }

    /// Returns the id of the task.
    pub fn id(&self) -> TaskId {
        self.header().id()
    }

    /// Returns what the task carries besides its future.
    #[inline]
    pub fn header(&self) -> &Header {
        &self.inner.metadata().header
    }
}

impl Debug for Runnable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Runnable").field(self.header()).finish()
    }
}

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
    let id = fresh_id();
    let metadata = Metadata { header: options.header(id), home };
    let builder = async_task::Builder::new().propagate_panic(true).metadata(metadata);
    // SAFETY: `spawn_unchecked` asks that
    // - the future be `Send` or its `Runnable` stay on this thread: it is `Send`;
    // - the future be `'static` or outlive its `Runnable`: it is, but for the header, which async-task keeps for as long;
    // - the schedule function be `Send`, `Sync` and `'static`: it is a plain function.
    let (runnable, task) =
        unsafe { builder.spawn_unchecked(|metadata| TaskFuture::new(&metadata.header, future), schedule) };
    schedule(runnable);
    Handle::foreign(task, id)
}

/// Where async-task sends a task that is ready. Zero-sized: everything it needs is in the metadata.
#[inline]
fn schedule(runnable: async_task::Runnable<Metadata>) {
    // A clone first: the task may be gone as soon as the other side sees it.
    let home = runnable.metadata().home.clone();
    home.schedule(Runnable { inner: runnable });
}

/// The future of a task, with what happens around each poll and at its end.
struct TaskFuture<'a, F> {
    header: &'a Header,
    future: ManuallyDrop<F>,
}

impl<'a, F> TaskFuture<'a, F> {
    fn new(header: &'a Header, future: F) -> Self {
        Self { header, future: ManuallyDrop::new(future) }
    }
}

impl<F: Future> Future for TaskFuture<'_, F> {
    type Output = F::Output;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        // SAFETY: the future is not moved out of `self`: it is pinned with it, and `Drop` drops it in place.
        let this = unsafe { self.get_unchecked_mut() };
        // SAFETY: as above: pinned with `self`.
        let future = unsafe { Pin::new_unchecked(&mut *this.future) };
        this.header.count_poll();
        let _polling = Polling::begin(this.header);
        future.poll(cx)
    }
}

impl<F> Drop for TaskFuture<'_, F> {
    #[inline]
    fn drop(&mut self) {
        let task = (self.header.id, self.header.spawned_at);
        let _polling = Polling::begin(self.header);
        // SAFETY: dropped once, here, and not touched afterwards.
        guard(task, "dropping the future", || unsafe { ManuallyDrop::drop(&mut self.future) });
    }
}

//! Making tasks: the future a task runs, the [`Runnable`] an executor polls, the [`Handle`] its spawner keeps.
//!
//! - T1: a task of a [`Queue`](crate::queue::Queue) is registered before its future can be polled, and taken out of the list when its future
//!   is dropped, on the owner's thread (E3 there).
//! - T2: a panic in a poll ends the task and is kept for whoever awaits it; a panic in the `Drop` of its future is reported. Neither
//!   takes the executor down. (A panic in the `Drop` of an *output* that nobody takes, or in the waker of whoever awaits, ends the
//!   process: async-task aborts there.)
//!
//! `FallibleTask` stands underneath, and its `cancel` is never called: cancelling is the business of upper layers.

#![expect(unsafe_code, reason = "futures that are not `Send` in tasks whose wakers are")]

use std::fmt::{self, Debug};
use std::future::Future;
use std::mem::ManuallyDrop;
use std::panic::Location;
use std::pin::Pin;
use std::sync::OnceLock;
use std::task::{Context, Poll};

use asyncio_base::panic::{catch_and_store, message};
use asyncio_base::report;
use asyncio_base::shim::Arc;

use crate::header::{Header, Home, Rare, TaskId};
use crate::queue::{Entry, Owner, Polling, Queue, unregister, with_polled};

/// The handle to a task: a future of its output, or of `None` if the task was ended before it had one.
///
/// Dropping it detaches: the task goes on. Awaiting a task that panicked goes on with the panic. `asyncio_tasks::Task` is the friendlier
/// face of it.
///
/// # Cancel safety
///
/// Nothing is lost by dropping a borrow of it: the output waits for the next await.
pub struct Handle<T> {
    /// `None` only while it is being dropped.
    inner: Option<async_task::FallibleTask<T, Header>>,
    id: TaskId,
}

impl<T> Handle<T> {
    fn new(inner: async_task::Task<T, Header>, id: TaskId) -> Self {
        Self { inner: Some(inner.fallible()), id }
    }

    /// Returns the id of the task.
    pub fn id(&self) -> TaskId {
        self.id
    }

    /// Says whether the task has ended.
    pub fn is_finished(&self) -> bool {
        self.inner.as_ref().is_none_or(async_task::FallibleTask::is_finished)
    }

    /// Lets the task go on by itself, as dropping the handle does.
    pub fn detach(self) {}
}

impl<T> Future for Handle<T> {
    type Output = Option<T>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        match &mut self.inner {
            Some(inner) => Pin::new(inner).poll(cx),
            None => Poll::Ready(None),
        }
    }
}

impl<T> Drop for Handle<T> {
    #[inline]
    fn drop(&mut self) {
        if let Some(inner) = self.inner.take() {
            inner.detach();
        }
    }
}

impl<T> Debug for Handle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").field("id", &self.id).field("is_finished", &self.is_finished()).finish()
    }
}

/// A task that is ready to be polled.
///
/// Dropping it ends the task: its future is dropped, and its handle gives `None`.
pub struct Runnable {
    inner: async_task::Runnable<Header>,
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
        self.inner.metadata()
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

/// What a task is given when it is spawned.
#[derive(Clone, Debug)]
pub struct TaskOptions {
    spawned_at: &'static Location<'static>,
    name: Option<Box<str>>,
}

impl TaskOptions {
    /// Says that the task is spawned where this is called.
    #[track_caller]
    pub const fn here() -> Self {
        Self { spawned_at: Location::caller(), name: None }
    }

    /// Gives the task a name, which costs it an allocation.
    #[must_use]
    pub fn name(mut self, name: &str) -> Self {
        self.name = Some(name.into());
        self
    }

    #[inline]
    fn header(self, home: Home, id: TaskId, slot: u32) -> Header {
        let rare = self.name.map(|name| Box::new(Rare { name: OnceLock::from(name) }));
        let parent = with_polled(Header::id);
        Header { home, id, parent, spawned_at: self.spawned_at, polls: 0.into(), slot, rare }
    }
}

/// Spawns a future on an executor of somebody else's.
#[expect(clippy::missing_panics_doc, reason = "ids do not run out")]
pub fn spawn_on<F>(home: Arc<dyn Spawn>, options: TaskOptions, future: F) -> Handle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    let (first, _) = take_ids();
    // OK because ids start at 1 and 2^64 tasks are not spawned.
    let id = TaskId::new(std::num::NonZeroU64::new(first + 1).expect("ids start at 1"));
    let header = options.header(Home::Foreign(home), id, 0);
    let builder = async_task::Builder::new().propagate_panic(true).metadata(header);
    // SAFETY: `spawn_unchecked` asks that
    // - the future be `Send` or its `Runnable` stay on this thread: it is `Send`;
    // - the future be `'static` or outlive its `Runnable`: it is, but for the header, which async-task keeps for as long;
    // - the schedule function be `Send`, `Sync` and `'static`: it is a plain function.
    let (runnable, task) =
        unsafe { builder.spawn_unchecked(|header| TaskFuture::new(header, future), schedule) };
    schedule(runnable);
    Handle::new(task, id)
}

/// Spawns a future on the queue of this thread.
#[inline]
pub(crate) fn spawn_local<F>(owner: Owner, options: TaskOptions, future: F) -> Handle<F::Output>
where
    F: Future + 'static,
    F::Output: 'static,
{
    let (slot, id) = owner.next_slot();
    let header = options.header(Home::Queue(owner.queue().clone()), id, slot);
    let builder = async_task::Builder::new().propagate_panic(true).metadata(header);
    // SAFETY: `spawn_unchecked` asks that
    // - the future be `Send` or its `Runnable` stay on this thread: E3 of `queue.rs` keeps the latter;
    // - the future be `'static` or outlive its `Runnable`: it is, but for the header, which async-task keeps for as long;
    // - the schedule function be `Send`, `Sync` and `'static`: it is a plain function.
    let (runnable, task) =
        unsafe { builder.spawn_unchecked(|header| TaskFuture::new(header, future), schedule) };
    owner.register(slot, runnable.waker());
    if owner.queue().is_closing() {
        drop(runnable);
    } else {
        owner.push_new(Runnable { inner: runnable });
    }
    Handle::new(task, id)
}

/// Where async-task sends a task that is ready. Zero-sized: everything it needs is in the header.
#[inline]
fn schedule(runnable: async_task::Runnable<Header>) {
    match &runnable.metadata().home {
        // A clone first: the task may be gone as soon as the other side sees it (E4).
        Home::Foreign(home) => home.clone().schedule(Runnable { inner: runnable }),
        Home::Queue(queue) => {
            let queue: *const Arc<Queue> = queue;
            let entry = Entry::Task(Runnable { inner: runnable });
            // SAFETY: `queue` points into the header, which the runnable keeps alive: `push_local` either gives it back or leaves it in
            // the queue of this very thread, where nobody runs it before this returns.
            let pushed = Queue::push_local(unsafe { &*queue }, entry);
            if let Err(entry) = pushed {
                // SAFETY: as above: the runnable is in `entry`.
                let queue = unsafe { &*queue }.clone();
                // From here on the header is not touched (E4).
                Queue::push_remote(queue, entry);
            }
        }
    }
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
        let mut panic = None;
        {
            let _polling = Polling::begin(self.header);
            // SAFETY: dropped once, here, and not touched afterwards.
            catch_and_store(&mut panic, || unsafe { ManuallyDrop::drop(&mut self.future) });
        }
        if let Home::Queue(queue) = &self.header.home {
            // SAFETY: E3: the future of a task of a queue is dropped on its owner's thread.
            unsafe { unregister(queue, self.header.slot) };
        }
        if let Some(panic) = panic {
            let (id, place) = (self.header.id, self.header.spawned_at);
            let message = message(&*panic);
            report::report(
                "executor",
                format_args!("dropping the future of task {id} ({place}) panicked: {message}"),
            );
        }
    }
}

/// Takes a block of ids from the process.
#[cold]
pub(crate) fn take_ids() -> (u64, u64) {
    // Not the shim's: a static, which loom's atomics cannot be. Nothing depends on its order.
    use std::sync::atomic::{AtomicU64, Ordering};
    const BLOCK: u64 = 4096;
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let first = NEXT.fetch_add(BLOCK, Ordering::Relaxed);
    (first, first + BLOCK)
}

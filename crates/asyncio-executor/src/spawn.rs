//! Spawning: the [`Handle`] a spawner keeps, and what it may say of a task ([`TaskOptions`]).
//!
//! A panic in a poll ends the task and is kept for whoever awaits it. A panic in the `Drop` of its future, of an output whose handle is
//! gone, or in the waker of whoever awaits, is reported. None takes the executor down.

#![expect(unsafe_code, reason = "a future that is made where it runs is not `Send` by its type")]

use std::any::Any;
use std::fmt::{self, Debug};
use std::future::Future;
use std::num::NonZeroU64;
use std::panic::{Location, RefUnwindSafe, UnwindSafe};
use std::pin::Pin;
use std::sync::OnceLock;
use std::task::{Context, Poll};

use asyncio_base::LoopClosed;
use asyncio_base::shim::{Arc, AtomicU8};

use crate::current::with_polled;
use crate::header::{Header, Rare, TaskId, TaskState};
use crate::lent::Lent;
use crate::local::NoExecutor;
use crate::once_box::OnceBox;
use crate::queue::{Owner, Queue};
use crate::task::{LocalTask, MovableTask, TaskHandle};

/// The handle to a task: a future of its output, or of `None` if the task was ended before it had one.
///
/// Dropping it detaches: the task goes on. Awaiting a task that panicked goes on with the panic. `asyncio_tasks::Task` is the friendlier
/// face of it.
///
/// # Cancel safety
///
/// Nothing is lost by dropping a borrow of it: the output waits for the next await.
pub struct Handle<T> {
    inner: Inner<T>,
}

enum Inner<T> {
    Local(TaskHandle<LocalTask, T>),
    Movable(TaskHandle<MovableTask, T>),
    /// Of a task that never was.
    Ended(Box<Header>),
}

// The output comes out by value, once; what a panic interrupted is not seen. The header is for reading.
impl<T> UnwindSafe for Handle<T> {}
impl<T> RefUnwindSafe for Handle<T> {}

impl<T> Handle<T> {
    pub(crate) fn movable(handle: TaskHandle<MovableTask, T>) -> Self {
        Self { inner: Inner::Movable(handle) }
    }

    /// Makes the handle of a task that ended before it began: it has an id and a header, and no output.
    pub fn ended(options: TaskOptions) -> Self {
        Self { inner: Inner::Ended(Box::new(options.header(fresh_id()))) }
    }

    /// Returns the id of the task.
    pub fn id(&self) -> TaskId {
        self.header().id()
    }

    /// Returns what the task carries besides its future, also after its end.
    pub fn header(&self) -> &Header {
        match &self.inner {
            Inner::Local(handle) => handle.header(),
            Inner::Movable(handle) => handle.header(),
            Inner::Ended(header) => header,
        }
    }

    /// Says whether the task has ended.
    pub fn is_finished(&self) -> bool {
        match &self.inner {
            Inner::Local(handle) => handle.is_finished(),
            Inner::Movable(handle) => handle.is_finished(),
            Inner::Ended(_) => true,
        }
    }

    /// Takes the output, if the task has ended and nobody has taken it: a value, a panic, or nothing if the task was ended before it had either.
    pub fn try_take(&self) -> Option<Option<std::thread::Result<T>>> {
        match &self.inner {
            Inner::Local(handle) => handle.try_take(),
            Inner::Movable(handle) => handle.try_take(),
            Inner::Ended(_) => Some(None),
        }
    }

    /// As [`try_take`](Self::try_take), for whoever has the handle to himself, at less cost.
    #[inline]
    pub fn take_ended(&mut self) -> Option<Option<std::thread::Result<T>>> {
        match &mut self.inner {
            Inner::Local(handle) => handle.take_ended(),
            Inner::Movable(handle) => handle.take_ended(),
            Inner::Ended(_) => Some(None),
        }
    }

    /// Asks the task to end, and wakes it, so that it sees [`Header::is_cancel_requested`]; says whether that is news to it. What a task does
    /// then is the business of the layer above: to the executor it is a task like any other. For one that has ended it is `false`.
    pub fn request_cancel(&self) -> bool {
        if self.is_finished() || !self.header().request_cancel() {
            return false;
        }
        match &self.inner {
            Inner::Local(handle) => handle.wake_task(),
            Inner::Movable(handle) => handle.wake_task(),
            Inner::Ended(_) => {}
        }
        true
    }

    /// Lets the task go on by itself, as dropping the handle does.
    pub fn detach(self) {}
}

impl<T> Future for Handle<T> {
    type Output = Option<T>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        match &mut self.inner {
            Inner::Local(handle) => Pin::new(handle).poll(cx),
            Inner::Movable(handle) => Pin::new(handle).poll(cx),
            Inner::Ended(_) => Poll::Ready(None),
        }
    }
}

impl<T> Debug for Handle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").field("id", &self.id()).field("is_finished", &self.is_finished()).finish()
    }
}

/// What a task is given when it is spawned.
#[derive(Debug)]
pub struct TaskOptions {
    spawned_at: &'static Location<'static>,
    is_eager: bool,
    /// In a box, since few say anything of it.
    rare: Option<Box<Rare>>,
}

impl TaskOptions {
    /// Says that the task is spawned where this is called.
    #[track_caller]
    pub const fn here() -> Self {
        Self { spawned_at: Location::caller(), is_eager: false, rare: None }
    }

    /// Gives the task a name, which costs it an allocation.
    #[must_use]
    pub fn name(mut self, name: &str) -> Self {
        self.rare.get_or_insert_default().name = Some(name.into());
        self
    }

    /// Has the task polled at once, where it is spawned, and not in the next round. Where another thread is to poll it, it is polled there.
    #[must_use]
    pub fn eager(mut self, is_eager: bool) -> Self {
        self.is_eager = is_eager;
        self
    }

    /// Attaches something to the task from the beginning; see [`Header::attach`].
    #[must_use]
    pub fn attach<T: Any + Send + Sync>(mut self, attachment: T) -> Self {
        self.rare.get_or_insert_default().attachment = OnceLock::from(Box::new(attachment) as Box<_>);
        self
    }

    pub(crate) fn is_eager(&self) -> bool {
        self.is_eager
    }

    #[inline]
    pub(crate) fn header(self, id: TaskId) -> Header {
        Header {
            id,
            parent: with_polled(Header::id),
            spawned_at: self.spawned_at,
            polls: 0.into(),
            is_cancel_requested: false.into(),
            was_cancelled: false.into(),
            is_ending: false.into(),
            state: AtomicU8::new(TaskState::Ready as u8),
            rare: OnceBox::new(self.rare),
        }
    }
}

/// Spawns a future on the queue that is entered on this thread.
#[inline]
pub(crate) fn spawn_here<F>(options: TaskOptions, future: F) -> Result<Handle<F::Output>, NoExecutor>
where
    F: Future + 'static,
    F::Output: 'static,
{
    // SAFETY: no code of a user's runs before the task is made, which keeps the queue, and is kept by the handle that this returns.
    let owner = unsafe { Owner::borrow_current() }.ok_or(NoExecutor(()))?;
    Ok(spawn_local(&owner, options, future))
}

/// Spawns a future on the queue of this thread.
#[inline]
pub(crate) fn spawn_local<F>(owner: &Owner, options: TaskOptions, future: F) -> Handle<F::Output>
where
    F: Future + 'static,
    F::Output: 'static,
{
    let is_eager = options.is_eager();
    let (task, handle) = LocalTask::create(Lent::by(owner), options.header(owner.fresh_id()), future);
    if is_eager {
        owner.take_in_and_run(task);
    } else {
        owner.take_in(task);
    }
    Handle { inner: Inner::Local(handle) }
}

/// Spawns onto a [`LocalExecutor`](crate::LocalExecutor) from any thread. Made by [`LocalExecutor::spawner`](crate::LocalExecutor::spawner).
#[derive(Clone)]
pub struct Spawner {
    queue: Arc<Queue>,
}

impl Spawner {
    pub(crate) fn new(queue: Arc<Queue>) -> Self {
        Self { queue }
    }

    /// Returns what spawns onto the executor that is entered on this thread.
    pub fn current() -> Option<Self> {
        Owner::current().map(|owner| Self::new(owner.queue().clone()))
    }

    /// Says whether this is the executor's own thread.
    pub fn is_owned_here(&self) -> bool {
        self.queue.is_owned_here()
    }

    /// Spawns a task, which is polled and dropped on the executor's thread. A parked one is woken.
    ///
    /// # Errors
    ///
    /// Fails with `LoopClosed` where the executor is closed; the future is dropped here.
    pub fn spawn<F>(&self, options: TaskOptions, future: F) -> Result<Handle<F::Output>, LoopClosed>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        // SAFETY: the future is `Send`.
        unsafe { self.spawn_here_or_there(options, future) }
    }

    /// Makes a future on the executor's thread, and spawns it there: it need not be `Send`.
    ///
    /// # Errors
    ///
    /// Fails with `LoopClosed` where the executor is closed; `make` is dropped here.
    pub fn spawn_made<M, F>(&self, options: TaskOptions, make: M) -> Result<Handle<F::Output>, LoopClosed>
    where
        M: FnOnce() -> F + Send + 'static,
        F: Future + 'static,
        F::Output: Send + 'static,
    {
        let future = async move { make().await };
        // SAFETY: until its first poll an async block holds what it captured, and that is `make`, which is `Send`.
        unsafe { self.spawn_here_or_there(options, future) }
    }

    /// Spawns a task whose future need not be `Send`, on the executor's own thread, whether it is entered there or not.
    ///
    /// # Errors
    ///
    /// Fails with [`SpawnLocalError`] on any other thread, and where the executor is closed; the future is dropped here.
    pub fn spawn_local<F>(
        &self,
        options: TaskOptions,
        future: F,
    ) -> Result<Handle<F::Output>, SpawnLocalError>
    where
        F: Future + 'static,
        F::Output: 'static,
    {
        if !self.queue.is_entered() && !self.queue.is_owned_here() {
            return Err(SpawnLocalError::WrongThread);
        }
        // SAFETY: this is the executor's thread: wherever the future is dropped before its first poll, it is here.
        unsafe { self.spawn_here_or_there(options, future) }.map_err(SpawnLocalError::Closed)
    }

    /// # Safety
    ///
    /// - Until its first poll the future may be dropped here, and be moved to the executor's thread.
    unsafe fn spawn_here_or_there<F>(
        &self,
        options: TaskOptions,
        future: F,
    ) -> Result<Handle<F::Output>, LoopClosed>
    where
        F: Future + 'static,
        F::Output: 'static,
    {
        if let Some(owner) = Owner::of(&self.queue) {
            return if self.queue.is_closing() {
                Err(LoopClosed::new())
            } else {
                Ok(spawn_local(&owner, options, future))
            };
        }
        let (task, handle) = LocalTask::create(self.queue.clone().into(), options.header(fresh_id()), future);
        Queue::push_new(&self.queue, task).map(|()| Handle { inner: Inner::Local(handle) })
    }
}

impl Debug for Spawner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spawner").field("queue", &self.queue).finish()
    }
}

/// Why a task was not spawned by [`Spawner::spawn_local`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SpawnLocalError {
    /// The executor is closed.
    Closed(LoopClosed),
    /// This is not the executor's thread.
    WrongThread,
}

impl fmt::Display for SpawnLocalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed(closed) => write!(f, "{closed}"),
            Self::WrongThread => f.write_str(
                "a task that is not `Send` was spawned from another thread than that of its executor",
            ),
        }
    }
}

impl std::error::Error for SpawnLocalError {}

/// Returns an id outside of every queue's block.
pub(crate) fn fresh_id() -> TaskId {
    let (first, _) = take_ids();
    // OK because ids start at 1 and 2^64 tasks are not spawned.
    TaskId::new(NonZeroU64::new(first + 1).expect("ids start at 1"))
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

//! Tasks that any thread may poll: what they carry ([`Metadata`]), and the [`Runnable`] that is polled.
//!
//! They stand on `async-task`. A panic in the waker of whoever awaits one ends the process: async-task aborts there. Its `cancel` is never
//! called: cancelling is the business of upper layers.

#![expect(unsafe_code, reason = "the pinned future of a task on `async-task`, and its header beside it")]

use std::fmt::{self, Debug};
use std::future::Future;
use std::mem::ManuallyDrop;
use std::panic::{Location, resume_unwind};
use std::pin::Pin;
use std::ptr::NonNull;
use std::task::{Context, Poll};

use asyncio_base::panic::{Payload, catch_and_store, discard};
use asyncio_base::shim::Arc;

use crate::current::Polling;
use crate::foreign::Spawn;
use crate::header::{Header, TaskId};
use crate::spawn::{Handle, TaskOptions};
use crate::task::guard;
use crate::workers::{self, Raw, Registration, Seat};

/// What async-task keeps beside the future.
pub(crate) struct Metadata {
    pub(crate) header: Header,
    pub(crate) home: Home,
}

/// Where a task goes when it is ready.
pub(crate) enum Home {
    /// To an executor of somebody else's.
    Foreign(Arc<dyn Spawn>),
    /// To the workers of an executor of ours, by way of the seat where it was spawned.
    Seat(Arc<Seat<Runnable>>),
}

/// A task that is ready to be polled.
///
/// Dropping it ends the task: its future is dropped, and its handle gives `None`.
pub struct Runnable {
    inner: async_task::Runnable<Metadata>,
}

/// Makes a task. It is not ready until its [`Runnable`] is [scheduled](schedule).
pub(crate) fn new<F>(id: TaskId, options: TaskOptions, home: Home, future: F) -> (Runnable, Handle<F::Output>)
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    let metadata = Metadata { header: options.header(id), home };
    let builder = async_task::Builder::new().metadata(metadata);
    let schedule = |inner| schedule(Runnable { inner });
    // SAFETY: `spawn_unchecked` asks that
    // - the future be `Send` or its `Runnable` stay on this thread: it is `Send`;
    // - the future be `'static` or outlive its `Runnable`: it is, but for the metadata, which async-task keeps for as long;
    // - the schedule function be `Send`, `Sync` and `'static`: it is, and has no size.
    let (inner, task) =
        unsafe { builder.spawn_unchecked(|metadata| TaskFuture::new(metadata, future), schedule) };
    (Runnable { inner }, Handle::shared(task, id))
}

/// Sends a task that is ready to where it belongs.
#[inline]
pub(crate) fn schedule(runnable: Runnable) {
    match &runnable.inner.metadata().home {
        // A clone first: the task may be gone as soon as the other side sees it.
        Home::Foreign(home) => home.clone().schedule(runnable),
        Home::Seat(_) => workers::schedule(runnable),
    }
}

impl Runnable {
    /// Polls the task once. Says whether it was made ready again meanwhile.
    #[inline]
    pub fn run(self) -> bool {
        // The last reference is not to go inside of `run`: async-task would give the memory back without dropping the future, which whoever
        // it is pinned for must see. A waker that goes last drops it. A task of ours has one in the list of those that wait.
        let _last = matches!(self.inner.metadata().home, Home::Foreign(_)).then(|| self.inner.waker());
        self.inner.run()
    }

    /// Returns the seat of a task of ours.
    #[inline]
    pub(crate) fn seat(&self) -> Option<&Arc<Seat<Self>>> {
        match &self.inner.metadata().home {
            Home::Foreign(_) => None,
            Home::Seat(seat) => Some(seat),
        }
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

// SAFETY: async-task's own way there and back, on any thread, since every future in a `Runnable` of ours is `Send`.
unsafe impl Raw for Runnable {
    #[inline]
    fn into_raw(self) -> NonNull<()> {
        self.inner.into_raw()
    }

    #[inline]
    unsafe fn from_raw(raw: NonNull<()>) -> Self {
        // SAFETY: the caller says that it comes from `into_raw`, once.
        Self { inner: unsafe { async_task::Runnable::from_raw(raw) } }
    }
}

/// The output of a task, or its panic. Where nobody takes it, a panic in its drop is reported.
pub(crate) struct Output<T> {
    result: Option<Result<T, Payload>>,
    task: (TaskId, &'static Location<'static>),
}

impl<T> Output<T> {
    #[inline]
    pub(crate) fn take(mut self) -> Option<T> {
        match self.result.take()? {
            Ok(value) => Some(value),
            Err(panic) => resume_unwind(panic),
        }
    }
}

impl<T> Drop for Output<T> {
    #[inline]
    fn drop(&mut self) {
        match self.result.take() {
            Some(Ok(value)) => guard(self.task, "dropping the output", || drop(value)),
            Some(Err(panic)) => discard(panic),
            None => {}
        }
    }
}

/// The future of a task, with what happens around each poll and at its end.
struct TaskFuture<'a, F> {
    metadata: &'a Metadata,
    /// Its place among the tasks that wait, from its first poll on.
    registration: Option<Registration>,
    future: ManuallyDrop<F>,
}

impl<'a, F> TaskFuture<'a, F> {
    fn new(metadata: &'a Metadata, future: F) -> Self {
        Self { metadata, registration: None, future: ManuallyDrop::new(future) }
    }
}

impl<F: Future> Future for TaskFuture<'_, F> {
    type Output = Output<F::Output>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // SAFETY: the future is not moved out of `self`: it is pinned with it, and `Drop` drops it in place.
        let this = unsafe { self.get_unchecked_mut() };
        // SAFETY: as above: pinned with `self`.
        let future = unsafe { Pin::new_unchecked(&mut *this.future) };
        let header = &this.metadata.header;
        header.count_poll();
        let polling = Polling::begin(header);
        let mut panic = None;
        let poll = catch_and_store(&mut panic, || future.poll(cx));
        drop(polling);
        let result = match (poll, panic) {
            (Some(Poll::Pending), _) => None,
            (Some(Poll::Ready(value)), _) => Some(Ok(value)),
            (None, panic) => panic.map(Err),
        };
        if let (None, Home::Seat(seat)) = (&result, &this.metadata.home) {
            if this.registration.is_none() {
                this.registration = Registration::of(seat, cx.waker());
            }
            if seat.is_closed() {
                // S2: at the end of this poll it is dropped.
                cx.waker().wake_by_ref();
            }
        }
        match result {
            None => Poll::Pending,
            result => Poll::Ready(Output { result, task: (header.id, header.spawned_at) }),
        }
    }
}

impl<F> Drop for TaskFuture<'_, F> {
    #[inline]
    fn drop(&mut self) {
        let header = &self.metadata.header;
        let task = (header.id, header.spawned_at);
        let _polling = Polling::begin(header);
        // SAFETY: dropped once, here, and not touched afterwards.
        guard(task, "dropping the future", || unsafe { ManuallyDrop::drop(&mut self.future) });
    }
}

//! Tasks that any thread may poll: what they carry ([`Metadata`]), and the [`Runnable`] that is polled.
//!
//! They stand on `async-task`. A panic in the waker of whoever awaits one ends the process: async-task aborts there. Its `cancel` is never
//! called: cancelling is the business of upper layers.

#![expect(unsafe_code, reason = "the pinned future of a task on `async-task`, and its header beside it")]

use std::fmt::{self, Debug};
use std::future::Future;
use std::mem::ManuallyDrop;
use std::panic::{Location, RefUnwindSafe, UnwindSafe, resume_unwind};
use std::pin::Pin;
use std::ptr::NonNull;
use std::sync::OnceLock;
use std::task::{Context, Poll, Waker};

use asyncio_base::panic::{Payload, catch_and_store};
use asyncio_base::shim::{Arc, AtomicBool, Mutex, Ordering, fence};

use crate::current::Polling;
use crate::foreign::Spawn;
use crate::header::{Header, TaskId, TaskState};
use crate::spawn::{Handle, TaskOptions};
use crate::task::{drop_unread, guard};
use crate::workers::{self, Raw, Registration, Seat};

/// What async-task keeps beside the future.
struct Metadata {
    header: Header,
    home: Home,
    /// How often all tasks of the executor had been asked to end when it was spawned.
    generation: u32,
    /// Where it is found while it waits, from the end of its first poll on.
    waiting: OnceLock<Waiting>,
    /// Its last poll has given an output.
    has_output: AtomicBool,
}

/// A task, for those who look for it among those that have waited.
#[derive(Clone)]
pub(crate) struct Listed {
    waker: Waker,
    /// Of that task.
    metadata: NonNull<Metadata>,
}

// SAFETY: `&Metadata` is for all threads.
unsafe impl Send for Listed {}

impl Listed {
    fn metadata(&self) -> &Metadata {
        // SAFETY: async-task keeps it for as long as there is a reference to the task, which the waker is.
        unsafe { self.metadata.as_ref() }
    }

    pub(crate) fn header(&self) -> &Header {
        &self.metadata().header
    }

    pub(crate) fn wake(self) {
        self.waker.wake();
    }

    pub(crate) fn wake_by_ref(&self) {
        self.waker.wake_by_ref();
    }

    /// Says whether its last poll has given an output.
    pub(crate) fn has_output(&self) -> bool {
        self.metadata().has_output.load(Ordering::Acquire)
    }
}

/// Where a task that waits is found by whoever asks it to end.
enum Waiting {
    /// Among those of a seat.
    AtSeat(Registration),
    /// Nowhere but here: it is somebody else's executor's. `None` once its future or its handle is gone, since it keeps the task: one that
    /// waits for nothing ends with its handle.
    Foreign(Mutex<Option<Waker>>),
    /// Its executor is closed, or nobody is left who might ask.
    Nowhere,
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
    let generation = match &home {
        Home::Foreign(_) => 0,
        Home::Seat(seat) => seat.generation(),
    };
    let metadata = Metadata {
        header: options.header(id),
        home,
        generation,
        waiting: OnceLock::new(),
        has_output: AtomicBool::new(false),
    };
    let builder = async_task::Builder::new().metadata(metadata);
    let schedule = |inner| schedule(Runnable { inner });
    // SAFETY: `spawn_unchecked` asks that
    // - the future be `Send` or its `Runnable` stay on this thread: it is `Send`;
    // - the future be `'static` or outlive its `Runnable`: it is, but for the metadata, which async-task keeps for as long;
    // - the schedule function be `Send`, `Sync` and `'static`: it is, and has no size.
    let (inner, task) =
        unsafe { builder.spawn_unchecked(|metadata| TaskFuture::new(metadata, future), schedule) };
    let metadata = NonNull::from(task.metadata());
    (Runnable { inner }, Handle::shared(SharedHandle { task: Mutex::new(Some(task.fallible())), metadata }))
}

/// Sends a task that is ready to where it belongs.
#[inline]
pub(crate) fn schedule(runnable: Runnable) {
    match &runnable.inner.metadata().home {
        // A clone first: the task may be gone as soon as the other side sees it.
        Home::Foreign(home) => home.clone().schedule(runnable),
        Home::Seat(_) => {
            runnable.header().set_state(TaskState::Ready);
            workers::schedule(runnable);
        }
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

    /// Keeps the task, though it ends meanwhile.
    pub(crate) fn listed(&self) -> Listed {
        Listed { waker: self.inner.waker(), metadata: NonNull::from(self.inner.metadata()) }
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

    fn into_result(mut self) -> Option<Result<T, Payload>> {
        self.result.take()
    }
}

impl<T> Drop for Output<T> {
    #[inline]
    fn drop(&mut self) {
        match self.result.take() {
            Some(Ok(value)) => guard(self.task, "dropping the output", || drop(value)),
            Some(Err(panic)) => drop_unread(self.task, panic),
            None => {}
        }
    }
}

/// The future of a task, with what happens around each poll and at its end.
struct TaskFuture<'a, F> {
    metadata: &'a Metadata,
    future: ManuallyDrop<F>,
}

impl<'a, F> TaskFuture<'a, F> {
    fn new(metadata: &'a Metadata, future: F) -> Self {
        Self { metadata, future: ManuallyDrop::new(future) }
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
        header.set_state(TaskState::Running);
        if this.metadata.is_of_a_former_generation() {
            header.request_cancel();
        }
        let polling = Polling::begin(header);
        let mut panic = None;
        let poll = catch_and_store(&mut panic, || future.poll(cx));
        drop(polling);
        let result = match (poll, panic) {
            (Some(Poll::Pending), _) => None,
            (Some(Poll::Ready(value)), _) => Some(Ok(value)),
            (None, panic) => panic.map(Err),
        };
        match result {
            None => {
                // Whoever wakes it from now on says that it is ready, after this poll.
                header.set_state(TaskState::Waiting);
                this.metadata.wait(cx.waker());
                Poll::Pending
            }
            result => {
                // Release: pairs with the Acquire in `try_take`.
                this.metadata.has_output.store(true, Ordering::Release);
                Poll::Ready(Output { result, task: (header.id, header.spawned_at) })
            }
        }
    }
}

impl Metadata {
    /// Says whether all tasks of its executor were asked to end after it was spawned.
    #[inline]
    fn is_of_a_former_generation(&self) -> bool {
        matches!(&self.home, Home::Seat(seat) if seat.generation() != self.generation)
    }

    /// The task waits: from now on it is found.
    #[inline]
    fn wait(&self, waker: &Waker) {
        if self.waiting.get().is_none() {
            self.wait_first(waker);
        }
        if let Home::Seat(seat) = &self.home {
            if seat.is_closed() {
                // S2: at the end of this poll it is dropped.
                waker.wake_by_ref();
            }
        }
    }

    fn wait_first(&self, waker: &Waker) {
        let waiting = match &self.home {
            Home::Foreign(_) => Waiting::Foreign(Mutex::new(Some(waker.clone()))),
            Home::Seat(seat) => {
                let listed = Listed { waker: waker.clone(), metadata: NonNull::from(self) };
                Registration::of(seat, listed).map_or(Waiting::Nowhere, Waiting::AtSeat)
            }
        };
        // It is taken only if nobody is left who might ask.
        let surplus = self.waiting.set(waiting);
        drop(surplus);
        // Whoever asked it to end before it could be found has left the waking to us: see `Header::request_cancel`.
        fence(Ordering::SeqCst);
        if self.header.is_cancel_requested() || self.is_of_a_former_generation() {
            waker.wake_by_ref();
        }
    }

    /// Wakes the task. If it has not waited yet, it is in a queue or being polled, and sees by itself what it is woken for.
    fn wake(&self) {
        fence(Ordering::SeqCst);
        match self.waiting.get() {
            Some(Waiting::AtSeat(registration)) => registration.wake(),
            Some(Waiting::Foreign(place)) => {
                let waker = place.lock().clone();
                if let Some(waker) = waker {
                    waker.wake();
                }
            }
            Some(Waiting::Nowhere) | None => {}
        }
    }

    /// The future is gone: the task is not to be found any more.
    fn forget_waiting(&self) {
        match self.waiting.get() {
            Some(Waiting::AtSeat(registration)) => registration.end(),
            Some(Waiting::Foreign(place)) => {
                let waker = place.lock().take();
                drop(waker);
            }
            Some(Waiting::Nowhere) | None => {}
        }
    }
}

/// The handle to a task that any thread may poll.
pub(crate) struct SharedHandle<T> {
    /// `None` only while it is being dropped. In a mutex for those who take the output by `&`; whoever awaits needs no lock.
    task: Mutex<Option<async_task::FallibleTask<Output<T>, Metadata>>>,
    /// Of that task.
    metadata: NonNull<Metadata>,
}

// SAFETY: besides the task, which says for itself where it may go, it gives `&Metadata`, which all threads may have.
unsafe impl<T: Send> Send for SharedHandle<T> {}
// SAFETY: by `&` one reaches `&Metadata`, and what the lock gives, to one at a time.
unsafe impl<T: Send> Sync for SharedHandle<T> {}

// The output comes out by value, once; what a panic interrupted is not seen.
impl<T> UnwindSafe for SharedHandle<T> {}
impl<T> RefUnwindSafe for SharedHandle<T> {}

impl<T> SharedHandle<T> {
    fn metadata(&self) -> &Metadata {
        // SAFETY: async-task keeps it for as long as there is a reference to the task or its handle, which `self` is.
        unsafe { self.metadata.as_ref() }
    }

    pub(crate) fn header(&self) -> &Header {
        &self.metadata().header
    }

    pub(crate) fn is_finished(&self) -> bool {
        self.task.lock().as_ref().is_none_or(async_task::FallibleTask::is_finished)
    }

    /// Takes the output, if the task has ended and nobody has taken it.
    pub(crate) fn try_take(&self) -> Option<Option<Result<T, Payload>>> {
        if !self.is_finished() {
            return None;
        }
        if !self.metadata().has_output.load(Ordering::Acquire) {
            // It was dropped. Not polled, which would put a waker in the place of whoever awaits.
            return Some(None);
        }
        let poll = {
            let mut task = self.task.lock();
            let task = task.as_mut()?;
            // It is complete: this registers nothing, and runs no code of a user's.
            Pin::new(task).poll(&mut Context::from_waker(Waker::noop()))
        };
        match poll {
            Poll::Ready(output) => Some(output.and_then(Output::into_result)),
            Poll::Pending => None,
        }
    }

    pub(crate) fn wake_task(&self) {
        self.metadata().wake();
    }
}

impl<T> Future for SharedHandle<T> {
    type Output = Option<T>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        match self.task.get_mut() {
            Some(task) => Pin::new(task).poll(cx).map(|output| output.and_then(Output::take)),
            None => Poll::Ready(None),
        }
    }
}

impl<T> Drop for SharedHandle<T> {
    #[inline]
    fn drop(&mut self) {
        // Before the task may be gone.
        let metadata = self.metadata();
        if let Home::Foreign(_) = &metadata.home {
            if let Waiting::Foreign(place) = metadata.waiting.get_or_init(|| Waiting::Nowhere) {
                let waker = place.lock().take();
                drop(waker);
            }
        }
        // async-task's own drop would cancel.
        if let Some(task) = self.task.get_mut().take() {
            task.detach();
        }
    }
}

impl<F> Drop for TaskFuture<'_, F> {
    #[inline]
    fn drop(&mut self) {
        let header = &self.metadata.header;
        let task = (header.id, header.spawned_at);
        self.metadata.forget_waiting();
        let _polling = Polling::begin(header);
        // SAFETY: dropped once, here, and not touched afterwards.
        guard(task, "dropping the future", || unsafe { ManuallyDrop::drop(&mut self.future) });
    }
}

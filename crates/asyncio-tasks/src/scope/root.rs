//! [`Root`]: the scope that every task has at its root, and [`Attached`]: what of it is kept beside the task.
//!
//! It adds 8 bytes to a task. What is registered in it lies, between two polls, in the one rare pointer of the task's header; so does
//! whatever else few tasks have.

use std::future::Future;
use std::panic::resume_unwind;
use std::pin::Pin;
use std::sync::OnceLock;
use std::task::{self, Poll};

use asyncio_base::panic::{catch_and_store, discard, message};
use asyncio_base::report::Report;
use asyncio_base::shim::{AtomicBool, Mutex, Ordering};
use asyncio_base::trace::{Described, TaskSpan};
use asyncio_executor::{Header, current_header};
use pin_project_lite::pin_project;

use crate::context::Context;
use crate::done::{self, Callbacks};
use crate::error::TaskError;

use super::current::Frame;
use super::place::{Parked, Place};
use super::{Cancellation, Kind, Outcome, Progress, Stage, Step, drop_stage, go_on, last_poll, poll_body};

pin_project! {
    /// The future of a task: `None` if it was cancelled before it had a value.
    pub(crate) struct Root<F: Future> {
        #[pin]
        stage: Stage<F>,
        span: TaskSpan,
    }

    impl<F: Future> PinnedDrop for Root<F> {
        #[inline]
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            if !this.stage.is_empty() {
                let _entered = this.span.enter(describe);
                drop_unfinished(this.stage);
            }
        }
    }
}

/// What the span of the task says that is being polled, or dropped.
fn describe() -> Option<Described> {
    current_header(|header| Described {
        id: header.id().get(),
        name: header.name().map(Into::into),
        spawned_at: header.spawned_at(),
    })
}

/// The task is dropped with its executor.
#[cold]
#[inline(never)]
fn drop_unfinished<F: Future>(stage: Pin<&mut Stage<F>>) {
    let parked = current_header(|header| {
        header.note_cancelled();
        done::forget(header);
        Attached::unpark(header)
    });
    drop_stage(stage, &Place::with(parked.flatten()));
}

/// What few tasks have.
#[derive(Default)]
pub(crate) struct Attached {
    /// What is registered in the root scope, while the task is not polled.
    parked: Mutex<Option<Parked>>,
    /// Why it was cancelled.
    reason: OnceLock<Box<str>>,
    /// Its group has its error, or its panic.
    is_in_group: AtomicBool,
    /// What is called when the task is done.
    pub(crate) callbacks: Mutex<Callbacks>,
    /// The task's context.
    pub(crate) context: Mutex<Context>,
}

impl Drop for Attached {
    /// The values of task locals are a user's; a panic of theirs is told as what it is.
    fn drop(&mut self) {
        let (mut panic, context) = (None, std::mem::take(self.context.get_mut()));
        catch_and_store(&mut panic, || drop(context));
        if let Some(panic) = panic {
            let message = message(&*panic);
            Report::new("tasks", format_args!("dropping the context of a task panicked: {message}"))
                .panicked()
                .send();
            discard(panic);
        }
    }
}

impl Attached {
    pub(crate) fn in_context(context: Context) -> Self {
        let mut this = Self::default();
        *this.context.get_mut() = context;
        this
    }

    pub(crate) fn of(header: &Header) -> Option<&Self> {
        header.attachment()
    }

    pub(crate) fn attach(header: &Header) -> &Self {
        // OK because this layer alone attaches, and this type alone.
        header.attach(Self::default).expect("the place belongs to this crate")
    }

    /// Takes what is registered in the root scope.
    #[inline]
    fn unpark(header: &Header) -> Option<Parked> {
        Self::of(header).and_then(|attached| attached.parked.lock().take())
    }

    /// The first reason stays.
    pub(crate) fn set_reason(&self, reason: &str) {
        let _ = self.reason.set(reason.into());
    }

    pub(crate) fn set_in_group(&self) {
        // The end of the task passes it on.
        self.is_in_group.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_in_group(&self) -> bool {
        self.is_in_group.load(Ordering::Relaxed)
    }

    pub(crate) fn reason(&self) -> Option<&str> {
        self.reason.get().map(|reason| &**reason)
    }
}

impl<F: Future> Root<F> {
    #[inline]
    pub(crate) fn new(future: F) -> Self {
        Self { stage: Stage::Body { future }, span: TaskSpan::new() }
    }

    /// Polls it, and says how it has ended. How far it has come is asked where it is cancelled.
    #[inline(always)]
    pub(crate) fn poll_end(
        self: Pin<&mut Self>,
        progress: impl FnOnce() -> Progress,
        cx: &mut task::Context<'_>,
    ) -> Poll<Outcome<F::Output>> {
        let this = self.project();
        // First: a subscriber may panic, and what is taken out below must be put back.
        let _entered = this.span.enter(describe);
        let task = current_header(|header| (header.is_cancel_requested(), Attached::unpark(header)));
        let (is_cancelled, parked) = task.unwrap_or((false, None));
        let mut place = Place::with(parked);
        let mut stage = this.stage;
        let is_there = matches!(&*stage, Stage::Body { .. });
        if !is_there || (is_cancelled && last_poll(&place, &OfTask, true, progress()) != Step::Poll) {
            let ended = is_there.then_some(Outcome::Cancelled);
            return poll_on(stage, Unparked(place), is_cancelled, ended, cx);
        }
        let frame = Frame::of_body(None, &place, is_cancelled, &OfTask, cx.waker());
        let ended = poll_body(stage.as_mut(), &frame, cx);
        if !is_cancelled {
            match ended {
                None if place.is_empty() => return Poll::Pending,
                Some(Outcome::Value(value)) if place.is_empty() => return Poll::Ready(Outcome::Value(value)),
                None if place.is_at_rest(None, cx.waker(), false) => {
                    park(place.take());
                    return Poll::Pending;
                }
                ended => return poll_on(stage, Unparked(place), false, ended, cx),
            }
        }
        poll_on(stage, Unparked(place), is_cancelled, ended, cx)
    }
}

impl<F: Future> Future for Root<F>
where
    F::Output: 'static,
{
    type Output = Option<F::Output>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<Self::Output> {
        match self.poll_end(progress, cx) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Outcome::Value(value)) if !done::is_any_at_end() => Poll::Ready(Some(value)),
            Poll::Ready(outcome) => Poll::Ready(finish(outcome)),
        }
    }
}

/// The task is done: tells those who have asked, and those who look at its header.
#[cold]
fn finish<T: 'static>(outcome: Outcome<T>) -> Option<T> {
    match if done::is_any_at_end() { call_callbacks(outcome) } else { outcome } {
        Outcome::Value(value) => Some(value),
        Outcome::Panic(panic) => resume_unwind(panic),
        Outcome::Cancelled | Outcome::Abandoned => {
            current_header(Header::note_cancelled);
            None
        }
    }
}

/// Says whether the task that is being polled has been polled before. Polled by something that is no executor of ours, it has.
#[cold]
fn progress() -> Progress {
    match current_header(Header::polls) {
        Some(1) => Progress::Unpolled,
        _ => Progress::Begun,
    }
}

/// Tells those who have asked to be told.
fn call_callbacks<T: 'static>(outcome: Outcome<T>) -> Outcome<T> {
    let result = match outcome {
        Outcome::Value(value) => Ok(value),
        Outcome::Panic(panic) => Err(TaskError::panicked(panic)),
        Outcome::Cancelled | Outcome::Abandoned => Err(cancelled()),
    };
    done::call(&result);
    match result {
        Ok(value) => Outcome::Value(value),
        // The callbacks may have kept clones of the error, which share the payload.
        Err(error) if error.is_panic() => Outcome::Panic(error.into_told()),
        Err(_) => Outcome::Cancelled,
    }
}

/// Returns the error of the task that is being polled, which is cancelled.
pub(crate) fn cancelled() -> TaskError {
    let reason = |header: &Header| TaskError::cancelled(Attached::of(header).and_then(Attached::reason));
    current_header(reason).unwrap_or_else(|| TaskError::cancelled(None))
}

/// The rest of [`Root::poll_end`], where the task is cancelled or something is registered.
#[inline(never)]
fn poll_on<F: Future>(
    stage: Pin<&mut Stage<F>>,
    mut unparked: Unparked,
    is_own: bool,
    ended: Option<Outcome<F::Output>>,
    cx: &mut task::Context<'_>,
) -> Poll<Outcome<F::Output>> {
    let cancelled = Cancellation::new(is_own, false);
    let poll = go_on(stage, &unparked.0, &mut OfTask, None, cancelled, ended, cx);
    if poll.is_ready() {
        // All that was registered has ended.
        drop(std::mem::take(&mut unparked.0));
    }
    poll
}

/// What is registered in the root scope, while the task is polled. Afterwards it is parked, also where a waker or a clock of somebody else's
/// panics.
struct Unparked(Place);

impl Drop for Unparked {
    #[inline]
    fn drop(&mut self) {
        if !self.0.is_empty() {
            park(self.0.take());
        }
    }
}

fn park(parked: Option<Parked>) {
    current_header(|header| *Attached::attach(header).parked.lock() = parked);
}

/// Cancelled by the task's handle, and by the end of its loop: its header says so.
struct OfTask;

impl Kind for OfTask {
    const IS_SHIELD: bool = true;
    const IS_ROOT: bool = true;
}

//! [`Root`]: the scope that every task has at its root, and [`Attached`]: what of it is kept beside the task.
//!
//! It adds 8 bytes to a task. What is registered in it lies, between two polls, in the one rare pointer of the task's header; so does
//! whatever else few tasks have.

use std::future::Future;
use std::pin::Pin;
use std::sync::OnceLock;
use std::task::{Context, Poll};

use asyncio_base::shim::Mutex;
use asyncio_executor::{Header, current_header};
use pin_project_lite::pin_project;

use super::place::{Place, Registered};
use super::{Kind, Outcome, Stage, drive, drop_stage};

pin_project! {
    /// The future of a task: `None` if it was cancelled before it had a value.
    pub(crate) struct Root<F: Future> {
        #[pin]
        stage: Stage<F>,
    }

    impl<F: Future> PinnedDrop for Root<F> {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            if matches!(&*this.stage, Stage::Body { .. }) {
                current_header(Header::note_cancelled);
            }
            drop_stage(this.stage, &unpark());
        }
    }
}

/// What few tasks have.
#[derive(Default)]
pub(crate) struct Attached {
    /// What is registered in the root scope, while the task is not polled.
    parked: Mutex<Option<Box<Registered>>>,
    /// Why it was cancelled.
    reason: OnceLock<Box<str>>,
}

impl Attached {
    pub(crate) fn of(header: &Header) -> Option<&Self> {
        header.attachment()
    }

    pub(crate) fn attach(header: &Header) -> &Self {
        // OK because this layer alone attaches, and this type alone.
        header.attach(Self::default).expect("the place belongs to this crate")
    }

    /// The first reason stays.
    pub(crate) fn set_reason(&self, reason: &str) {
        let _ = self.reason.set(reason.into());
    }

    pub(crate) fn reason(&self) -> Option<&str> {
        self.reason.get().map(|reason| &**reason)
    }
}

/// Takes what is registered in the root scope of the task that is polled or dropped.
#[inline]
fn unpark() -> Place {
    let parked =
        current_header(|header| Attached::of(header).and_then(|attached| attached.parked.lock().take()));
    Place::with(parked.flatten())
}

impl<F: Future> Root<F> {
    #[inline]
    pub(crate) fn new(future: F) -> Self {
        Self { stage: Stage::Body { future } }
    }
}

impl<F: Future> Future for Root<F> {
    type Output = Option<F::Output>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let place = unpark();
        let is_first = current_header(Header::polls) == Some(1);
        let poll = drive(self.project().stage, &place, &mut OfTask, is_first, cx);
        if let (Poll::Pending, Some(registered)) = (&poll, place.into_inner()) {
            current_header(|header| {
                let former = Attached::attach(header).parked.lock().replace(registered);
                debug_assert!(former.is_none(), "it was taken at the begin of the poll");
            });
        }
        poll.map(|outcome| {
            if matches!(outcome, Outcome::Cancelled) {
                current_header(Header::note_cancelled);
            }
            outcome.into_value()
        })
    }
}

/// Cancelled by the task's handle, and by the end of its loop.
struct OfTask;

impl Kind for OfTask {
    const IS_SHIELD: bool = true;
    const IS_ROOT: bool = true;

    #[inline]
    fn is_cancelled(&mut self, _cx: &mut Context<'_>) -> bool {
        current_header(Header::is_cancel_requested).unwrap_or(false)
    }
}

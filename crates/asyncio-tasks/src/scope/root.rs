//! [`Root`]: the scope that every task has at its root, and [`Attached`]: what of it is kept beside the task.
//!
//! It adds 8 bytes to a task. What is registered in it lies, between two polls, in the one rare pointer of the task's header; so does
//! whatever else few tasks have.

use std::future::Future;
use std::panic::resume_unwind;
use std::pin::Pin;
use std::sync::OnceLock;
use std::task::{Context, Poll};

use asyncio_base::shim::{Arc, Mutex};
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
        #[inline]
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            if !this.stage.is_empty() {
                drop_unfinished(this.stage);
            }
        }
    }
}

/// The task is dropped with its executor.
#[cold]
fn drop_unfinished<F: Future>(stage: Pin<&mut Stage<F>>) {
    let parked = current_header(|header| {
        if matches!(&*stage, Stage::Body { .. }) {
            header.note_cancelled();
        }
        Attached::unpark(header)
    });
    drop_stage(stage, &Place::with(parked.flatten()));
}

/// What few tasks have.
#[derive(Default)]
pub(crate) struct Attached {
    /// What is registered in the root scope, while the task is not polled.
    parked: Mutex<Option<Arc<Mutex<Registered>>>>,
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

    /// Takes what is registered in the root scope.
    #[inline]
    fn unpark(header: &Header) -> Option<Arc<Mutex<Registered>>> {
        Self::of(header).and_then(|attached| attached.parked.lock().take())
    }

    /// The first reason stays.
    pub(crate) fn set_reason(&self, reason: &str) {
        let _ = self.reason.set(reason.into());
    }

    pub(crate) fn reason(&self) -> Option<&str> {
        self.reason.get().map(|reason| &**reason)
    }
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
        let task = current_header(|header| {
            let kind = OfTask { is_cancelled: header.is_cancel_requested() };
            (kind, header.polls() == 1, Attached::unpark(header))
        });
        // Polled by something that is no executor of ours, it is never the first time.
        let (mut kind, is_first, parked) = task.unwrap_or((OfTask { is_cancelled: false }, false, None));
        let place = Place::with(parked);
        let poll = drive(self.project().stage, &place, &mut kind, None, is_first, cx);
        match poll {
            Poll::Ready(Outcome::Value(value)) => Poll::Ready(Some(value)),
            Poll::Ready(Outcome::Panic(panic)) => resume_unwind(panic),
            Poll::Ready(Outcome::Cancelled) => {
                current_header(Header::note_cancelled);
                Poll::Ready(None)
            }
            Poll::Pending => {
                if let Some(registered) = place.into_inner() {
                    park(registered);
                }
                Poll::Pending
            }
        }
    }
}

#[cold]
fn park(registered: Arc<Mutex<Registered>>) {
    current_header(|header| {
        let former = Attached::attach(header).parked.lock().replace(registered);
        debug_assert!(former.is_none(), "it was taken at the begin of the poll");
    });
}

/// Cancelled by the task's handle, and by the end of its loop.
struct OfTask {
    is_cancelled: bool,
}

impl Kind for OfTask {
    const IS_SHIELD: bool = true;
    const IS_ROOT: bool = true;

    #[inline]
    fn is_cancelled(&mut self, _cx: &mut Context<'_>) -> bool {
        self.is_cancelled
    }
}

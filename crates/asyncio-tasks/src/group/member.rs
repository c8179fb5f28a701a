//! [`Member`]: the future of a child's task.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use asyncio_base::panic::{catch_and_store, discard};
use asyncio_base::shim::Arc;
use asyncio_executor::{Header, current_header};
use pin_project_lite::pin_project;

use super::Shared;
use super::turns::Turn;
use crate::done;
use crate::error::TaskError;
use crate::scope::{self, Attached, Outcome, Progress, Root};

pin_project! {
    /// A child: what it comes to is told to its group before its task ends.
    pub(super) struct Member<F: Future, E> {
        #[pin]
        root: Option<Root<F>>,
        group: Arc<Shared<E>>,
        // If the group has a limit. In a box, since few have.
        turn: Option<Box<Turn>>,
        seat: Seat,
        has_begun: bool,
    }

    impl<F: Future, E> PinnedDrop for Member<F, E> {
        #[inline]
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            if let Seat::Left = this.seat {
                return;
            }
            // Its executor drops it. The group is told whatever happens, and a panic of the drop is the executor's to report.
            let mut panic = None;
            catch_and_store(&mut panic, || this.root.set(None));
            leave(this.group, this.seat, this.turn, true);
            if let Some(panic) = panic {
                if std::thread::panicking() { discard(panic) } else { std::panic::resume_unwind(panic) }
            }
        }
    }
}

/// Where a child stands with its group.
enum Seat {
    /// It has not waited yet.
    New,
    /// It waits: the group has its waker.
    Waits(u32),
    /// It knows that the group is cancelled.
    Told,
    Left,
}

impl<F: Future, E> Member<F, E> {
    /// Makes the future of a child that has entered the group.
    #[inline]
    pub(super) fn new(future: F, group: Arc<Shared<E>>, turn: Option<Box<Turn>>) -> Self {
        Self { root: Some(Root::new(future)), group, seat: Seat::New, turn, has_begun: false }
    }
}

/// The child has ended, with all that was in it.
fn leave<E>(group: &Shared<E>, seat: &mut Seat, turn: &mut Option<Box<Turn>>, is_cut: bool) {
    let key = match std::mem::replace(seat, Seat::Left) {
        Seat::Waits(key) => Some(key),
        Seat::New | Seat::Told | Seat::Left => None,
    };
    group.members.leave(key, is_cut);
    drop(turn.take());
}

impl<F, T, E> Future for Member<F, E>
where
    F: Future<Output = Result<T, E>>,
    T: 'static,
{
    type Output = Option<T>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        let mut this = self.project();
        let group: &Shared<E> = this.group;
        if group.members.cancelled.is_set() {
            cut_off(group, this.seat);
        }
        if let Some(turn) = this.turn.as_mut().filter(|turn| !turn.has_come()) {
            if is_cancelled() {
                // It ends unpolled, by its own root: its clean-up is a part of it.
                *this.turn = None;
            } else if turn.poll(cx).is_pending() {
                sit_down(group, this.seat, cx);
                return Poll::Pending;
            }
        }
        let Some(root) = this.root.as_mut().as_pin_mut() else { return Poll::Ready(None) };
        let progress = match std::mem::replace(this.has_begun, true) {
            true => Progress::Begun,
            false => Progress::Unpolled,
        };
        let Poll::Ready(outcome) = root.poll_end(|| progress, cx) else {
            sit_down(group, this.seat, cx);
            return Poll::Pending;
        };
        let is_cut = matches!(outcome, Outcome::Cancelled | Outcome::Abandoned);
        let mut value = None;
        match outcome {
            Outcome::Value(Ok(given)) => value = Some(given),
            Outcome::Value(Err(error)) => group.fail(error),
            Outcome::Panic(panic) => group.panic(panic),
            Outcome::Cancelled | Outcome::Abandoned => {
                current_header(Header::note_cancelled);
            }
        }
        if value.is_none() && !is_cut {
            current_header(|header| Attached::attach(header).set_in_group());
        }
        if done::is_any_at_end() {
            let error = || if is_cut { scope::cancelled() } else { TaskError::in_group() };
            let result = value.ok_or_else(error);
            done::call(&result);
            value = result.ok();
        }
        leave(group, this.seat, this.turn, is_cut);
        Poll::Ready(value)
    }
}

/// The group is cancelled, and so is the child.
#[cold]
fn cut_off<E>(group: &Shared<E>, seat: &mut Seat) {
    if let Seat::New = seat {
        *seat = Seat::Told;
    }
    current_header(|header| {
        if let (true, Some(reason)) = (header.request_cancel(), group.reason()) {
            Attached::attach(header).set_reason(reason);
        }
    });
}

fn is_cancelled() -> bool {
    current_header(Header::is_cancel_requested).unwrap_or(false)
}

/// The child waits: from now on the group wakes it when it is cancelled.
#[inline]
fn sit_down<E>(group: &Shared<E>, seat: &mut Seat, cx: &mut Context<'_>) {
    if let Seat::New = seat {
        match group.members.wait(cx.waker().clone()) {
            Some(key) => *seat = Seat::Waits(key),
            // It may have been cancelled since it looked.
            None => cx.waker().wake_by_ref(),
        }
    }
}

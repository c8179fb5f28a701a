//! A cancel scope: a future around a body, in which clean-up is registered, and which may be cancelled as a whole.
//!
//! One mechanism carries tasks, timeouts, groups, shields and guards; [`drive`] is all of it.
//!
//! - S1 (tree): while a scope polls or drops its body it is the thread's current scope ([`Frame`]). What is inside asks there whether it is
//!   cancelled, so a cancellation goes down with the polls; scopes that would not be polled are woken ([`Below`]).
//! - S2 (level): a scope is cancelled from then on for good. A body that was never polled is dropped; any other is polled once more, so that an
//!   operation that has been completed is not lost; when it then waits, and nobody inside holds it, it is dropped in place, whole.
//! - S3 (in order): inner scopes end first, since they are polled first; one that must not be dropped holds those around it.
//! - S4 (clean-up): the closer of a guard that is dropped starts at once, beside the body; deferred ones start when the body has ended. Both are
//!   polled under a frame that is not cancelled. The scope has not ended before all of them have ([`Place::poll_closers`]).
//! - S5 (dropped): a scope that is dropped hands its closers to the current scope, which is the one around it; where there is none, to the loop
//!   (`crate::cleanup`).
//! - S6 (bounded): clean-up that the scope waits for, and a hold that may have been leaked, have a grace period; what it cuts off is reported.
//! - S7 (panics): a panic of the body goes on when the clean-up has ended.
//! - S8 (size): a scope in which nothing is registered allocates nothing.

mod below;
mod closer;
mod current;
mod place;
mod root;
mod signal;

use std::future::Future;
use std::panic::resume_unwind;
use std::pin::Pin;
use std::sync::OnceLock;
use std::task::{Context, Poll};
use std::time::Duration;

use asyncio_base::panic::{Payload, catch_and_store, discard};
use pin_project_lite::pin_project;

use crate::cleanup;

use self::below::{Held, Tie};
use self::current::Frame;
use self::place::Place;

pub(crate) use self::closer::{Batch, Closer, Registration};
pub(crate) use self::root::{Attached, Root};
pub(crate) use self::signal::Signal;

/// How the body of a scope ended.
pub(crate) enum Outcome<T> {
    Value(T),
    Panic(Payload),
    Cancelled,
}

impl<T> Outcome<T> {
    /// Returns the value, or `None` if the scope was cancelled before there was one. A panic goes on.
    #[inline]
    pub(crate) fn into_value(self) -> Option<T> {
        match self {
            Self::Value(value) => Some(value),
            Self::Cancelled => None,
            Self::Panic(payload) => resume_unwind(payload),
        }
    }
}

/// What kinds of scopes differ in: what cancels them, besides the scope around.
pub(crate) trait Kind {
    /// A cancellation of the scopes around does not enter.
    const IS_SHIELD: bool = false;
    /// It has no scope around, whatever polls it.
    const IS_ROOT: bool = false;

    /// Says whether the scope is cancelled by what is known already. Asked before each poll of the body.
    fn is_cancelled(&mut self, _cx: &mut Context<'_>) -> bool {
        false
    }

    /// The body waits: has the scope woken when it is cancelled, and says whether it is.
    fn poll_cancelled(&mut self, _cx: &mut Context<'_>) -> bool {
        false
    }

    /// Says whether a body that is cancelled is polled once more. Not so where its value would be thrown away anyhow.
    fn is_polled_once_more(&self) -> bool {
        true
    }

    /// Says whether a scope that ended by a cancellation says so to whoever polls it, though a scope around is cancelled, too. Otherwise it
    /// stays silent: the outer cancellation is for the outer one to tell, whose body is about to be dropped.
    fn tells_of_cancellation(&self, is_outer_cancelled: bool) -> bool {
        !is_outer_cancelled
    }

    /// The time that clean-up has, if it is not inherited.
    fn grace(&self) -> Option<&OnceLock<Duration>> {
        None
    }
}

pin_project! {
    /// The body of a scope, and how it ended.
    #[project = StageProjection]
    pub(crate) enum Stage<F: Future> {
        Body { #[pin] future: F },
        // `None` once it was given away.
        Ended { outcome: Option<Outcome<F::Output>> },
    }
}

pin_project! {
    /// A scope. Its output comes when all that is in it has ended.
    #[must_use = "a scope does nothing unless it is polled"]
    pub(crate) struct Scope<F: Future, K: Kind> {
        #[pin]
        stage: Stage<F>,
        place: Place,
        tie: Option<Tie>,
        is_started: bool,
        kind: K,
    }

    impl<F: Future, K: Kind> PinnedDrop for Scope<F, K> {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            drop_stage(this.stage, this.place);
        }
    }
}

impl<F: Future, K: Kind> Scope<F, K> {
    #[inline]
    pub(crate) fn new(future: F, kind: K) -> Self {
        Self { stage: Stage::Body { future }, place: Place::default(), tie: None, is_started: false, kind }
    }

    pub(crate) fn kind(self: Pin<&mut Self>) -> &mut K {
        self.project().kind
    }
}

impl<K: Kind> Scope<std::future::Ready<()>, K> {
    /// A scope that has nothing but clean-up to do.
    pub(crate) fn of_batches(batches: Vec<Batch>, kind: K) -> Self {
        let place = Place::default();
        place.adopt(batches);
        Self {
            stage: Stage::Ended { outcome: Some(Outcome::Value(())) },
            place,
            tie: None,
            is_started: true,
            kind,
        }
    }
}

impl<F: Future, K: Kind> Future for Scope<F, K> {
    type Output = Outcome<F::Output>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let is_first = !std::mem::replace(this.is_started, true);
        let poll = drive(this.stage, this.place, this.kind, is_first, cx);
        if poll.is_pending() {
            let is_holding = K::IS_SHIELD || this.place.is_holding();
            current::tie(this.tie, cx.waker(), is_holding);
        } else if this.tie.is_some() {
            *this.tie = None;
        }
        poll
    }
}

/// Polls a scope: its body, and then its clean-up.
#[inline]
fn drive<F: Future, K: Kind>(
    mut stage: Pin<&mut Stage<F>>,
    place: &Place,
    kind: &mut K,
    mut is_unpolled: bool,
    cx: &mut Context<'_>,
) -> Poll<Outcome<F::Output>> {
    let outer = if K::IS_ROOT { None } else { current::inherited() };
    let inherited_grace = outer.and_then(|outer| outer.grace);
    let inherits = !K::IS_SHIELD && outer.is_some_and(|outer| outer.is_cancelled);
    let mut is_cancelled = inherits || kind.is_cancelled(cx);
    let has_ended = loop {
        let frame =
            Frame { place, is_cancelled, own_grace: kind.grace(), inherited_grace, waker: Some(cx.waker()) };
        let has_ended = poll_body(stage.as_mut(), &frame, kind, is_unpolled, cx);
        is_unpolled = false;
        if has_ended || is_cancelled || !kind.poll_cancelled(cx) {
            break has_ended;
        }
        is_cancelled = true;
    };
    let has_ended = if place.is_empty() {
        has_ended
    } else {
        let frame =
            Frame { place, is_cancelled, own_grace: kind.grace(), inherited_grace, waker: Some(cx.waker()) };
        clean_up(stage.as_mut(), &frame, has_ended, cx)
    };
    if has_ended { take_outcome(stage, kind, inherits) } else { Poll::Pending }
}

/// Polls the body once, or drops it where it must not go on (S2). Says whether it has ended.
#[inline]
fn poll_body<F: Future, K: Kind>(
    mut stage: Pin<&mut Stage<F>>,
    frame: &Frame<'_>,
    kind: &K,
    is_unpolled: bool,
    cx: &mut Context<'_>,
) -> bool {
    let StageProjection::Body { future } = stage.as_mut().project() else { return true };
    if frame.is_cancelled {
        frame.place.cancel_below();
        if is_unpolled || (!kind.is_polled_once_more() && !frame.place.is_held()) {
            end_body(stage, frame, Outcome::Cancelled);
            return true;
        }
    }
    let mut panic = None;
    let poll = frame.enter(|| catch_and_store(&mut panic, || future.poll(cx)));
    let outcome = match (poll, panic) {
        (Some(Poll::Ready(value)), _) => Outcome::Value(value),
        (None, Some(panic)) => Outcome::Panic(panic),
        (Some(Poll::Pending) | None, _) if frame.is_cancelled && !frame.place.is_held() => Outcome::Cancelled,
        (Some(Poll::Pending) | None, _) => return false,
    };
    end_body(stage, frame, outcome);
    true
}

/// Drops the body in place, as a part of its scope. A panic of its drop goes on, unless there is one already.
#[inline]
fn end_body<F: Future>(mut stage: Pin<&mut Stage<F>>, frame: &Frame<'_>, mut outcome: Outcome<F::Output>) {
    let mut panic = None;
    frame.enter(|| catch_and_store(&mut panic, || stage.set(Stage::Ended { outcome: None })));
    if let Some(panic) = panic {
        match outcome {
            Outcome::Panic(_) => discard(panic),
            Outcome::Value(_) | Outcome::Cancelled => outcome = Outcome::Panic(panic),
        }
    }
    stage.set(Stage::Ended { outcome: Some(outcome) });
}

/// Goes on with the clean-up, where something is registered. Says whether all has ended.
#[cold]
fn clean_up<F: Future>(
    mut stage: Pin<&mut Stage<F>>,
    frame: &Frame<'_>,
    mut has_ended: bool,
    cx: &mut Context<'_>,
) -> bool {
    let place = frame.place;
    let shielded = Frame { is_cancelled: false, ..*frame };
    let grace = frame.grace().unwrap_or_else(cleanup::default_grace);
    loop {
        shielded.enter(|| place.poll_closers(has_ended, cx));
        if has_ended {
            if place.is_closing() {
                if !place.poll_grace(grace, cx) {
                    return false;
                }
                shielded.enter(|| place.cut());
            }
            return true;
        }
        if !frame.is_cancelled {
            return false;
        }
        // It would have been dropped, but somebody inside holds it.
        match place.wait_for_holds(cx.waker()) {
            Held::Not => {}
            Held::Confirmed => return false,
            Held::Unconfirmed => {
                if !place.poll_grace(grace, cx) {
                    return false;
                }
                place.report_leak(grace);
            }
        }
        end_body(stage.as_mut(), frame, Outcome::Cancelled);
        has_ended = true;
    }
}

/// Gives the outcome away, unless nobody is to hear it.
#[inline]
fn take_outcome<F: Future, K: Kind>(
    stage: Pin<&mut Stage<F>>,
    kind: &K,
    is_outer_cancelled: bool,
) -> Poll<Outcome<F::Output>> {
    match stage.project() {
        StageProjection::Ended { outcome } => {
            if matches!(outcome, Some(Outcome::Cancelled)) && !kind.tells_of_cancellation(is_outer_cancelled)
            {
                return Poll::Pending;
            }
            Poll::Ready(outcome.take().expect("a scope is not polled any more when it has ended"))
        }
        StageProjection::Body { .. } => unreachable!("the body has ended"),
    }
}

/// What is left of a scope that is dropped (S5).
#[inline]
fn drop_stage<F: Future>(mut stage: Pin<&mut Stage<F>>, place: &Place) {
    if let StageProjection::Ended { outcome: None } = stage.as_mut().project() {
        if place.is_empty() {
            return;
        }
    }
    let mut panic = None;
    let frame = Frame { place, is_cancelled: true, own_grace: None, inherited_grace: None, waker: None };
    frame.enter(|| catch_and_store(&mut panic, || stage.set(Stage::Ended { outcome: None })));
    if !place.is_empty() {
        hand_over(place.take_all());
    }
    match panic {
        Some(panic) if !std::thread::panicking() => resume_unwind(panic),
        Some(panic) => discard(panic),
        None => {}
    }
}

/// Gives clean-up to the current scope, or to the loop.
fn hand_over(batches: Vec<Batch>) {
    if batches.is_empty() {
        return;
    }
    let left = current::with(|frame| match frame {
        Some(frame) => {
            frame.place.adopt(batches);
            None
        }
        None => Some(batches),
    });
    if let Some(batches) = left {
        cleanup::adopt(batches);
    }
}

/// Has a closer started now, beside the body of the current scope.
pub(crate) fn start(closer: Closer) {
    if let Some(closer) = register(closer, Place::start) {
        cleanup::adopt(vec![Batch::of(vec![closer])]);
    }
}

/// Has a closer started when the body of the current scope has ended.
pub(crate) fn defer(closer: Closer) {
    if let Some(closer) = register(closer, Place::defer) {
        cleanup::adopt(vec![Batch::of(vec![closer])]);
    }
}

/// Gives the closer back where there is no scope.
fn register(closer: Closer, how: fn(&Place, Closer)) -> Option<Closer> {
    current::with(|frame| match frame {
        Some(frame) => {
            how(frame.place, closer);
            None
        }
        None => Some(closer),
    })
}

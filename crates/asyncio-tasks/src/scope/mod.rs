//! A cancel scope: a future around a body, in which clean-up is registered, and which may be cancelled as a whole.
//!
//! One mechanism carries tasks, timeouts, groups, shields and guards; [`drive`] is all of it.
//!
//! - S1 (tree): while a scope polls or drops its body it is the thread's current scope ([`Frame`]). What is inside asks there whether it is
//!   cancelled, so a cancellation goes down with the polls; scopes that would not be polled are woken ([`Below`]).
//! - S2 (level): a scope is cancelled from then on for good. A body that was never polled is dropped; any other is polled once more, so that an
//!   operation that has been completed is not lost; when it then waits, and nobody inside holds it, it is dropped in place, whole, with the
//!   scopes in it. Those leave their bodies to it: whoever has one by reference, as in `timeout(d, future.as_mut())`, may go on with it.
//! - S3 (in order): inner scopes end first: one that must not be dropped holds those around it, and what the others leave to be cleaned up is
//!   queued together with that of the scope around, by the order of registration.
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
mod here;
mod place;
mod root;
mod signal;
mod step;

#[cfg(all(test, loom))]
mod loom_tests;
#[cfg(all(test, shuttle))]
mod shuttle_tests;

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::sync::OnceLock;
use std::task::{Context, Poll};
use std::time::Duration;

use asyncio_base::panic::{Payload, catch_and_store, discard};
use pin_project_lite::pin_project;

use crate::cleanup;

use self::below::Held;
use self::current::Frame;
use self::place::Place;
use self::step::{Cancellation, Step, last_poll, next_step};

pub(crate) use self::below::wake;
pub(crate) use self::closer::{Batch, Closer, Registration};
pub(crate) use self::here::{defer, is_cancelled, shielded, start};
pub(crate) use self::root::{Attached, Root, cancelled};
pub(crate) use self::signal::Signal;
pub(crate) use self::step::Progress;

/// How the body of a scope ended.
pub(crate) enum Outcome<T> {
    Value(T),
    Panic(Payload),
    Cancelled,
    /// It was dropped because a scope around is cancelled, before that could do so.
    Abandoned,
}

impl<T> Outcome<T> {
    /// Returns the value, or `None` if the scope was cancelled before there was one. A panic goes on.
    #[inline]
    pub(crate) fn into_value(self) -> Option<T> {
        match self {
            Self::Value(value) => Some(value),
            Self::Cancelled | Self::Abandoned => None,
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

    /// When it is cancelled its body polls all that is in it, whatever wakers that has: none of it need be woken.
    const POLLS_ALL: bool = false;
    /// What is deferred in its body is for the end of the scope around.
    const PASSES_DEFERRED: bool = false;

    /// Says whether the scope must not be dropped, for what its body waits for: those around it are held.
    #[inline]
    fn holds(&self) -> bool {
        Self::IS_SHIELD
    }

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

    /// Says whether it holds something that is dropped by [`drop_by_hand`](Self::drop_by_hand). If the compiler did that, it would look for it
    /// wherever a scope is dropped: a `timeout` of what is ready takes 102 instructions so, and 121 otherwise.
    #[inline]
    fn needs_drop(&self) -> bool {
        false
    }

    /// Drops that, if it is there.
    fn drop_by_hand(&mut self) {}

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
    #[project = ScopeProjection]
    #[must_use = "a scope does nothing unless it is polled"]
    pub(crate) struct Scope<F: Future, K: Kind> {
        #[pin]
        stage: Stage<F>,
        place: Place,
        progress: Progress,
        kind: K,
    }

    impl<F: Future, K: Kind> PinnedDrop for Scope<F, K> {
        #[inline]
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            if !this.stage.is_empty() || !this.place.is_empty() || this.kind.needs_drop() {
                drop_scope(this.stage, this.place, this.kind);
            }
        }
    }
}

impl<F: Future> Stage<F> {
    /// Says whether neither body nor outcome is left.
    #[inline]
    fn is_empty(&self) -> bool {
        matches!(self, Self::Ended { outcome: None })
    }
}

impl<F: Future, K: Kind> Scope<F, K> {
    #[inline]
    pub(crate) fn new(future: F, kind: K) -> Self {
        Self { stage: Stage::Body { future }, place: Place::default(), progress: Progress::Unpolled, kind }
    }

    /// Says whether it must not be dropped, for what goes on in it.
    pub(crate) fn is_holding(&self) -> bool {
        self.kind.holds() || self.place.is_holding()
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
            progress: Progress::Begun,
            kind,
        }
    }
}

impl<F: Future, K: Kind> Future for Scope<F, K> {
    type Output = Outcome<F::Output>;

    #[inline(always)]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.poll_map(cx, |outcome| outcome)
    }
}

impl<F: Future, K: Kind> Scope<F, K> {
    /// Polls it, and makes `map`'s of its outcome: where the two are done at once, no outcome is written to memory.
    #[inline(always)]
    pub(crate) fn poll_map<R>(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        map: impl FnOnce(Outcome<F::Output>) -> R,
    ) -> Poll<R> {
        let ScopeProjection { stage, place, progress, kind } = self.project();
        current::run(ScopePoll { stage, place, kind, progress, map, cx })
    }
}

/// A poll of a scope. A type and not a closure: of that one cannot say that it is always inlined.
struct ScopePoll<'a, 'c, F: Future, K: Kind, M> {
    stage: Pin<&'a mut Stage<F>>,
    place: &'a Place,
    kind: &'a mut K,
    progress: &'a mut Progress,
    map: M,
    cx: &'a mut Context<'c>,
}

impl<F: Future, K: Kind, M: FnOnce(Outcome<F::Output>) -> R, R> current::Run for ScopePoll<'_, '_, F, K, M> {
    type Output = Poll<R>;

    #[inline(always)]
    fn run(self, outer: Option<&Frame<'_>>) -> Self::Output {
        drive(self, outer)
    }
}

/// Polls a scope: its body, and then its clean-up.
///
/// What is written out here is the way of a scope that is not cancelled, and in which nothing is registered. It is inlined where the scope is
/// polled, so that one whose body is ready at once is hardly there; the rest is behind calls. The body is polled in one place, so that it can
/// be inlined there too.
#[inline(always)]
fn drive<F: Future, K: Kind, R>(
    poll: ScopePoll<'_, '_, F, K, impl FnOnce(Outcome<F::Output>) -> R>,
    outer: Option<&Frame<'_>>,
) -> Poll<R> {
    let ScopePoll { mut stage, place, kind, progress, map, cx } = poll;
    let outer = if K::IS_ROOT { None } else { outer };
    let is_outer = !K::IS_SHIELD && outer.is_some_and(Frame::is_cancelled);
    let cancelled = Cancellation::new(kind.is_cancelled(cx), is_outer);
    if !matches!(&*stage, Stage::Body { .. }) {
        return drive_on(stage, place, kind, outer, progress, cancelled, Step::Leave, None, cx).map(map);
    }
    if cancelled.is_any() || matches!(progress, Progress::Shaken | Progress::Left) {
        let step = next_step(place, kind, cancelled, *progress);
        if step != Step::Poll {
            return drive_on(stage, place, kind, outer, progress, cancelled, step, None, cx).map(map);
        }
    }
    *progress = if cancelled.is_any() { Progress::Shaken } else { Progress::Begun };
    let frame = Frame::of_body(outer, place, cancelled.is_any(), kind, cx.waker());
    let ended = poll_body(stage.as_mut(), &frame, cx);
    if !cancelled.is_any() && place.is_empty() {
        match ended {
            // Taken apart: moved whole, it would be read before all of it has been written.
            Some(Outcome::Value(value)) => return Poll::Ready(map(Outcome::Value(value))),
            None => return begin_to_wait(place, kind, outer, cx),
            Some(_) => {}
        }
    }
    drive_on(stage, place, kind, outer, progress, cancelled, Step::Poll, ended, cx).map(map)
}

/// The body waits, and nothing is registered.
#[inline(never)]
fn begin_to_wait<K: Kind, T>(
    place: &Place,
    kind: &mut K,
    outer: Option<&Frame<'_>>,
    cx: &mut Context<'_>,
) -> Poll<T> {
    wait_for_cancellation(kind, cx);
    place.tie(outer, cx.waker(), kind.holds());
    Poll::Pending
}

/// The rest of [`drive`]: the scope is cancelled, or something is registered in it, or its body has panicked or is gone.
#[inline(never)]
#[expect(clippy::too_many_arguments, reason = "the second half of a function that is inlined")]
fn drive_on<F: Future, K: Kind>(
    stage: Pin<&mut Stage<F>>,
    place: &Place,
    kind: &mut K,
    outer: Option<&Frame<'_>>,
    progress: &mut Progress,
    cancelled: Cancellation,
    step: Step,
    mut ended: Option<Outcome<F::Output>>,
    cx: &mut Context<'_>,
) -> Poll<Outcome<F::Output>> {
    match step {
        Step::Poll if !cancelled.is_any() && ended.is_none() => {
            if place.is_at_rest(outer, cx.waker(), kind.holds()) {
                wait_for_cancellation(kind, cx);
                return Poll::Pending;
            }
        }
        Step::End => ended = Some(Outcome::Cancelled),
        Step::Poll | Step::Leave => {}
    }
    if cancelled.is_outer()
        && ended.is_none()
        && matches!(progress, Progress::Begun | Progress::Shaken)
        && !place.is_held()
        && !kind.holds()
    {
        *progress = Progress::Left;
    }
    go_on(stage, place, kind, outer, cancelled, ended, cx)
}

/// The body waits. If the scope has just been cancelled, it is polled once more in a poll of its own, with a budget of its own.
#[inline]
fn wait_for_cancellation<K: Kind>(kind: &mut K, cx: &mut Context<'_>) {
    if kind.poll_cancelled(cx) {
        cx.waker().wake_by_ref();
    }
}

/// Polls the body once. Where it ends it is dropped, as a part of its scope.
#[inline(always)]
fn poll_body<F: Future>(
    mut stage: Pin<&mut Stage<F>>,
    frame: &Frame<'_>,
    cx: &mut Context<'_>,
) -> Option<Outcome<F::Output>> {
    let mut value = None;
    let result = catch_unwind(AssertUnwindSafe(|| {
        let _entered = frame.enter();
        let StageProjection::Body { future } = stage.as_mut().project() else { return };
        if let Poll::Ready(ready) = future.poll(cx) {
            value = Some(ready);
            stage.set(Stage::Ended { outcome: None });
        }
    }));
    match result {
        Ok(()) => value.map(Outcome::Value),
        Err(panic) => Some(panicked(panic, value)),
    }
}

/// The body has panicked: in its poll, or in its drop, and then there is a value that nobody gets.
#[cold]
fn panicked<T>(panic: Payload, value: Option<T>) -> Outcome<T> {
    let mut first = Some(panic);
    catch_and_store(&mut first, || drop(value));
    first.map_or(Outcome::Cancelled, Outcome::Panic)
}

/// The rest of [`drive`], after the body was polled.
#[inline(never)]
fn go_on<F: Future, K: Kind>(
    mut stage: Pin<&mut Stage<F>>,
    place: &Place,
    kind: &mut K,
    outer: Option<&Frame<'_>>,
    cancelled: Cancellation,
    mut ended: Option<Outcome<F::Output>>,
    cx: &mut Context<'_>,
) -> Poll<Outcome<F::Output>> {
    let is_there = matches!(&*stage, Stage::Body { .. });
    if ended.is_none() && is_there {
        if !cancelled.is_any() {
            wait_for_cancellation(kind, cx);
        } else if cancelled.is_own() && !place.is_held() {
            ended = Some(Outcome::Cancelled);
        }
    }
    let frame = Frame::of_body(outer, place, cancelled.is_any(), kind, cx.waker());
    let has_ended = ended.is_some() || !is_there;
    if let Some(outcome) = ended {
        end_body(stage.as_mut(), &frame, outcome);
    }
    let is_over = if place.is_empty() {
        has_ended
    } else {
        match clean_up(&frame, cancelled, has_ended, cx) {
            CleanUp::Waits => false,
            CleanUp::Ended => true,
            CleanUp::EndsBody { is_own } => {
                let outcome = if is_own { Outcome::Cancelled } else { Outcome::Abandoned };
                end_body(stage.as_mut(), &frame, outcome);
                matches!(clean_up(&frame, cancelled, true, cx), CleanUp::Ended)
            }
        }
    };
    if !is_over {
        place.tie(outer, cx.waker(), kind.holds());
        return Poll::Pending;
    }
    place.end();
    let poll = take_outcome(stage, kind, cancelled.is_outer());
    if poll.is_pending() {
        // It is silent, but whoever goes on with it by reference is to be told.
        place.tie(outer, cx.waker(), false);
    }
    poll
}

/// Drops the body in place, as a part of its scope. A panic of its drop goes on, unless there is one already.
#[cold]
fn end_body<F: Future>(mut stage: Pin<&mut Stage<F>>, frame: &Frame<'_>, mut outcome: Outcome<F::Output>) {
    let panic = drop_inside(&frame.in_drop(), &mut || stage.set(Stage::Ended { outcome: None }));
    if let Some(panic) = panic {
        match outcome {
            Outcome::Panic(_) => discard(panic),
            Outcome::Value(_) | Outcome::Cancelled | Outcome::Abandoned => outcome = Outcome::Panic(panic),
        }
    }
    // From here on its clean-up has its time.
    frame.place.forget_grace();
    stage.set(Stage::Ended { outcome: Some(outcome) });
}

/// Has a body dropped as a part of its scope, and gives what that panics with. It is the same for all, and so compiled once.
#[cold]
fn drop_inside(frame: &Frame<'_>, drop_body: &mut dyn FnMut()) -> Option<Payload> {
    let mut panic = None;
    let _entered = frame.enter();
    catch_and_store(&mut panic, drop_body);
    panic
}

/// How far [`clean_up`] came.
enum CleanUp {
    Waits,
    Ended,
    /// The body is to end first: the scope's own cancellation ends it, or one around it does.
    EndsBody {
        is_own: bool,
    },
}

/// Goes on with the clean-up, where something is registered.
#[cold]
fn clean_up(frame: &Frame<'_>, cancelled: Cancellation, has_ended: bool, cx: &mut Context<'_>) -> CleanUp {
    let place = frame.place;
    let shielded = frame.in_clean_up();
    let grace = frame.grace().unwrap_or_else(cleanup::default_grace);
    let entered = shielded.enter();
    place.poll_closers(has_ended, cx);
    drop(entered);
    if has_ended {
        if place.is_closing() {
            if !place.poll_grace(grace, cx) {
                return CleanUp::Waits;
            }
            let _entered = shielded.enter();
            place.cut();
        }
        return CleanUp::Ended;
    }
    if !cancelled.is_any() {
        return CleanUp::Waits;
    }
    // It would have been dropped, by this scope or by the one around, but somebody inside may hold it.
    match place.wait_for_holds(cx.waker()) {
        Held::Not if cancelled.is_own() => return CleanUp::EndsBody { is_own: true },
        Held::Not => {
            // Its body is left to the scope around, which waits for the clean-up.
            if !place.is_closing() {
                place.forget_grace();
            } else if place.poll_grace(grace, cx) {
                let entered = shielded.enter();
                place.cut();
                drop(entered);
                place.forget_grace();
            }
        }
        Held::Confirmed => place.check_later(grace, cx),
        Held::Unconfirmed => {
            if place.poll_grace(grace, cx) {
                place.report_leak(grace);
                return CleanUp::EndsBody { is_own: cancelled.is_own() };
            }
        }
    }
    CleanUp::Waits
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
            let is_silent = match outcome {
                Some(Outcome::Cancelled) => !kind.tells_of_cancellation(is_outer_cancelled),
                Some(Outcome::Abandoned) => is_outer_cancelled,
                _ => false,
            };
            if is_silent {
                return Poll::Pending;
            }
            assert!(
                !matches!(outcome, Some(Outcome::Abandoned)),
                "a future was awaited on after the scope around it had been cancelled, and it had been dropped for that"
            );
            Poll::Ready(outcome.take().expect("a scope is not polled any more when it has ended"))
        }
        StageProjection::Body { .. } => unreachable!("the body has ended"),
    }
}

/// What is left of a scope that is dropped.
#[inline(never)]
fn drop_scope<F: Future, K: Kind>(stage: Pin<&mut Stage<F>>, place: &Place, kind: &mut K) {
    /// Also where the body panics.
    struct AtEnd<'a, K: Kind>(&'a mut K);
    impl<K: Kind> Drop for AtEnd<'_, K> {
        fn drop(&mut self) {
            self.0.drop_by_hand();
        }
    }
    let _at_end = AtEnd(kind);
    if !stage.is_empty() || !place.is_empty() {
        drop_stage(stage, place);
    }
}

/// The body of a scope that is dropped, and what is registered in it (S5).
#[inline(never)]
fn drop_stage<F: Future>(mut stage: Pin<&mut Stage<F>>, place: &Place) {
    let panic = drop_inside(&Frame::dropping(place), &mut || stage.set(Stage::Ended { outcome: None }));
    if !place.is_empty() {
        hand_over(place.take_all());
        place.end();
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

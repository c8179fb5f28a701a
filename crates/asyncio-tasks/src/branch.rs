//! [`Branch`]: one of several futures that are awaited together, each a scope of its own.

use std::future::Future;
use std::marker::PhantomData;
use std::panic::resume_unwind;
use std::pin::Pin;
use std::task::{Context, Poll};

use asyncio_base::panic::{Payload, discard};
use pin_project_lite::pin_project;

use crate::scope::{self, Kind, Outcome, Scope};

/// Which values of a branch make the others superfluous.
pub(crate) trait Policy<T> {
    fn is_decisive(value: &T) -> bool;
}

/// None: all are wanted.
pub(crate) enum All {}
/// Each: the first one is wanted.
pub(crate) enum First {}
/// An error.
pub(crate) enum AllOk {}

/// A value that is no error.
pub(crate) enum FirstOk {}

impl<T, E> Policy<Result<T, E>> for FirstOk {
    fn is_decisive(value: &Result<T, E>) -> bool {
        value.is_ok()
    }
}

impl<T> Policy<T> for All {
    fn is_decisive(_: &T) -> bool {
        false
    }
}

impl<T> Policy<T> for First {
    fn is_decisive(_: &T) -> bool {
        true
    }
}

impl<T, E> Policy<Result<T, E>> for AllOk {
    fn is_decisive(value: &Result<T, E>) -> bool {
        value.is_err()
    }
}

pin_project! {
    #[project = BranchProjection]
    pub(crate) enum Branch<F: Future, P> {
        Running { #[pin] scope: Scope<F, OneOf>, policy: PhantomData<P> },
        // In the place of the scope: a child of a set is as large as its branch.
        Ended { end: End<F::Output> },
    }
}

pub(crate) enum End<T> {
    Value(T),
    Panic(Payload),
    /// It was cancelled.
    Nothing,
    /// The value, or the panic, was taken.
    Taken,
}

/// Cancelled by those it is awaited together with.
pub(crate) struct OneOf {
    is_cancelled: bool,
}

impl Kind for OneOf {
    #[inline]
    fn is_cancelled(&mut self, _cx: &mut Context<'_>) -> bool {
        self.is_cancelled
    }

    /// Its value is not wanted any more. A poll might complete an operation, which would then be lost.
    fn is_polled_once_more(&self) -> bool {
        !self.is_cancelled
    }

    /// Whoever cancelled it waits for its end.
    fn tells_of_cancellation(&self, is_outer_cancelled: bool) -> bool {
        self.is_cancelled || !is_outer_cancelled
    }
}

/// A branch whose type does not matter.
pub(crate) trait AnyBranch {
    /// Polls it, if it has not ended. Says whether it has.
    fn poll_end(self: Pin<&mut Self>, cx: &mut Context<'_>) -> bool;
    /// Cancels it: if nothing holds it, its future is dropped at the next poll, and not polled again.
    fn cancel(self: Pin<&mut Self>);
    /// Says whether it waits, and may be dropped.
    fn is_idle(&self) -> bool;
    /// Says whether it must not be dropped, for what goes on in it.
    fn is_holding(&self) -> bool;
    /// Says whether it has ended without a value.
    fn is_lost(&self) -> bool;
    /// Says whether it has ended with a value that makes the others superfluous.
    fn is_decisive(&self) -> bool;
    /// Takes the panic with which it ended.
    fn take_panic(self: Pin<&mut Self>) -> Option<Payload>;
}

impl<F: Future, P: Policy<F::Output>> Branch<F, P> {
    #[inline]
    pub(crate) fn new(future: F) -> Self {
        Self::Running { scope: Scope::new(future, OneOf { is_cancelled: false }), policy: PhantomData }
    }

    #[inline]
    pub(crate) fn take_value(self: Pin<&mut Self>) -> Option<F::Output> {
        match self.project() {
            BranchProjection::Ended { end: end @ End::Value(_) } => {
                match std::mem::replace(end, End::Taken) {
                    End::Value(value) => Some(value),
                    _ => None,
                }
            }
            _ => None,
        }
    }

    /// Its value, which was taken, has panicked when it was dropped: that is how it has ended.
    pub(crate) fn set_panic(mut self: Pin<&mut Self>, panic: Payload) {
        self.set(Self::Ended { end: End::Panic(panic) });
    }
}

impl<F: Future, P: Policy<F::Output>> AnyBranch for Branch<F, P> {
    #[inline]
    fn poll_end(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> bool {
        let BranchProjection::Running { scope, .. } = self.as_mut().project() else { return true };
        let Poll::Ready(outcome) = scope.poll(cx) else { return false };
        let end = match outcome {
            Outcome::Value(value) => End::Value(value),
            Outcome::Panic(panic) => End::Panic(panic),
            Outcome::Cancelled | Outcome::Abandoned => End::Nothing,
        };
        self.set(Self::Ended { end });
        true
    }

    fn cancel(self: Pin<&mut Self>) {
        if let BranchProjection::Running { scope, .. } = self.project() {
            scope.kind().is_cancelled = true;
        }
    }

    fn is_idle(&self) -> bool {
        matches!(self, Self::Running { scope, .. } if !scope.is_holding())
    }

    fn is_holding(&self) -> bool {
        matches!(self, Self::Running { scope, .. } if scope.is_holding())
    }

    fn is_lost(&self) -> bool {
        matches!(self, Self::Ended { end: End::Nothing })
    }

    fn is_decisive(&self) -> bool {
        matches!(self, Self::Ended { end: End::Value(value) } if P::is_decisive(value))
    }

    fn take_panic(self: Pin<&mut Self>) -> Option<Payload> {
        match self.project() {
            BranchProjection::Ended { end: end @ End::Panic(_) } => {
                match std::mem::replace(end, End::Taken) {
                    End::Panic(panic) => Some(panic),
                    _ => None,
                }
            }
            _ => None,
        }
    }
}

/// What is known of how branches have ended.
#[derive(Default)]
pub(crate) struct Fate {
    /// The others are superfluous: they are to be cancelled.
    pub(crate) is_decided: bool,
    /// Some were dropped because the scope around is cancelled: all of them together do not come to an end any more.
    pub(crate) is_abandoned: bool,
    /// The first one. It decides, and goes on when all have ended.
    pub(crate) panic: Option<Payload>,
}

impl Fate {
    /// Looks at a branch that has ended.
    pub(crate) fn look_at<B: AnyBranch + ?Sized>(&mut self, mut branch: Pin<&mut B>) {
        if let Some(panic) = branch.as_mut().take_panic() {
            self.is_decided = true;
            match self.panic {
                None => self.panic = Some(panic),
                Some(_) => discard(panic),
            }
        } else {
            // By a scope around, which could not wait for it, if it was not by those it is together with.
            self.is_abandoned |= !self.is_decided && branch.is_lost();
        }
    }
}

/// Several branches that are polled together, until all have ended. Once one panics, or ends with a value that decides, the others are
/// cancelled. A panic goes on when all have ended.
///
/// Where the scope around is cancelled and a branch holds it, the others are dropped, each for itself; where none does, all are left to it.
#[derive(Default)]
pub(crate) struct Together {
    fate: Fate,
    /// Whose value has decided.
    winner: Option<usize>,
}

impl Together {
    pub(crate) fn winner(&self) -> Option<usize> {
        self.winner
    }

    /// Polls all of them. Says whether all have ended.
    pub(crate) fn poll(&mut self, branches: &mut [Pin<&mut dyn AnyBranch>], cx: &mut Context<'_>) -> bool {
        let mut have_all_ended = self.poll_each(branches, cx);
        if have_all_ended.is_none() {
            branches.iter_mut().for_each(|branch| branch.as_mut().cancel());
            have_all_ended = self.poll_each(branches, cx);
        }
        let have_all_ended = have_all_ended.unwrap_or(false);
        if !self.fate.is_decided && !have_all_ended && scope::is_cancelled() {
            self.drop_those_that_wait(branches, cx);
        }
        if have_all_ended {
            if let Some(panic) = self.fate.panic.take() {
                resume_unwind(panic);
            }
        }
        if self.fate.is_abandoned {
            assert_not_continued();
            return false;
        }
        have_all_ended
    }

    #[cold]
    fn drop_those_that_wait(&mut self, branches: &mut [Pin<&mut dyn AnyBranch>], cx: &mut Context<'_>) {
        if !branches.iter().any(|branch| branch.is_holding())
            || !branches.iter().any(|branch| branch.is_idle())
        {
            return;
        }
        self.fate.is_abandoned = true;
        for branch in branches.iter_mut().filter(|branch| branch.is_idle()) {
            branch.as_mut().cancel();
        }
        self.poll_each(branches, cx);
    }

    /// Says whether all have ended; or nothing, if it has just been decided that the others are superfluous.
    fn poll_each(&mut self, branches: &mut [Pin<&mut dyn AnyBranch>], cx: &mut Context<'_>) -> Option<bool> {
        let mut have_all_ended = true;
        for (n, branch) in branches.iter_mut().enumerate() {
            if !branch.as_mut().poll_end(cx) {
                have_all_ended = false;
                continue;
            }
            let was_decided = self.fate.is_decided;
            self.fate.look_at(branch.as_mut());
            if !self.fate.is_decided && branch.is_decisive() {
                self.fate.is_decided = true;
                self.winner = Some(n);
            }
            if self.fate.is_decided && !was_decided {
                return None;
            }
        }
        Some(have_all_ended)
    }
}

/// Of several that are awaited together, some were dropped because the scope around is cancelled.
///
/// # Panics
///
/// Panics where that scope is not around any more: whoever goes on with the rest cannot be given what is gone.
pub(crate) fn assert_not_continued() {
    assert!(
        scope::is_cancelled(),
        "futures that are awaited together were awaited on after the scope around them had been cancelled, and some had been dropped for that"
    );
}

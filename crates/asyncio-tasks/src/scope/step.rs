//! [`Step`]: what is done with the body of a scope (S2), by how far it has come ([`Progress`]), and by what it is cancelled ([`Cancellation`]).

use super::Kind;
use super::place::Place;

/// How far a body has come.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Progress {
    Unpolled,
    Begun,
    /// It was polled while it was cancelled.
    Shaken,
    /// It was polled once more, and waits for the scope around to drop it: that is not its own to do, and it is not polled any more.
    Left,
}

/// What a scope is cancelled by: one byte, which hardly any scope needs to take apart.
#[derive(Clone, Copy)]
pub(super) struct Cancellation(u8);

impl Cancellation {
    const OWN: u8 = 1;
    /// By a scope around, which will drop it.
    const OUTER: u8 = 1 << 1;

    #[inline]
    pub(super) fn new(is_own: bool, is_outer: bool) -> Self {
        Self((u8::from(is_own) * Self::OWN) | (u8::from(is_outer) * Self::OUTER))
    }

    #[inline]
    pub(super) fn is_any(self) -> bool {
        self.0 != 0
    }

    pub(super) fn is_own(self) -> bool {
        self.0 & Self::OWN != 0
    }

    pub(super) fn is_outer(self) -> bool {
        self.0 & Self::OUTER != 0
    }
}

/// What is done with the body (S2).
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Poll,
    /// It is dropped as it is.
    End,
    /// It is left to the scope around, which drops it as it is: whoever has it by reference finds it whole. Or it is gone.
    Leave,
}

/// Of a body that is cancelled, or was.
#[cold]
#[inline(never)]
pub(super) fn next_step<K: Kind>(
    place: &Place,
    kind: &K,
    cancelled: Cancellation,
    progress: Progress,
) -> Step {
    if cancelled.is_any() {
        return last_poll(place, kind, cancelled.is_own(), progress);
    }
    place.revive();
    Step::Poll
}

/// A body that is cancelled is about to be polled once more, and so are the scopes inside.
#[cold]
pub(super) fn last_poll<K: Kind>(place: &Place, kind: &K, is_own: bool, progress: Progress) -> Step {
    place.cancel_below();
    match progress {
        Progress::Unpolled | Progress::Left if is_own => Step::End,
        Progress::Unpolled | Progress::Left => Step::Leave,
        Progress::Begun | Progress::Shaken if is_own && !kind.is_polled_once_more() && !place.is_held() => {
            Step::End
        }
        Progress::Begun | Progress::Shaken => Step::Poll,
    }
}

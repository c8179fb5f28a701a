//! [`Word`]: whether somebody has a task that may move, and how many references to it there are, in one word.
//!
//! - W1: `ACTIVE` says that somebody has the task, to poll it: it is in a queue, on the way there, or being polled. There is one who has it at a
//!   time, with a reference for that; only he is at its stage.
//! - W2: a wake of a task that nobody has sets `ACTIVE`, and whoever did so has it. A wake of one that somebody has sets `WOKEN`.
//! - W3: `WOKEN` is cleared before a poll, by a step that sees what came before the wake. After a poll the task is let go in a step that finds
//!   it clear; where it is set, whoever has polled makes the task ready again. So every wake is followed by a poll that begins after it.
//! - W4: `ENDED` is set when the future is gone, by the one who has the task, in the step that gives up his reference. From then on nobody has it.
//! - W5: whoever gives up the last reference to a task that has ended frees it. To one that has not, it makes the task ready once more, as
//!   `ABANDONED`: nobody can wake it any more, and its future is to be dropped where it would be polled.
//!
//! The usual machine has one bit for "in a queue" and another for "being polled", and steps from one to the other as a poll begins. Where both are
//! one, a poll that nobody has woken meanwhile begins by reading.

use asyncio_base::shim::{AtomicUsize, Ordering};

const ACTIVE: usize = 1;
const WOKEN: usize = 1 << 1;
const ENDED: usize = 1 << 2;
const ABANDONED: usize = 1 << 3;
const REFERENCE: usize = 1 << 4;
/// With more references than this the process ends, as with `Arc`: they were forgotten, and the count would wrap.
const MAX: usize = usize::MAX / 2;

pub(super) struct Word(AtomicUsize);

/// What is left to do for whoever has woken a task, or dropped a reference to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "the task is lost, or its memory"]
pub(super) enum Then {
    Nothing,
    /// The caller has the task, and a reference: it is to be made ready.
    Schedule,
    /// It was the last reference: the task is to be freed.
    Free,
}

/// How a task was let go after a poll.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "the task is lost otherwise"]
pub(super) enum LetGo {
    /// The caller has nothing any more.
    Gone,
    /// Not at all: it was woken meanwhile, and is to be made ready again.
    Woken,
    /// Not at all: nobody else has a reference, so nothing will wake it.
    Alone,
}

impl Word {
    /// Of a task that the caller has, with so many references to it.
    pub(super) fn new(references: usize) -> Self {
        Self(AtomicUsize::new(ACTIVE | (references * REFERENCE)))
    }

    /// Says whether the future is gone.
    pub(super) fn has_ended(&self) -> bool {
        // Acquire: what came before the end is seen.
        self.0.load(Ordering::Acquire) & ENDED != 0
    }

    /// Counts one more reference.
    #[inline]
    pub(super) fn take(&self) {
        // Relaxed: whoever takes a reference has one, so nothing is freed meanwhile.
        if self.0.fetch_add(REFERENCE, Ordering::Relaxed) > MAX {
            std::process::abort();
        }
    }

    /// Counts one less.
    #[inline]
    pub(super) fn drop_one(&self) -> Then {
        // AcqRel: what others did with the task before they dropped theirs comes before the freeing.
        let former = self.0.fetch_sub(REFERENCE, Ordering::AcqRel);
        if former >= 2 * REFERENCE { Then::Nothing } else { self.after_last(former) }
    }

    /// The count is zero, so that nobody else reads the word.
    #[cold]
    fn after_last(&self, former: usize) -> Then {
        if former & ENDED != 0 {
            return Then::Free;
        }
        debug_assert!(former & ACTIVE == 0, "whoever has it has a reference");
        // Relaxed: it passes on with the task.
        self.0.store(ACTIVE | ABANDONED | REFERENCE, Ordering::Relaxed);
        Then::Schedule
    }

    /// Wakes the task, by a reference that stays with the caller (W2).
    #[inline]
    pub(super) fn wake_by_ref(&self) -> Then {
        self.change(|word| {
            if word & ENDED != 0 {
                (word, Then::Nothing)
            } else if word & ACTIVE != 0 {
                (word | WOKEN, Then::Nothing)
            } else {
                ((word | ACTIVE) + REFERENCE, Then::Schedule)
            }
        })
    }

    /// Wakes the task, and gives the caller's reference up, or to whoever has the task.
    #[inline]
    pub(super) fn wake(&self) -> Then {
        self.change(|word| {
            if word & ENDED != 0 {
                (word - REFERENCE, if word < 2 * REFERENCE { Then::Free } else { Then::Nothing })
            } else if word & ACTIVE != 0 {
                // Whoever has it has another one.
                ((word | WOKEN) - REFERENCE, Then::Nothing)
            } else {
                (word | ACTIVE, Then::Schedule)
            }
        })
    }

    /// AcqRel, and always a step, also where nothing changes: the next poll sees what came before, and whoever has the task from now on sees what the
    /// last poll did (W3).
    #[inline(always)]
    fn change(&self, step: impl Fn(usize) -> (usize, Then)) -> Then {
        let mut word = self.0.load(Ordering::Relaxed);
        loop {
            let (next, then) = step(word);
            match self.0.compare_exchange_weak(word, next, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => return then,
                Err(now) => word = now,
            }
        }
    }

    /// Begins a poll (W3). Says whether the task is abandoned, and is to be dropped instead.
    #[inline]
    pub(super) fn begin(&self) -> bool {
        // Relaxed: a wake that is not seen here is seen by `let_go`.
        let word = self.0.load(Ordering::Relaxed);
        if word & WOKEN != 0 {
            // Acquire: W3.
            self.0.fetch_and(!WOKEN, Ordering::Acquire);
        }
        word & ABANDONED != 0
    }

    /// Lets the task go after a poll, with the reference of whoever has it (W3).
    #[inline]
    pub(super) fn let_go(&self) -> LetGo {
        let mut word = self.0.load(Ordering::Relaxed);
        loop {
            if word & WOKEN != 0 {
                return LetGo::Woken;
            }
            if word < 2 * REFERENCE {
                return LetGo::Alone;
            }
            let next = word - ACTIVE - REFERENCE;
            // Release: what the poll did is seen by whoever has the task next.
            match self.0.compare_exchange_weak(word, next, Ordering::Release, Ordering::Relaxed) {
                Ok(_) => return LetGo::Gone,
                Err(now) => word = now,
            }
        }
    }

    /// Says that the future is gone, and gives up the reference of whoever has the task (W4). Says whether it was the last.
    #[inline]
    #[must_use = "if it says true, the task is to be freed"]
    pub(super) fn end(&self) -> bool {
        let mut word = self.0.load(Ordering::Relaxed);
        loop {
            let next = (word | ENDED) - ACTIVE - REFERENCE;
            // AcqRel: as in `drop_one`.
            match self.0.compare_exchange_weak(word, next, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => return next < REFERENCE,
                Err(now) => word = now,
            }
        }
    }
}

//! [`Frame`]: a scope while it polls its body, and which one is the current scope of this thread.

#![expect(unsafe_code, reason = "a pointer to a frame of this thread's own stack")]

use std::cell::Cell;
use std::marker::PhantomData;
use std::ptr;
use std::sync::OnceLock;
use std::task::Waker;
use std::time::Duration;

use super::Kind;
use super::place::Place;

thread_local! {
    /// The innermost frame of this thread, or null.
    static CURRENT: Cell<*const Frame<'static>> = const { Cell::new(ptr::null()) };
}

/// This scope, or one around it that it does not shield from, is cancelled.
const CANCELLED: u8 = 1;
/// It polls clean-up, not its body: what is inside need not be known, for it is neither cancelled nor dropped.
const CLEAN_UP: u8 = 1 << 1;
/// When it is cancelled, all that is inside is polled, whatever wakers that has.
const POLLS_ALL: u8 = 1 << 2;
/// What is deferred here is for the end of the scope around.
const PASSES_DEFERRED: u8 = 1 << 3;

/// What a scope shows to what it polls.
pub(crate) struct Frame<'a> {
    /// The scope around.
    pub(crate) outer: Option<&'a Frame<'a>>,
    pub(crate) place: &'a Place,
    /// All that is said by yes or no, a bit each: it is written at every poll.
    flags: u8,
    /// How long clean-up may take, if this scope says so; it may come to say so in this very poll.
    pub(crate) grace: Option<&'a OnceLock<Duration>>,
    /// Who polls; `None` while it is dropped.
    pub(crate) waker: Option<&'a Waker>,
}

impl<'a> Frame<'a> {
    /// A scope that polls its body.
    #[inline]
    pub(crate) fn of_body<K: Kind>(
        outer: Option<&'a Frame<'a>>,
        place: &'a Place,
        is_cancelled: bool,
        kind: &'a K,
        waker: &'a Waker,
    ) -> Self {
        let (grace, waker) = (kind.grace(), Some(waker));
        Self {
            outer,
            place,
            flags: flag(is_cancelled, CANCELLED)
                | flag(K::POLLS_ALL, POLLS_ALL)
                | flag(K::PASSES_DEFERRED, PASSES_DEFERRED),
            grace,
            waker,
        }
    }

    /// A scope that is dropped. What is polled there, by a `block_on` perhaps, is not cancelled.
    pub(crate) fn dropping(place: &'a Place) -> Self {
        Self { outer: None, place, flags: 0, grace: None, waker: None }
    }

    /// The same scope while it drops its body: what is polled there, by a `block_on` perhaps, is not cancelled.
    pub(crate) fn in_drop(&self) -> Self {
        Self { flags: self.flags & !CANCELLED, waker: None, ..*self }
    }

    /// The same scope while it polls clean-up.
    pub(crate) fn in_clean_up(&self) -> Self {
        Self { flags: (self.flags & !CANCELLED) | CLEAN_UP, ..*self }
    }

    #[inline]
    pub(crate) fn is_cancelled(&self) -> bool {
        self.flags & CANCELLED != 0
    }

    #[inline]
    pub(crate) fn is_clean_up(&self) -> bool {
        self.flags & CLEAN_UP != 0
    }

    #[inline]
    pub(crate) fn polls_all(&self) -> bool {
        self.flags & POLLS_ALL != 0
    }

    #[inline]
    pub(crate) fn passes_deferred(&self) -> bool {
        self.flags & PASSES_DEFERRED != 0
    }

    /// Returns how long clean-up may take, if this scope or one around says so.
    pub(crate) fn grace(&self) -> Option<Duration> {
        self.grace.and_then(|grace| grace.get().copied()).or_else(|| self.outer?.grace())
    }

    /// Makes this the current scope until the guard is dropped.
    #[inline]
    #[must_use]
    pub(crate) fn enter(&self) -> Entered<'_> {
        let this = ptr::from_ref(self).cast();
        let former = CURRENT.try_with(|current| current.replace(this)).unwrap_or(ptr::null());
        Entered { former, _frame: PhantomData }
    }
}

/// While it lives, its frame is the current scope of this thread. It stays on the stack of whoever polls or drops, and is never forgotten.
pub(crate) struct Entered<'a> {
    former: *const Frame<'static>,
    _frame: PhantomData<&'a Frame<'a>>,
}

impl Drop for Entered<'_> {
    #[inline]
    fn drop(&mut self) {
        // At the end of the thread there is nothing to leave.
        let _ = CURRENT.try_with(|current| current.set(self.former));
    }
}

#[inline]
fn flag(is_set: bool, flag: u8) -> u8 {
    if is_set { flag } else { 0 }
}

/// Runs `f` with the current scope of this thread.
#[inline]
pub(crate) fn with<R>(f: impl FnOnce(Option<&Frame<'_>>) -> R) -> R {
    struct Closure<F>(F);
    impl<R, F: FnOnce(Option<&Frame<'_>>) -> R> Run for Closure<F> {
        type Output = R;

        #[inline]
        fn run(self, frame: Option<&Frame<'_>>) -> R {
            (self.0)(frame)
        }
    }
    run(Closure(f))
}

/// What is run with the current scope.
pub(crate) trait Run {
    type Output;

    fn run(self, frame: Option<&Frame<'_>>) -> Self::Output;
}

/// Runs something with the current scope of this thread.
#[inline(always)]
pub(crate) fn run<T: Run>(what: T) -> T::Output {
    let current = CURRENT.try_with(Cell::get).unwrap_or(ptr::null());
    // SAFETY: null, or a frame that an `Entered` of this thread borrows: that puts the former one back, also where something panics, and is never
    // forgotten. Both are private, and what is handed out here does not outlive this call.
    what.run(unsafe { current.as_ref() })
}

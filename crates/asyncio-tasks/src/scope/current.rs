//! [`Frame`]: a scope while it polls its body, and which one is the current scope of this thread.

#![expect(unsafe_code, reason = "a pointer to a frame of this thread's own stack")]

use std::cell::Cell;
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

/// What a scope shows to what it polls.
pub(crate) struct Frame<'a> {
    /// The scope around.
    pub(crate) outer: Option<&'a Frame<'a>>,
    pub(crate) place: &'a Place,
    /// Whether this scope, or one around it that it does not shield from, is cancelled.
    pub(crate) is_cancelled: bool,
    /// It polls clean-up, not its body: what is inside need not be known, for it is neither cancelled nor dropped.
    pub(crate) is_clean_up: bool,
    /// When it is cancelled, all that is inside is polled, whatever wakers that has.
    pub(crate) polls_all: bool,
    /// What is deferred here is for the end of the scope around.
    pub(crate) passes_deferred: bool,
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
            is_cancelled,
            is_clean_up: false,
            polls_all: K::POLLS_ALL,
            passes_deferred: K::PASSES_DEFERRED,
            grace,
            waker,
        }
    }

    /// A scope that is dropped. What is polled there, by a `block_on` perhaps, is not cancelled.
    pub(crate) fn dropping(place: &'a Place) -> Self {
        Self {
            outer: None,
            place,
            is_cancelled: false,
            is_clean_up: false,
            polls_all: false,
            passes_deferred: false,
            grace: None,
            waker: None,
        }
    }

    /// Returns how long clean-up may take, if this scope or one around says so.
    pub(crate) fn grace(&self) -> Option<Duration> {
        self.grace.and_then(|grace| grace.get().copied()).or_else(|| self.outer?.grace())
    }

    /// Makes this the current scope while `f` runs.
    #[inline]
    pub(crate) fn enter<R>(&self, f: impl FnOnce() -> R) -> R {
        struct Leave(*const Frame<'static>);
        impl Drop for Leave {
            #[inline]
            fn drop(&mut self) {
                // At the end of the thread there is nothing to leave.
                let _ = CURRENT.try_with(|current| current.set(self.0));
            }
        }
        let this = ptr::from_ref(self).cast();
        let former = CURRENT.try_with(|current| current.replace(this)).unwrap_or(ptr::null());
        let _leave = Leave(former);
        f()
    }
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
    // SAFETY: null, or of an `enter` of this thread that has not returned: it puts the former one back, also when `f` panics. Frames are
    // private, and what is handed out here does not outlive this call.
    what.run(unsafe { current.as_ref() })
}

//! Warnings and failures that belong to nobody's `Result`.
//!
//! A listener that pauses because the process is out of descriptors, a waker that panicked, a task that could not be
//! ended: somebody should hear of it, and no caller is there to be told. asyncio calls its loop's exception handler;
//! so do we. A loop installs a handler for its thread ([`with_handler`]); where there is none, the line goes to stderr.
//!
//! 1. Reporting never fails and never panics through: a handler that panics is replaced by stderr for that line.
//! 2. A handler is by thread, so that two loops in one process do not hear each other.
//! 3. What is reported inside of a handler goes to stderr.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::panic::Location;
use std::rc::Rc;

use crate::panic::{catch_and_store, discard};
use crate::trace;

/// One thing that went wrong outside of every `Result`.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Report<'a> {
    /// Who says it, as in "net" or "executor".
    pub layer: &'static str,
    /// What was being done, what happened, and what happens now.
    pub message: fmt::Arguments<'a>,
    /// The task that it is about, if it is about one: its number, and where it was spawned.
    pub task: Option<(u64, &'static Location<'static>)>,
    /// Whether it is a panic of a user's code.
    pub is_panic: bool,
}

impl<'a> Report<'a> {
    /// Makes a report of something that is no panic, and about no task.
    pub const fn new(layer: &'static str, message: fmt::Arguments<'a>) -> Self {
        Self { layer, message, task: None, is_panic: false }
    }

    /// Says that it is about a task.
    #[must_use]
    pub const fn about(mut self, id: u64, spawned_at: &'static Location<'static>) -> Self {
        self.task = Some((id, spawned_at));
        self
    }

    /// Says that it is a panic of a user's code.
    #[must_use]
    pub const fn panicked(mut self) -> Self {
        self.is_panic = true;
        self
    }

    /// Hands it to the handler of this thread, or to stderr where there is none, or where that panics, or is at work.
    ///
    /// With the feature `tracing` it is an event as well; where somebody listens to those, that takes the place of stderr.
    pub fn send(&self) {
        let mut panic = None;
        // A subscriber is somebody else's.
        catch_and_store(&mut panic, || trace::warn(self.layer, self.task.map(|(id, _)| id), self.message));
        panic.into_iter().for_each(discard);
        let handler = HANDLER.try_with(|handler| handler.borrow().clone()).ok().flatten();
        let is_nested = IS_HANDLING.try_with(|handling| handling.replace(true)).unwrap_or(true);
        if is_nested {
            return to_stderr(self);
        }
        let handled = handler.is_some_and(|handler| {
            let mut panic = None;
            let handled = catch_and_store(&mut panic, || handler(self)).is_some();
            panic.into_iter().for_each(discard);
            handled
        });
        let _ = IS_HANDLING.try_with(|handling| handling.set(false));
        if !handled {
            to_stderr(self);
        }
    }

    /// Hands it on from a handler to the former one, or to stderr where there was none.
    pub fn pass_on(&self, former: Option<&Handler>) {
        match former {
            Some(former) => former(self),
            None => to_stderr(self),
        }
    }
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "asyncio {}: {}", self.layer, self.message)
    }
}

/// What a thread does with reports.
pub type Handler = Rc<dyn Fn(&Report<'_>)>;

thread_local! {
    static HANDLER: RefCell<Option<Handler>> = const { RefCell::new(None) };
    static IS_HANDLING: Cell<bool> = const { Cell::new(false) };
}

/// Reports something that went wrong outside of every `Result`.
pub fn report(layer: &'static str, message: fmt::Arguments<'_>) {
    Report::new(layer, message).send();
}

/// Gives this thread another handler until the guard is dropped. `make` gets the former one.
#[must_use = "the former handler comes back when the guard is dropped"]
pub fn enter(make: impl FnOnce(Option<Handler>) -> Handler) -> HandlerGuard {
    let former = HANDLER.try_with(|handler| handler.borrow().clone()).ok().flatten();
    let handler = make(former.clone());
    let replaced = HANDLER.try_with(|current| current.replace(Some(handler)));
    drop(replaced);
    HandlerGuard { former }
}

/// Puts the former handler of a thread back when dropped. Made by [`enter`].
pub struct HandlerGuard {
    former: Option<Handler>,
}

impl Drop for HandlerGuard {
    fn drop(&mut self) {
        let former = self.former.take();
        // At the end of the thread there is nothing to put back.
        let left = HANDLER.try_with(|handler| handler.replace(former));
        drop(left);
    }
}

impl fmt::Debug for HandlerGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HandlerGuard").finish_non_exhaustive()
    }
}

/// Runs `f` with a handler for this thread's reports; the former one comes back afterwards.
///
/// # Examples
///
/// ```
/// use asyncio_base::report;
/// use std::{cell::RefCell, rc::Rc};
///
/// let seen = Rc::new(RefCell::new(Vec::new()));
/// let sink = seen.clone();
/// report::with_handler(Rc::new(move |r| sink.borrow_mut().push(r.to_string())), || {
///     report::report("net", format_args!("accepting paused"));
/// });
/// assert_eq!(*seen.borrow(), ["asyncio net: accepting paused"]);
/// ```
pub fn with_handler<R>(handler: Handler, f: impl FnOnce() -> R) -> R {
    let _guard = enter(|_| handler);
    f()
}

fn to_stderr(report: &Report<'_>) {
    use std::io::Write;
    if trace::hears_warnings() {
        return;
    }
    // Nobody is left to hear that stderr is closed.
    let _ = writeln!(std::io::stderr(), "{report}");
}

//! Warnings and failures that belong to nobody's `Result`.
//!
//! A listener that pauses because the process is out of descriptors, a waker that panicked, a task that could not be
//! ended: somebody should hear of it, and no caller is there to be told. asyncio calls its loop's exception handler;
//! so do we. A loop installs a handler for its thread ([`with_handler`]); where there is none, the line goes to stderr.
//!
//! 1. Reporting never fails and never panics through: a handler that panics is replaced by stderr for that line.
//! 2. A handler is by thread, so that two loops in one process do not hear each other.

use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;

use crate::panic::{catch_and_store, discard};

/// One thing that went wrong outside of every `Result`.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Report<'a> {
    /// Who says it, as in "net" or "executor".
    pub layer: &'static str,
    /// What was being done, what happened, and what happens now.
    pub message: fmt::Arguments<'a>,
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
}

/// Reports something that went wrong outside of every `Result`.
pub fn report(layer: &'static str, message: fmt::Arguments<'_>) {
    let report = Report { layer, message };
    let handler = HANDLER.try_with(|handler| handler.borrow().clone()).ok().flatten();
    let handled = handler.is_some_and(|handler| {
        let mut panic = None;
        let handled = catch_and_store(&mut panic, || handler(&report)).is_some();
        panic.into_iter().for_each(discard);
        handled
    });
    if !handled {
        to_stderr(&report);
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
    struct Restore(Option<Handler>);
    impl Drop for Restore {
        fn drop(&mut self) {
            let former = self.0.take();
            drop(HANDLER.with(|handler| handler.replace(former)));
        }
    }
    let _restore = Restore(HANDLER.with(|current| current.replace(Some(handler))));
    f()
}

fn to_stderr(report: &Report<'_>) {
    use std::io::Write;
    // Nobody is left to hear that stderr is closed.
    let _ = writeln!(std::io::stderr(), "{report}");
}

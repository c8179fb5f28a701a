//! Ctrl-C: what it does to a main future that may be interrupted.

use std::cell::RefCell;
use std::fmt;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll};

use asyncio_base::report;
use asyncio_reactor::{SecondTime, SignalSource};
use asyncio_tasks::{CancelHandle, Task, spawn_local};

/// While it lives, Ctrl-C cancels a scope, and the second one kills.
pub(crate) struct Listening {
    /// Taken out at the end, at once, whenever the task is polled again.
    source: Rc<RefCell<Option<SignalSource>>>,
    task: Task<()>,
}

impl Listening {
    /// # Panics
    ///
    /// Panics if the signal cannot be listened to.
    #[track_caller]
    pub(crate) fn start(scope: CancelHandle) -> Self {
        let source = match SignalSource::ctrl_c(SecondTime::Kills) {
            Ok(source) => Rc::new(RefCell::new(Some(source))),
            Err(error) => panic!("Ctrl-C cannot be listened to: {error}"),
        };
        let listened = source.clone();
        let task = spawn_local(async move {
            let poll = |cx: &mut Context<'_>| match &mut *listened.borrow_mut() {
                Some(source) => source.poll_recv(cx),
                None => Poll::Pending,
            };
            match poll_fn(poll).await {
                Ok(()) => {
                    scope.cancel_because("interrupted");
                }
                // By default it ends the process, as it would without us.
                Err(error) => {
                    listened.borrow_mut().take();
                    report::report("runtime", format_args!("Ctrl-C cannot be listened to any more: {error}"));
                }
            }
        });
        Self { source, task }
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        let source = self.source.borrow_mut().take();
        drop(source);
        self.task.cancel();
    }
}

/// The main future was cancelled by Ctrl-C. Given by [`Runner::run_interruptible`](crate::Runner::run_interruptible).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interrupted(pub(crate) ());

impl fmt::Display for Interrupted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the main future was interrupted by Ctrl-C")
    }
}

impl std::error::Error for Interrupted {}

impl From<Interrupted> for std::io::Error {
    fn from(error: Interrupted) -> Self {
        Self::new(std::io::ErrorKind::Interrupted, error)
    }
}

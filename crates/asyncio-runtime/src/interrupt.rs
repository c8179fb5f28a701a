//! Ctrl-C: what it does to a main future that may be interrupted.

use std::fmt;
use std::future::poll_fn;

use asyncio_reactor::{SecondTime, SignalSource};
use asyncio_tasks::{CancelHandle, Task, spawn_local};

/// While it lives, Ctrl-C cancels a scope.
pub(crate) struct Listening {
    task: Task<()>,
}

impl Listening {
    /// # Panics
    ///
    /// Panics if the signal cannot be listened to.
    #[track_caller]
    pub(crate) fn start(scope: CancelHandle) -> Self {
        let mut source = match SignalSource::ctrl_c(SecondTime::Kills) {
            Ok(source) => source,
            Err(error) => panic!("Ctrl-C cannot be listened to: {error}"),
        };
        let task = spawn_local(async move {
            // An error is that of a loop which is closed, or cannot wait.
            if poll_fn(|cx| source.poll_recv(cx)).await.is_ok() {
                scope.cancel_because("interrupted");
                // The second time is for as long as main ends.
                std::future::pending::<()>().await;
            }
        });
        Self { task }
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
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

//! [`Portal`]: asynchronous code, called from blocking code.

use std::fmt;
use std::future::Future;
use std::io;
use std::sync::mpsc::channel;

use asyncio_base::closed_world;
use asyncio_base::shim::thread::JoinHandle;
use asyncio_base::shim::{Arc, Mutex};
use asyncio_executor::Spawner;
use asyncio_tasks::TaskError;

use crate::event_loop::EventLoop;
use crate::runner::Runner;

/// Calls asynchronous code from blocking code, and waits for its value: AnyIO's blocking portal.
///
/// Cheap to clone, and usable from any thread that no loop runs on. One that was [started](Self::start) has a loop on a thread of its own, which is
/// closed when the last clone is dropped.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// # fn main() -> std::io::Result<()> {
/// let portal = asyncio_runtime::Portal::start()?;
/// let answer = portal.call(async {
///     asyncio_timers::sleep(Duration::from_millis(1)).await;
///     42
/// });
/// assert_eq!(answer.unwrap(), 42);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Portal {
    event_loop: EventLoop,
    /// The thread of a loop of its own.
    _thread: Option<Arc<OwnThread>>,
}

struct OwnThread {
    event_loop: EventLoop,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Portal {
    /// Starts a loop on a thread of its own, "asyncio-portal".
    ///
    /// # Errors
    ///
    /// Fails where the loop or the thread cannot be made.
    pub fn start() -> io::Result<Self> {
        let (sender, receiver) = channel();
        let body = move || match Runner::new() {
            Ok(mut runner) => {
                // Whoever starts it waits for this.
                let _ = sender.send(Ok(runner.event_loop()));
                runner.run_forever();
            }
            Err(error) => {
                let _ = sender.send(Err(error));
            }
        };
        closed_world::check("a thread with a loop")?;
        let thread = std::thread::Builder::new().name(String::from("asyncio-portal")).spawn(body)?;
        let event_loop = receiver
            .recv()
            .map_err(|_| io::Error::other("the portal's thread panicked before its loop was made"))??;
        let own = OwnThread { event_loop: event_loop.clone(), thread: Mutex::new(Some(thread)) };
        Ok(Self { event_loop, _thread: Some(Arc::new(own)) })
    }

    pub(crate) fn to(event_loop: EventLoop) -> Self {
        Self { event_loop, _thread: None }
    }

    /// Returns the loop.
    pub fn event_loop(&self) -> EventLoop {
        self.event_loop.clone()
    }

    /// Runs a future as a task on the loop, and waits for its output by blocking this thread.
    ///
    /// # Errors
    ///
    /// Gives the task's [`TaskError`], and one that says so where the loop is closed. On a thread that a loop runs on it gives an error without waiting,
    /// since it would block that; the future is not run then.
    #[track_caller]
    pub fn call<F>(&self, future: F) -> Result<F::Output, TaskError>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        // Also where its own loop is, which does not run right now.
        let is_on_loop = !EventLoop::can_be_entered() || self.event_loop.spawner().is_owned_here();
        if (is_on_loop || Spawner::current().is_some()) && !self.event_loop.is_closed() {
            return Err(TaskError::on_loop());
        }
        match self.event_loop.spawn(future) {
            Ok(task) => task.wait_blocking(),
            Err(closed) => Err(TaskError::cancelled(Some(&closed.to_string()))),
        }
    }
}

impl Drop for OwnThread {
    fn drop(&mut self) {
        self.event_loop.stop();
        let thread = self.thread.lock().take();
        // Dropped on the loop's own thread, by a task of its own, it ends by itself.
        if let Some(thread) = thread.filter(|thread| thread.thread().id() != std::thread::current().id()) {
            // A panic there has been told of.
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for Portal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Portal").field("event_loop", &self.event_loop).finish_non_exhaustive()
    }
}

//! Where a task waits, when somebody asks.
//!
//! For a dump of all tasks each waiting task is polled once on its own thread, inside [`record`]. A leaf future that
//! finds itself pending calls [`here`], which is one thread-local load when nobody is recording. The recorder gets
//! what is waited for, and may look at its own stack.
//!
//! 1. Recording is by thread and by call: it cannot be left on.
//! 2. The recorder runs outside of every lock of ours; leaf futures call [`here`] after they have unlocked.

use std::cell::Cell;
use std::fmt;

/// What a leaf future waits for.
///
/// `Debug` and `Display` show it as it stands in a dump.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct WaitPoint {
    /// The operation, as in "recv" or "sleep".
    pub operation: &'static str,
}

impl fmt::Display for WaitPoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.operation)
    }
}

type Recorder<'a> = &'a dyn Fn(WaitPoint);

thread_local! {
    static RECORDING: Cell<bool> = const { Cell::new(false) };
    static POINTS: Cell<Vec<WaitPoint>> = const { Cell::new(Vec::new()) };
}

/// Says that the calling leaf future is pending on `operation`.
#[inline]
pub fn here(operation: &'static str) {
    if RECORDING.get() {
        note(operation);
    }
}

/// Apart, so that a wait is not made longer by what a dump needs.
#[cold]
fn note(operation: &'static str) {
    let mut points = POINTS.take();
    points.push(WaitPoint { operation });
    POINTS.set(points);
}

/// Runs `poll` and gives each wait point that it reached to `recorder`, in order.
///
/// # Examples
///
/// ```
/// use asyncio_base::wait_point;
/// use std::cell::RefCell;
///
/// let seen = RefCell::new(Vec::new());
/// wait_point::record(&|point| seen.borrow_mut().push(point.operation), || wait_point::here("sleep"));
/// wait_point::here("nobody asks");
/// assert_eq!(*seen.borrow(), ["sleep"]);
/// ```
pub fn record<R>(recorder: Recorder<'_>, poll: impl FnOnce() -> R) -> R {
    struct Stop(bool, Vec<WaitPoint>);
    impl Drop for Stop {
        fn drop(&mut self) {
            RECORDING.set(self.0);
            POINTS.set(std::mem::take(&mut self.1));
        }
    }
    let stop = Stop(RECORDING.replace(true), POINTS.take());
    let result = poll();
    let points = POINTS.take();
    drop(stop);
    points.into_iter().for_each(recorder);
    result
}

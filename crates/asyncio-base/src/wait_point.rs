//! Where a task waits, when somebody asks.
//!
//! For a dump each waiting task is polled once more, on its own thread, while that thread has a recorder ([`record`]). A leaf future that
//! finds itself pending calls [`here`], which is one thread-local load when nobody is recording. The recorder gets what is waited for,
//! and may look at its own stack: it is called from inside the leaf.
//!
//! 1. Recording is by thread, and ends with its guard; several may record at once, and end in any order.
//! 2. The recorder runs outside of every lock of ours; leaf futures call [`here`] after they have unlocked.
//! 3. What polls only those of its children that were woken polls all of them while somebody records ([`is_recording`]).
//! 4. A recorder that panics is passed over: it only looks on.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::marker::PhantomData;
use std::rc::Rc;

use crate::panic::{catch_and_store, discard};

/// What a leaf future waits for.
///
/// `Display` shows it as it stands in a dump.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct WaitPoint {
    /// The operation, as in "readable" or "sleep".
    pub operation: &'static str,
    /// The number of the task whose end is waited for, if it is that.
    pub task: Option<u64>,
}

impl fmt::Display for WaitPoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.operation)?;
        self.task.map_or(Ok(()), |task| write!(f, " {task}"))
    }
}

/// What is done with each wait point of a thread.
pub type Recorder = Rc<dyn Fn(WaitPoint)>;

thread_local! {
    static IS_RECORDING: Cell<bool> = const { Cell::new(false) };
    /// Each with a number, since recordings may end in any order.
    static RECORDERS: RefCell<Vec<(u64, Recorder)>> = const { RefCell::new(Vec::new()) };
    static NEXT: Cell<u64> = const { Cell::new(0) };
}

/// Says that the calling leaf future is pending on `operation`.
#[inline]
pub fn here(operation: &'static str) {
    if IS_RECORDING.get() {
        note(WaitPoint { operation, task: None });
    }
}

/// Says that the calling leaf future waits for the end of the task with this number.
#[inline]
pub fn at_end_of(task: u64) {
    if IS_RECORDING.get() {
        note(WaitPoint { operation: "task", task: Some(task) });
    }
}

/// Says whether somebody records on this thread.
#[inline]
pub fn is_recording() -> bool {
    IS_RECORDING.get()
}

/// Apart, so that a wait is not made longer by what a dump needs.
#[cold]
fn note(point: WaitPoint) {
    let recorders = RECORDERS.try_with(|recorders| recorders.borrow().clone()).unwrap_or_default();
    for (_, recorder) in recorders {
        let mut panic = None;
        catch_and_store(&mut panic, || recorder(point));
        panic.into_iter().for_each(discard);
    }
}

/// Has each wait point of this thread given to `recorder`, too, until the guard is dropped.
///
/// # Examples
///
/// ```
/// use asyncio_base::wait_point;
/// use std::{cell::RefCell, rc::Rc};
///
/// let seen = Rc::new(RefCell::new(Vec::new()));
/// let sink = seen.clone();
/// let recording = wait_point::record(Rc::new(move |point| sink.borrow_mut().push(point.to_string())));
/// wait_point::here("sleep");
/// wait_point::at_end_of(7);
/// drop(recording);
/// wait_point::here("nobody asks");
/// assert_eq!(*seen.borrow(), ["sleep", "task 7"]);
/// ```
#[must_use = "recording ends when the guard is dropped"]
pub fn record(recorder: Recorder) -> Recording {
    let number = NEXT.replace(NEXT.get() + 1);
    RECORDERS.with(|recorders| recorders.borrow_mut().push((number, recorder)));
    IS_RECORDING.set(true);
    Recording { number, _not_send: PhantomData }
}

/// Ends a recording when dropped. Made by [`record`].
#[derive(Debug)]
pub struct Recording {
    number: u64,
    _not_send: PhantomData<*mut ()>,
}

impl Drop for Recording {
    fn drop(&mut self) {
        // At the end of the thread they are gone already.
        let left = RECORDERS.try_with(|recorders| {
            let mut recorders = recorders.borrow_mut();
            let place = recorders.iter().position(|(number, _)| *number == self.number)?;
            let left = recorders.swap_remove(place);
            let _ = IS_RECORDING.try_with(|recording| recording.set(!recorders.is_empty()));
            Some(left)
        });
        // What it has is a user's, maybe: dropped outside of the borrow.
        drop(left);
    }
}

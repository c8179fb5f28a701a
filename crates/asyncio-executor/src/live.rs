//! [`LiveTask`]: a task that has not ended, for those who look on; and the rest of what they need to know of a thread's executor.

use std::fmt;
use std::marker::PhantomData;

use crate::header::{Header, TaskState};
use crate::queue::Owner;
use crate::task::{LocalTask, MovableTask, Reference};

/// A task that had not ended when it was listed. Made by [`live_tasks`]; keeping it keeps the task's memory, but not its future.
pub struct LiveTask {
    kind: Kind,
    /// The flags of a local task are for its own thread.
    _not_send: PhantomData<*mut ()>,
}

enum Kind {
    Local(LocalTask),
    Movable(MovableTask),
}

impl LiveTask {
    fn of(kind: Kind) -> Self {
        Self { kind, _not_send: PhantomData }
    }

    /// Returns what the task carries besides its future.
    pub fn header(&self) -> &Header {
        match &self.kind {
            Kind::Local(task) => task.header(),
            Kind::Movable(task) => task.header(),
        }
    }

    /// Returns what it is doing.
    pub fn state(&self) -> TaskState {
        match &self.kind {
            Kind::Local(task) => task.state(),
            Kind::Movable(task) => task.header().state(),
        }
    }

    /// Wakes it, for nothing: it is polled once more, in its turn and where it belongs.
    pub fn wake(&self) {
        match &self.kind {
            Kind::Local(task) => task.wake_by_ref(),
            Kind::Movable(task) => task.wake_by_ref(),
        }
    }
}

impl fmt::Debug for LiveTask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LiveTask").field("header", self.header()).field("state", &self.state()).finish()
    }
}

/// Returns each task that has not ended, of the executor that is entered on this thread; none where no executor is.
///
/// Where that is a worker of an [`Executor`](crate::Executor), the tasks that any thread may poll are among them, but for those that have not
/// waited yet. The local tasks of other workers are not: their lists are theirs. From inside a choice of a [`Schedule`](crate::Schedule) none can be
/// listed.
///
/// # Examples
///
/// ```
/// use asyncio_executor::{LocalExecutor, TaskState, live_tasks};
///
/// let executor = LocalExecutor::new(std::task::Waker::noop().clone());
/// let _entered = executor.enter();
/// executor.spawn(std::future::pending::<()>()).detach();
/// executor.run_round();
/// let tasks = live_tasks();
/// assert_eq!((tasks.len(), tasks[0].state()), (1, TaskState::Waiting));
/// tasks[0].wake();
/// assert_eq!(executor.run_round(), 1);
/// assert_eq!(tasks[0].header().polls(), 2);
/// ```
pub fn live_tasks() -> Vec<LiveTask> {
    let mut tasks = live_local_tasks();
    let shared = Owner::current().and_then(|owner| owner.seat()).and_then(|seat| seat.shared().upgrade());
    let shared = shared.map(|shared| shared.listed()).unwrap_or_default();
    tasks.extend(shared.into_iter().map(|task| LiveTask::of(Kind::Movable(task))));
    tasks
}

/// Returns those of [`live_tasks`] that stay on this thread.
pub fn live_local_tasks() -> Vec<LiveTask> {
    // E2: a user's schedule asks from inside a choice.
    let Some(owner) = Owner::current().filter(|owner| !owner.is_choosing()) else { return Vec::new() };
    owner.tasks().into_iter().map(|task| LiveTask::of(Kind::Local(task))).collect()
}

/// Wakes the main future of the executor that is entered on this thread, for nothing. Says how often that had its turn before; `None` where there is
/// none.
pub fn wake_main() -> Option<u32> {
    let main = Owner::current()?.main()?;
    let turns = main.turns();
    std::task::Waker::from(main).wake();
    Some(turns)
}

/// Says how often the main future of the executor that is entered on this thread has had its turn.
pub fn main_turns() -> Option<u32> {
    Owner::current()?.main().map(|main| main.turns())
}

/// Returns how many workers the executor has that is entered on this thread: one, where it stands by itself; none where no executor is entered.
pub fn worker_count() -> usize {
    let Some(owner) = Owner::current() else { return 0 };
    owner.seat().and_then(|seat| seat.shared().upgrade()).map_or(1, |shared| shared.seats().len())
}

/// Returns an address on this thread's stack near to where polls begin: what a poll of a task calls lies on one side of it, and whoever runs the
/// executor on the other. `None` where no executor polls on this thread.
pub fn stack_base() -> Option<usize> {
    Owner::current()?.stack_base()
}

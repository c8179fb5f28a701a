//! What a task knows about itself.

use std::panic::Location;
use std::time::Duration;

use asyncio_executor::{Header, LiveTask, TaskId, TaskState, current_header, live_tasks};

/// What is known of a task: a snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskInfo {
    id: TaskId,
    name: Option<Box<str>>,
    parent: Option<TaskId>,
    spawned_at: &'static Location<'static>,
    polls: u32,
    state: TaskState,
    is_cancelled: bool,
    busy: Option<Duration>,
}

/// Returns what is known of the task that is being polled on this thread.
///
/// asyncio's `current_task`. `None` in the main future of a loop, which is polled in place and is not a task, and outside of loops.
///
/// # Examples
///
/// ```
/// # let executor = asyncio_executor::LocalExecutor::new(std::task::Waker::noop().clone());
/// # let _entered = executor.enter();
/// let task = asyncio_tasks::spawn_local(async { asyncio_tasks::current_task() });
/// let id = task.id();
/// executor.run_round();
/// assert_eq!(asyncio_executor::block_on(task).unwrap().map(|me| me.id()), Some(id));
/// assert!(asyncio_tasks::current_task().is_none());
/// ```
pub fn current_task() -> Option<TaskInfo> {
    current_header(|header| TaskInfo::of(header, TaskState::Running))
}

/// Returns what is known of each task that has not ended, in no particular order.
///
/// asyncio's `all_tasks`. With one worker that is every task of its loop. With several, it is the local tasks of this one, and those that may move;
/// but for those of these that have not waited yet: they are in a queue, or have just begun.
///
/// # Examples
///
/// ```
/// # let executor = asyncio_executor::LocalExecutor::new(std::task::Waker::noop().clone());
/// # let _entered = executor.enter();
/// let task = asyncio_tasks::Builder::new().name("waits").spawn_local(std::future::pending::<()>());
/// let all = asyncio_tasks::all_tasks();
/// assert_eq!(all.len(), 1);
/// assert_eq!((all[0].id(), all[0].name()), (task.id(), Some("waits")));
/// ```
pub fn all_tasks() -> Vec<TaskInfo> {
    live_tasks().iter().map(TaskInfo::of_live).collect()
}

impl TaskInfo {
    pub(crate) fn of_live(task: &LiveTask) -> Self {
        Self::of(task.header(), task.state())
    }

    fn of(header: &Header, state: TaskState) -> Self {
        Self {
            id: header.id(),
            name: header.name().map(Into::into),
            parent: header.parent(),
            spawned_at: header.spawned_at(),
            polls: header.polls(),
            state,
            is_cancelled: header.is_cancel_requested(),
            busy: header.busy(),
        }
    }

    /// Returns the id, unique in the process.
    pub fn id(&self) -> TaskId {
        self.id
    }

    /// Returns the name, if it was given one.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Returns the task that spawned it; `None` if it was not spawned by a task.
    pub fn parent(&self) -> Option<TaskId> {
        self.parent
    }

    /// Returns where it was spawned.
    pub fn spawned_at(&self) -> &'static Location<'static> {
        self.spawned_at
    }

    /// Returns what it was doing at that moment.
    pub fn state(&self) -> TaskState {
        self.state
    }

    /// Says whether it was asked to end; it may still be cleaning up.
    pub fn is_cancelled(&self) -> bool {
        self.is_cancelled
    }

    /// Returns how long its polls took together, the present one left out, and an eager first one; `None` where nothing was measured yet: a runtime
    /// measures that was built with `metrics`.
    pub fn busy(&self) -> Option<Duration> {
        self.busy
    }

    /// Returns how often it has been polled.
    pub fn polls(&self) -> u32 {
        self.polls
    }
}

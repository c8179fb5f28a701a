//! [`Header`]: what every task carries besides its future.
//!
//! | field | bytes | |
//! |---|---|---|
//! | id | 8 | unique in the process |
//! | parent | 8 | the task that spawned it, or 0 |
//! | spawned at | 8 | file and line |
//! | polls | 4 | |
//! | rare | 8 | a pointer to all that is rarer: the name, and what upper layers attach |

use std::fmt;
use std::num::NonZeroU64;
use std::panic::Location;
use std::sync::OnceLock;

use asyncio_base::shim::{AtomicU32, Ordering};

/// The id of a task, unique in the process and never used again.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskId(NonZeroU64);

/// What every task carries besides its future.
pub struct Header {
    pub(crate) id: TaskId,
    pub(crate) parent: Option<TaskId>,
    pub(crate) spawned_at: &'static Location<'static>,
    pub(crate) polls: AtomicU32,
    pub(crate) rare: Option<Box<Rare>>,
}

/// What few tasks have.
#[derive(Debug, Default)]
pub(crate) struct Rare {
    pub(crate) name: OnceLock<Box<str>>,
}

impl TaskId {
    /// Stands for the main future of a loop, which is polled in place and is not a task, where ready entries are listed.
    pub const MAIN: Self = Self(NonZeroU64::MAX);

    pub(crate) const fn new(id: NonZeroU64) -> Self {
        Self(id)
    }

    /// Returns the number.
    pub const fn get(self) -> u64 {
        self.0.get()
    }
}

impl Header {
    /// Returns the id.
    pub fn id(&self) -> TaskId {
        self.id
    }

    /// Returns the id of the task that spawned this one, if one did.
    pub fn parent(&self) -> Option<TaskId> {
        self.parent
    }

    /// Returns the name, if it was given one.
    pub fn name(&self) -> Option<&str> {
        self.rare.as_ref()?.name.get().map(|name| &**name)
    }

    /// Returns where it was spawned.
    pub fn spawned_at(&self) -> &'static Location<'static> {
        self.spawned_at
    }

    /// Returns how often it has been polled.
    pub fn polls(&self) -> u32 {
        self.polls.load(Ordering::Relaxed)
    }

    /// Counts a poll. Only the thread that polls does; others may read.
    #[inline]
    pub(crate) fn count_poll(&self) {
        self.polls.store(self.polls().wrapping_add(1), Ordering::Relaxed);
    }
}

impl fmt::Debug for Header {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Header")
            .field("id", &self.id)
            .field("name", &self.name())
            .field("spawned_at", &format_args!("{}", self.spawned_at))
            .field("parent", &self.parent)
            .field("polls", &self.polls())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TaskId({})", self.0)
    }
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

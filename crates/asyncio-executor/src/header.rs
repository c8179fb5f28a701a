//! [`Header`]: what every task carries besides its future.
//!
//! | field | bytes | |
//! |---|---|---|
//! | id | 8 | unique in the process |
//! | parent | 8 | the task that spawned it, or 0 |
//! | spawned at | 8 | file and line |
//! | polls | 4 | |
//! | state | 4 | what it does, whether it was asked to end, whether it did for that, and whether it is about to end |
//! | rare | 8 | a pointer to all that is rarer: the name, and what upper layers attach |

use std::any::Any;
use std::fmt;
use std::num::NonZeroU64;
use std::panic::Location;
use std::sync::OnceLock;
use std::time::Duration;

use asyncio_base::shim::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering, seq_cst};

use crate::once_box::OnceBox;

/// The id of a task, unique in the process and never used again.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskId(NonZeroU64);

/// What a task is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TaskState {
    /// It is to be polled: it is in a queue.
    Ready,
    /// It is being polled.
    Running,
    /// It waits to be woken.
    Waiting,
}

/// What every task carries besides its future.
pub struct Header {
    pub(crate) id: TaskId,
    pub(crate) parent: Option<TaskId>,
    pub(crate) spawned_at: &'static Location<'static>,
    pub(crate) polls: AtomicU32,
    pub(crate) is_cancel_requested: AtomicBool,
    pub(crate) was_cancelled: AtomicBool,
    pub(crate) is_ending: AtomicBool,
    /// A [`TaskState`], of a task that any thread may poll. One that stays knows it by its flags.
    pub(crate) state: AtomicU8,
    pub(crate) rare: OnceBox<Rare>,
}

/// What few tasks have.
#[derive(Debug, Default)]
pub(crate) struct Rare {
    pub(crate) name: Option<Box<str>>,
    pub(crate) attachment: OnceLock<Box<dyn Any + Send + Sync>>,
    /// How long its polls took, where they were measured.
    pub(crate) busy_ns: AtomicU64,
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
        self.rare.get()?.name.as_deref()
    }

    /// Returns where it was spawned.
    pub fn spawned_at(&self) -> &'static Location<'static> {
        self.spawned_at
    }

    /// Returns how often it has been polled.
    pub fn polls(&self) -> u32 {
        self.polls.load(Ordering::Relaxed)
    }

    /// Returns how long its polls took together, so far as an executor with a [`Watch`](crate::Watch) polled it.
    pub fn busy(&self) -> Option<Duration> {
        let nanos = self.rare.get()?.busy_ns.load(Ordering::Relaxed);
        (nanos > 0).then(|| Duration::from_nanos(nanos))
    }

    pub(crate) fn add_busy(&self, nanos: u64) {
        self.rare.get_or_init(Rare::default).busy_ns.fetch_add(nanos, Ordering::Relaxed);
    }

    /// Says whether the task was asked to end. What that means is the business of the layer above: the executor polls on.
    #[inline]
    pub fn is_cancel_requested(&self) -> bool {
        // Acquire: see `request_cancel`.
        self.is_cancel_requested.load(Ordering::Acquire)
    }

    /// Notes that the task is to end, and says whether this is news. Whoever does so from outside of its poll wakes the task afterwards.
    pub fn request_cancel(&self) -> bool {
        // AcqRel: whoever asks first wins. That the task sees it is for the wake to bring about (K3, W3), as with everything that comes before one.
        !self.is_cancel_requested.swap(true, Ordering::AcqRel)
    }

    /// Notes that the task ended because it was cancelled. For the layer above.
    pub fn note_cancelled(&self) {
        self.was_cancelled.store(true, Ordering::Relaxed);
    }

    /// Says whether the layer above has noted that.
    pub fn was_cancelled(&self) -> bool {
        self.was_cancelled.load(Ordering::Relaxed)
    }

    /// Notes that the last poll of the task is about to return. For the layer above, which looks at what others left for it afterwards.
    #[inline]
    pub fn note_ending(&self) {
        // SeqCst: whoever leaves something does so, and then reads this; the task writes this, and then looks. One sees the other.
        self.is_ending.store(true, Ordering::SeqCst);
        seq_cst();
    }

    /// Says whether the layer above has noted that.
    pub fn is_ending(&self) -> bool {
        seq_cst();
        self.is_ending.load(Ordering::SeqCst)
    }

    /// Returns what a layer above has attached to this task.
    #[inline]
    pub fn attachment<T: Any + Send + Sync>(&self) -> Option<&T> {
        self.rare.get()?.attachment.get()?.downcast_ref()
    }

    /// Returns what a layer above has attached to this task, and attaches it first if nothing is. There is one place, for one type; `None` if
    /// it is taken by something of another type.
    pub fn attach<T: Any + Send + Sync>(&self, make: impl FnOnce() -> T) -> Option<&T> {
        self.rare.get_or_init(Rare::default).attachment.get_or_init(|| Box::new(make())).downcast_ref()
    }

    #[inline]
    pub(crate) fn set_state(&self, state: TaskState) {
        // Relaxed: it is for those who look on.
        self.state.store(state as u8, Ordering::Relaxed);
    }

    pub(crate) fn state(&self) -> TaskState {
        match self.state.load(Ordering::Relaxed) {
            state if state == TaskState::Running as u8 => TaskState::Running,
            state if state == TaskState::Waiting as u8 => TaskState::Waiting,
            _ => TaskState::Ready,
        }
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

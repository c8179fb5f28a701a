//! [`Watch`]: how long polls take, for those who ask. Two readings of the clock a poll, 16 ns each; nothing where nobody asks.

use std::time::{Duration, Instant};

use asyncio_base::report::Report;
use asyncio_base::shim::{AtomicU64, Ordering};

use crate::header::Header;

/// Measures the polls of an executor, for itself and for each task, and reports those that are slow.
#[derive(Debug, Default)]
pub struct Watch {
    slow_poll: Option<Duration>,
    polls: AtomicU64,
    busy_ns: AtomicU64,
}

impl Watch {
    /// Makes one. A poll that takes `slow_poll` or longer is reported, with its task and where that was spawned.
    pub fn new(slow_poll: Option<Duration>) -> Self {
        Self { slow_poll, ..Self::default() }
    }

    /// Returns how many polls there were.
    pub fn polls(&self) -> u64 {
        self.polls.load(Ordering::Relaxed)
    }

    /// Returns how long they took together.
    pub fn busy(&self) -> Duration {
        Duration::from_nanos(self.busy_ns.load(Ordering::Relaxed))
    }

    /// Measures a poll of a task.
    pub(crate) fn poll<R>(&self, task: &Header, poll: impl FnOnce() -> R) -> R {
        let begin = Instant::now();
        let result = poll();
        let took = begin.elapsed();
        self.polls.fetch_add(1, Ordering::Relaxed);
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.busy_ns.fetch_add(nanos, Ordering::Relaxed);
        task.add_busy(nanos);
        if self.slow_poll.is_some_and(|slow| took >= slow) {
            report(task, took);
        }
        result
    }
}

#[cold]
fn report(task: &Header, took: Duration) {
    let (id, place) = (task.id(), task.spawned_at());
    let message = format_args!("a poll of task {id} ({place}) took {took:?}, and held its loop meanwhile");
    Report::new("executor", message).about(id.get(), place).send();
}

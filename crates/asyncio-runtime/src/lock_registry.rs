//! [`LockRegistry`]: the debug mode's list of locks that are held and waited for, which names the holder of one that is waited for too long.
//!
//! It listens to what the locks of `asyncio-sync` say (`asyncio_base::lock_watch`). A loop in debug mode looks at it in each turn, and does not sleep longer than
//! until the next wait is overdue; so a deadlock is reported while it lasts. Each wait is reported once.
//!
//! One registry listens in a process at a time: that of the runner that was first in debug mode. Locks belong to no loop, so it hears of all; it reports
//! while that runner runs. It knows locks by their addresses: one that is freed while a guard of it was forgotten leaves a holder behind.

use std::collections::HashMap;
use std::fmt;
use std::panic::Location;
use std::task::Waker;
use std::time::{Duration, Instant};

use asyncio_base::lock_watch::{self, LockId, LockWatch, WaitId, WatchGuard};
use asyncio_base::report::Report;
use asyncio_base::shim::{Arc, Mutex};
use asyncio_tasks::{TaskInfo, current_task};

/// Who holds which lock, and who waits for it.
pub(crate) struct LockRegistry {
    /// Wakes the loop that looks at this, which may sleep when a wait begins elsewhere.
    unpark: Waker,
    /// Longer than this is too long.
    threshold: Duration,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Several, where readers share a lock.
    holders: HashMap<LockId, Vec<Party>>,
    waits: HashMap<WaitId, Wait>,
}

/// Somebody at a lock.
#[derive(Clone)]
struct Party {
    /// None outside of tasks.
    task: Option<TaskInfo>,
    /// Where the lock was asked for.
    place: &'static Location<'static>,
}

struct Wait {
    lock: LockId,
    party: Party,
    since: Instant,
    is_reported: bool,
}

impl LockRegistry {
    /// Makes one that listens until the guard is dropped. `None` if another does.
    pub(crate) fn install(threshold: Duration, unpark: Waker) -> Option<(Arc<Self>, WatchGuard)> {
        let registry = Arc::new(Self { unpark, threshold, state: Mutex::default() });
        let guard = lock_watch::install(registry.clone())?;
        Some((registry, guard))
    }

    /// How long a loop may sleep before a wait is overdue; `None` if nobody waits who was not reported.
    pub(crate) fn until_next(&self) -> Option<Duration> {
        let state = self.state.lock();
        let first = state.waits.values().filter(|wait| !wait.is_reported).map(|wait| wait.since).min()?;
        Some(self.threshold.saturating_sub(first.elapsed()))
    }

    /// Reports the waits that are overdue.
    pub(crate) fn report_overdue(&self) {
        for overdue in self.take_overdue() {
            let Overdue { waiting, elapsed, holders } = &overdue;
            let place = waiting.place;
            let message = format_args!(
                "a lock asked for at {place} has been waited for since {elapsed:?}; it is held {holders}"
            );
            let mut report = Report::new("sync", message);
            if let Some(task) = &waiting.task {
                report = report.about(task.id().get(), task.spawned_at());
            }
            report.send();
        }
    }

    fn take_overdue(&self) -> Vec<Overdue> {
        let now = Instant::now();
        let State { holders, waits } = &mut *self.state.lock();
        let overdue =
            waits.values_mut().filter(|wait| !wait.is_reported && now - wait.since >= self.threshold);
        overdue
            .map(|wait| {
                wait.is_reported = true;
                Overdue {
                    waiting: wait.party.clone(),
                    elapsed: now - wait.since,
                    holders: Holders(holders.get(&wait.lock).cloned().unwrap_or_default()),
                }
            })
            .collect()
    }
}

struct Overdue {
    waiting: Party,
    elapsed: Duration,
    holders: Holders,
}

struct Holders(Vec<Party>);

impl fmt::Display for Holders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("by somebody who took it before the debug mode listened, or by one who was promised it and does not run");
        }
        for (n, party) in self.0.iter().enumerate() {
            let and = if n > 0 { ", and " } else { "" };
            match &party.task {
                Some(task) => {
                    let name = task.name().map(|name| format!(" \"{name}\"")).unwrap_or_default();
                    write!(f, "{and}by task {}{name} (spawned at {})", task.id(), task.spawned_at())?;
                }
                None => write!(f, "{and}outside of any task")?,
            }
            write!(f, ", which took it at {}", party.place)?;
        }
        Ok(())
    }
}

impl Party {
    fn here(place: &'static Location<'static>) -> Self {
        Self { task: current_task(), place }
    }
}

impl LockWatch for LockRegistry {
    fn waits(&self, wait: WaitId, lock: LockId, place: &'static Location<'static>) {
        let party = Party::here(place);
        let wait_of = Wait { lock, party, since: Instant::now(), is_reported: false };
        self.state.lock().waits.insert(wait, wait_of);
        self.unpark.wake_by_ref();
    }

    fn waits_no_more(&self, wait: WaitId) {
        self.state.lock().waits.remove(&wait);
    }

    fn taken(&self, lock: LockId, place: &'static Location<'static>) {
        let party = Party::here(place);
        self.state.lock().holders.entry(lock).or_default().push(party);
    }

    fn released(&self, lock: LockId) {
        let here = current_task().map(|task| task.id());
        let mut state = self.state.lock();
        let Some(holders) = state.holders.get_mut(&lock) else { return };
        // A guard may be given back elsewhere than where it was taken; then it is anybody's.
        let own = holders.iter().position(|party| party.task.as_ref().map(TaskInfo::id) == here);
        holders.swap_remove(own.unwrap_or(0));
        if holders.is_empty() {
            state.holders.remove(&lock);
        }
    }
}

//! [`Watch`]: how long polls take, for those who ask, and which one is under way. A reading of the clock a poll, 16 ns, and a lock that nobody
//! else wants; nothing where nobody asks.

use std::fmt;
use std::panic::Location;
use std::time::{Duration, Instant};

use asyncio_base::report::Report;
use asyncio_base::shim::{AtomicU64, Mutex, Ordering};

use crate::header::Header;

/// Measures the polls of an executor, for itself and for each task, and reports those that are slow.
///
/// The executor's thread alone writes; others read.
#[derive(Debug)]
pub struct Watch {
    slow_poll: Option<Duration>,
    polls: AtomicU64,
    first_polls: AtomicU64,
    busy_ns: AtomicU64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    present: Option<PresentPoll>,
    /// When a run of polls stopped for the main future's turn, or that stopped for the next run, if nothing else came between: the end of the one is
    /// the beginning of the other.
    stopped: Option<(Before, Instant)>,
}

/// What a reading of the clock came before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Before {
    Main,
    Run,
}

/// The poll that is under way. `Display` shows whose it is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PresentPoll {
    /// The number of the task; `None` is the main future.
    pub task: Option<u64>,
    /// The name of the task, if it has one.
    pub name: Option<Box<str>>,
    /// Where it was spawned, or main run.
    pub spawned_at: &'static Location<'static>,
    /// When it began: at the end of the one before, where that came just before.
    pub began: Instant,
}

impl Watch {
    /// Makes one. A poll that takes `slow_poll` or longer is reported, with its task and where that was spawned.
    pub fn new(slow_poll: Option<Duration>) -> Self {
        Self {
            slow_poll,
            polls: AtomicU64::new(0),
            first_polls: AtomicU64::new(0),
            busy_ns: AtomicU64::new(0),
            state: Mutex::default(),
        }
    }

    /// Returns how many polls of tasks there were.
    pub fn polls(&self) -> u64 {
        self.polls.load(Ordering::Relaxed)
    }

    /// Returns how many of those came of a wake: all but the first one of each task. Several wakes before a poll are one.
    pub fn wakes(&self) -> u64 {
        self.polls().saturating_sub(self.first_polls.load(Ordering::Relaxed))
    }

    /// Returns how long the polls of tasks took together.
    pub fn busy(&self) -> Duration {
        Duration::from_nanos(self.busy_ns.load(Ordering::Relaxed))
    }

    /// Returns the poll that is under way, from any thread.
    pub fn present(&self) -> Option<PresentPoll> {
        self.state.lock().present.clone()
    }

    /// Begins a run of polls.
    pub(crate) fn begin(&self) -> Watching<'_> {
        let now = self.state.lock().take(Before::Run);
        Watching { watch: self, now, next: None }
    }

    /// Measures a poll of the main future, which was run at `place`, until the guard is dropped. It is no task, and does not count as one.
    #[must_use = "the poll ends when the guard is dropped"]
    pub fn begin_main(&self, place: &'static Location<'static>) -> MainPoll<'_> {
        let mut state = self.state.lock();
        let now = state.take(Before::Main);
        state.present = Some(PresentPoll { task: None, name: None, spawned_at: place, began: now });
        drop(state);
        let watching = Watching { watch: self, now, next: Some(Before::Run) };
        MainPoll { watching, place }
    }

    /// Says that something else comes now than a poll, which is not to be measured as a part of the next one. Whoever has [`begin_main`](Self::begin_main)
    /// called says so when he looks for events, or goes to do other things.
    pub fn pause(&self) {
        self.state.lock().stopped = None;
    }

    /// The poll that was published last is over, and what comes next is at the time `now`.
    fn stop(&self, before: Option<Before>, now: Instant) {
        let mut state = self.state.lock();
        let former = state.present.take();
        state.stopped = before.map(|before| (before, now));
        drop(state);
        drop(former);
    }

    #[cold]
    fn report(&self, poll: &PresentPoll, took: Duration) {
        let message = format_args!("a poll of {poll} took {took:?}, and held its loop meanwhile");
        let report = Report::new("executor", message);
        match poll.task {
            Some(task) => report.about(task, poll.spawned_at).send(),
            None => report.send(),
        }
    }
}

impl State {
    /// Returns the time at which what comes now begins.
    fn take(&mut self, before: Before) -> Instant {
        match self.stopped.take() {
            Some((of, now)) if of == before => now,
            _ => Instant::now(),
        }
    }
}

impl Default for Watch {
    fn default() -> Self {
        Self::new(None)
    }
}

/// A run of polls: the end of one is the beginning of the next.
pub(crate) struct Watching<'a> {
    watch: &'a Watch,
    now: Instant,
    /// What comes when this is dropped, if it is measured.
    next: Option<Before>,
}

impl Watching<'_> {
    /// Measures a poll of a task, which says whether that has ended.
    pub(crate) fn poll(&mut self, task: &Header, poll: impl FnOnce() -> bool) {
        let is_first = task.polls() == 0;
        let began = self.now;
        // The name is an allocation, for those who may be reported.
        let name = |is_wanted: bool| task.name().filter(|_| is_wanted).map(Into::into);
        let present = |is_wanted| PresentPoll {
            task: Some(task.id().get()),
            name: name(is_wanted),
            spawned_at: task.spawned_at(),
            began,
        };
        self.publish(present(self.watch.slow_poll.is_some()));
        let has_ended = poll();
        let took = nanos(self.end(|| present(true)));
        add(&self.watch.polls, 1);
        add(&self.watch.first_polls, u64::from(is_first));
        add(&self.watch.busy_ns, took);
        if !has_ended {
            // Nobody can ask one that has ended; and it would cost an allocation.
            task.add_busy(took);
        }
    }

    /// The main future's turn comes now.
    pub(crate) fn stop_for_main(&mut self) {
        self.next = Some(Before::Main);
    }

    fn publish(&self, present: PresentPoll) {
        let former = self.watch.state.lock().present.replace(present);
        drop(former);
    }

    /// The poll has ended: says how long it took, and reports it if that was too long.
    fn end(&mut self, poll: impl FnOnce() -> PresentPoll) -> Duration {
        let began = std::mem::replace(&mut self.now, Instant::now());
        let took = self.now.duration_since(began);
        if self.watch.slow_poll.is_some_and(|slow| took >= slow) {
            // What a handler does with the report is no part of it, nor of the next one.
            self.watch.stop(None, self.now);
            self.watch.report(&poll(), took);
            self.now = Instant::now();
        }
        took
    }
}

impl Drop for Watching<'_> {
    fn drop(&mut self) {
        self.watch.stop(self.next, self.now);
    }
}

/// A poll of the main future, which ends when this is dropped. Made by [`Watch::begin_main`].
pub struct MainPoll<'a> {
    watching: Watching<'a>,
    place: &'static Location<'static>,
}

impl Drop for MainPoll<'_> {
    fn drop(&mut self) {
        let (began, spawned_at) = (self.watching.now, self.place);
        self.watching.end(|| PresentPoll { task: None, name: None, spawned_at, began });
    }
}

impl fmt::Debug for MainPoll<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MainPoll").finish_non_exhaustive()
    }
}

/// Adds to a number that nobody else writes.
fn add(to: &AtomicU64, n: u64) {
    to.store(to.load(Ordering::Relaxed).wrapping_add(n), Ordering::Relaxed);
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

impl fmt::Display for PresentPoll {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.task {
            Some(task) => write!(f, "task {task}")?,
            None => f.write_str("main")?,
        }
        if let Some(name) = &self.name {
            write!(f, " \"{name}\"")?;
        }
        write!(f, " ({})", self.spawned_at)
    }
}

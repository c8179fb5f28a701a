//! [`Watch`]: how long polls take, for those who ask, and which one is under way; nothing where nobody asks.
//!
//! Times are nanoseconds since the watch was made. An exact watch reads the clock once a poll, which costs 16 to 32 ns, a good part of what a short poll does. A
//! [coarse](Watch::coarse) one looks at a number that somebody else writes, every few milliseconds: if that has not changed the poll was not slow. If it has, the
//! clock is read; so a slow poll is measured to one such period.

use std::fmt;
use std::panic::Location;
use std::time::{Duration, Instant};

use asyncio_base::report::Report;
use asyncio_base::shim::{AtomicBool, AtomicU64, Mutex, Ordering};

use crate::header::Header;

/// Measures the polls of an executor, for itself and for each task, and reports those that are slow.
///
/// The executor's thread alone counts; others read.
#[derive(Debug)]
pub struct Watch {
    slow_poll: Option<Duration>,
    /// There if it is coarse: the time when somebody last wrote it down.
    ticked_ns: Option<AtomicU64>,
    /// Nobody ticks at the time.
    is_without_ticks: AtomicBool,
    epoch: Instant,
    polls: AtomicU64,
    first_polls: AtomicU64,
    busy_ns: AtomicU64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    present: Option<Present>,
    /// When a run of polls stopped for the main future's turn, or that stopped for the next run, if nothing else came between: the end of the one is
    /// the beginning of the other.
    stopped: Option<(Before, u64)>,
}

/// What a time is the end of, or comes before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Before {
    Main,
    Run,
}

/// The poll that is under way.
#[derive(Clone, Debug)]
struct Present {
    task: Option<u64>,
    name: Option<Box<str>>,
    spawned_at: &'static Location<'static>,
    began_ns: u64,
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
            ticked_ns: None,
            is_without_ticks: AtomicBool::new(false),
            epoch: Instant::now(),
            polls: AtomicU64::new(0),
            first_polls: AtomicU64::new(0),
            busy_ns: AtomicU64::new(0),
            state: Mutex::default(),
        }
    }

    /// Makes one that does not measure how [busy](Self::busy) anybody is, and reads the clock only if somebody has [ticked](Self::tick) during a poll: often
    /// enough that `slow_poll` is many times as long.
    pub fn coarse(slow_poll: Duration) -> Self {
        Self { ticked_ns: Some(AtomicU64::new(0)), ..Self::new(Some(slow_poll)) }
    }

    /// Says whether somebody will [tick](Self::tick) from now on. While nobody does, the clock is read at the end of each poll. It is so from the beginning that
    /// somebody does.
    pub fn set_ticked(&self, is_ticked: bool) {
        self.tick();
        self.is_without_ticks.store(!is_ticked, Ordering::Release);
    }

    /// Writes down what time it is. From any thread.
    pub fn tick(&self) {
        if let Some(ticked_ns) = &self.ticked_ns {
            // The greatest: two may write at once.
            ticked_ns.fetch_max(self.exact_ns(), Ordering::Relaxed);
        }
    }

    fn exact_ns(&self) -> u64 {
        u64::try_from(self.epoch.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// Returns the time, as exactly as it measures.
    fn now_ns(&self) -> u64 {
        self.ticked_ns.as_ref().map_or_else(|| self.exact_ns(), |ticked_ns| ticked_ns.load(Ordering::Relaxed))
    }

    /// Returns how many polls of tasks there were.
    pub fn polls(&self) -> u64 {
        self.polls.load(Ordering::Relaxed)
    }

    /// Returns how many of those came of a wake: all but the first one of each task. Several wakes before a poll are one.
    pub fn wakes(&self) -> u64 {
        self.polls().saturating_sub(self.first_polls.load(Ordering::Relaxed))
    }

    /// Returns how long the polls of tasks took together; nothing, where it is [coarse](Self::coarse).
    pub fn busy(&self) -> Duration {
        Duration::from_nanos(self.busy_ns.load(Ordering::Relaxed))
    }

    /// Returns the poll that is under way, from any thread.
    pub fn present(&self) -> Option<PresentPoll> {
        let present = self.state.lock().present.clone()?;
        Some(self.shown(present))
    }

    fn shown(&self, Present { task, name, spawned_at, began_ns }: Present) -> PresentPoll {
        PresentPoll { task, name, spawned_at, began: self.epoch + Duration::from_nanos(began_ns) }
    }

    /// Begins a run of polls.
    pub(crate) fn begin(&self) -> Watching<'_> {
        let now_ns = match self.ticked_ns {
            // What came before is nothing to a number that is read for nothing.
            Some(_) => self.now_ns(),
            None => self.take(&mut self.state.lock(), Before::Run),
        };
        Watching { watch: self, now_ns, next: None }
    }

    /// Measures a poll of the main future, which was run at `place`, until the guard is dropped. It is no task, and does not count as one.
    #[must_use = "the poll ends when the guard is dropped"]
    pub fn begin_main(&self, place: &'static Location<'static>) -> MainPoll<'_> {
        let mut state = self.state.lock();
        let now_ns = self.take(&mut state, Before::Main);
        state.present = Some(Present { task: None, name: None, spawned_at: place, began_ns: now_ns });
        drop(state);
        let watching = Watching { watch: self, now_ns, next: Some(Before::Run) };
        MainPoll { watching, place }
    }

    /// Returns the time at which what comes now begins.
    fn take(&self, state: &mut State, before: Before) -> u64 {
        match state.stopped.take() {
            Some((of, now_ns)) if of == before => now_ns,
            _ => self.now_ns(),
        }
    }

    /// Says that something else comes now than a poll, which is not to be measured as a part of the next one. Whoever has [`begin_main`](Self::begin_main)
    /// called says so when he looks for events, or goes to do other things.
    pub fn pause(&self) {
        self.state.lock().stopped = None;
    }

    /// The poll that was published last is over, and what comes next is at that time.
    fn stop(&self, before: Option<Before>, now_ns: u64) {
        let mut state = self.state.lock();
        let former = state.present.take();
        state.stopped = before.map(|before| (before, now_ns));
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

impl Default for Watch {
    fn default() -> Self {
        Self::new(None)
    }
}

/// A run of polls: the end of one is the beginning of the next.
pub(crate) struct Watching<'a> {
    watch: &'a Watch,
    now_ns: u64,
    /// What comes when this is dropped, if it is measured.
    next: Option<Before>,
}

impl Watching<'_> {
    /// Measures a poll of a task, which says whether that has ended.
    pub(crate) fn poll(&mut self, task: &Header, poll: impl FnOnce() -> bool) {
        let (is_first, began_ns) = (task.polls() == 0, self.now_ns);
        // The name is an allocation, for those who may be reported.
        let present = |is_named: bool| Present {
            task: Some(task.id().get()),
            name: task.name().filter(|_| is_named).map(Into::into),
            spawned_at: task.spawned_at(),
            began_ns,
        };
        self.publish(present(self.watch.slow_poll.is_some()));
        let has_ended = poll();
        let took_ns = self.end(|| present(true));
        add(&self.watch.polls, 1);
        add(&self.watch.first_polls, u64::from(is_first));
        if self.watch.ticked_ns.is_none() {
            add(&self.watch.busy_ns, took_ns);
            if !has_ended {
                // Nobody can ask one that has ended; and it would cost an allocation.
                task.add_busy(took_ns);
            }
        }
    }

    /// The main future's turn comes now.
    pub(crate) fn stop_for_main(&mut self) {
        self.next = Some(Before::Main);
    }

    fn publish(&self, present: Present) {
        let former = self.watch.state.lock().present.replace(present);
        drop(former);
    }

    /// The poll has ended: says how long it took, and reports it if that was too long.
    fn end(&mut self, poll: impl FnOnce() -> Present) -> u64 {
        let began_ns = std::mem::replace(&mut self.now_ns, self.watch.now_ns());
        let is_coarse = self.watch.ticked_ns.is_some();
        if is_coarse && self.now_ns == began_ns && !self.watch.is_without_ticks.load(Ordering::Acquire) {
            return 0;
        }
        self.end_late(began_ns, poll)
    }

    fn end_late(&mut self, began_ns: u64, poll: impl FnOnce() -> Present) -> u64 {
        if self.watch.ticked_ns.is_some() {
            self.watch.tick();
            self.now_ns = self.watch.now_ns();
        }
        let took_ns = self.now_ns.saturating_sub(began_ns);
        let took = Duration::from_nanos(took_ns);
        if self.watch.slow_poll.is_some_and(|slow| took >= slow) {
            // What a handler does with the report is no part of it, nor of the next one.
            self.watch.stop(None, self.now_ns);
            self.watch.report(&self.watch.shown(poll()), took);
            self.watch.tick();
            self.now_ns = self.watch.now_ns();
        }
        took_ns
    }
}

impl Drop for Watching<'_> {
    fn drop(&mut self) {
        self.watch.stop(self.next, self.now_ns);
    }
}

/// A poll of the main future, which ends when this is dropped. Made by [`Watch::begin_main`].
pub struct MainPoll<'a> {
    watching: Watching<'a>,
    place: &'static Location<'static>,
}

impl Drop for MainPoll<'_> {
    fn drop(&mut self) {
        let (began_ns, spawned_at) = (self.watching.now_ns, self.place);
        self.watching.end(|| Present { task: None, name: None, spawned_at, began_ns });
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

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use asyncio_base::report;
    use asyncio_base::shim::Arc;
    use std::cell::RefCell;
    use std::rc::Rc;
    use std::task::Waker;

    use super::*;
    use crate::LocalExecutor;

    /// Runs a task that does this in its one poll, and returns what is reported.
    fn reports_of(watch: &Arc<Watch>, poll: impl FnOnce() + 'static) -> Vec<String> {
        let seen = Rc::new(RefCell::new(Vec::new()));
        let sink = seen.clone();
        report::with_handler(Rc::new(move |report| sink.borrow_mut().push(report.to_string())), || {
            let executor = LocalExecutor::new(Waker::noop().clone());
            executor.set_watch(Some(watch.clone()));
            executor.spawn(async { poll() }).detach();
            executor.run_round();
        });
        seen.take()
    }

    #[test]
    fn a_coarse_watch_sees_a_slow_poll_if_somebody_ticks_meanwhile() {
        let slow = Duration::from_millis(5);
        let watch = Arc::new(Watch::coarse(slow));
        // Time passes in a poll, which is what is measured.
        let passes = move || std::thread::sleep(2 * slow);
        let ticker = watch.clone();
        let told = reports_of(&watch, move || {
            passes();
            assert!(ticker.present().is_some_and(|poll| poll.task.is_some()));
            ticker.tick();
        });
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].contains("held its loop meanwhile"));
        // Nobody ticks, and it believes that somebody would have.
        assert!(reports_of(&watch, passes).is_empty());
        watch.set_ticked(false);
        assert_eq!(reports_of(&watch, passes).len(), 1);
        assert_eq!((watch.polls(), watch.busy(), watch.present()), (3, Duration::ZERO, None));
        let watch = Arc::new(Watch::coarse(Duration::from_secs(3600)));
        let ticker = watch.clone();
        assert!(reports_of(&watch, move || ticker.tick()).is_empty(), "it was not slow");
    }

    #[test]
    fn main_and_tasks_take_turns_without_a_gap_and_a_pause_is_one() {
        let watch = Watch::new(None);
        let began = |poll: &MainPoll<'_>| poll.watching.now_ns;
        let mut run = watch.begin();
        run.stop_for_main();
        let ended = run.now_ns;
        drop(run);
        let main = watch.begin_main(Location::caller());
        assert_eq!(began(&main), ended, "the end of the one is the beginning of the other");
        drop(main);
        watch.pause();
        // Time passes, which is nobody's.
        std::thread::sleep(Duration::from_millis(2));
        let run = watch.begin();
        assert!(run.now_ns >= ended + 2_000_000);
    }
}

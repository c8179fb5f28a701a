//! [`Watchdog`]: in debug mode, tells of a poll that holds its loop, *while* it holds it.
//!
//! A poll that is slow is reported when it has ended (`Watch` in `asyncio-executor`); one that does not end never would be. So a thread looks at
//! the loops of a runtime, sixteen times in the time that is too long, tells them what time it is, and reports each poll that is over it, once: with the task, where that was
//! spawned, and where the thread is in it, taken by a signal handler that stores addresses and nothing else (`stack/linux.rs`).

#[cfg(target_os = "linux")]
#[path = "stack_linux.rs"]
mod stack;
#[cfg(not(target_os = "linux"))]
#[path = "stack_none.rs"]
mod stack;

use std::fmt;
use std::io;
use std::time::{Duration, Instant};

use asyncio_base::report::Report;
use asyncio_base::shim::thread::JoinHandle;
use asyncio_base::shim::{Arc, AtomicBool, Mutex, Ordering};
use asyncio_executor::{PresentPoll, Watch};
use asyncio_tasks::debug::{Frame, read_tables};

use crate::runtime::Runtime;

/// More often the watchdog does not look, however short the time is that is too long.
const PERIOD_MIN: Duration = Duration::from_millis(1);

/// What the thread and the loops share.
pub(crate) struct Watched {
    loops: Mutex<Vec<WatchedLoop>>,
    is_over: AtomicBool,
    /// A handler is told something. Whoever closes does not wait for that: the handler may wait for him.
    is_telling: AtomicBool,
    threshold: Duration,
}

#[derive(Clone)]
struct WatchedLoop {
    worker: usize,
    watch: Arc<Watch>,
    thread: stack::ThreadId,
    /// The beginning of the poll that was reported last.
    reported: Option<Instant>,
}

impl Watched {
    pub(crate) fn new(threshold: Duration) -> Arc<Self> {
        let [is_over, is_telling] = [false; 2].map(AtomicBool::new);
        Arc::new(Self { loops: Mutex::new(Vec::new()), is_over, is_telling, threshold })
    }

    /// Takes in the loop of this thread.
    pub(crate) fn add(&self, worker: usize, watch: Arc<Watch>) {
        let thread = stack::ThreadId::here();
        self.loops.lock().push(WatchedLoop { worker, watch, thread, reported: None });
    }

    /// Returns the polls that are to be reported.
    fn take_overdue(&self) -> Vec<(WatchedLoop, PresentPoll, Duration)> {
        let mut overdue = Vec::new();
        for watched in self.loops.lock().iter_mut() {
            watched.watch.tick();
            let Some(poll) = watched.watch.present() else { continue };
            let elapsed = poll.began.elapsed();
            if elapsed >= self.threshold && watched.reported != Some(poll.began) {
                watched.reported = Some(poll.began);
                overdue.push((watched.clone(), poll, elapsed));
            }
        }
        overdue
    }

    fn report_overdue(&self) {
        let overdue = self.take_overdue();
        if overdue.is_empty() {
            return;
        }
        // Looking names up, and telling, take their time, in which nobody ticks.
        let set_ticked =
            |is_ticked| self.loops.lock().iter().for_each(|watched| watched.watch.set_ticked(is_ticked));
        set_ticked(false);
        self.tell(overdue);
        set_ticked(true);
    }

    fn tell(&self, overdue: Vec<(WatchedLoop, PresentPoll, Duration)>) {
        for (watched, poll, elapsed) in overdue {
            let stack = watched.thread.stack();
            if watched.watch.present().is_none_or(|present| present.began != poll.began) {
                // It has just ended, and is reported by itself; and the stack is of something else.
                continue;
            }
            let worker = watched.worker;
            let place = Place(stack.map(|stack| stack.frames()).unwrap_or_default());
            // SeqCst: whoever closes writes the one and reads the other; either he sees that somebody is told, or nobody is.
            self.is_telling.store(true, Ordering::SeqCst);
            if !self.is_over.load(Ordering::SeqCst) {
                let message = format_args!("{poll} has held worker {worker} for {elapsed:?}{place}");
                let report = Report::new("runtime", message);
                match poll.task {
                    Some(task) => report.about(task, poll.spawned_at).send(),
                    None => report.send(),
                }
            }
            self.is_telling.store(false, Ordering::SeqCst);
        }
    }
}

/// Where a thread is, as it stands in a report.
struct Place(Vec<Frame>);

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.0.is_empty() {
            f.write_str(", and is in")?;
        }
        self.0.iter().try_for_each(|frame| write!(f, "\n    {frame}"))
    }
}

/// The thread.
pub(crate) struct Watchdog {
    watched: Arc<Watched>,
    thread: Option<JoinHandle<()>>,
}

impl Watchdog {
    pub(crate) fn start(watched: Arc<Watched>, runtime: Arc<Runtime>) -> io::Result<Self> {
        let body = {
            let watched = watched.clone();
            move || {
                let _reports = runtime.listen();
                // A report is to come while the poll lasts.
                read_tables();
                let period = (watched.threshold / 16).max(PERIOD_MIN);
                while !watched.is_over.load(Ordering::SeqCst) {
                    watched.report_overdue();
                    // By the clock, since nobody tells it of a poll that does not end. Whoever closes wakes it.
                    std::thread::park_timeout(period);
                }
            }
        };
        let thread = std::thread::Builder::new().name(String::from("asyncio-watchdog")).spawn(body)?;
        Ok(Self { watched, thread: Some(thread) })
    }
}

impl Drop for Watchdog {
    /// A report that is not told yet is not told any more; one that is being told is not waited for.
    fn drop(&mut self) {
        self.watched.is_over.store(true, Ordering::SeqCst);
        let is_telling = self.watched.is_telling.load(Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            if is_telling {
                return;
            }
            // It catches what handlers panic with.
            let _ = thread.join();
        }
    }
}

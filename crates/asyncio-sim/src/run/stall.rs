//! [`Look`]: what the tasks of a host wait for, and whether one that waits will ever go on by itself.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

use asyncio_base::wait_point::{self, WaitPoint};
use asyncio_executor::{LiveTask, TaskId, live_tasks};
use asyncio_runtime::Runner;

use crate::net::Net;

/// So many turns are enough for every task that was woken, of some ten thousand: one of them polls a stretch.
const TURNS: usize = 64;

/// Why a main does not go on by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stall {
    /// By itself or through tasks that it awaits, it waits for nothing that a deadline ends.
    NoDeadline,
    /// Woken for nothing, it or others went on: it has missed a wake, or they have.
    LostWake,
}

/// How often each task of a host had been polled at the last look.
pub(crate) type Polls = BTreeMap<u64, u32>;

/// A host that is looked at.
pub(crate) struct Look<'a> {
    pub(crate) runner: &'a mut Runner,
    pub(crate) net: &'a Net,
}

impl Look<'_> {
    /// Looks for a stall of `main`. Each task is woken once, for nothing, and says what it waits for.
    ///
    /// `progress` says how often main was polled, and whether it has ended, well or not. `before` is how it stood at the last look, and is brought up to date.
    pub(crate) fn find_stall(
        mut self,
        main: TaskId,
        progress: &dyn Fn() -> (u64, Option<bool>),
        before: &mut Polls,
    ) -> Option<Stall> {
        let first = progress();
        // What has come meanwhile comes first.
        let is_quiet = self.run_turns();
        if progress() != first || first.1.is_some() {
            return None;
        }
        let last_look = std::mem::replace(before, self.polls());
        let (mut points, was_heard) = self.wake(&|task| task != main);
        // It was not woken itself: whoever woke it has gone on, though nothing had come.
        let mut has_gone_on = progress() != first;
        let (of_main, was_main_heard) = self.wake(&|task| task == main);
        points.extend(of_main);
        let (polls, ended) = progress();
        has_gone_on |= ended.is_some() || polls > first.0 + 1;
        let now = self.polls();
        let has_worked = |task| last_look.get(&task) != before.get(&task);
        let is_stuck = waits_without_deadline(main, &points, &has_worked);
        *before = now;
        match ended {
            // It is told of by itself.
            Some(false) => None,
            _ if has_gone_on => is_quiet.then_some(Stall::LostWake),
            _ => (was_heard && was_main_heard && is_stuck).then_some(Stall::NoDeadline),
        }
    }

    /// Says whether each of these tasks waits for one lock, and for nothing else that could end its waiting: no other branch, and no timeout.
    pub(crate) fn wait_for_locks_alone(mut self, tasks: &[TaskId]) -> bool {
        let (points, was_heard) = self.wake(&|task| tasks.contains(&task));
        let is_lock = |operation: &str| {
            operation == "mutex.lock" || operation == "condition" || operation.starts_with("rw_lock.")
        };
        was_heard
            && tasks.iter().all(|task| {
                let mut own = points.iter().filter(|(of, _)| *of == task.get());
                own.next().is_some_and(|(_, point)| is_lock(point.operation)) && own.next().is_none()
            })
    }

    /// Runs what is ready. Says whether nothing is any more.
    fn run_turns(&mut self) -> bool {
        (0..TURNS).any(|_| {
            let is_idle = !matches!(self.runner.turn(Some(Duration::ZERO)), Ok(true));
            // What one of its tasks has done may concern another.
            self.net.wake() == 0 && is_idle
        })
    }

    /// Returns how often each task was polled.
    pub(crate) fn polls(&mut self) -> Polls {
        self.runner.run(async {
            live_tasks().iter().map(|task| (task.header().id().get(), task.header().polls())).collect()
        })
    }

    /// Wakes some of the tasks for nothing. Returns what each waits for, and whether all came to say so.
    fn wake(&mut self, is_meant: &dyn Fn(TaskId) -> bool) -> (Vec<(u64, WaitPoint)>, bool) {
        self.runner.run(async {
            live_tasks().iter().filter(|task| is_meant(task.header().id())).for_each(LiveTask::wake);
        });
        let points: Rc<RefCell<Vec<(u64, WaitPoint)>>> = Rc::default();
        let sink = points.clone();
        let recording = wait_point::record(Rc::new(move |point| {
            if let Some(task) = asyncio_tasks::current_task() {
                sink.borrow_mut().push((task.id().get(), point));
            }
        }));
        let is_quiet = self.run_turns();
        drop(recording);
        (points.take(), is_quiet)
    }
}

/// Says whether `main` waits, by itself or through tasks that it awaits, for nothing that ends by itself; and whether none of these has worked meanwhile.
fn waits_without_deadline(
    main: TaskId,
    points: &[(u64, WaitPoint)],
    has_worked: &dyn Fn(u64) -> bool,
) -> bool {
    let mut seen = BTreeSet::new();
    let mut to_see = vec![main.get()];
    while let Some(task) = to_see.pop() {
        if !seen.insert(task) {
            continue;
        }
        if has_worked(task) {
            return false;
        }
        for (_, point) in points.iter().filter(|(of, _)| *of == task) {
            match point.operation {
                "sleep" => return false,
                // Of whom is not said: it may be anybody.
                "task group" | "turn in a task group" => to_see.extend(points.iter().map(|(of, _)| *of)),
                _ => to_see.extend(point.task),
            }
        }
    }
    true
}

//! Whether a main that waits will ever go on by itself: whom it waits for, and whether one of them sleeps.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;

use asyncio_base::wait_point::{self, WaitPoint};
use asyncio_executor::{LiveTask, TaskId, live_tasks};
use asyncio_runtime::Runner;

/// So many turns are enough for every task that was woken: one of them polls a stretch.
const TURNS: usize = 16;

/// Why a main does not go on by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stall {
    /// By itself or through tasks that it awaits, it waits for nothing that a deadline ends.
    NoDeadline,
    /// Woken for nothing, it or others went on: it has missed a wake, or they have.
    LostWake,
}

/// Looks for a stall of `main`. Each task is woken once, for nothing, and says what it waits for.
///
/// `polls` says how often main was polled; nothing, once it has ended.
pub(crate) fn find(runner: &mut Runner, main: TaskId, polls: impl Fn() -> Option<u64>) -> Option<Stall> {
    let before = polls()?;
    // What has come meanwhile comes first.
    let is_quiet = run_turns(runner);
    if polls() != Some(before) {
        return None;
    }
    let mut points = wake(runner, &|task| task != main);
    // It was not woken itself: whoever woke it has gone on, though nothing had come.
    let mut has_gone_on = polls() != Some(before);
    points.extend(wake(runner, &|task| task == main));
    has_gone_on |= polls().is_none_or(|polls| polls > before + 1);
    if is_quiet && has_gone_on {
        return Some(Stall::LostWake);
    }
    polls()?;
    waits_without_deadline(main, &points).then_some(Stall::NoDeadline)
}

/// Runs what is ready. Says whether nothing is any more.
fn run_turns(runner: &mut Runner) -> bool {
    (0..TURNS).any(|_| !matches!(runner.turn(Some(Duration::ZERO)), Ok(true)))
}

/// Wakes some of the tasks for nothing, and returns what each waits for.
fn wake(runner: &mut Runner, is_meant: &dyn Fn(TaskId) -> bool) -> Vec<(u64, WaitPoint)> {
    runner.run(async {
        live_tasks().iter().filter(|task| is_meant(task.header().id())).for_each(LiveTask::wake);
    });
    let points: Rc<RefCell<Vec<(u64, WaitPoint)>>> = Rc::default();
    let sink = points.clone();
    let recording = wait_point::record(Rc::new(move |point| {
        if let Some(task) = asyncio_tasks::current_task() {
            sink.borrow_mut().push((task.id().get(), point));
        }
    }));
    run_turns(runner);
    drop(recording);
    points.take()
}

fn waits_without_deadline(main: TaskId, points: &[(u64, WaitPoint)]) -> bool {
    let mut seen = BTreeSet::new();
    let mut to_see = vec![main.get()];
    while let Some(task) = to_see.pop() {
        if !seen.insert(task) {
            continue;
        }
        for (_, point) in points.iter().filter(|(of, _)| *of == task) {
            match point.operation {
                "sleep" => return false,
                // Of whom is not said: it may be anybody.
                "task group" => to_see.extend(points.iter().map(|(of, _)| *of)),
                _ => to_see.extend(point.task),
            }
        }
    }
    true
}

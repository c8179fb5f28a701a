//! Whether a main that waits will ever go on by itself: whom it waits for, and whether one of them sleeps.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;

use asyncio_base::wait_point::{self, WaitPoint};
use asyncio_executor::{TaskId, live_tasks};
use asyncio_runtime::Runner;

/// So many turns are enough for every task that was woken: one of them polls a stretch.
const TURNS: usize = 16;

/// Says whether `main` waits, by itself or through tasks that it awaits, for nothing that a deadline ends.
///
/// Each task is woken once, for nothing, and says what it waits for.
pub(super) fn is_stuck(runner: &mut Runner, main: TaskId) -> bool {
    runner.run(async { live_tasks().iter().for_each(asyncio_executor::LiveTask::wake) });
    let points: Rc<RefCell<Vec<(u64, WaitPoint)>>> = Rc::default();
    let sink = points.clone();
    let recording = wait_point::record(Rc::new(move |point| {
        if let Some(task) = asyncio_tasks::current_task() {
            sink.borrow_mut().push((task.id().get(), point));
        }
    }));
    for _ in 0..TURNS {
        match runner.turn(Some(Duration::ZERO)) {
            Ok(true) => {}
            _ => break,
        }
    }
    drop(recording);
    let points = points.borrow();
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

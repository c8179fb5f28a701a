//! [`Dump`]: what a dump has seen, and how it is shown.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::Arc;

use asyncio_base::wait_point::WaitPoint;
use asyncio_executor::{TaskId, TaskState};

use crate::info::TaskInfo;

use super::recorder::{Part, Points};
use super::stack::{Frame, Names};

/// What every task of a runtime waits for. Made by [`dump`](fn@super::dump).
///
/// `Display` shows it whole, a paragraph a task, in the order in which they were spawned.
#[derive(Clone, Debug)]
pub struct Dump {
    main: Vec<Wait>,
    /// In the order of their numbers.
    tasks: Vec<TaskDump>,
    silent_workers: Vec<usize>,
}

/// What a task waits for.
///
/// `Display` shows who it is, what it waits for, and by way of which functions.
#[derive(Clone, Debug)]
pub struct TaskDump {
    info: TaskInfo,
    waits: Vec<Wait>,
}

/// One thing that a task waits for: of the branches of a `join!`, each has one.
#[derive(Clone, Debug)]
pub struct Wait {
    point: WaitPoint,
    frames: Arc<[Frame]>,
}

/// A task, the task whose end it waits for, the one that this waits for, and so on. Made by [`await_chain`](super::await_chain()), and by
/// [`Dump::into_chain`].
///
/// `Display` shows a task below the other.
#[derive(Clone, Debug)]
pub struct AwaitChain {
    tasks: Vec<TaskDump>,
    is_circle: bool,
}

impl Dump {
    /// Looks up what was recorded. Not on the thread of a loop.
    pub(super) fn of(parts: Vec<Part>) -> Self {
        let mut names = Names::default();
        let (mut main, mut infos, mut silent_workers) = (Vec::new(), Vec::new(), Vec::new());
        // One that moved meanwhile was seen by two threads.
        let mut recorded: HashMap<u64, Points> = HashMap::new();
        for part in parts {
            if !part.has_answered {
                silent_workers.push(part.worker);
            }
            infos.extend(part.tasks);
            for (task, points) in part.recorded {
                let Some(task) = task else {
                    main = waits(points, &mut names);
                    continue;
                };
                let known = recorded.entry(task).or_insert_with(|| Points { polls: 0, points: Vec::new() });
                if points.polls >= known.polls {
                    *known = points;
                }
            }
        }
        infos.sort_by_key(TaskInfo::id);
        infos.dedup_by_key(|info| info.id());
        let tasks = infos.into_iter().map(|info| {
            // What it waited for in an earlier poll it does not wait for any more.
            let points = recorded.remove(&info.id().get()).filter(|points| points.polls >= info.polls());
            TaskDump { info, waits: points.map(|points| waits(points, &mut names)).unwrap_or_default() }
        });
        Self { main, tasks: tasks.collect(), silent_workers }
    }

    /// Returns what the main future of the loop waits for; nothing, where it is no loop of ours, or has none.
    pub fn main(&self) -> &[Wait] {
        &self.main
    }

    /// Returns all tasks, in the order in which they were spawned, roughly: that of their numbers.
    pub fn tasks(&self) -> &[TaskDump] {
        &self.tasks
    }

    /// Returns one task.
    pub fn task(&self, id: TaskId) -> Option<&TaskDump> {
        let place = self.tasks.binary_search_by_key(&id, |task| task.info.id()).ok()?;
        self.tasks.get(place)
    }

    /// Returns the numbers of workers that have not answered: a poll held them for the whole time. Their own tasks are missing here.
    pub fn silent_workers(&self) -> &[usize] {
        &self.silent_workers
    }

    /// Returns whom a task waits for. Of several things that it waits for, the first that is the end of a task is followed.
    pub fn into_chain(self, task: TaskId) -> Option<AwaitChain> {
        let mut tasks: Vec<TaskDump> = vec![self.task(task)?.clone()];
        let mut seen = HashSet::from([task]);
        let mut next = tasks[0].awaits();
        let find = |id: u64| {
            let place = self.tasks.binary_search_by_key(&id, |task| task.info.id().get()).ok()?;
            self.tasks.get(place)
        };
        while let Some(task) = next.and_then(find) {
            if !seen.insert(task.info.id()) {
                return Some(AwaitChain { tasks, is_circle: true });
            }
            next = task.awaits();
            tasks.push(task.clone());
        }
        Some(AwaitChain { tasks, is_circle: false })
    }
}

fn waits(points: Points, names: &mut Names) -> Vec<Wait> {
    points.points.into_iter().map(|(point, stack)| Wait { point, frames: names.frames(&stack) }).collect()
}

impl TaskDump {
    /// Returns what is known of the task.
    pub fn info(&self) -> &TaskInfo {
        &self.info
    }

    /// Returns what it waits for, in the order in which it came to it. Nothing, where it is not visible: it did not wait, or by a future that does not
    /// say so.
    pub fn waits(&self) -> &[Wait] {
        &self.waits
    }

    /// Returns the number of the task whose end it waits for.
    fn awaits(&self) -> Option<u64> {
        self.waits.iter().find_map(|wait| wait.point.task)
    }
}

impl Wait {
    /// Returns what is waited for, as in "sleep" or "readable".
    pub fn operation(&self) -> &'static str {
        self.point.operation
    }

    /// Returns the number of the task whose end is waited for, if it is that: that of its [`TaskId`].
    pub fn task(&self) -> Option<u64> {
        self.point.task
    }

    /// Returns by way of which functions, the outermost first.
    pub fn frames(&self) -> &[Frame] {
        &self.frames
    }
}

impl AwaitChain {
    /// Returns the tasks, each waiting for the end of the next one.
    pub fn tasks(&self) -> &[TaskDump] {
        &self.tasks
    }

    /// Says whether the last one waits for one of the others: then none of them will ever end.
    pub fn is_circle(&self) -> bool {
        self.is_circle
    }
}

impl fmt::Display for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for frame in &*self.frames {
            writeln!(f, "    {frame}")?;
        }
        write!(f, "    waits for: {}", self.point)
    }
}

impl fmt::Display for TaskDump {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let info = &self.info;
        write!(f, "task {}", info.id())?;
        if let Some(name) = info.name() {
            write!(f, " \"{name}\"")?;
        }
        write!(f, " ({}), polled {} times", info.spawned_at(), info.polls())?;
        if info.is_cancelled() {
            f.write_str(", cancelled")?;
        }
        for wait in &self.waits {
            write!(f, "\n{wait}")?;
        }
        if self.waits.is_empty() {
            f.write_str(match info.state() {
                TaskState::Running => "\n    is being polled",
                TaskState::Ready => "\n    is ready",
                _ => "\n    not visible: it waits by a future that does not say what for, or has come meanwhile",
            })?;
        }
        Ok(())
    }
}

impl fmt::Display for AwaitChain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (nth, task) in self.tasks.iter().enumerate() {
            let break_before = if nth > 0 { "\n" } else { "" };
            write!(f, "{break_before}{task}")?;
        }
        match self.tasks.last().and_then(TaskDump::awaits) {
            Some(first) if self.is_circle => {
                write!(f, "\na circle: task {first} is above, and none of them can end")
            }
            _ => Ok(()),
        }
    }
}

impl fmt::Display for Dump {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} tasks", self.tasks.len())?;
        for worker in &self.silent_workers {
            write!(f, "; worker {worker} has not answered: a poll holds it")?;
        }
        if !self.main.is_empty() {
            f.write_str("\nmain")?;
        }
        for wait in &self.main {
            write!(f, "\n{wait}")?;
        }
        for task in &self.tasks {
            write!(f, "\n{task}")?;
        }
        Ok(())
    }
}

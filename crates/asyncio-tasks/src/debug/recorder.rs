//! The jobs of a dump, one a worker: they have their threads record, wake every task that waits, and collect what was recorded (B1 to B3 in `mod.rs`).

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::rc::Rc;
use std::time::{Duration, Instant};

use asyncio_base::shim::{Arc, AtomicBool, AtomicUsize, Mutex, Ordering};
use asyncio_base::wait_point::{self, WaitPoint};
use asyncio_executor::{
    LiveTask, TaskState, current_header, live_local_tasks, live_tasks, main_turns, stack_base, wake_main,
};

use crate::info::TaskInfo;
use crate::spawn::Builder;
use crate::task::Task;
use crate::yield_now::yield_now;

use super::PATIENCE;
use super::stack::Stack;

/// What all jobs of a dump share.
pub(super) struct Recording {
    workers: usize,
    /// It is over then at the latest.
    deadline: Instant,
    /// How many of those that are wanted have been seen to wait, so far.
    seen: AtomicUsize,
    /// Some worker sees to the tasks that may move.
    is_shared_taken: AtomicBool,
    /// Nobody waits for it any more.
    is_over: AtomicBool,
    /// How many threads record.
    ready: AtomicUsize,
    /// How many have had their tasks polled. Until all have, all record: a task may have moved.
    done: AtomicUsize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    jobs: Vec<Option<Task<()>>>,
    parts: Vec<Part>,
    /// The numbers of the tasks that were woken: others are not looked at.
    wanted: HashSet<u64>,
}

/// What one worker has to say.
pub(super) struct Part {
    pub(super) worker: usize,
    /// Its own tasks, and in one of the parts those that may move, too.
    pub(super) tasks: Vec<TaskInfo>,
    pub(super) recorded: Recorded,
    /// It has taken part.
    pub(super) has_answered: bool,
}

/// What tasks wait for, by their numbers; `None` is the main future.
pub(super) type Recorded = HashMap<Option<u64>, Points>;

/// What a task waits for, in its last poll.
pub(super) struct Points {
    /// Which poll that was.
    pub(super) polls: u32,
    pub(super) points: Vec<(WaitPoint, Stack)>,
}

impl Recording {
    pub(super) fn new(workers: usize, deadline: Instant) -> Self {
        let [ready, done, seen] = [0; 3].map(AtomicUsize::new);
        let [is_shared_taken, is_over] = [false; 2].map(AtomicBool::new);
        Self { workers, deadline, seen, is_shared_taken, is_over, ready, done, state: Mutex::default() }
    }

    /// Takes the job of the next worker; `None` if that could not be started.
    pub(super) fn add_job(&self, job: Option<Task<()>>) {
        self.state.lock().jobs.push(job);
    }

    /// Says whether all jobs have ended.
    pub(super) fn have_all_ended(&self) -> bool {
        self.state.lock().jobs.iter().flatten().all(Task::is_finished)
    }

    /// Jobs that have not begun need not.
    pub(super) fn end(&self) {
        self.is_over.store(true, Ordering::Release);
    }

    /// Begins a wait for others.
    pub(super) fn patience(&self, length: Duration) -> Patience<'_> {
        Patience { recording: self, length, seen: self.seen.load(Ordering::Relaxed), since: Instant::now() }
    }

    /// Takes what there is, the jobs themselves left out.
    pub(super) fn take(&self) -> Vec<Part> {
        self.end();
        let State { jobs, mut parts, .. } = std::mem::take(&mut *self.state.lock());
        let numbers: Vec<u64> = jobs.iter().flatten().map(|job| job.id().get()).collect();
        for part in &mut parts {
            part.tasks.retain(|task| !numbers.contains(&task.id().get()));
        }
        for worker in 0..self.workers {
            if !parts.iter().any(|part| part.worker == worker) {
                let (tasks, recorded) = (Vec::new(), Recorded::new());
                parts.push(Part { worker, tasks, recorded, has_answered: false });
            }
        }
        parts
    }

    /// Polls others until `is_so`, as long as there is patience.
    async fn until(&self, mut is_so: impl FnMut() -> bool) {
        let mut patience = self.patience(PATIENCE);
        while !is_so() && !patience.is_over() {
            yield_now().await;
        }
    }
}

/// A wait, which is over when nothing has come of it for a while (B3).
pub(super) struct Patience<'a> {
    recording: &'a Recording,
    length: Duration,
    seen: usize,
    since: Instant,
}

impl Patience<'_> {
    pub(super) fn is_over(&mut self) -> bool {
        let (seen, now) = (self.recording.seen.load(Ordering::Relaxed), Instant::now());
        if std::mem::replace(&mut self.seen, seen) != seen {
            self.since = now;
        }
        let is_over = self.recording.is_over.load(Ordering::Acquire);
        is_over || now >= self.recording.deadline || now.duration_since(self.since) >= self.length
    }
}

/// Starts the job of a worker.
pub(super) fn record_on(worker: usize, recording: Arc<Recording>) -> Option<Task<()>> {
    Builder::new().name("dump").spawn_pinned(worker, move || record(worker, recording)).ok()
}

async fn record(worker: usize, recording: Arc<Recording>) {
    if recording.is_over.load(Ordering::Acquire) {
        return;
    }
    // One that is held does not see to them.
    let sees_to_shared = !recording.is_shared_taken.swap(true, Ordering::AcqRel);
    let recorded: Rc<RefCell<Recorded>> = Rc::default();
    let guard = wait_point::record({
        let (recording, recorded, base) = (recording.clone(), recorded.clone(), stack_base());
        Rc::new(move |point| note(&recording, &recorded, worker, point, base))
    });
    recording.ready.fetch_add(1, Ordering::AcqRel);
    // B2.
    recording.until(|| recording.ready.load(Ordering::Acquire) == recording.workers).await;
    let mut woken = wake_all(&recording, tasks(sees_to_shared)).into_iter().peekable();
    // There is one, and it is there.
    let main = if worker == 0 { wake_main() } else { None };
    recording
        .until(|| {
            while woken.next_if(|(task, polls)| task.header().polls() != *polls).is_some() {}
            woken.peek().is_none() && (main.is_none() || main != main_turns())
        })
        .await;
    // Main has had its turn, and is about to be polled for it.
    yield_now().await;
    recording.done.fetch_add(1, Ordering::AcqRel);
    recording.until(|| recording.done.load(Ordering::Acquire) == recording.workers).await;
    drop(guard);
    // As they are now: some may have ended by that poll.
    let tasks = tasks(sees_to_shared).iter().map(TaskInfo::of_live).collect();
    let part = Part { worker, tasks, recorded: recorded.take(), has_answered: true };
    recording.state.lock().parts.push(part);
}

/// Returns the tasks that a worker has to see to.
fn tasks(with_shared: bool) -> Vec<LiveTask> {
    if with_shared { live_tasks() } else { live_local_tasks() }
}

/// Wakes those that wait. Returns those that will be polled for that, each with how often it had been before.
fn wake_all(recording: &Recording, mut tasks: Vec<LiveTask>) -> Vec<(LiveTask, u32)> {
    let own = current_header(|me| me.id());
    tasks.retain(|task| Some(task.header().id()) != own);
    recording.state.lock().wanted.extend(tasks.iter().map(|task| task.header().id().get()));
    // One that is being polled right now may wait by the time that it is looked at, and is woken for that; but it is not waited for.
    let (running, tasks): (Vec<_>, Vec<_>) =
        tasks.into_iter().partition(|task| task.state() == TaskState::Running);
    running.iter().for_each(LiveTask::wake);
    let polls = |task: LiveTask| {
        let polls = task.header().polls();
        (task, polls)
    };
    let waiting: Vec<(LiveTask, u32)> = tasks.into_iter().map(polls).collect();
    waiting.iter().for_each(|(task, _)| task.wake());
    waiting
}

/// Called from inside of a leaf that waits.
fn note(
    recording: &Recording,
    recorded: &RefCell<Recorded>,
    worker: usize,
    point: WaitPoint,
    base: Option<usize>,
) {
    let task = current_header(|header| (header.id().get(), header.polls()));
    let is_wanted = match task {
        Some((id, _)) => recording.state.lock().wanted.contains(&id),
        None => worker == 0,
    };
    if !is_wanted {
        return;
    }
    let stack = Stack::here(base);
    let (task, polls) = task.map_or((None, main_turns().unwrap_or(0)), |(id, polls)| (Some(id), polls));
    let mut recorded = recorded.borrow_mut();
    let points = recorded.entry(task).or_insert_with(|| {
        recording.seen.fetch_add(1, Ordering::Relaxed);
        Points { polls, points: Vec::new() }
    });
    if points.polls != polls {
        *points = Points { polls, points: Vec::new() };
    }
    points.points.push((point, stack));
}

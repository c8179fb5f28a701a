//! Tasks: results, panics, detaching, foreign executors.

use asyncio_executor::{LocalExecutor, block_on};
use asyncio_tasks::{
    Builder, Runnable, Spawn, Task, TaskError, TaskInfo, TaskState, all_tasks, current_task, spawn_local,
    spawn_on, yield_now,
};
use static_assertions::{assert_impl_all, assert_not_impl_any};
use std::cell::Cell;
use std::rc::Rc;
use std::sync::{Arc, mpsc};
use std::task::Waker;

assert_impl_all!(Task<u8>: Send, Sync, Unpin);
assert_not_impl_any!(Task<Rc<u8>>: Send);
assert_impl_all!(TaskError: std::error::Error, Send, Sync, Unpin);
assert_impl_all!(TaskInfo: Send, Sync, Clone);

fn executor() -> LocalExecutor {
    LocalExecutor::new(Waker::noop().clone())
}

#[test]
fn a_dropped_handle_detaches() {
    let executor = executor();
    let _entered = executor.enter();
    let done = Rc::new(Cell::new(false));
    let flag = done.clone();
    drop(spawn_local(async move {
        yield_now().await;
        flag.set(true);
    }));
    while executor.run_round() > 0 {}
    assert!(done.get());
}

#[test]
fn errors_say_what_happened() {
    let executor = executor();
    let _entered = executor.enter();
    let bad = spawn_local(async { panic!("{} bugs", 2) });
    executor.run_round();
    let error = block_on(bad).unwrap_err();
    assert_eq!(error.to_string(), "the task panicked: 2 bugs");
    assert!(error.is_panic() && !error.is_cancelled());
    assert_eq!(asyncio_base::panic::message(&*error.into_panic()), "2 bugs");

    let lost = spawn_local(std::future::pending::<()>());
    drop(_entered);
    drop(executor);
    let error = block_on(lost).unwrap_err();
    assert!(error.is_cancelled());
    assert_eq!(std::io::Error::from(error).to_string(), "the task was cancelled");
}

#[test]
#[should_panic(expected = "where no event loop runs")]
fn spawning_outside_of_a_loop_says_what_to_do() {
    spawn_local(async {}).detach();
}

#[test]
fn a_task_names_its_place_and_its_parent() {
    let executor = executor();
    let _entered = executor.enter();
    let line = line!() + 1;
    let parent = Builder::new().name("parent").spawn_local(async {
        let me = current_task().unwrap();
        (me, spawn_local(async { current_task().unwrap() }).await.unwrap())
    });
    while executor.run_round() > 0 {}
    let (parent, child) = block_on(parent).unwrap();
    assert_eq!((parent.spawned_at().file(), parent.spawned_at().line()), (file!(), line));
    assert_eq!((parent.name(), child.name()), (Some("parent"), None));
    assert_eq!(child.parent(), Some(parent.id()));
    assert_eq!((parent.polls(), child.polls()), (1, 1));
}

struct Channel(mpsc::Sender<Runnable>);

impl Spawn for Channel {
    fn schedule(&self, runnable: Runnable) {
        // After the receiver is gone the task ends here.
        let _ = self.0.send(runnable);
    }
}

#[test]
fn on_an_executor_of_threads() {
    let (sender, receiver) = mpsc::channel::<Runnable>();
    let home: Arc<dyn Spawn> = Arc::new(Channel(sender));
    let tasks: Vec<_> = (0..100)
        .map(|n| {
            spawn_on(home.clone(), async move {
                for _ in 0..n {
                    yield_now().await;
                }
                n
            })
        })
        .collect();
    let never = spawn_on(home.clone(), std::future::pending::<()>());
    let worker = std::thread::spawn(move || {
        for runnable in receiver {
            runnable.run();
        }
    });
    for (n, task) in tasks.into_iter().enumerate() {
        assert_eq!(block_on(task).unwrap(), n);
    }
    drop(home);
    assert!(!never.is_finished());
    drop(never);
    worker.join().unwrap();
}

#[test]
fn all_tasks_say_what_they_are_doing() {
    let executor = executor();
    let _entered = executor.enter();
    let waits = Builder::new().name("waits").spawn_local(std::future::pending::<()>());
    let looks = spawn_local(async { all_tasks() });
    let state = |all: &[TaskInfo], id| all.iter().find(|task| task.id() == id).map(TaskInfo::state);
    let before = all_tasks();
    assert_eq!(state(&before, waits.id()), Some(TaskState::Ready));
    executor.run_round();
    let later = spawn_local(async {});
    let seen = block_on(looks).unwrap();
    assert_eq!(seen.len(), 2);
    let me = seen.iter().find(|task| task.id() != waits.id()).unwrap();
    assert_eq!((me.state(), me.polls(), me.is_cancelled()), (TaskState::Running, 1, false));
    assert_eq!(state(&seen, waits.id()), Some(TaskState::Waiting));
    let now = all_tasks();
    assert_eq!((now.len(), state(&now, later.id())), (2, Some(TaskState::Ready)));
    waits.cancel();
    let info = all_tasks().into_iter().find(|task| task.id() == waits.id()).unwrap();
    assert!(info.is_cancelled());
    assert_eq!((info.state(), info.name(), info.busy()), (TaskState::Ready, Some("waits"), None));
    executor.run_round();
    assert!(all_tasks().is_empty());
}

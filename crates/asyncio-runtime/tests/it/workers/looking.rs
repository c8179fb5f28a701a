//! Looking at the tasks of a runtime of several workers.

use std::future::pending;
use std::time::Duration;

use asyncio_runtime::Runner;
use asyncio_tasks::{Builder, TaskState, all_tasks, current_task, spawn, yield_now};

use super::runner;

#[test]
fn tasks_that_may_move_are_among_all_tasks_wherever_they_wait() {
    let mut runner = runner(2);
    runner.run(async {
        let waiting: Vec<_> = (0..20).map(|_| Builder::new().name("waits").spawn(pending::<()>())).collect();
        let is_seen = || {
            let all = all_tasks();
            let waits = |task: &&asyncio_tasks::TaskInfo| {
                task.name() == Some("waits") && task.state() == TaskState::Waiting && task.polls() == 1
            };
            all.iter().filter(waits).count() == waiting.len()
        };
        // Those that have not waited yet are in a queue.
        while !is_seen() {
            yield_now().await;
        }
        let ended = spawn(async { yield_now().await }).await;
        assert!(ended.is_ok());
        assert!(waiting.iter().all(|task| task.cancel()));
        for task in waiting {
            assert!(task.await.unwrap_err().is_cancelled());
        }
        while all_tasks().iter().any(|task| task.name() == Some("waits")) {
            yield_now().await;
        }
    });
}

#[test]
fn polls_are_measured_for_each_task_where_they_are_measured() {
    for workers in [1, 2] {
        let mut runner = Runner::builder().workers(workers).metrics(true).build().unwrap();
        runner.run(async {
            let busy = spawn(async {
                std::thread::sleep(Duration::from_millis(2));
                loop {
                    // Another worker may go on with it before the first one has written down how long it took.
                    yield_now().await;
                    if let Some(busy) = current_task().and_then(|me| me.busy()) {
                        return Some(busy);
                    }
                }
            });
            assert!(busy.await.unwrap().unwrap() >= Duration::from_millis(2));
        });
    }
}

//! "Executing Tasks Concurrently": tasks, and their cancellation before and after they have begun.

use std::time::Duration;

use asyncio::task::Builder;
use asyncio::{EventLoop, current_task, guard, sleep, spawn, spawn_local};

use crate::{Outcome, jumping_clock};

async fn work() -> &'static str {
    let name = current_task().and_then(|me| me.name().map(str::to_owned));
    println!("task: runs, by the name of {:?}", name.unwrap_or_default());
    "the result"
}

/// Makes a task, and awaits its result.
///
/// A task that panics is an error of the await. A handle that is dropped lets the task go on, and no task is lost by that, as asyncio's may be.
pub fn asyncio_create_task() -> Outcome {
    asyncio::run(async {
        let mut task = Builder::new().name("worker").spawn(work());
        println!("main: has made a task, which has ended: {}", task.is_finished());
        let value = (&mut task).await?;
        println!("main: it gave {value:?}, and has ended: {}", task.is_finished());
        Ok(())
    })
}

async fn never_begins() {
    println!("task: nobody ever reads this");
}

/// Cancels a task before its first step: nothing of it runs, and whoever awaits it is told.
pub fn asyncio_cancel_task() -> Outcome {
    asyncio::run(async {
        let task = spawn(never_begins());
        println!("main: cancels the task, which is news to it: {}", task.cancel());
        println!("main: cancels it again, which is not: {}", task.cancel());
        match task.await {
            Ok(()) => println!("main: it has come to its end all the same"),
            Err(error) => println!("main: {error}"),
        }
        Ok(())
    })
}

async fn sleeper() {
    let _clean_up = guard((), |()| async {
        println!("task: cleans up");
        sleep(Duration::from_secs(1)).await;
        println!("task: is clean");
    });
    println!("task: sleeps");
    sleep(Duration::from_secs(3600)).await;
    println!("task: nobody ever reads this");
}

/// A callback cancels a task that sleeps.
///
/// In asyncio the sleep raises an exception, which the task may catch, and should raise again. Here the task is dropped where it sleeps, so there is
/// nothing that it could forget to do; what is to be done at its end is in a guard, which may wait for something itself.
pub fn asyncio_cancel_task2() -> Outcome {
    jumping_clock::run(async {
        let task = spawn_local(sleeper()).shared();
        let canceller = task.clone();
        EventLoop::current()?.call_soon(move || {
            println!("callback: cancels the task");
            canceller.cancel();
        })?;
        println!("main: waits for the task");
        match task.await {
            Ok(()) => println!("main: it has come to its end all the same"),
            Err(error) => println!("main: {error}"),
        }
        Ok(())
    })
}

async fn wrapped(what: &'static str) -> String {
    println!("{what} task: runs");
    format!("the result of the {what} task")
}

/// Makes tasks of whatever is a future, which `spawn` does: there is no `ensure_future`.
///
/// Nothing of a task runs until the one who has made it waits for something, or yields; but for one that is asked to be eager.
pub fn asyncio_ensure_future() -> Outcome {
    asyncio::run(async {
        let patient = spawn(wrapped("patient"));
        println!("main: nothing of the patient task has run");
        let eager = Builder::new().eager(true).spawn(wrapped("eager"));
        println!("main: the eager one has ended: {}", eager.is_finished());
        println!("main: has {:?}", patient.await?);
        println!("main: has {:?}", eager.await?);
        Ok(())
    })
}

//! "Composing Coroutines with Control Structures": waiting for several things at once.

use std::time::Duration;

use asyncio::{StreamExt, Task, WaitFor, as_completed, gather_all, join, sleep, spawn, wait};

use crate::{Outcome, jumping_clock};

const STEP: Duration = Duration::from_millis(100);

async fn phase(number: u32, delay: Duration) -> String {
    println!("phase {number}: begins");
    sleep(delay).await;
    println!("phase {number}: ends");
    format!("result {number}")
}

/// Waits for tasks. It takes tasks, as asyncio's does since 3.11, and gives those that have ended back in the order of the arguments, not as a set.
pub fn asyncio_wait() -> Outcome {
    jumping_clock::run(async {
        let tasks: Vec<Task<String>> =
            (0..3).map(|number| spawn(phase(number, (3 - number) * STEP))).collect();
        println!("main: waits for all of them");
        let (done, pending) = wait(tasks, WaitFor::All, None).await;
        println!("main: {} have ended, {} have not", done.len(), pending.len());
        for task in done {
            println!("main: has {:?}", task.await?);
        }
        Ok(())
    })
}

/// Waits for tasks, but not for ever: those that are late go on, unless somebody cancels them.
///
/// Here nobody would be warned of tasks that are left, since the end of the loop cancels those.
pub fn asyncio_wait_timeout() -> Outcome {
    jumping_clock::run(async {
        let tasks: Vec<Task<String>> =
            (0..3).map(|number| spawn(phase(number, STEP / 2 + number * STEP))).collect();
        println!("main: waits for so long and no longer");
        let (done, pending) = wait(tasks, WaitFor::All, Some(STEP)).await;
        println!("main: {} has ended, {} have not", done.len(), pending.len());
        for task in done {
            println!("main: has {:?}", task.await?);
        }
        for task in pending {
            task.cancel();
            match task.await {
                Ok(result) => println!("main: has {result:?} all the same"),
                Err(error) => println!("main: {error}"),
            }
        }
        Ok(())
    })
}

async fn length() -> usize {
    sleep(2 * STEP).await;
    println!("length: is known");
    5
}

async fn name() -> &'static str {
    sleep(STEP).await;
    println!("name: is known");
    "pymotw"
}

/// Awaits several futures together, and has their results in the order of the arguments, whichever came first.
///
/// asyncio's `gather` is three things here: `join!` for a few of any types, `gather` for many that may fail, `gather_all` for many, errors among
/// the results. None of them needs tasks.
pub fn asyncio_gather() -> Outcome {
    jumping_clock::run(async {
        let (length, name) = join!(length(), name());
        println!("main: has {length} and {name:?}");
        let results = gather_all((0..3).map(|number| phase(number, (3 - number) * STEP))).await;
        println!("main: has {results:?}");
        Ok(())
    })
}

/// Has each result as it comes. asyncio gives futures, in the order in which they will be ready; here it is a stream of the results.
pub fn asyncio_as_completed() -> Outcome {
    jumping_clock::run(async {
        let mut results = as_completed((0..3).map(|number| phase(number, (3 - number) * STEP)));
        println!("main: takes what comes");
        let mut order = Vec::new();
        while let Some(result) = results.next().await {
            println!("main: has {result:?}");
            order.push(result);
        }
        println!("main: they came as {order:?}");
        Ok(())
    })
}

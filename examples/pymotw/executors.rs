//! "Combining Coroutines with Threads and Processes": calls that block, on threads and in other processes.

use std::thread;
use std::time::Duration;

use asyncio::blocking::ThreadPool;
use asyncio::gather;
#[cfg(unix)]
use asyncio::process::{Functions, ProcessPool};

use crate::Outcome;

/// What blocks; with it comes where it ran.
fn square(number: u64) -> (u64, u32) {
    thread::sleep(Duration::from_millis(10));
    (number * number, std::process::id())
}

/// Six calls that block, on three threads.
///
/// The originals wait for the calls and have the results in any order; `gather` keeps that of the arguments. For a call without a pool of its own there is
/// `to_thread`.
pub fn asyncio_executor_thread() -> Outcome {
    asyncio::run(async {
        let pool = ThreadPool::builder().threads_max(3).name("pymotw").build();
        println!("main: makes six calls on three threads");
        let answers = gather((0..6).map(|number| pool.run(move || square(number)))).await?;
        let squares: Vec<u64> = answers.iter().map(|(square, _)| *square).collect();
        println!("main: has {squares:?}");
        println!("main: there are no more threads than that: {}", pool.threads() <= 3);
        let is_here = answers.iter().all(|(_, process)| *process == std::process::id());
        println!("main: each ran in this process: {is_here}");
        Ok(())
    })
}

/// The same in three processes.
///
/// Python sends the function to its workers by its name and imports it there. Here a worker is this program, started once more, which is to become one before
/// it does anything else: with the argument that leads here, it does so in `enter`, and goes no further.
#[cfg(unix)]
pub fn asyncio_executor_process() -> Outcome {
    let functions = Functions::new().with(square).enter();
    asyncio::run(async {
        let pool =
            ProcessPool::builder(functions).workers_max(3).worker_args(["asyncio_executor_process"]).build();
        println!("main: makes six calls in three processes");
        let answers: Vec<(u64, u32)> = gather((0..6).map(|number| pool.run(square, number))).await?;
        let squares: Vec<u64> = answers.iter().map(|(square, _)| *square).collect();
        println!("main: has {squares:?}");
        let is_elsewhere = answers.iter().all(|(_, process)| *process != std::process::id());
        println!("main: each ran in another process: {is_elsewhere}");
        pool.close().await;
        println!("main: the processes have ended");
        Ok(())
    })
}

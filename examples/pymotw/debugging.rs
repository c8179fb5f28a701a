//! "Debugging with asyncio": debug mode, which finds tasks that hold their loop.

use std::error::Error;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use asyncio::task::Builder;
use asyncio::{Runner, Unhandled};

use crate::Outcome;

/// Runs a task that holds its loop for 20 ms, which is too long, and returns what was reported of it.
fn reports_of_sluggish_task(is_debugged: bool) -> Result<Vec<Unhandled>, Box<dyn Error>> {
    let (sender, reports) = mpsc::channel();
    let mut runner = Runner::builder()
        .debug(is_debugged)
        .slow_poll_threshold(Duration::from_millis(1))
        .on_unhandled(move |what| {
            // The other end is kept until the loop is closed.
            let _ = sender.send(what.clone());
        })
        .build()?;
    let id = runner.run(async {
        let task =
            Builder::new().name("sluggish").spawn_local(async { thread::sleep(Duration::from_millis(20)) });
        let id = task.id().get();
        task.await.map(|()| id)
    })?;
    runner.close();
    // Where the machine has much else to do, other polls may be slow, too: those are not this program's affair. And this one may have been told of while
    // it lasted, besides.
    let is_of_it = |what: &Unhandled| what.task() == Some(id) && what.message().contains("held its loop");
    Ok(reports.try_iter().filter(is_of_it).collect())
}

/// Runs the same program with debug mode and without, and compares what is reported.
///
/// The original is run twice, by hand, with another argument. asyncio's debug mode also warns of what was not closed and never awaited; here what is dropped is
/// closed, and of futures that are never awaited the compiler warns. The reports go to a handler, which anybody may set, and otherwise to stderr.
pub fn asyncio_debug() -> Outcome {
    let without = reports_of_sluggish_task(false)?;
    println!("without debug mode the slow poll was reported {} times", without.len());
    let reports = reports_of_sluggish_task(true)?;
    println!("in debug mode it was reported {} times", reports.len());
    for report in reports {
        let message = report.message();
        println!("it says how long it took: {}", message.contains(" took "));
        println!("it names the task: {}", message.contains("\"sluggish\""));
        let place = report.spawned_at().ok_or("it is about a task")?;
        println!("it names the place where that was spawned: {}", message.contains(&place.to_string()));
        println!("that is in this file: {}", place.file().ends_with("debugging.rs"));
    }
    Ok(())
}

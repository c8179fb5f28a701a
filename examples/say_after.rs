//! asyncio's tutorial: two coroutines one after the other take two waits, as tasks they take one.
//!
//! `cargo run --release --example say_after`. The clock jumps, so the figures are exact, and the program takes no time.

use std::time::Duration;

use asyncio::timers::ManualClock;
use asyncio::{EventLoop, Runner, join, sleep, spawn};

const SECOND: Duration = Duration::from_secs(1);

async fn say_after(delay: Duration, what: &str) {
    sleep(delay).await;
    println!("{what}");
}

/// Runs a program on a loop whose clock jumps, and returns how long that took by it.
fn time_of(
    program: impl Future<Output = Result<(), Box<dyn std::error::Error>>>,
) -> Result<Duration, Box<dyn std::error::Error>> {
    let mut runner = Runner::builder().clock(ManualClock::jumping()).build()?;
    runner.run(async {
        let event_loop = EventLoop::current()?;
        let start = event_loop.time();
        program.await?;
        Ok(event_loop.time() - start)
    })
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let in_sequence = time_of(async {
        say_after(SECOND, "hello").await;
        say_after(2 * SECOND, "world").await;
        Ok(())
    })?;
    assert_eq!(in_sequence, 3 * SECOND);

    let as_tasks = time_of(async {
        let hello = spawn(say_after(SECOND, "hello"));
        let world = spawn(say_after(2 * SECOND, "world"));
        hello.await?;
        world.await?;
        Ok(())
    })?;
    assert_eq!(as_tasks, 2 * SECOND);

    let together = time_of(async {
        join!(say_after(SECOND, "hello"), say_after(2 * SECOND, "world"));
        Ok(())
    })?;
    assert_eq!(together, 2 * SECOND);
    println!("in sequence {in_sequence:?}, as tasks {as_tasks:?}, joined {together:?}");
    Ok(())
}

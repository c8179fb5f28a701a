//! Task groups.

mod ending;
mod limits;
mod reviewed;

use std::future::Future;

use asyncio_executor::block_on;
use asyncio_tasks::spawn_local;

use crate::support::World;

/// Runs a future to its end as a task, without any time going by.
fn settle<F: Future + 'static>(world: &World, future: F) -> F::Output {
    let task = spawn_local(future);
    world.settle();
    assert!(task.is_finished());
    block_on(task).unwrap()
}

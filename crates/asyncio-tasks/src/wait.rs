//! [`wait`]: tasks, until some of them have ended.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use asyncio_timers::sleep;

use crate::task::Task;

/// What [`wait`] waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WaitFor {
    /// The first task to end, in whichever way.
    First,
    /// The first task to panic, or all.
    FirstError,
    /// All tasks.
    All,
}

/// Waits for tasks, at most for `limit`, and gives back those that have ended and those that have not, each in the order of the arguments. It
/// cancels none. asyncio's `wait`.
///
/// # Cancel safety
///
/// Dropping it drops the handles, which detaches the tasks: they go on.
///
/// # Examples
///
/// ```
/// # let executor = asyncio_executor::LocalExecutor::new(std::task::Waker::noop().clone());
/// # let _entered = executor.enter();
/// use asyncio_tasks::{WaitFor, spawn_local, wait};
///
/// let tasks = vec![spawn_local(std::future::pending()), spawn_local(async { 2 })];
/// executor.run_round();
/// let (mut done, pending) = asyncio_executor::block_on(wait(tasks, WaitFor::First, None));
/// assert_eq!((done.len(), pending.len()), (1, 1));
/// assert_eq!(asyncio_executor::block_on(done.remove(0)).unwrap(), 2);
/// ```
pub async fn wait<T>(
    tasks: impl IntoIterator<Item = Task<T>>,
    until: WaitFor,
    limit: Option<Duration>,
) -> (Vec<Task<T>>, Vec<Task<T>>) {
    let mut tasks: Vec<Task<T>> = tasks.into_iter().collect();
    let mut timer = pin!(limit.map(sleep));
    poll_fn(|cx| {
        let mut left = 0;
        let mut is_enough = tasks.is_empty();
        for task in &mut tasks {
            let has_ended = task.poll_ended(cx);
            left += usize::from(!has_ended);
            is_enough |= match until {
                WaitFor::First => has_ended,
                WaitFor::FirstError => task.has_panicked(),
                WaitFor::All => false,
            };
        }
        let mut is_over = || timer.as_mut().as_pin_mut().is_some_and(|timer| timer.poll(cx).is_ready());
        if is_enough || left == 0 || is_over() { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    tasks.into_iter().partition(|task| task.is_finished())
}

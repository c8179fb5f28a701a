//! Seeing inside: [`dump`], what every task waits for; and [`await_chain`], whom one of them waits for.
//!
//! asyncio's `print_call_graph`, for a whole program. Each task that waits is woken once and for nothing, so that it is polled in its turn, on its
//! own thread and with its own waker, as by any other wake; only that its thread records meanwhile: a leaf future of ours that finds itself
//! pending says what it waits for, and its stack is looked at. So a dump changes nothing but the order of what is ready, and counts of polls.
//!
//! - B1: nobody is polled inside of somebody else's poll. A dump that is asked for while a lock is held does not meet that lock again.
//! - B2: all threads record before the first task is woken, since one that may move is polled where it likes.
//! - B3: it ends. A thread that does not answer, since a poll holds it that does not end, is waited for as long as others are still being seen, and
//!   0.3 s longer, three times (`PATIENCE`); and no longer than for 10 s (`LIMIT`).
//! - B4: stacks are kept as addresses. Names and lines are looked up afterwards, on a thread that lives for that, so that no loop waits for it.
//!
//! What a dump shows of a stack needs line tables in the binary: `debug = "line-tables-only"` in the profile. Without them names are left; without
//! symbols, what is waited for.
//!
//! A future that polls only those of its children that were woken shows none of them, if it is not ours: `FuturesUnordered`, for one.

mod dumped;
mod mistake;
mod recorder;
mod stack;

use std::future::poll_fn;
use std::task::Poll;
use std::time::{Duration, Instant};

use asyncio_base::shim::{Arc, Mutex};
use asyncio_base::{closed_world, wait_point};
use asyncio_executor::{TaskId, worker_count};

use crate::slot::slot;
use crate::spawn::no_loop;

use self::recorder::{Part, Recording};

pub use self::dumped::{AwaitChain, Dump, TaskDump, Wait};
pub use self::mistake::report_mistake;
pub use self::stack::{Frame, Stack, read_tables};

/// For so long a dump waits for a thread while nothing happens. Longer than any poll should take, and short enough for somebody who waits for it.
const PATIENCE: Duration = Duration::from_millis(300);

/// And for so long altogether: a million tasks take less.
const LIMIT: Duration = Duration::from_secs(10);

/// Returns what every task of this runtime waits for, and how it came to do so.
///
/// All workers take part. What it costs is a poll of every task that waits, and a look at its stack: 100,000 tasks take less than a second. The program
/// goes on meanwhile.
///
/// # Cancel safety
///
/// Dropping it loses the dump, and nothing else.
///
/// # Panics
///
/// Panics where no loop runs on this thread.
///
/// # Examples
///
/// ```
/// # let executor = asyncio_executor::LocalExecutor::new(std::task::Waker::noop().clone());
/// # let _entered = executor.enter();
/// async fn never() {
///     std::future::pending::<()>().await;
/// }
///
/// asyncio_tasks::Builder::new().name("first").spawn_local(never()).detach();
/// let second = asyncio_tasks::spawn_local(async {
///     let (_setter, completion) = asyncio_tasks::completion::<u32, String>();
///     let _ = completion.await;
/// });
/// executor.run_round();
/// let dump = asyncio_tasks::spawn_local(asyncio_tasks::debug::dump());
/// while !dump.is_finished() {
///     executor.run_round();
/// }
/// let dump = asyncio_executor::block_on(dump).unwrap();
/// let second = dump.task(second.id()).unwrap();
/// assert_eq!(second.waits()[0].operation(), "completion");
/// assert!(dump.to_string().contains("\"first\""));
/// ```
pub async fn dump() -> Dump {
    let workers = worker_count();
    if workers == 0 {
        no_loop();
    }
    let recording = Arc::new(Recording::new(workers, Instant::now() + LIMIT));
    for worker in 0..workers {
        let job = recorder::record_on(worker, recording.clone());
        recording.add_job(job);
    }
    let _ending = Ending(&recording);
    // Longer than the jobs, which wait three times, and look once a round.
    let mut patience = recording.patience(8 * PATIENCE);
    poll_fn(|cx| {
        if recording.have_all_ended() || patience.is_over() {
            return Poll::Ready(());
        }
        wait_point::here("dump");
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
    looked_up(recording.take()).await
}

/// Has the jobs end that nobody waits for any more.
struct Ending<'a>(&'a Recording);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// Looks names up, on a thread for that (B4); where none can be started, here.
async fn looked_up(parts: Vec<Part>) -> Dump {
    let parts = Arc::new(Mutex::new(parts));
    let (giver, mut taker) = slot();
    let body = {
        let parts = parts.clone();
        move || {
            let parts = std::mem::take(&mut *parts.lock());
            // Nobody waits for it any more, if not.
            let _ = giver.give(Dump::of(parts));
        }
    };
    // A simulated host has no threads.
    let started = closed_world::check("a thread")
        .and_then(|()| std::thread::Builder::new().name(String::from("asyncio-dump")).spawn(body));
    if started.is_ok() {
        let dumped = poll_fn(|cx| {
            let poll = taker.poll_take(cx);
            if poll.is_pending() {
                wait_point::here("dump");
                // The loop is not idle meanwhile: a clock that jumps would do so.
                cx.waker().wake_by_ref();
            }
            poll
        });
        // OK because nothing else ends it: a panic in there is one of the lookup.
        return dumped.await.unwrap_or_else(|_| panic!("the names of a dump could not be looked up"));
    }
    let parts = std::mem::take(&mut *parts.lock());
    Dump::of(parts)
}

/// Returns whom a task waits for: the task itself, the task whose end it awaits, the one that this awaits, and so on. `None` if there is no such task.
///
/// It takes a [dump](dump()), and follows it.
///
/// # Cancel safety
///
/// Dropping it loses the chain, and nothing else.
///
/// # Panics
///
/// Panics where no loop runs on this thread.
pub async fn await_chain(task: TaskId) -> Option<AwaitChain> {
    dump().await.into_chain(task)
}

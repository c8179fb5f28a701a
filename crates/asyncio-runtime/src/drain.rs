//! [`drain`]: the end of a runtime, before anything is closed: every task is cancelled, and its clean-up is waited for.
//!
//! - D1: every task that there is is asked to end, on all workers: those that were never polled end unpolled.
//! - D2: the loop goes on until no task and no clean-up is left. What clean-up starts meanwhile is not cancelled by that, since it may be
//!   needed; at half of the time it is.
//! - D3: this takes no longer than the grace period, by the system's clock, whatever clock the loop has: it always ends. What is left then is
//!   named, and dropped by the steps that follow (`crew.rs`).

use std::task::Context;
use std::time::{Duration, Instant};

use asyncio_base::report;
use asyncio_executor::Executor;

use crate::core::{Busy, Core, run_stretch};
use crate::crew::Crew;

/// Where there are several workers, the state of the others is looked at so often.
const LOOK: Duration = Duration::from_millis(1);
/// So many of the tasks that are left are named.
const NAMED_MAX: usize = 10;

/// Asks every task to end (D1), and says whether all have.
pub(crate) struct Ending<'a> {
    core: &'a Core,
    crew: &'a Crew,
    executor: Option<&'a Executor>,
}

impl<'a> Ending<'a> {
    pub(crate) fn of(core: &'a Core, crew: &'a Crew, executor: Option<&'a Executor>) -> Self {
        Self { core, crew, executor }
    }

    pub(crate) fn cancel_all(&self) {
        self.core.executor.request_cancel_all();
        if let Some(executor) = self.executor {
            executor.request_cancel_all();
        }
        self.crew.request_cancel_all();
    }

    /// Says whether no task and no clean-up is left; if not, the end of the last clean-up wakes the loop.
    pub(crate) fn is_over(&self) -> bool {
        let (core, waker) = (self.core, self.core.event_loop.waker());
        // In the order in which work is handed on: what runs anywhere may leave something to a worker, that a job, and all of them to us.
        self.executor.is_none_or(|executor| executor.is_quiet(0))
            && self.crew.is_drained()
            && core.cleanup.poll_idle(&mut Context::from_waker(&waker)).is_ready()
            && !core.executor.is_ready()
            && core.executor.is_empty()
    }
}

pub(crate) fn drain(core: &Core, crew: &Crew, executor: Option<&Executor>) {
    if crew.failure().is_some() {
        return;
    }
    struct Draining<'a>(&'a Core);
    impl Drop for Draining<'_> {
        fn drop(&mut self) {
            self.0.cleanup.set_draining(false);
        }
    }
    let _entered = core.enter();
    core.cleanup.set_draining(true);
    let _draining = Draining(core);
    let ending = Ending::of(core, crew, executor);
    let grace = core.cleanup.grace();
    let start = Instant::now();
    let mut is_second = false;
    ending.cancel_all();
    loop {
        run_stretch(core);
        // Twice, since workers do not stand still while they are looked at.
        if ending.is_over() && ending.is_over() || crew.failure().is_some() {
            return;
        }
        let elapsed = start.elapsed();
        if elapsed >= grace {
            return name_what_is_left(core, grace);
        }
        if !is_second && elapsed >= grace / 2 {
            is_second = true;
            ending.cancel_all();
        }
        let until = if is_second { grace } else { grace / 2 };
        let limit = until.saturating_sub(elapsed).min(if executor.is_some() { LOOK } else { Duration::MAX });
        let busy = if core.executor.is_ready() { Busy::Ready } else { Busy::Idle };
        if let Err(error) = core.look_at_events(busy, Some(limit)) {
            report::report(
                "runtime",
                format_args!(
                    "the clean-up of the last tasks cannot go on, since the loop cannot wait any more: {error}"
                ),
            );
            return;
        }
    }
}

#[cold]
pub(crate) fn name_what_is_left(core: &Core, grace: Duration) {
    let jobs = core.cleanup.jobs();
    let mut count = 0;
    core.executor.for_each_task(|task, _| {
        count += 1;
        if count > NAMED_MAX {
            return;
        }
        let (id, place, name) = (task.id(), task.spawned_at(), task.name().unwrap_or("unnamed"));
        report::report(
            "runtime",
            format_args!(
                "task {id} ({name}, {place}) has not ended {grace:?} after its cancellation: it is dropped"
            ),
        );
    });
    report::report(
        "runtime",
        format_args!(
            "the loop is closed though tasks have not ended {grace:?} after their cancellation: {count} of its own thread, {jobs} of them clean-up, or such as other \
             workers have"
        ),
    );
}

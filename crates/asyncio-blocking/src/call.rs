//! [`Call`]: a blocking call, and the wait for it.

use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use asyncio_base::panic::{catch_and_store, discard, message};
use asyncio_base::report::Report;
use asyncio_base::shim::{Arc, Mutex};
use asyncio_base::wait_point;
use asyncio_tasks::{Context as TaskContext, TaskError};

use crate::pool::Job;

/// A blocking call on a thread of a pool: a future of what it returns.
///
/// # Cancel safety
///
/// Dropping it before the call has begun cancels that. One that runs goes on, and what it returns is dropped on its thread: a thread cannot be
/// stopped.
#[must_use = "dropping it cancels the call, unless that has begun"]
pub struct Call<T> {
    shared: Arc<Shared<T>>,
}

struct Shared<T> {
    state: Mutex<State<T>>,
}

struct State<T> {
    stage: Stage<T>,
    waits: Option<Waker>,
}

enum Stage<T> {
    /// What is to be called.
    Queued(Box<dyn FnOnce() -> T + Send>),
    Running,
    Ended(Result<T, TaskError>),
    /// The result was taken.
    Taken,
    /// Nobody waits for it any more.
    Alone,
}

/// Makes a call, and the job that runs it.
pub(crate) fn call<F, T>(f: F) -> (Job, Call<T>)
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    // The context of whoever calls goes along.
    let context = TaskContext::capture();
    let f = move || if context.is_empty() { f() } else { context.run(f) };
    let state = State { stage: Stage::Queued(Box::new(f)), waits: None };
    let shared = Arc::new(Shared { state: Mutex::new(state) });
    let job = Unrun(shared.clone());
    (Job::new(move || job.run()), Call { shared })
}

/// A job that has not run: whoever waits for it is told when it is dropped.
struct Unrun<T: Send + 'static>(Arc<Shared<T>>);

impl<T: Send + 'static> Unrun<T> {
    fn run(self) {
        let f = {
            let mut state = self.0.state.lock();
            match std::mem::replace(&mut state.stage, Stage::Running) {
                Stage::Queued(f) => f,
                other => {
                    state.stage = other;
                    return;
                }
            }
        };
        let result = catch_unwind(AssertUnwindSafe(f)).map_err(TaskError::panicked);
        self.0.end(result);
    }
}

impl<T: Send + 'static> Drop for Unrun<T> {
    fn drop(&mut self) {
        let is_unrun = matches!(self.0.state.lock().stage, Stage::Queued(_));
        if is_unrun {
            self.0.end(Err(TaskError::cancelled(Some(
                "the pool of threads was closed before the call had begun",
            ))));
        }
    }
}

impl<T> Shared<T> {
    fn end(&self, result: Result<T, TaskError>) {
        let (surplus, waits) = {
            let mut state = self.state.lock();
            match std::mem::replace(&mut state.stage, Stage::Ended(result)) {
                Stage::Alone => (Some(std::mem::replace(&mut state.stage, Stage::Alone)), None),
                former => (Some(former), state.waits.take()),
            }
        };
        drop_surplus(surplus);
        if let Some(waits) = waits {
            let mut panic = None;
            catch_and_store(&mut panic, || waits.wake());
            panic.into_iter().for_each(discard);
        }
    }
}

/// Drops what nobody wants. A panic of that is nobody's, and is reported.
fn drop_surplus<T>(surplus: Option<Stage<T>>) {
    let mut panic = None;
    catch_and_store(&mut panic, || drop(surplus));
    if let Some(panic) = panic {
        let message = message(&*panic);
        Report::new(
            "blocking",
            format_args!("dropping what a blocking call had or returned panicked: {message}"),
        )
        .panicked()
        .send();
        discard(panic);
    }
}

impl<T> Future for Call<T> {
    type Output = Result<T, TaskError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let waker = cx.waker().clone();
        let mut state = self.shared.state.lock();
        match std::mem::replace(&mut state.stage, Stage::Taken) {
            Stage::Ended(result) => return Poll::Ready(result),
            Stage::Taken | Stage::Alone => {
                panic!("a blocking call was awaited again after it had given its result")
            }
            waiting => state.stage = waiting,
        }
        let former = state.waits.replace(waker);
        drop(state);
        drop(former);
        wait_point::here("blocking call");
        Poll::Pending
    }
}

impl<T> Drop for Call<T> {
    fn drop(&mut self) {
        let (former, waits) = {
            let mut state = self.shared.state.lock();
            (std::mem::replace(&mut state.stage, Stage::Alone), state.waits.take())
        };
        drop((former, waits));
    }
}

impl<T> fmt::Debug for Call<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stage = match self.shared.state.lock().stage {
            Stage::Queued(_) => "queued",
            Stage::Running => "running",
            Stage::Ended(_) | Stage::Taken | Stage::Alone => "ended",
        };
        f.debug_struct("Call").field("stage", &stage).finish()
    }
}

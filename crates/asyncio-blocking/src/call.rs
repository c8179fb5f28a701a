//! [`Call`]: a blocking call, and the wait for it; [`Job`]: the same, as a pool has it. Both are of one allocation.

use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use asyncio_base::panic::{catch_and_store, discard, message};
use asyncio_base::report::Report;
use asyncio_base::shim::{Arc, Mutex};
use asyncio_base::wait_point;
use asyncio_tasks::{Context as TaskContext, TaskError};

/// A blocking call on a thread of a pool: a future of what it returns.
///
/// # Cancel safety
///
/// Dropping it before the call has begun cancels that. One that runs goes on, and what it returns is dropped on its thread: a thread cannot be
/// stopped.
#[must_use = "dropping it cancels the call, unless that has begun"]
pub struct Call<T> {
    shared: Arc<dyn Outcome<T>>,
}

/// A blocking call that is to be run, by a [`Pool`](crate::Pool). Dropped, it is cancelled, and whoever waits for it is told.
pub struct Job {
    /// `None` once it is run, or refused.
    shared: Option<Arc<dyn Run>>,
    place: &'static Location<'static>,
}

/// Makes a call, and the job that runs it. `place` is where it was asked for.
pub(crate) fn call<F, T>(f: F, place: &'static Location<'static>) -> (Job, Call<T>)
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    // The context of whoever calls goes along.
    let context = TaskContext::capture();
    let f = move || if context.is_empty() { f() } else { context.run(f) };
    let shared = Arc::new(Shared { state: Mutex::new(State { stage: Stage::Queued(f), waits: None }) });
    (Job { shared: Some(shared.clone()), place }, Call { shared })
}

/// What the side of the pool does.
trait Run: Send + Sync {
    fn run(&self);
    fn refuse(&self, reason: &str);
}

/// What the side of whoever waits does.
trait Outcome<T>: Send + Sync {
    fn poll(&self, cx: &mut Context<'_>) -> Poll<Result<T, TaskError>>;
    fn leave(&self);
    fn stage(&self) -> &'static str;
}

struct Shared<F, T> {
    state: Mutex<State<F, T>>,
}

struct State<F, T> {
    stage: Stage<F, T>,
    waits: Option<Waker>,
}

enum Stage<F, T> {
    /// What is to be called.
    Queued(F),
    Running,
    Ended(Result<T, TaskError>),
    /// The result was taken.
    Taken,
    /// Nobody waits for it any more.
    Alone,
}

impl Job {
    /// Runs it, here and now. A panic of it goes to whoever waits for it.
    pub fn run(mut self) {
        if let Some(shared) = self.shared.take() {
            shared.run();
        }
    }

    /// Cancels it, and says why.
    pub fn refuse(mut self, reason: &str) {
        if let Some(shared) = self.shared.take() {
            shared.refuse(reason);
        }
    }

    /// Returns where it was asked for, in the program.
    pub fn place(&self) -> &'static Location<'static> {
        self.place
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        if let Some(shared) = self.shared.take() {
            shared.refuse("its pool has dropped the call before it had begun");
        }
    }
}

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Job").field("place", &format_args!("{}", self.place)).finish_non_exhaustive()
    }
}

impl<F, T> Run for Shared<F, T>
where
    F: FnOnce() -> T + Send,
    T: Send,
{
    fn run(&self) {
        let f = {
            let mut state = self.state.lock();
            match std::mem::replace(&mut state.stage, Stage::Running) {
                Stage::Queued(f) => f,
                other => {
                    state.stage = other;
                    return;
                }
            }
        };
        self.end(catch_unwind(AssertUnwindSafe(f)).map_err(TaskError::panicked));
    }

    fn refuse(&self, reason: &str) {
        let is_queued = matches!(self.state.lock().stage, Stage::Queued(_));
        if is_queued {
            self.end(Err(TaskError::cancelled(Some(reason))));
        }
    }
}

impl<F, T> Shared<F, T> {
    fn end(&self, result: Result<T, TaskError>) {
        let (surplus, waits) = {
            let mut state = self.state.lock();
            match std::mem::replace(&mut state.stage, Stage::Ended(result)) {
                Stage::Alone => (std::mem::replace(&mut state.stage, Stage::Alone), None),
                former => (former, state.waits.take()),
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
fn drop_surplus<F, T>(surplus: Stage<F, T>) {
    if matches!(surplus, Stage::Running) {
        return;
    }
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

impl<F: Send, T: Send> Outcome<T> for Shared<F, T> {
    fn poll(&self, cx: &mut Context<'_>) -> Poll<Result<T, TaskError>> {
        let waker = cx.waker().clone();
        let mut state = self.state.lock();
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

    fn leave(&self) {
        let (former, waits) = {
            let mut state = self.state.lock();
            (std::mem::replace(&mut state.stage, Stage::Alone), state.waits.take())
        };
        drop((former, waits));
    }

    fn stage(&self) -> &'static str {
        match self.state.lock().stage {
            Stage::Queued(_) => "queued",
            Stage::Running => "running",
            Stage::Ended(_) | Stage::Taken | Stage::Alone => "ended",
        }
    }
}

impl<T> Future for Call<T> {
    type Output = Result<T, TaskError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.shared.poll(cx)
    }
}

impl<T> Drop for Call<T> {
    fn drop(&mut self) {
        self.shared.leave();
    }
}

impl<T> fmt::Debug for Call<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call").field("stage", &self.shared.stage()).finish()
    }
}

//! Errors that nobody reads: [`spawn_checked`].

use std::fmt::Debug;
use std::future::Future;

use asyncio_base::report::Report;
use asyncio_base::shim::{Arc, Mutex};
use asyncio_executor::{Header, TaskOptions, current_header};

use crate::context::inherit;
use crate::scope::Root;
use crate::spawn::no_loop;
use crate::task::Task;

/// Starts a task whose error is not to be lost: if it fails, and nobody takes its result, the error is reported.
///
/// asyncio's "Task exception was never retrieved", for errors that are values. It starts as [`spawn`](fn@crate::spawn) does.
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
/// use asyncio_base::report;
/// use std::{cell::RefCell, rc::Rc};
///
/// let seen = Rc::new(RefCell::new(Vec::new()));
/// let sink = seen.clone();
/// report::with_handler(Rc::new(move |r| sink.borrow_mut().push(r.to_string())), || {
///     asyncio_tasks::spawn_checked(async { Err::<(), _>("disk full") }).detach();
///     executor.run_round();
/// });
/// assert!(seen.borrow()[0].ends_with("has failed, and nobody has read its error: \"disk full\""));
/// ```
#[track_caller]
pub fn spawn_checked<F, T, E>(future: F) -> Task<Result<T, E>>
where
    F: Future<Output = Result<T, E>> + Send + 'static,
    T: Send + 'static,
    E: Debug + Send + 'static,
{
    let (error, reader) = unread();
    let future = async move {
        let result = future.await;
        if let Err(failed) = &result {
            error.set(failed);
        }
        result
    };
    match asyncio_executor::spawn(inherit(TaskOptions::here()), Root::new(future)) {
        Ok(handle) => Task::with_reader(handle, reader),
        Err(_) => no_loop(),
    }
}

/// An error, as text, until somebody reads it.
struct Unread {
    state: Mutex<State>,
}

enum State {
    /// The task has not failed, and somebody may read its error.
    Open,
    /// Whose: its number and where it was spawned.
    Failed(String, Place),
    /// The error is read.
    Read,
    /// Nobody will.
    Alone,
}

type Place = Option<(u64, &'static std::panic::Location<'static>)>;

/// The task's side.
struct Error(Arc<Unread>);

/// The handle's side.
pub(crate) struct Reader(Arc<Unread>);

fn unread() -> (Error, Reader) {
    let shared = Arc::new(Unread { state: Mutex::new(State::Open) });
    (Error(shared.clone()), Reader(shared))
}

impl Error {
    fn set(&self, error: &impl Debug) {
        let place = current_header(|header: &Header| (header.id().get(), header.spawned_at()));
        let text = format!("{error:?}");
        let mut state = self.0.state.lock();
        if let State::Alone = &*state {
            drop(state);
            return report(&text, place);
        }
        *state = State::Failed(text, place);
    }
}

impl Reader {
    /// The result is taken.
    pub(crate) fn read(&self) {
        *self.0.state.lock() = State::Read;
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let state = {
            let mut state = self.0.state.lock();
            let next = if let State::Read = &*state { State::Read } else { State::Alone };
            std::mem::replace(&mut *state, next)
        };
        if let State::Failed(text, place) = state {
            report(&text, place);
        }
    }
}

#[cold]
fn report(error: &str, place: Place) {
    match place {
        Some((id, place)) => {
            let message =
                format_args!("task {id} ({place}) has failed, and nobody has read its error: {error}");
            Report::new("tasks", message).about(id, place).send();
        }
        None => {
            Report::new("tasks", format_args!("a task has failed, and nobody has read its error: {error}"))
                .send();
        }
    }
}

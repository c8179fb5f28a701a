//! What is called when a task is done: [`Task::on_done`](crate::Task::on_done).
//!
//! - Z1: a callback that is registered before the end is called at the end of the task's last poll, on its thread, before whoever awaits goes on.
//! - Z2: one that is registered later is called in the next round of the loop of the thread that registers it; where none runs there, at once.
//! - Z3: callbacks are called in the order of their registration, each once; a panic of one is reported, and the others are called.

use std::any::Any;
use std::task::{Context, Poll, Waker};

use asyncio_base::panic::{catch_and_store, discard, message};
use asyncio_base::report::Report;
use asyncio_base::shim::{Arc, Mutex};
use asyncio_executor::{Header, TaskOptions, current_header};

use crate::error::TaskError;
use crate::scope::Attached;

/// Is told of the result of a task.
pub(crate) type Callback<T> = Box<dyn FnOnce(Result<&T, &TaskError>) + Send>;

/// The callbacks of a task that has not ended.
#[derive(Default)]
pub(crate) struct Callbacks {
    /// A `Vec<Callback<T>>` for the output of the task. There once there is one.
    list: Option<Box<dyn Any + Send>>,
    is_closed: bool,
}

/// Registers a callback with a task that has not ended. Gives it back where that has.
pub(crate) fn register<T: 'static>(header: &Header, callback: Callback<T>) -> Result<(), Callback<T>> {
    let mut callbacks = Attached::attach(header).callbacks.lock();
    if callbacks.is_closed {
        return Err(callback);
    }
    let list = callbacks.list.get_or_insert_with(|| Box::new(Vec::<Callback<T>>::new()));
    // OK because a task has one type of output.
    list.downcast_mut::<Vec<Callback<T>>>().expect("the output's type").push(callback);
    Ok(())
}

/// Calls the callbacks of the task that is being polled, and closes the list (Z1).
#[inline]
pub(crate) fn call<T: 'static>(
    result: impl FnOnce() -> Result<T, TaskError>,
) -> Option<Result<T, TaskError>> {
    let list = current_header(take).flatten()?;
    Some(call_all(list, result()))
}

/// Says whether the task that is being polled has callbacks.
#[inline]
pub(crate) fn is_any() -> bool {
    current_header(|header| {
        Attached::of(header).is_some_and(|attached| attached.callbacks.lock().list.is_some())
    })
    .unwrap_or(false)
}

/// The task is dropped with its loop: nothing is called.
pub(crate) fn forget(header: &Header) {
    let list = take(header);
    drop(list);
}

#[cold]
fn take(header: &Header) -> Option<Box<dyn Any + Send>> {
    let mut callbacks = Attached::of(header)?.callbacks.lock();
    callbacks.is_closed = true;
    callbacks.list.take()
}

#[cold]
fn call_all<T: 'static>(list: Box<dyn Any + Send>, result: Result<T, TaskError>) -> Result<T, TaskError> {
    if let Ok(list) = list.downcast::<Vec<Callback<T>>>() {
        list.into_iter().for_each(|callback| call_one(callback, &result));
    }
    result
}

fn call_one<T>(callback: Callback<T>, result: &Result<T, TaskError>) {
    let mut panic = None;
    catch_and_store(&mut panic, || callback(result.as_ref()));
    if let Some(panic) = panic {
        Report::new(
            "tasks",
            format_args!("a callback of a task that is done panicked: {}", message(&*panic)),
        )
        .panicked()
        .send();
        discard(panic);
    }
}

/// The result of a task that has ended, until somebody takes it.
pub(crate) struct Ended<T> {
    state: Mutex<State<T>>,
}

struct State<T> {
    result: Kept<T>,
    /// Those that came late (Z2).
    callbacks: Vec<Callback<T>>,
    /// Whoever awaits the task while callbacks are called.
    waits: Option<Waker>,
}

enum Kept<T> {
    Here(Result<T, TaskError>),
    /// Callbacks are being called with it.
    Lent,
    Taken,
}

impl<T> Ended<T> {
    pub(crate) fn new(result: Option<Result<T, TaskError>>) -> Self {
        let result = result.map_or(Kept::Taken, Kept::Here);
        Self { state: Mutex::new(State { result, callbacks: Vec::new(), waits: None }) }
    }

    /// Looks at the result, without any code of a user's.
    pub(crate) fn look<R>(&self, look: impl FnOnce(Option<&Result<T, TaskError>>) -> R) -> R {
        match &self.state.lock().result {
            Kept::Here(result) => look(Some(result)),
            Kept::Lent | Kept::Taken => look(None),
        }
    }

    /// Takes the result, after the callbacks that wait for their turn have been called; or nothing, if it was taken.
    pub(crate) fn poll_take(&self, cx: &mut Context<'_>) -> Poll<Option<Result<T, TaskError>>> {
        let waker = cx.waker().clone();
        let mut state = self.state.lock();
        let kept = match std::mem::replace(&mut state.result, Kept::Taken) {
            Kept::Lent => {
                state.result = Kept::Lent;
                let former = state.waits.replace(waker);
                drop(state);
                drop(former);
                return Poll::Pending;
            }
            kept => kept,
        };
        let callbacks = std::mem::take(&mut state.callbacks);
        drop(state);
        drop(waker);
        let Kept::Here(result) = kept else { return Poll::Ready(None) };
        callbacks.into_iter().for_each(|callback| call_one(callback, &result));
        Poll::Ready(Some(result))
    }

    /// Calls the callbacks that wait for their turn.
    fn call(&self) {
        let (kept, callbacks) = {
            let mut state = self.state.lock();
            if let Kept::Lent | Kept::Taken = &state.result {
                // Whoever took it has called them; whoever has borrowed it looks again.
                return;
            }
            (std::mem::replace(&mut state.result, Kept::Lent), std::mem::take(&mut state.callbacks))
        };
        if let Kept::Here(result) = &kept {
            callbacks.into_iter().for_each(|callback| call_one(callback, result));
        }
        let (is_there_more, waits) = {
            let mut state = self.state.lock();
            state.result = kept;
            (!state.callbacks.is_empty(), state.waits.take())
        };
        if let Some(waits) = waits {
            waits.wake();
        }
        if is_there_more {
            self.call();
        }
    }
}

impl<T: 'static> Ended<T> {
    /// Has a callback called that comes late (Z2).
    pub(crate) fn call_late(this: &Arc<Self>, callback: Callback<T>) {
        this.state.lock().callbacks.push(callback);
        let job = this.clone();
        let spawned = asyncio_executor::spawn_local(TaskOptions::here(), async move { job.call() });
        match spawned {
            Ok(handle) => handle.detach(),
            Err(_) => this.call(),
        }
    }
}

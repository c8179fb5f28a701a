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
use crate::yield_now::yield_now;

/// Is told of the result of a task.
pub(crate) type Callback<T> = Box<dyn FnOnce(Result<&T, &TaskError>) + Send>;

/// The callbacks of a task that has not ended.
#[derive(Default)]
pub(crate) struct Callbacks {
    /// Each a `Callback<T>` for the output of the task, with its number.
    list: Vec<(u64, Box<dyn Any + Send>)>,
    next: u64,
    stage: Stage,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Stage {
    #[default]
    Open,
    /// The task is at its end: what is in the list is called, and what still comes into it.
    Calling,
    Closed,
}

/// Registers a callback with a task that has not ended. Gives it back where the end does not call it any more.
///
/// The end notes in the header that it is there, and then looks at the list; this puts the callback there, and then looks at the header. So one
/// sees the other, and whoever takes the callback out under the lock calls it.
pub(crate) fn register<T: 'static>(header: &Header, callback: Callback<T>) -> Result<(), Callback<T>> {
    let place = &Attached::attach(header).callbacks;
    let number = {
        let mut callbacks = place.lock();
        if callbacks.stage == Stage::Closed {
            return Err(callback);
        }
        let number = callbacks.next;
        callbacks.next += 1;
        callbacks.list.push((number, Box::new(callback)));
        if callbacks.stage == Stage::Calling {
            return Ok(());
        }
        number
    };
    if !header.is_ending() {
        return Ok(());
    }
    let mut callbacks = place.lock();
    let index = callbacks.list.iter().position(|(other, _)| *other == number);
    let (Some(index), Stage::Open) = (index, callbacks.stage) else { return Ok(()) };
    let (_, callback) = callbacks.list.remove(index);
    drop(callbacks);
    // OK because a task has one type of output.
    Err(*callback.downcast::<Callback<T>>().expect("it was put there as this"))
}

/// The task that is being polled ends: says whether it has callbacks.
#[inline]
pub(crate) fn is_any_at_end() -> bool {
    let look = |header: &Header| {
        header.note_ending();
        Attached::of(header).is_some_and(has_callbacks)
    };
    current_header(look).unwrap_or(false)
}

#[cold]
#[inline(never)]
fn has_callbacks(attached: &Attached) -> bool {
    !attached.callbacks.lock().list.is_empty()
}

/// Calls the callbacks of the task that is being polled (Z1).
#[cold]
pub(crate) fn call<T: 'static>(result: &Result<T, TaskError>) {
    while let Some(callback) = current_header(take).flatten() {
        if let Ok(callback) = callback.downcast::<Callback<T>>() {
            call_one(*callback, result);
        }
    }
}

/// Takes the next one; closes the list if there is none.
fn take(header: &Header) -> Option<Box<dyn Any + Send>> {
    let mut callbacks = Attached::of(header)?.callbacks.lock();
    if callbacks.list.is_empty() {
        callbacks.stage = Stage::Closed;
        return None;
    }
    callbacks.stage = Stage::Calling;
    Some(callbacks.list.remove(0).1)
}

/// The task is dropped with its loop: nothing is called.
pub(crate) fn forget(header: &Header) {
    header.note_ending();
    let list = Attached::of(header).map(|attached| {
        let mut callbacks = attached.callbacks.lock();
        callbacks.stage = Stage::Closed;
        std::mem::take(&mut callbacks.list)
    });
    drop(list);
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

    /// Calls the callbacks that wait for their turn. Says whether more have come meanwhile.
    fn call(&self) -> bool {
        let (kept, callbacks) = {
            let mut state = self.state.lock();
            if let Kept::Lent | Kept::Taken = &state.result {
                // Whoever took it has called them; whoever has borrowed it looks again.
                return false;
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
        is_there_more
    }
}

impl<T: 'static> Ended<T> {
    /// Has a callback called that comes late (Z2).
    pub(crate) fn call_late(this: &Arc<Self>, callback: Callback<T>) {
        this.state.lock().callbacks.push(callback);
        let job = this.clone();
        let calls = async move {
            while job.call() {
                yield_now().await;
            }
        };
        match asyncio_executor::spawn_local(TaskOptions::here(), calls) {
            Ok(handle) => handle.detach(),
            Err(_) => while this.call() {},
        }
    }
}

//! [`Slot`]: one value, from one who makes it to one who waits for it.

use std::task::{Context, Poll, Waker};

use asyncio_base::shim::Mutex;

pub(crate) struct Slot<T> {
    state: Mutex<State<T>>,
}

struct State<T> {
    stage: Stage<T>,
    /// Whoever waits.
    waits: Option<Waker>,
}

enum Stage<T> {
    Empty,
    Value(T),
    /// It was taken.
    Taken,
    /// Nobody wants it.
    Unwanted,
    /// None will come.
    Lost,
}

/// No value comes: it was taken, or was never made.
pub(crate) struct Lost;

impl<T> Default for Slot<T> {
    fn default() -> Self {
        Self { state: Mutex::new(State { stage: Stage::Empty, waits: None }) }
    }
}

impl<T> Slot<T> {
    /// Gives the value; or gives it back where nobody wants it any more.
    pub(crate) fn offer(&self, value: T) -> Result<(), T> {
        if let Stage::Unwanted = self.state.lock().stage {
            return Err(value);
        }
        self.settle(Stage::Value(value));
        Ok(())
    }

    /// Says that nobody wants the value any more.
    pub(crate) fn leave(&self) {
        let (former, waits) = {
            let mut state = self.state.lock();
            (std::mem::replace(&mut state.stage, Stage::Unwanted), state.waits.take())
        };
        drop((former, waits));
    }

    /// Says that no value comes, unless it has come.
    pub(crate) fn close(&self) {
        if matches!(self.state.lock().stage, Stage::Empty) {
            self.settle(Stage::Lost);
        }
    }

    fn settle(&self, stage: Stage<T>) {
        let (former, waits) = {
            let mut state = self.state.lock();
            (std::mem::replace(&mut state.stage, stage), state.waits.take())
        };
        drop(former);
        if let Some(waits) = waits {
            waits.wake();
        }
    }

    /// Takes the value. If it has not come yet, whoever makes it wakes `cx`.
    pub(crate) fn poll_take(&self, cx: &mut Context<'_>) -> Poll<Result<T, Lost>> {
        let mut state = self.state.lock();
        match std::mem::replace(&mut state.stage, Stage::Taken) {
            Stage::Value(value) => return Poll::Ready(Ok(value)),
            Stage::Taken | Stage::Unwanted => return Poll::Ready(Err(Lost)),
            Stage::Lost => {
                state.stage = Stage::Lost;
                return Poll::Ready(Err(Lost));
            }
            Stage::Empty => state.stage = Stage::Empty,
        }
        if state.waits.as_ref().is_some_and(|waits| waits.will_wake(cx.waker())) {
            return Poll::Pending;
        }
        drop(state);
        let waker = cx.waker().clone();
        let mut state = self.state.lock();
        if !matches!(state.stage, Stage::Empty) {
            drop(state);
            drop(waker);
            return self.poll_take(cx);
        }
        let former = state.waits.replace(waker);
        drop(state);
        drop(former);
        Poll::Pending
    }
}

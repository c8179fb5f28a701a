//! [`Turns`]: how many children of a group run at once.
//!
//! - T1: first come, first served: nobody gets a turn past somebody who waits.
//! - T2: a turn that is given goes on to the next one when its [`Turn`] is dropped, whether it was used or not.
//! - T3: one that is dropped while it waits leaves nothing behind.

use std::collections::BTreeMap;
use std::task::{Context, Poll, Waker};

use asyncio_base::shim::{Arc, Mutex};
use asyncio_base::wait_point;

use crate::scope::wake;

pub(super) struct Turns {
    state: Mutex<State>,
}

struct State {
    free: usize,
    next: u64,
    /// Those who wait, by the number of their arrival. Who is not there any more has been given a turn.
    waiting: BTreeMap<u64, Waker>,
}

/// A turn, or the wait for one.
pub(super) struct Turn {
    turns: Arc<Turns>,
    stage: Stage,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Outside,
    Waits(u64),
    Has,
}

impl Turns {
    pub(super) fn new(count: usize) -> Arc<Self> {
        Arc::new(Self { state: Mutex::new(State { free: count, next: 0, waiting: BTreeMap::new() }) })
    }

    pub(super) fn turn(self: &Arc<Self>) -> Turn {
        Turn { turns: self.clone(), stage: Stage::Outside }
    }

    fn give_back(&self) {
        let next = {
            let mut state = self.state.lock();
            let next = state.waiting.pop_first();
            state.free += usize::from(next.is_none());
            next
        };
        if let Some((_, waker)) = next {
            wake(|| waker.wake());
        }
    }
}

impl Turn {
    /// Says whether a poll has said so.
    pub(super) fn has_come(&self) -> bool {
        self.stage == Stage::Has
    }

    /// Takes a place in the line, if there is no turn at once.
    pub(super) fn line_up(&mut self) {
        let _: Poll<()> = self.poll(&mut Context::from_waker(Waker::noop()));
    }

    /// Waits for the turn.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.stage == Stage::Has {
            return Poll::Ready(());
        }
        // Outside of the lock: wakers are cloned and dropped.
        let waker = cx.waker().clone();
        let mut state = self.turns.state.lock();
        let former = match self.stage {
            Stage::Outside if state.free > 0 => {
                state.free -= 1;
                self.stage = Stage::Has;
                return Poll::Ready(());
            }
            Stage::Waits(number) => match state.waiting.get_mut(&number) {
                Some(place) => Some(std::mem::replace(place, waker)),
                None => {
                    self.stage = Stage::Has;
                    return Poll::Ready(());
                }
            },
            Stage::Outside | Stage::Has => {
                let number = state.next;
                state.next += 1;
                state.waiting.insert(number, waker);
                self.stage = Stage::Waits(number);
                None
            }
        };
        drop(state);
        drop(former);
        wait_point::here("turn in a task group");
        Poll::Pending
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let has = match self.stage {
            Stage::Outside => false,
            Stage::Waits(number) => {
                let left = self.turns.state.lock().waiting.remove(&number);
                let was_given = left.is_none();
                drop(left);
                was_given
            }
            Stage::Has => true,
        };
        if has {
            self.turns.give_back();
        }
    }
}

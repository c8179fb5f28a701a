//! What a scope knows of the scopes inside of it: whom it must wake when it is cancelled, and who holds it.
//!
//! - B1: a scope that waits under the same waker as the scope around it is not known there: whoever wakes the outer one has the inner one polled,
//!   since a combinator that cannot tell its parts apart must poll them all. Only one with a waker of its own, or one that holds, is [tied](Tie).
//! - B2: a scope *holds* those around it while it must not be dropped: a shield, clean-up that is going on, children that have not ended. A
//!   cancelled body that is held is not dropped.
//! - B3: a hold by a scope that has not been polled since the cancellation may be one that was leaked: it is bounded by the grace period. One that
//!   has been is *confirmed*, and is waited for.
//! - B4: the ties are released when the inner scope ends or is dropped, on any thread; the last one wakes the scope that waits for that.

use std::task::Waker;

use asyncio_base::shim::{Arc, Mutex, Weak};

/// Whether a scope is held by one inside of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Held {
    Not,
    /// By one that has been polled since the cancellation.
    Confirmed,
    /// By one that may have been leaked (B3).
    Unconfirmed,
}

/// The scopes inside of one.
#[derive(Default)]
pub(crate) struct Below {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    holds: usize,
    /// Of these, who has been polled since the cancellation (B3).
    confirmed: usize,
    is_cancelled: bool,
    /// The scope itself, if it waits for the last hold to be released.
    waits: Option<Waker>,
    /// Those with wakers of their own. Dead ones are removed when there is no room for a new one.
    sleepers: Vec<Weak<Sleeper>>,
}

/// A scope with a waker of its own.
#[derive(Default)]
struct Sleeper {
    waker: Mutex<Option<Waker>>,
}

impl Below {
    /// Says that the scope is cancelled, and wakes all that are inside: once.
    pub(crate) fn cancel(&self) {
        let sleepers = {
            let mut state = self.state.lock();
            if std::mem::replace(&mut state.is_cancelled, true) {
                return;
            }
            state.sleepers.clone()
        };
        for sleeper in sleepers.iter().filter_map(Weak::upgrade) {
            // It comes back with its next poll.
            let waker = sleeper.waker.lock().take();
            if let Some(waker) = waker {
                waker.wake();
            }
        }
    }

    /// Says whether somebody inside holds the scope.
    pub(crate) fn is_held(&self) -> bool {
        self.state.lock().holds > 0
    }

    /// Says whether somebody holds the scope; then `waker` is woken when nobody does any more.
    pub(crate) fn wait(&self, waker: &Waker) -> Held {
        let waker = waker.clone();
        let mut state = self.state.lock();
        let held = match state.holds {
            0 => return Held::Not,
            holds if holds > state.confirmed => Held::Unconfirmed,
            _ => Held::Confirmed,
        };
        let former = state.waits.replace(waker);
        drop(state);
        drop(former);
        held
    }
}

/// The tie of a scope to the one around it.
pub(crate) struct Tie {
    below: Arc<Below>,
    sleeper: Option<Arc<Sleeper>>,
    is_holding: bool,
    is_confirmed: bool,
}

impl Tie {
    pub(crate) fn to(below: Arc<Below>) -> Self {
        Self { below, sleeper: None, is_holding: false, is_confirmed: false }
    }

    pub(crate) fn is_to(&self, below: &Arc<Below>) -> bool {
        Arc::ptr_eq(&self.below, below)
    }

    /// Says how the scope waits: with a waker of its own, and whether it holds.
    pub(crate) fn update(&mut self, waker: Option<&Waker>, is_holding: bool, is_outer_cancelled: bool) {
        match waker {
            Some(waker) => self.sleep(waker),
            None => self.sleeper = None,
        }
        if !is_holding {
            return self.release();
        }
        let is_confirmed = is_outer_cancelled;
        if self.is_holding && self.is_confirmed == is_confirmed {
            return;
        }
        let mut state = self.below.state.lock();
        state.holds += usize::from(!self.is_holding);
        state.confirmed -= usize::from(self.is_confirmed);
        state.confirmed += usize::from(is_confirmed);
        self.is_holding = true;
        self.is_confirmed = is_confirmed;
    }

    fn sleep(&mut self, waker: &Waker) {
        let sleeper = self.sleeper.get_or_insert_with(|| {
            let sleeper = Arc::new(Sleeper::default());
            let mut state = self.below.state.lock();
            if state.sleepers.len() == state.sleepers.capacity() {
                state.sleepers.retain(|sleeper| sleeper.strong_count() > 0);
            }
            state.sleepers.push(Arc::downgrade(&sleeper));
            sleeper
        });
        let is_same = sleeper.waker.lock().as_ref().is_some_and(|former| former.will_wake(waker));
        if !is_same {
            let waker = waker.clone();
            let former = sleeper.waker.lock().replace(waker);
            drop(former);
        }
    }

    fn release(&mut self) {
        if !std::mem::replace(&mut self.is_holding, false) {
            return;
        }
        let waits = {
            let mut state = self.below.state.lock();
            state.holds -= 1;
            state.confirmed -= usize::from(std::mem::replace(&mut self.is_confirmed, false));
            if state.holds == 0 { state.waits.take() } else { None }
        };
        if let Some(waker) = waits {
            waker.wake();
        }
    }
}

impl Drop for Tie {
    fn drop(&mut self) {
        self.release();
    }
}

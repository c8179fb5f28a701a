//! What a scope knows of the scopes inside of it: whom it must wake when it is cancelled, and who holds it.
//!
//! - B1: a scope that waits under the same waker as the scope around it is not known there: whoever wakes the outer one has the inner one polled,
//!   since a combinator that cannot tell its parts apart must poll them all. Only one with a waker of its own, or one that holds, is [tied](Tie).
//! - B2: a scope *holds* those around it while it must not be dropped: a shield, clean-up that is going on, children that have not ended. A
//!   cancelled body that is held is not dropped.
//! - B3: a hold may be one of a scope that was leaked, or is not polled any more: then it is bounded by the grace period. One that was *confirmed*
//!   is waited for, and whatever else holds with it: of a scope under the same waker, in the last poll of the body, since that would have polled
//!   it; of one with a waker of its own, in any poll since the last check, which wakes it.
//! - B4: the ties are released when the inner scope ends or is dropped, on any thread; the last one wakes the scope that waits for that.

use std::task::Waker;

use asyncio_base::panic::{catch_and_store, discard, message};
use asyncio_base::report::Report;
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
    /// Of these, who has a waker of its own and has been polled since the last check (B3).
    confirmed: usize,
    checks: u64,
    /// Of these, who has been polled in the last poll of the body (B3).
    renewed: usize,
    /// How often the body has been polled since the cancellation.
    polls: u64,
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
    /// The body of the cancelled scope is about to be polled. The first time all that are inside are woken.
    pub(crate) fn cancel(&self) {
        let sleepers = {
            let mut state = self.state.lock();
            state.polls += 1;
            state.renewed = 0;
            if std::mem::replace(&mut state.is_cancelled, true) {
                return;
            }
            state.sleepers.clone()
        };
        wake_all(&sleepers);
    }

    /// Those who hold are to confirm it again: all that are inside are woken.
    pub(crate) fn check(&self) {
        let sleepers = {
            let mut state = self.state.lock();
            state.checks += 1;
            state.confirmed = 0;
            state.sleepers.clone()
        };
        wake_all(&sleepers);
    }

    /// The scope is not cancelled any more: the one around it was, and somebody goes on with this one by reference. What was left unpolled
    /// meanwhile is woken.
    pub(crate) fn revive(&self) {
        if std::mem::replace(&mut self.state.lock().is_cancelled, false) {
            self.check();
        }
    }

    /// The scope has ended. What is still there, since somebody has it by reference, may have been left unpolled when it was cancelled.
    pub(crate) fn end(&self) {
        let sleepers = std::mem::take(&mut self.state.lock().sleepers);
        wake_all(&sleepers);
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
            _ if state.confirmed + state.renewed == 0 => Held::Unconfirmed,
            _ => Held::Confirmed,
        };
        let former = state.waits.replace(waker);
        drop(state);
        drop(former);
        held
    }
}

fn wake_all(sleepers: &[Weak<Sleeper>]) {
    for sleeper in sleepers.iter().filter_map(Weak::upgrade) {
        // It comes back with the next poll.
        let waker = sleeper.waker.lock().take();
        wake(|| waker.map(Waker::wake));
    }
}

/// Wakes somebody. A panic of a waker is nobody's here, and is reported.
pub(crate) fn wake<R>(wake: impl FnOnce() -> R) {
    let mut panic = None;
    catch_and_store(&mut panic, wake);
    if let Some(panic) = panic {
        Report::new("tasks", format_args!("a waker panicked: {}", message(&*panic))).panicked().send();
        discard(panic);
    }
}

/// The tie of a scope to the one around it.
pub(crate) struct Tie {
    below: Arc<Below>,
    sleeper: Option<Arc<Sleeper>>,
    hold: Hold,
}

/// Whether a scope holds the one around, and what that knows of it (B3).
#[derive(Clone, Copy, PartialEq, Eq)]
enum Hold {
    Not,
    Unconfirmed,
    /// By one with a waker of its own, since this check.
    Confirmed(u64),
    /// In this poll of the body.
    Renewed(u64),
}

impl State {
    /// Takes a hold out of the counts.
    fn remove(&mut self, hold: Hold) {
        self.holds -= usize::from(hold != Hold::Not);
        self.confirmed -= usize::from(hold == Hold::Confirmed(self.checks));
        self.renewed -= usize::from(hold == Hold::Renewed(self.polls));
    }

    fn add(&mut self, hold: Hold) {
        self.holds += usize::from(hold != Hold::Not);
        self.confirmed += usize::from(hold == Hold::Confirmed(self.checks));
        self.renewed += usize::from(hold == Hold::Renewed(self.polls));
    }
}

impl Tie {
    pub(crate) fn to(below: Arc<Below>) -> Self {
        Self { below, sleeper: None, hold: Hold::Not }
    }

    pub(crate) fn is_to(&self, below: &Arc<Below>) -> bool {
        Arc::ptr_eq(&self.below, below)
    }

    /// Says whether it holds that scope, has no waker of its own, and nobody has asked for more yet.
    pub(crate) fn is_quiet_to(&self, below: *const Below) -> bool {
        std::ptr::eq(Arc::as_ptr(&self.below), below)
            && self.sleeper.is_none()
            && self.hold == Hold::Unconfirmed
    }

    /// Says how the scope waits: with a waker of its own, and whether it holds.
    pub(crate) fn update(&mut self, waker: Option<&Waker>, is_holding: bool, is_outer_cancelled: bool) {
        match waker {
            Some(waker) => self.sleep(waker),
            None => self.sleeper = None,
        }
        if is_outer_cancelled {
            // Nobody may have been here yet when it was cancelled.
            self.below.state.lock().is_cancelled = true;
        }
        if !is_holding {
            return self.release();
        }
        let mut state = self.below.state.lock();
        let hold = match (is_outer_cancelled, waker) {
            (false, _) => Hold::Unconfirmed,
            (true, Some(_)) => Hold::Confirmed(state.checks),
            (true, None) => Hold::Renewed(state.polls),
        };
        state.remove(self.hold);
        state.add(hold);
        self.hold = hold;
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
        if self.hold == Hold::Not {
            return;
        }
        let waits = {
            let mut state = self.below.state.lock();
            state.remove(std::mem::replace(&mut self.hold, Hold::Not));
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

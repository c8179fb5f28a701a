//! [`Exchange`]: where items change hands. Channels and queues are faces of it.
//!
//! A store of items, a line of those who want to send, a line of those who want to receive.
//!
//! - X1 (items): an item that comes while somebody waits to receive is *claimed* for the first of them, and stays in the store until he takes it. So
//!   nobody barges in before him, items come out in the store's order whoever takes them, and if he goes the next one has his claim: an item is
//!   never in a future that may be dropped. While nobody has claimed it, nobody waits.
//! - X2 (room): a sender who waits keeps his item in his own node. Whoever makes room moves the first one's item into the store, so his place in line is the
//!   item's place, and he need not run for that. While there is room, nobody waits to send. One who wants a slot instead of sending has it *reserved*.
//! - X3 (nothing kept): with a capacity of 0 there is room as long as somebody waits to receive; and one who comes to receive takes the item from the
//!   first sender's node.
//! - X4 (the end): closed, it takes nothing new; what is in it, or was promised a slot, may still be received. It is over when that is done, and
//!   then all who wait are told. Cleared, it is empty as well, and claims are void.
//!
//! Deliberately not here: who holds which end, which is the channel's business, and counting what is done, which is the queue's.

mod doors;
mod state;
mod store;

pub(crate) use doors::{ToReceive, ToReserve, ToSend, ToWatch};
pub(crate) use state::{Receiving, Sending, State};
pub(crate) use store::Store;
pub use store::{Fifo, Least, Lifo};

use crate::error::{TooManyDone, TryRecvError, TrySendError};
use crate::lock::Lock;
use crate::wait::{Finally, Woken, wake_each};

/// Where items change hands.
pub(crate) struct Exchange<S: Store> {
    state: Lock<State<S>>,
}

impl<S: Store> Exchange<S> {
    const_unless_modelled! {
        /// Makes one that keeps so many at most; none at all, if that is 0.
        pub(crate) fn new(store: S, capacity: usize) -> Self {
            Self { state: Lock::new(State::new(store, capacity)) }
        }
    }

    /// The lock, for those who look at several things together.
    pub(crate) fn state(&self) -> &Lock<State<S>> {
        &self.state
    }

    #[inline]
    pub(crate) fn try_send(&self, item: S::Item) -> Result<(), TrySendError<S::Item>> {
        let mut woken = Woken::new();
        let sent = self.state.lock().try_send(item, &mut woken);
        woken.wake();
        sent
    }

    pub(crate) fn try_reserve(&self) -> Result<(), TrySendError<()>> {
        self.state.lock().try_reserve()
    }

    #[inline]
    pub(crate) fn try_receive(&self) -> Result<S::Item, TryRecvError> {
        let mut woken = Woken::new();
        let mut state = self.state.lock();
        let item = state.try_receive(&mut woken);
        let is_over = item.is_none() && state.is_over();
        drop(state);
        woken.wake();
        match item {
            Some(item) => Ok(item),
            None if is_over => Err(TryRecvError::Closed),
            None => Err(TryRecvError::Empty),
        }
    }

    /// Uses a slot that was promised. Gives the item back if nobody can receive it any more.
    pub(crate) fn fill(&self, item: S::Item) -> Result<(), S::Item> {
        let mut woken = Woken::new();
        let filled = self.state.lock().fill(item, &mut woken);
        woken.wake();
        filled
    }

    /// Gives a slot back that was promised.
    pub(crate) fn unreserve(&self) {
        let mut woken = Woken::new();
        let mut state = self.state.lock();
        state.unreserve(&mut woken);
        let is_over = state.is_over();
        drop(state);
        woken.wake();
        if is_over {
            self.refuse();
        }
    }

    /// Takes out the item that was claimed. `None` if it was cleared away.
    fn collect(&self) -> Option<S::Item> {
        let mut woken = Woken::new();
        let mut state = self.state.lock();
        let item = state.collect(&mut woken);
        let is_over = state.is_over();
        drop(state);
        woken.wake();
        if is_over {
            self.refuse();
        }
        item
    }

    /// Lets nothing new in. Says whether it was open.
    pub(crate) fn close(&self) -> bool {
        let was_open = self.state.lock().close();
        if was_open {
            self.refuse();
        }
        was_open
    }

    /// Lets nothing new in, and takes out what is in it, to be dropped when everybody was told: that is the items' own code.
    #[must_use = "it is dropped at once if it is not kept"]
    pub(crate) fn clear(&self) -> S {
        let mut state = self.state.lock();
        state.close();
        let dropped = state.clear();
        drop(state);
        let _then = Finally(|| self.wake_watching());
        self.refuse();
        dropped
    }

    /// Takes out up to so many of the items that are there now for whoever comes.
    pub(crate) fn receive_present(&self, limit: usize, mut receive: impl FnMut(S::Item)) {
        let present = self.state.lock().available();
        for _ in 0..present.min(limit) {
            match self.try_receive() {
                Ok(item) => receive(item),
                Err(_) => return,
            }
        }
    }

    /// Notes that an item is done, and wakes those who watch if it was the last.
    pub(crate) fn done(&self) -> Result<(), TooManyDone> {
        let unfinished = self.state.lock().done().ok_or(TooManyDone)?;
        if unfinished == 0 {
            self.wake_watching();
        }
        Ok(())
    }

    /// Says to those who watch that what they wait for has come, and will stay.
    pub(crate) fn note_for_watching(&self) {
        self.state.lock().watching.note();
        self.wake_watching();
    }

    fn wake_watching(&self) {
        wake_each(&self.state, |state| state.watching.choose());
    }

    /// Tells those for whom there is nothing to wait any more.
    fn refuse(&self) {
        wake_each(&self.state, State::refuse_next);
    }
}

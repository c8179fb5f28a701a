//! What is on its way, who wants to send, who wants to receive: plain sequential code, under the exchange's lock.

use std::task::Waker;

use crate::error::TrySendError;
use crate::exchange::store::Store;
use crate::wait::{List, Woken};
use crate::watching::Watching;

/// What is on its way, and who waits. The numbered invariants stand in the module above.
pub(crate) struct State<S: Store> {
    store: S,
    /// Free slots that nobody was promised; none where nothing is kept, and none after the close.
    room: usize,
    /// Items that nobody has claimed.
    available: usize,
    /// What comes back to `room` when an item goes: 1, or 0 where `room` stays 0.
    slot: usize,
    /// Items that came in and were not reported as done.
    unfinished: usize,
    /// Slots that were promised to somebody.
    reserved: usize,
    /// How many may be on their way; 0 means that each is handed over.
    capacity: usize,
    phase: Phase,
    pub(crate) senders: List<Sending<S::Item>>,
    pub(crate) receivers: List<Receiving>,
    /// Those who wait for something else: for the close of a channel, or for all items of a queue to be done.
    pub(crate) watching: Watching,
}

/// Whether things may be sent and received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Open,
    /// Nothing may be sent any more; what is there may be received.
    Closed,
    /// Nothing is there any more, either.
    Cleared,
}

/// What somebody wants to send, and what became of it.
pub(crate) struct Sending<T> {
    /// Taken when it is sent; none from the beginning where only a slot is wanted.
    pub(crate) item: Option<T>,
    /// It will not be sent, since the exchange was closed.
    pub(crate) was_refused: bool,
}

impl<T> Sending<T> {
    /// Of one who sends an item.
    #[inline]
    pub(crate) const fn item(item: T) -> Self {
        Self { item: Some(item), was_refused: false }
    }

    /// Of one who wants a slot.
    pub(crate) const fn slot() -> Self {
        Self { item: None, was_refused: false }
    }
}

/// What became of somebody who wants to receive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Receiving {
    /// Nothing comes any more.
    pub(crate) was_refused: bool,
}

impl<S: Store> State<S> {
    pub(super) const fn new(store: S, capacity: usize) -> Self {
        Self {
            store,
            room: capacity,
            available: 0,
            slot: if capacity == 0 { 0 } else { 1 },
            unfinished: 0,
            reserved: 0,
            capacity,
            phase: Phase::Open,
            senders: List::new(),
            receivers: List::new(),
            watching: Watching::new(),
        }
    }

    pub(crate) const fn unfinished(&self) -> usize {
        self.unfinished
    }

    /// Notes that an item is done. `None` if all were; otherwise how many are not.
    pub(super) fn done(&mut self) -> Option<usize> {
        self.unfinished = self.unfinished.checked_sub(1)?;
        if self.unfinished == 0 {
            self.watching.note();
        }
        Some(self.unfinished)
    }

    /// Whether it holds as much as it may.
    pub(crate) fn is_full(&self) -> bool {
        match self.capacity {
            0 => !self.has_room(),
            capacity => self.store.len() + self.reserved >= capacity,
        }
    }

    /// How many items are there for whoever comes.
    #[inline]
    pub(crate) const fn available(&self) -> usize {
        self.available
    }

    pub(crate) const fn capacity(&self) -> usize {
        self.capacity
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.phase != Phase::Open
    }

    /// Whether nothing will be received any more.
    #[inline]
    pub(crate) fn is_over(&self) -> bool {
        match self.phase {
            Phase::Open => false,
            // A slot that was promised may still be used, and an item that was claimed may come back.
            Phase::Closed => self.reserved == 0 && self.store.len() == 0,
            Phase::Cleared => true,
        }
    }

    /// X2, X3.
    pub(crate) fn has_room(&self) -> bool {
        self.room > 0 || (self.capacity == 0 && self.receivers.has_more_than(self.reserved))
    }

    /// Puts an item in, if it may be and nobody waits to.
    #[inline(always)]
    pub(crate) fn try_send(&mut self, item: S::Item, woken: &mut Woken) -> Result<(), TrySendError<S::Item>> {
        if self.room == 0 {
            return self.try_send_slowly(item, woken);
        }
        // X2: there is room, so it is open and nobody waits.
        self.room -= 1;
        self.push(item, woken);
        Ok(())
    }

    #[cold]
    fn try_send_slowly(&mut self, item: S::Item, woken: &mut Woken) -> Result<(), TrySendError<S::Item>> {
        if self.is_closed() {
            return Err(TrySendError::Closed(item));
        }
        if !self.senders.is_empty() || !self.has_room() {
            return Err(TrySendError::Full(item));
        }
        self.push(item, woken);
        Ok(())
    }

    /// Promises a slot, if there is one and nobody waits for it.
    pub(crate) fn try_reserve(&mut self) -> Result<(), TrySendError<()>> {
        if self.is_closed() {
            return Err(TrySendError::Closed(()));
        }
        if !self.senders.is_empty() || !self.has_room() {
            return Err(TrySendError::Full(()));
        }
        self.room -= self.slot;
        self.reserved += 1;
        Ok(())
    }

    /// Uses a slot that was promised. Gives the item back if nobody can receive it any more.
    pub(crate) fn fill(&mut self, item: S::Item, woken: &mut Woken) -> Result<(), S::Item> {
        self.reserved -= 1;
        if self.phase == Phase::Cleared {
            return Err(item);
        }
        self.push(item, woken);
        Ok(())
    }

    /// Gives a slot back that was promised.
    pub(crate) fn unreserve(&mut self, woken: &mut Woken) {
        self.reserved -= 1;
        self.slot_freed(woken);
    }

    /// Takes an item out, if one is there for whoever comes; from a waiting sender's own hands where nothing is kept.
    #[inline(always)]
    pub(crate) fn try_receive(&mut self, woken: &mut Woken) -> Option<S::Item> {
        if self.available == 0 {
            return self.take_from_sender(woken);
        }
        // X1: an item is available, so nobody waits for it.
        self.available -= 1;
        let item = self.store.pop();
        self.slot_freed(woken);
        item
    }

    #[cold]
    fn take_from_sender(&mut self, woken: &mut Woken) -> Option<S::Item> {
        // Others have come before, and one of them may have been promised to him who reserves before this sender.
        if self.capacity > 0 || !self.receivers.is_empty() {
            return None;
        }
        // Whoever reserves goes first, if he came first: see `receiver_came`.
        self.senders.first()?.item.as_ref()?;
        let (waker, item) = self.senders.choose(|sending| sending.item.take())?;
        woken.push(waker);
        if self.store.len() == 0 {
            return item;
        }
        // An item that is claimed was sent before: it comes first, and this one is there for the claim.
        self.store.push(item?);
        self.store.pop()
    }

    /// One who is to receive has just been queued: where nothing is kept, that makes room.
    pub(crate) fn receiver_came(&mut self, woken: &mut Woken) {
        if self.capacity == 0 && !self.senders.is_empty() {
            self.refill(woken);
        }
    }

    /// Takes out the item that was claimed. `None` if it was cleared away.
    #[inline]
    pub(crate) fn collect(&mut self, woken: &mut Woken) -> Option<S::Item> {
        if self.phase == Phase::Cleared {
            return None;
        }
        let item = self.store.pop();
        self.slot_freed(woken);
        item
    }

    /// Gives an item back that was claimed: the next who waits has it.
    pub(crate) fn unclaim(&mut self, woken: &mut Woken) {
        if self.phase != Phase::Cleared {
            self.offer(woken);
        }
    }

    #[inline(always)]
    fn push(&mut self, item: S::Item, woken: &mut Woken) {
        // The claim first: if an `Ord` panics, the item is in the heap all the same, and he who has claimed it is woken.
        self.offer(woken);
        self.unfinished += 1;
        self.store.push(item);
    }

    /// X1: an item is there: the first who waits for one claims it, or it is available.
    #[inline(always)]
    fn offer(&mut self, woken: &mut Woken) {
        match self.receivers.is_empty() {
            true => self.available += 1,
            false => self.claim_for_first(woken),
        }
    }

    #[cold]
    fn claim_for_first(&mut self, woken: &mut Woken) {
        if let Some((waker, ())) = self.receivers.choose(|_| ()) {
            woken.push(waker);
        }
    }

    /// X2: a slot is free: the first who waits to send has it, or there is room.
    #[inline(always)]
    fn slot_freed(&mut self, woken: &mut Woken) {
        match self.senders.is_empty() {
            true => self.room += self.slot,
            false => self.refill(woken),
        }
    }

    #[cold]
    fn refill(&mut self, woken: &mut Woken) {
        if self.is_closed() || (self.capacity == 0 && !self.has_room()) {
            return;
        }
        let Some((waker, item)) = self.senders.choose(|sending| sending.item.take()) else { return };
        woken.push(waker);
        match item {
            Some(item) => self.push(item, woken),
            None => self.reserved += 1,
        }
    }

    /// Nothing more may be sent. Says whether that is new.
    pub(super) fn close(&mut self) -> bool {
        let was_open = self.phase == Phase::Open;
        if was_open {
            self.phase = Phase::Closed;
            self.room = 0;
            self.slot = 0;
        }
        was_open
    }

    /// Nothing is there any more, either. Returns what was there, to be dropped without the lock.
    pub(super) fn clear(&mut self) -> S {
        self.phase = Phase::Cleared;
        self.available = 0;
        // What is dropped now, nobody will report. It may have been reported already, before it was got.
        let unfinished = self.unfinished.saturating_sub(self.store.len());
        if self.unfinished > 0 && unfinished == 0 {
            self.watching.note();
        }
        self.unfinished = unfinished;
        std::mem::take(&mut self.store)
    }

    /// Sends one away for whom there is nothing to wait any more.
    pub(super) fn refuse_next(&mut self) -> Option<Waker> {
        if !self.is_closed() {
            return None;
        }
        if let Some((waker, ())) = self.senders.choose(|sending| sending.was_refused = true) {
            return Some(waker);
        }
        if !self.is_over() {
            return None;
        }
        self.receivers.choose(|receiving| receiving.was_refused = true).map(|(waker, ())| waker)
    }
}

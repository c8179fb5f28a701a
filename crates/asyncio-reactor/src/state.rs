//! [`IoState`]: the readiness of one descriptor, and who waits for it.
//!
//! One word holds the conditions (bits 0 to 4), whether the reactor is closed (bit 7), and a count of events (bits 8 to 31).
//! The waiters stand behind a mutex, in one list a direction.
//!
//! - R1: an event first changes the word, then takes the wakers under the lock. A waiter registers under the lock and
//!   looks at the word again before it leaves it. So either the waiter sees the event or the event sees the waiter.
//! - R2: clearing is a compare-exchange against the whole word that was seen. An event raises the count, so what came
//!   during the operation stays. (The count would have to wrap, 2^24 events, within one operation.)
//! - R3: wakers are cloned before the lock is taken, and woken and dropped after it is released.
//! - R4: a place belongs to one [`Waiter`] until that leaves; it is empty between two waits.
//! - R5: the waker of a waiter that stands is cloned instead of taken, under the lock, which it allows. It is in the first place of its list:
//!   others may have to be taken in several rounds, and would be woken in each.
//!
//! The loom models are in `loom_tests.rs`: register against event, clear against event, waker replaced, waiter dropped,
//! close against register.

use std::fmt;
use std::io;
use std::task::{Context, Poll, Waker};

use asyncio_base::shim::{Arc, AtomicU32, Mutex, Ordering};
use asyncio_base::{LoopClosed, WakeList, wait_point};

use crate::readiness::{Direction, Ready, Seen};
use crate::waiter::Waiter;

/// Bit 7 of the word: the reactor is closed. Never cleared.
const CLOSED: u32 = 1 << 7;
/// The count of events stands above the bits.
const ONE_EVENT: u32 = 1 << 8;

/// The readiness of one descriptor and those that wait for it; what implementations of
/// [`Readiness`](crate::Readiness) share.
pub struct IoState {
    word: AtomicU32,
    waiters: Mutex<Waiters>,
}

struct Waiters {
    read: List,
    write: List,
    /// Which directions a one-shot selector watches at present; see [`IoState::arm`].
    armed: u8,
    /// Events come without being asked for, so a waiter can stand (R5).
    is_edge: bool,
}

/// Places of one direction. The first needs no allocation, since there is hardly ever a second.
#[derive(Default)]
#[expect(
    clippy::box_collection,
    reason = "a pointer, not three words: every connection has two, and uses neither"
)]
struct List {
    first: Slot,
    more: Option<Box<Vec<Slot>>>,
}

#[derive(Default)]
struct Slot {
    is_taken: bool,
    stands: bool,
    waker: Option<Waker>,
}

impl IoState {
    /// Makes the state of a descriptor of which nothing is known.
    pub fn new() -> Self {
        let waiters = Waiters { read: List::default(), write: List::default(), armed: 0, is_edge: false };
        Self { word: AtomicU32::new(0), waiters: Mutex::new(waiters) }
    }

    /// The same, of a descriptor whose events come without being asked for: its waiters may [stand](Waiter::standing).
    pub fn edge_triggered() -> Self {
        let this = Self::new();
        this.waiters.lock().is_edge = true;
        this
    }

    /// Returns what is known now.
    #[inline]
    pub fn seen(&self) -> Seen {
        // Acquire: pairs with the AcqRel in `set`, so an operation tried after this sees what the event announced.
        Seen { word: self.word.load(Ordering::Acquire) }
    }

    /// Waits until an operation in `direction` is worth a try.
    ///
    /// # Errors
    ///
    /// Fails with `LoopClosed` after [`close`](Self::close).
    #[inline]
    pub fn poll_ready(
        self: &Arc<Self>,
        cx: &mut Context<'_>,
        waiter: &mut Waiter,
        direction: Direction,
    ) -> Poll<io::Result<Seen>> {
        let seen = self.seen();
        match Self::verdict(seen, direction) {
            Some(verdict) => Poll::Ready(verdict),
            None => self.register(cx, waiter, direction),
        }
    }

    #[inline]
    fn verdict(seen: Seen, direction: Direction) -> Option<io::Result<Seen>> {
        if seen.word & CLOSED != 0 {
            return Some(Err(LoopClosed::new().into()));
        }
        seen.ready().intersects(Ready::of(direction)).then_some(Ok(seen))
    }

    fn register(
        self: &Arc<Self>,
        cx: &mut Context<'_>,
        waiter: &mut Waiter,
        direction: Direction,
    ) -> Poll<io::Result<Seen>> {
        let is_here = |state: &Arc<Self>| Arc::ptr_eq(state, self) && waiter.direction == direction;
        if !waiter.state.as_ref().is_some_and(is_here) {
            waiter.leave();
        }
        let waker = cx.waker().clone();
        let mut waiters = self.waiters.lock();
        // R1: the second look.
        if let Some(verdict) = Self::verdict(self.seen(), direction) {
            drop(waiters);
            return Poll::Ready(verdict);
        }
        let may_stand = waiters.is_edge && waiter.wants_to_stand;
        let list = waiters.list(direction);
        if waiter.state.is_none() {
            (waiter.index, waiter.direction) = (list.take_place(), direction);
        }
        let slot = list.slot(waiter.index);
        waiter.stands = may_stand && waiter.index == 0;
        slot.stands = waiter.stands;
        let former = slot.waker.replace(waker);
        drop(waiters);
        drop(former);
        if waiter.state.is_none() {
            waiter.state = Some(self.clone());
        }
        wait_point::here(match direction {
            Direction::Read => "readable",
            Direction::Write => "writable",
        });
        Poll::Pending
    }

    /// Says that the system would have blocked an operation in `direction` tried after `seen`.
    #[inline]
    pub fn clear(&self, direction: Direction, seen: Seen) {
        self.clear_conditions(Ready::of(direction), seen);
    }

    /// Clears some conditions that were seen, unless an event has come since (R2).
    #[inline]
    pub fn clear_conditions(&self, conditions: Ready, seen: Seen) {
        let cleared = seen.word & !u32::from(conditions.bits());
        // Relaxed on failure: the event that came since stays, and whoever polls next loads it with Acquire.
        // AcqRel on success keeps the chain of events in order.
        let _ = self.word.compare_exchange(seen.word, cleared, Ordering::AcqRel, Ordering::Relaxed);
    }

    /// Adds the conditions of an event. Afterwards [`take_wakers`](Self::take_wakers) must be called.
    #[inline]
    pub fn set(&self, conditions: Ready) {
        self.update(|word| (word | u32::from(conditions.bits())).wrapping_add(ONE_EVENT));
    }

    /// Says that the reactor is closed. Afterwards [`take_wakers`](Self::take_wakers) must be called.
    pub fn close(&self) {
        self.update(|word| word | CLOSED);
    }

    fn update(&self, change: impl Fn(u32) -> u32) {
        let mut word = self.word.load(Ordering::Relaxed);
        // AcqRel: pairs with the Acquire in `seen`.
        while let Err(present) =
            self.word.compare_exchange_weak(word, change(word), Ordering::AcqRel, Ordering::Relaxed)
        {
            word = present;
        }
    }

    /// Moves the wakers of those that wait for one of `conditions` to `list`. Says `false` if the list became full before
    /// all were moved: wake it and call again.
    #[must_use = "if it says false, wakers are left: wake the list and call again"]
    pub fn take_wakers(&self, conditions: Ready, list: &mut WakeList) -> bool {
        let mut waiters = self.waiters.lock();
        let mut all_taken = true;
        // Whoever stands is told of the end, and nothing else comes.
        let is_last = self.word.load(Ordering::Relaxed) & CLOSED != 0;
        for direction in [Direction::Read, Direction::Write] {
            if conditions.intersects(Ready::of(direction)) {
                all_taken &= waiters.list(direction).take_wakers(is_last, list);
            }
        }
        all_taken
    }

    /// For one-shot selectors: asks to watch `direction`, and runs `modify` with all watched directions if it was not
    /// watched yet.
    pub(crate) fn arm(
        &self,
        direction: Direction,
        modify: impl FnOnce(Ready) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut waiters = self.waiters.lock();
        let wanted = waiters.armed | Ready::of(direction).bits();
        if wanted != waiters.armed {
            modify(Ready::from_bits(wanted))?;
            waiters.armed = wanted;
        }
        Ok(())
    }

    /// For one-shot selectors: an event has come, so nothing is watched any more.
    pub(crate) fn disarm(&self) {
        self.waiters.lock().armed = 0;
    }

    pub(crate) fn leave(&self, direction: Direction, index: u32) {
        let mut waiters = self.waiters.lock();
        let waker = waiters.list(direction).leave_place(index);
        drop(waiters);
        drop(waker);
    }
}

impl Waiters {
    fn list(&mut self, direction: Direction) -> &mut List {
        match direction {
            Direction::Read => &mut self.read,
            Direction::Write => &mut self.write,
        }
    }
}

impl List {
    fn slots(&mut self) -> impl Iterator<Item = &mut Slot> {
        std::iter::once(&mut self.first).chain(self.more.iter_mut().flat_map(|more| more.iter_mut()))
    }

    fn slot(&mut self, index: u32) -> &mut Slot {
        match index.checked_sub(1) {
            None => &mut self.first,
            Some(index) => &mut self.more.get_or_insert_default()[index as usize],
        }
    }

    fn take_place(&mut self) -> u32 {
        let free = self.slots().position(|slot| !slot.is_taken);
        let index = free.unwrap_or_else(|| {
            let more = self.more.get_or_insert_default();
            more.push(Slot::default());
            more.len()
        });
        let index = u32::try_from(index).expect("fewer than 2^32 waiters fit into memory");
        self.slot(index).is_taken = true;
        index
    }

    fn leave_place(&mut self, index: u32) -> Option<Waker> {
        std::mem::take(self.slot(index)).waker
    }

    #[inline]
    fn take_wakers(&mut self, is_last: bool, list: &mut WakeList) -> bool {
        if self.more.is_some() {
            return self.take_all_wakers(is_last, list);
        }
        if self.first.waker.is_some() && list.is_full() {
            return false;
        }
        if let Some(waker) = self.first.take_waker(is_last) {
            list.push(waker);
        }
        true
    }

    #[cold]
    fn take_all_wakers(&mut self, is_last: bool, list: &mut WakeList) -> bool {
        for slot in self.slots() {
            if slot.waker.is_some() && list.is_full() {
                return false;
            }
            if let Some(waker) = slot.take_waker(is_last) {
                list.push(waker);
            }
        }
        true
    }
}

impl Slot {
    /// R5.
    #[inline]
    fn take_waker(&mut self, is_last: bool) -> Option<Waker> {
        if self.stands && !is_last { self.waker.clone() } else { self.waker.take() }
    }
}

impl Default for IoState {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for IoState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seen = self.seen();
        f.debug_struct("IoState")
            .field("ready", &seen.ready())
            .field("is_closed", &(seen.word & CLOSED != 0))
            .finish_non_exhaustive()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Flag(AtomicUsize);

    impl Wake for Flag {
        fn wake(self: std::sync::Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    impl Flag {
        fn times(&self) -> usize {
            self.0.load(Ordering::Relaxed)
        }
    }

    fn event(state: &IoState, ready: Ready) {
        state.set(ready);
        wake(state, ready);
    }

    fn wake(state: &IoState, ready: Ready) {
        let mut list = WakeList::new();
        while !state.take_wakers(ready, &mut list) {
            list.wake_all();
        }
        list.wake_all();
    }

    /// Takes what is known, as an operation does that leaves nothing, and waits.
    fn wait(state: &Arc<IoState>, waiter: &mut Waiter, flag: &std::sync::Arc<Flag>) {
        state.clear(Direction::Read, state.seen());
        let waker = Waker::from(flag.clone());
        assert!(state.poll_ready(&mut Context::from_waker(&waker), waiter, Direction::Read).is_pending());
    }

    #[test]
    fn one_that_stands_is_woken_by_every_event_until_it_leaves() {
        let (state, flag) = (Arc::new(IoState::edge_triggered()), std::sync::Arc::new(Flag::default()));
        let mut waiter = Waiter::standing();
        wait(&state, &mut waiter, &flag);
        assert!(waiter.stands(Direction::Read));
        for times in 1..4 {
            event(&state, Ready::READABLE);
            assert_eq!(flag.times(), times);
        }
        event(&state, Ready::WRITABLE);
        assert_eq!(flag.times(), 3, "it waits for the other direction");
        waiter.leave();
        assert!(!waiter.stands(Direction::Read));
        event(&state, Ready::READABLE);
        assert_eq!(flag.times(), 3);
        assert_eq!(std::sync::Arc::strong_count(&flag), 1, "its waker is gone with it");
    }

    #[test]
    fn it_is_told_of_the_end_once() {
        let (state, flag) = (Arc::new(IoState::edge_triggered()), std::sync::Arc::new(Flag::default()));
        let mut waiter = Waiter::standing();
        wait(&state, &mut waiter, &flag);
        state.close();
        wake(&state, Ready::ERROR);
        wake(&state, Ready::ERROR);
        assert_eq!(flag.times(), 1);
        assert_eq!(std::sync::Arc::strong_count(&flag), 1, "a closed state keeps no waker");
    }

    #[test]
    fn where_it_cannot_stand_it_is_as_any_other() {
        let one_shot = Arc::new(IoState::new());
        let edge = Arc::new(IoState::edge_triggered());
        let (first, second) = (std::sync::Arc::new(Flag::default()), std::sync::Arc::new(Flag::default()));
        let (mut standing, mut other) = (Waiter::standing(), Waiter::standing());
        wait(&one_shot, &mut other, &second);
        assert!(!other.stands(Direction::Read));
        wait(&edge, &mut standing, &first);
        wait(&edge, &mut other, &second);
        assert!(
            standing.stands(Direction::Read) && !other.stands(Direction::Read),
            "another one stands already"
        );
        event(&edge, Ready::READABLE);
        event(&edge, Ready::READABLE);
        assert_eq!((first.times(), second.times()), (2, 1));
    }

    /// More than one list of wakers holds: whoever stands must not come again and again.
    #[test]
    fn many_wait_beside_one_that_stands() {
        let edge = Arc::new(IoState::edge_triggered());
        let (first, others) = (std::sync::Arc::new(Flag::default()), std::sync::Arc::new(Flag::default()));
        let mut standing = Waiter::standing();
        wait(&edge, &mut standing, &first);
        let mut waiters: Vec<_> = (0..1000).map(|_| Waiter::standing()).collect();
        waiters.iter_mut().for_each(|waiter| wait(&edge, waiter, &others));
        event(&edge, Ready::READABLE);
        assert_eq!(others.times(), 1000);
        assert!(first.times() > 0);
    }
}

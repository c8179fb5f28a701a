//! [`IoState`]: the readiness of one descriptor, and who waits for it.
//!
//! One word holds the conditions (bits 0 to 4), whether the reactor is closed (bit 7), and a count of events (bits 8 to 31).
//! The waiters stand behind a mutex, by direction.
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
use std::ops::BitOr;
use std::task::{Context, Poll, Waker};

use asyncio_base::shim::{Arc, AtomicU8, AtomicU32, Mutex, MutexGuard, Ordering};
use asyncio_base::{LoopClosed, WakeList, wait_point};

use crate::readiness::{Direction, Ready, Seen};
use crate::waiter::Waiter;

/// Bit 7 of the word: the reactor is closed. Never cleared.
const CLOSED: u32 = 1 << 7;
/// The count of events stands above the bits.
const ONE_EVENT: u32 = 1 << 8;

/// The readiness of one descriptor and those that wait for it; what [`Readiness`](crate::Readiness) stands on.
///
/// A reactor tells it of every event: [`set`](Self::set), then [`take_wakers`](Self::take_wakers). Every connection has one, so it is kept small.
pub struct IoState {
    word: AtomicU32,
    /// Read and written under the lock, but for [`Marks::EDGE`], which never changes. It is not behind the lock, since here it takes no room.
    marks: AtomicU8,
    waiters: Mutex<Waiters>,
}

/// Those who wait, by direction. The first place needs no allocation, since there is hardly ever a second.
#[derive(Default)]
struct Waiters {
    first: [Option<Waker>; 2],
    more: Option<Box<[Vec<Place>; 2]>>,
}

#[derive(Default)]
struct Place {
    is_taken: bool,
    waker: Option<Waker>,
}

/// What there is to know of the two first places, and of what the selector does. Bits for reading and for writing stand side by side.
struct Marks;

impl Marks {
    /// The first place belongs to somebody (R4).
    const TAKEN: u8 = 1;
    /// Whoever has it stands (R5).
    const STANDS: u8 = 1 << 2;
    /// A one-shot selector watches at present; see [`IoState::arm`].
    const ARMED: u8 = 1 << 4;
    /// Events come without being asked for, so a waiter can stand.
    const EDGE: u8 = 1 << 6;

    const fn of(mark: u8, direction: Direction) -> u8 {
        mark << direction as u8
    }
}

impl IoState {
    /// Makes the state of a descriptor of which nothing is known, and whose events have to be [asked for](crate::Registrar::arm).
    pub fn new() -> Self {
        Self::that(0)
    }

    /// The same, of a descriptor whose events come without being asked for: its waiters may [stand](Waiter::standing).
    pub fn edge_triggered() -> Self {
        Self::that(Marks::EDGE)
    }

    fn that(marks: u8) -> Self {
        Self { word: AtomicU32::new(0), marks: AtomicU8::new(marks), waiters: Mutex::default() }
    }

    #[inline]
    pub(crate) fn is_edge_triggered(&self) -> bool {
        // Relaxed: it never changes.
        self.marks.load(Ordering::Relaxed) & Marks::EDGE != 0
    }

    #[inline]
    fn lock(&self) -> Places<'_> {
        Places { marks: &self.marks, waiters: self.waiters.lock() }
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
        match self.verdict(direction) {
            Some(verdict) => Poll::Ready(verdict),
            None => self.register(cx, waiter, direction),
        }
    }

    /// Whether an operation in `direction` is worth a try, by what is known now; `None` if not.
    #[inline]
    pub(crate) fn verdict(&self, direction: Direction) -> Option<io::Result<Seen>> {
        let seen = self.seen();
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
        if waiter.is_nobodys {
            // Whoever tries looks again by himself.
            return Poll::Pending;
        }
        let is_here = |state: &Arc<Self>| Arc::ptr_eq(state, self) && waiter.direction == direction;
        if !waiter.state.as_ref().is_some_and(is_here) {
            waiter.leave();
        }
        let waker = cx.waker().clone();
        let mut places = self.lock();
        // R1: the second look.
        if let Some(verdict) = self.verdict(direction) {
            drop(places);
            return Poll::Ready(verdict);
        }
        let former = if waiter.state.is_some() && waiter.index == 0 {
            // It has that place since an earlier wait; whether it stands there is marked as long as it has it (R4).
            places.waiters.first[direction as usize].replace(waker)
        } else {
            self.put_apart(&mut places, waiter, direction, waker)
        };
        drop(places);
        drop(former);
        wait_point::here(match direction {
            Direction::Read => "readable",
            Direction::Write => "writable",
        });
        Poll::Pending
    }

    /// Puts a waker into its waiter's place, where that is not the first, or there is none yet.
    #[inline(never)]
    fn put_apart(
        self: &Arc<Self>,
        places: &mut Places<'_>,
        waiter: &mut Waiter,
        direction: Direction,
        waker: Waker,
    ) -> Option<Waker> {
        if waiter.state.is_none() {
            (waiter.index, waiter.direction) = (places.take(direction), direction);
            waiter.state = Some(self.clone());
            waiter.stands = waiter.wants_to_stand && waiter.index == 0 && self.is_edge_triggered();
            if waiter.stands {
                places.set(Marks::of(Marks::STANDS, direction), true);
            }
        }
        places.waker(direction, waiter.index).replace(waker)
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
    #[inline]
    #[must_use = "if it says false, wakers are left: wake the list and call again"]
    pub fn take_wakers(&self, conditions: Ready, list: &mut WakeList) -> bool {
        let mut places = self.lock();
        if !places.are_simple() || list.len() + 2 > WakeList::CAPACITY {
            return self.take_from(places, conditions, list);
        }
        for direction in [Direction::Read, Direction::Write] {
            if !conditions.intersects(Ready::of(direction)) {
                continue;
            }
            if let Some(waker) = places.waiters.first[direction as usize].take() {
                list.push(waker);
            }
        }
        true
    }

    /// The same, whoever waits.
    #[inline(never)]
    fn take_from(&self, mut places: Places<'_>, conditions: Ready, list: &mut WakeList) -> bool {
        // Whoever stands is told of the end, and nothing else comes.
        let is_last = self.word.load(Ordering::Relaxed) & CLOSED != 0;
        let is_meant = |direction| conditions.intersects(Ready::of(direction));
        (!is_meant(Direction::Read) || places.take_wakers(Direction::Read, is_last, list))
            && (!is_meant(Direction::Write) || places.take_wakers(Direction::Write, is_last, list))
    }

    /// For one-shot selectors: asks to watch `direction`, and runs `modify` with all watched directions if it was not
    /// watched yet.
    pub(crate) fn arm(
        &self,
        direction: Direction,
        modify: impl FnOnce(Ready) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut places = self.lock();
        let mark = Marks::of(Marks::ARMED, direction);
        if places.has(mark) {
            return Ok(());
        }
        let is_armed = |other| other == direction || places.has(Marks::of(Marks::ARMED, other));
        let watched = [Direction::Read, Direction::Write].into_iter().filter(|other| is_armed(*other));
        modify(watched.map(Ready::of).fold(Ready::NONE, Ready::bitor))?;
        places.set(mark, true);
        Ok(())
    }

    /// For one-shot selectors: an event has come, so nothing is watched any more.
    pub(crate) fn disarm(&self) {
        let mut places = self.lock();
        for direction in [Direction::Read, Direction::Write] {
            places.set(Marks::of(Marks::ARMED, direction), false);
        }
    }

    pub(crate) fn leave(&self, direction: Direction, index: u32) {
        let mut places = self.lock();
        let waker = places.leave(direction, index);
        drop(places);
        drop(waker);
    }
}

/// The places, while they are locked.
struct Places<'a> {
    marks: &'a AtomicU8,
    waiters: MutexGuard<'a, Waiters>,
}

impl Places<'_> {
    // Relaxed, both: under the lock.
    #[inline]
    fn has(&self, mark: u8) -> bool {
        self.marks.load(Ordering::Relaxed) & mark != 0
    }

    #[inline]
    fn set(&mut self, mark: u8, is_set: bool) {
        let marks = self.marks.load(Ordering::Relaxed);
        self.marks.store(if is_set { marks | mark } else { marks & !mark }, Ordering::Relaxed);
    }

    /// Whether there are no more than the two first places, and nobody stands: then what is in them is taken.
    #[inline]
    fn are_simple(&self) -> bool {
        const STAND: u8 =
            Marks::of(Marks::STANDS, Direction::Read) | Marks::of(Marks::STANDS, Direction::Write);
        self.waiters.more.is_none() && !self.has(STAND)
    }

    fn more(&mut self, direction: Direction) -> &mut Vec<Place> {
        &mut self.waiters.more.get_or_insert_default()[direction as usize]
    }

    /// The waker in a place.
    fn waker(&mut self, direction: Direction, index: u32) -> &mut Option<Waker> {
        match index.checked_sub(1) {
            None => &mut self.waiters.first[direction as usize],
            Some(index) => &mut self.more(direction)[index as usize].waker,
        }
    }

    /// Takes a place.
    fn take(&mut self, direction: Direction) -> u32 {
        let mark = Marks::of(Marks::TAKEN, direction);
        if !self.has(mark) {
            self.set(mark, true);
            return 0;
        }
        let more = self.more(direction);
        let free = more.iter().position(|place| !place.is_taken);
        let index = free.unwrap_or_else(|| {
            more.push(Place::default());
            more.len() - 1
        });
        more[index].is_taken = true;
        u32::try_from(index + 1).expect("fewer than 2^32 waiters fit into memory")
    }

    /// Gives a place back, with what is in it.
    fn leave(&mut self, direction: Direction, index: u32) -> Option<Waker> {
        let waker = self.waker(direction, index).take();
        match index.checked_sub(1) {
            None => self.set(Marks::of(Marks::TAKEN | Marks::STANDS, direction), false),
            Some(index) => self.more(direction)[index as usize].is_taken = false,
        }
        waker
    }

    #[inline]
    fn take_wakers(&mut self, direction: Direction, is_last: bool, list: &mut WakeList) -> bool {
        (self.waiters.first[direction as usize].is_none() || self.take_first(direction, is_last, list))
            && (self.waiters.more.is_none() || self.take_others(direction, list))
    }

    /// R5.
    fn take_first(&mut self, direction: Direction, is_last: bool, list: &mut WakeList) -> bool {
        let stands = !is_last && self.has(Marks::of(Marks::STANDS, direction));
        let place = &mut self.waiters.first[direction as usize];
        let Some(waker) = place.take() else { return true };
        if stands {
            *place = Some(waker.clone());
        }
        list.try_push(waker).map_err(|waker| *place = Some(waker)).is_ok()
    }

    #[cold]
    fn take_others(&mut self, direction: Direction, list: &mut WakeList) -> bool {
        for place in self.more(direction) {
            let Some(waker) = place.waker.take() else { continue };
            if let Err(waker) = list.try_push(waker) {
                place.waker = Some(waker);
                return false;
            }
        }
        true
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
        // The place that one who stood has left is anybody's, and nobody stands in it.
        standing.leave();
        other.leave();
        let (mut third, times) = (Waiter::new(), first.times());
        for round in 1..3 {
            wait(&edge, &mut third, &first);
            assert!(!third.stands(Direction::Read));
            event(&edge, Ready::READABLE);
            event(&edge, Ready::READABLE);
            assert_eq!(first.times(), times + round, "one wait is one wake");
        }
    }

    /// One waits in each direction, beside a list that is empty, nearly full, or full.
    #[test]
    fn both_directions_are_taken_whatever_room_there_is() {
        for former in [0, WakeList::CAPACITY - 2, WakeList::CAPACITY - 1, WakeList::CAPACITY] {
            for conditions in [Ready::READABLE, Ready::WRITE_CLOSED, Ready::ERROR, Ready::URGENT] {
                let state = Arc::new(IoState::new());
                let flags = [(); 2].map(|()| std::sync::Arc::new(Flag::default()));
                let mut waiters = [Waiter::new(), Waiter::new()];
                for (at, direction) in [Direction::Read, Direction::Write].into_iter().enumerate() {
                    let waker = Waker::from(flags[at].clone());
                    let mut cx = Context::from_waker(&waker);
                    assert!(state.poll_ready(&mut cx, &mut waiters[at], direction).is_pending());
                }
                let mut list = WakeList::new();
                (0..former).for_each(|_| list.push(Waker::noop().clone()));
                state.set(conditions);
                let mut rounds = 0;
                while !state.take_wakers(conditions, &mut list) {
                    assert!(list.is_full(), "it has to be woken only where it is full");
                    list.wake_all();
                    rounds += 1;
                }
                list.wake_all();
                let is_meant = |direction| usize::from(conditions.intersects(Ready::of(direction)));
                let expected = [Direction::Read, Direction::Write].map(is_meant);
                assert_eq!([flags[0].times(), flags[1].times()], expected, "{conditions:?} beside {former}");
                let overflows = former + expected[0] + expected[1] > WakeList::CAPACITY;
                assert_eq!(rounds, usize::from(overflows));
            }
        }
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

    /// A try by nobody's waiter beside one that stands: no second place is made for it.
    #[test]
    fn whoever_tries_for_nobody_takes_no_place() {
        let state = Arc::new(IoState::new());
        let flag = std::sync::Arc::<Flag>::default();
        let mut standing = Waiter::standing();
        wait(&state, &mut standing, &flag);
        let mut nobodys = Waiter::nobodys();
        wait(&state, &mut nobodys, &flag);
        assert!(nobodys.state.is_none() && state.lock().waiters.more.is_none());
        event(&state, Ready::READABLE);
        assert_eq!(flag.times(), 1);
    }
}

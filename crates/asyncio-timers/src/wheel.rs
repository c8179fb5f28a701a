//! A hierarchical timer wheel as a pure structure: time comes in as an argument.
//!
//! After Varghese and Lauck, "Hashed and Hierarchical Timing Wheels" (SOSP 1987), in the form where the level of an
//! entry is read off the highest bit in which its tick differs from the present one, so that nothing ever wraps.
//!
//! Time is nanoseconds since an origin of the caller's choice, a `u64` (584 years). A *tick* is a power of two of
//! nanoseconds. There are 11 levels of 64 slots: together they cover every `u64`, at any tick.
//!
//! 1. W1: an entry with tick `t > elapsed` lies on the level of the highest 6-bit digit in which `t` and `elapsed`
//!    differ, in the slot of that digit of `t`. So every occupied slot of a level lies *ahead* of the present one, and
//!    the lowest occupied level holds the next entry.
//! 2. W2: a deadline is rounded *up* to a tick and time is rounded *down*: nothing fires early.
//! 3. W3: when the present reaches a slot above level 0, its entries move down before any later insertion, so among
//!    equal deadlines the order is that of insertion. Entries of one tick fire in order of deadline.
//! 4. W4: a [`Key`] carries a generation: it never reaches the next entry in its place.
//!
//! Insertion and removal are O(1); an entry moves down at most once a level. Not here: wakers, locks, clocks.

use std::fmt;
use std::time::Duration;

/// The default tick: 2^16 ns = 65.536 µs.
///
/// A tick costs one turn of the loop where anything is due in it. At 100,000 timers a second this one fires six or
/// seven a turn; half of it would cost a third more CPU for 16 µs less lateness.
pub const DEFAULT_TICK: Duration = Duration::from_nanos(1 << 16);

/// Names an entry of a [`Wheel`] until it fires or is removed, and nothing afterwards.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key {
    index: u32,
    generation: u32,
}

/// A hierarchical timer wheel.
///
/// # Examples
///
/// ```
/// use asyncio_timers::{DEFAULT_TICK, Wheel};
///
/// let mut wheel = Wheel::new(DEFAULT_TICK);
/// let key = wheel.insert(1_000_000, "a").unwrap();
/// wheel.insert(2_000_000, "b").unwrap();
/// assert_eq!(wheel.remove(key), Some("a"));
///
/// let mut fired = Vec::new();
/// wheel.advance(1_999_999, &mut fired);
/// assert!(fired.is_empty(), "never early");
/// wheel.advance(2_100_000, &mut fired);
/// assert_eq!(fired, ["b"]);
/// assert_eq!(wheel.insert(2_000_000, "c"), Err("c"), "already due");
/// ```
pub struct Wheel<T> {
    /// The last tick whose entries have fired.
    elapsed: u64,
    tick_shift: u32,
    len: usize,
    /// One bit a slot that is not empty.
    occupied: [u64; LEVELS],
    slots: Box<[[List; SLOTS]; LEVELS]>,
    entries: Vec<Entry<T>>,
    free: u32,
}

#[derive(Clone, Copy)]
struct List {
    head: u32,
    tail: u32,
}

struct Entry<T> {
    /// `None` while the place is free; then `next` is the next free place.
    value: Option<T>,
    deadline: u64,
    generation: u32,
    previous: u32,
    next: u32,
    level: u8,
    slot: u8,
}

const LEVELS: usize = 11;
const SLOTS: usize = 64;
const BITS: u32 = 6;
const NONE: u32 = u32::MAX;

impl<T> Wheel<T> {
    /// Makes an empty wheel at time 0 whose tick is `tick`, rounded down to a power of two of nanoseconds, at least 1.
    pub fn new(tick: Duration) -> Self {
        let nanos = u64::try_from(tick.as_nanos()).unwrap_or(u64::MAX).max(1);
        Self {
            elapsed: 0,
            tick_shift: nanos.ilog2(),
            len: 0,
            occupied: [0; LEVELS],
            slots: Box::new([[List { head: NONE, tail: NONE }; SLOTS]; LEVELS]),
            entries: Vec::new(),
            free: NONE,
        }
    }

    /// Inserts `value` to fire at `deadline`, in nanoseconds.
    ///
    /// # Errors
    ///
    /// Gives the value back if the deadline's tick has already passed.
    ///
    /// # Panics
    ///
    /// Panics at 2^32 - 1 live entries.
    #[inline]
    pub fn insert(&mut self, deadline: u64, value: T) -> Result<Key, T> {
        if self.tick_of(deadline) <= self.elapsed {
            return Err(value);
        }
        let index = self.take_place();
        let entry = &mut self.entries[index as usize];
        entry.value = Some(value);
        entry.deadline = deadline;
        let generation = entry.generation;
        self.link(index);
        self.len += 1;
        Ok(Key { index, generation })
    }

    /// Removes an entry that has not fired and returns its value.
    #[inline]
    pub fn remove(&mut self, key: Key) -> Option<T> {
        self.get_mut(key)?;
        self.unlink(key.index);
        self.release_place(key.index)
    }

    /// Reaches the value of an entry that has not fired.
    #[inline]
    pub fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        let entry = self.entries.get_mut(key.index as usize)?;
        if entry.generation == key.generation { entry.value.as_mut() } else { None }
    }

    /// Moves time to `now` nanoseconds and appends the values that are due to `due`, in order of deadline, ties in
    /// order of insertion. A `now` before the present changes nothing.
    pub fn advance(&mut self, now: u64, due: &mut Vec<T>) {
        let now = now >> self.tick_shift;
        while let Some((level, slot, tick)) = self.next_slot().filter(|&(_, _, tick)| tick <= now) {
            self.elapsed = tick;
            let list = self.take_slot(level, slot);
            if level == 0 {
                self.fire(list, due);
            } else {
                self.move_down(list, due);
            }
        }
        self.elapsed = self.elapsed.max(now);
    }

    /// Takes every value out, in no particular order.
    pub fn drain(&mut self) -> Vec<T> {
        let mut values = Vec::with_capacity(self.len);
        for index in 0..self.entries.len() as u32 {
            if self.entries[index as usize].value.is_some() {
                self.unlink(index);
                values.extend(self.release_place(index));
            }
        }
        values
    }

    /// Returns when [`advance`](Self::advance) will next have something to do, in nanoseconds: at the latest when the
    /// next entry is due, or earlier, when far entries move nearer.
    #[inline]
    pub fn next_deadline(&self) -> Option<u64> {
        let (_, _, tick) = self.next_slot()?;
        // Rounding up may have carried the last tick past the end of time.
        Some(tick.checked_shl(self.tick_shift).filter(|at| at >> self.tick_shift == tick).unwrap_or(u64::MAX))
    }

    /// Returns how many entries wait.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Says whether no entry waits.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Rounds a deadline up to a tick (W2).
    #[inline]
    fn tick_of(&self, deadline: u64) -> u64 {
        let tick = deadline >> self.tick_shift;
        tick + u64::from(tick << self.tick_shift != deadline)
    }

    /// Finds the next occupied slot, and the tick at which it begins (W1).
    #[inline]
    fn next_slot(&self) -> Option<(usize, usize, u64)> {
        if self.len == 0 {
            return None;
        }
        let level = self.occupied.iter().position(|&bits| bits != 0)?;
        let slot = self.occupied[level].trailing_zeros();
        let shift = level as u32 * BITS;
        let above = self.elapsed.checked_shr(shift + BITS).unwrap_or(0);
        let digits = (above << BITS) | u64::from(slot);
        Some((level, slot as usize, digits << shift))
    }

    #[inline]
    fn link(&mut self, index: u32) {
        let tick = self.tick_of(self.entries[index as usize].deadline);
        let level = ((tick ^ self.elapsed) | 1).ilog2() / BITS;
        let slot = (tick >> (level * BITS)) as usize % SLOTS;
        let level = level as usize;
        let list = &mut self.slots[level][slot];
        let tail = std::mem::replace(&mut list.tail, index);
        if tail == NONE {
            list.head = index;
            self.occupied[level] |= 1 << slot;
        } else {
            self.entries[tail as usize].next = index;
        }
        let entry = &mut self.entries[index as usize];
        (entry.previous, entry.next) = (tail, NONE);
        (entry.level, entry.slot) = (level as u8, slot as u8);
    }

    #[inline]
    fn unlink(&mut self, index: u32) {
        let Entry { previous, next, level, slot, .. } = self.entries[index as usize];
        let list = &mut self.slots[level as usize][slot as usize];
        match previous {
            NONE => list.head = next,
            _ => self.entries[previous as usize].next = next,
        }
        match next {
            NONE => list.tail = previous,
            _ => self.entries[next as usize].previous = previous,
        }
        if list.head == NONE {
            self.occupied[level as usize] &= !(1 << slot);
        }
    }

    /// Empties a slot and returns the head of its list, whose links stay as they were.
    fn take_slot(&mut self, level: usize, slot: usize) -> u32 {
        self.occupied[level] &= !(1 << slot);
        std::mem::replace(&mut self.slots[level][slot], List { head: NONE, tail: NONE }).head
    }

    /// Moves the entries of a slot that the present has reached to their lower levels; those that are due fire.
    fn move_down(&mut self, list: u32, due: &mut Vec<T>) {
        let mut now_due = Vec::new();
        let mut index = list;
        while index != NONE {
            let next = self.entries[index as usize].next;
            if self.tick_of(self.entries[index as usize].deadline) <= self.elapsed {
                now_due.push(index);
            } else {
                self.link(index);
            }
            index = next;
        }
        self.fire_all(now_due, due);
    }

    fn fire(&mut self, list: u32, due: &mut Vec<T>) {
        let first = &self.entries[list as usize];
        if first.next == NONE {
            due.extend(self.release_place(list));
            return;
        }
        let mut indices = Vec::new();
        let mut index = list;
        while index != NONE {
            indices.push(index);
            index = self.entries[index as usize].next;
        }
        self.fire_all(indices, due);
    }

    /// Releases the entries in order of deadline; the sort is stable, so ties keep the order of insertion (W3).
    fn fire_all(&mut self, mut indices: Vec<u32>, due: &mut Vec<T>) {
        indices.sort_by_key(|&index| self.entries[index as usize].deadline);
        for index in indices {
            due.extend(self.release_place(index));
        }
    }

    #[inline]
    fn take_place(&mut self) -> u32 {
        let index = self.free;
        if index != NONE {
            self.free = self.entries[index as usize].next;
            return index;
        }
        let index = u32::try_from(self.entries.len()).ok().filter(|&index| index != NONE);
        let index = index.expect("a timer wheel holds at most 2^32 - 1 entries");
        self.entries.push(Entry {
            value: None,
            deadline: 0,
            generation: 0,
            previous: NONE,
            next: NONE,
            level: 0,
            slot: 0,
        });
        index
    }

    #[inline]
    fn release_place(&mut self, index: u32) -> Option<T> {
        let free = std::mem::replace(&mut self.free, index);
        let entry = &mut self.entries[index as usize];
        entry.next = free;
        entry.generation = entry.generation.wrapping_add(1);
        self.len -= 1;
        entry.value.take()
    }
}

impl<T> fmt::Debug for Wheel<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wheel")
            .field("len", &self.len)
            .field("tick_ns", &(1_u64 << self.tick_shift))
            .field("next_deadline_ns", &self.next_deadline())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({}.{})", self.index, self.generation)
    }
}

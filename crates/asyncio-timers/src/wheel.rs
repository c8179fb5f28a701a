//! A hierarchical timer wheel as a pure structure: time comes in as an argument.
//!
//! After Varghese and Lauck, "Hashed and Hierarchical Timing Wheels" (SOSP 1987), in the form where the level of an
//! entry is read off the highest bit in which its tick differs from the present one, so that nothing ever wraps.
//!
//! Time is nanoseconds since an origin of the caller's choice, a `u64` (584 years). A *tick* is a power of two of
//! nanoseconds. There are 8 levels of 256 slots: together they cover every `u64`, at any tick. (With 64 slots a sleep of a second moves
//! down twice instead of once, and each move costs two cache misses where many timers live: 16 % of the time of `timer_cpu_each`.)
//!
//! 1. W1: an entry with tick `t > elapsed` lies on the level of the highest 8-bit digit in which `t` and `elapsed`
//!    differ, in the slot of that digit of `t`. So every occupied slot of a level lies *ahead* of the present one, and
//!    the lowest occupied level holds the next entry.
//! 2. W2: a deadline is rounded *up* to a tick and time is rounded *down*: nothing fires early.
//! 3. W3: when the present reaches a slot above level 0, its entries move down before any later insertion, so among
//!    equal deadlines the order is that of insertion. Entries of one tick fire in order of deadline.
//! 4. W4: a [`Key`] carries a generation: it never reaches the next entry in its place.
//! 5. W5: a slot is an array of *items*, each with its deadline and the key of its entry, so that moving and sorting run
//!    through memory in order (linked lists cost a cache miss an entry: a quarter of the time of `timer_cpu_each`). A removed
//!    entry leaves its item behind. A slot knows how many of its items are live; at none it is emptied, and where the dead
//!    outnumber the living it is swept. So memory stays within a constant of what is live, and no dead slot is ever waited for.
//!
//! Insertion and removal are O(1), amortised; an entry moves down at most once a level. Not here: wakers, locks, clocks.

use std::fmt;
use std::time::Duration;

/// The default tick: 2^14 ns = 16.384 µs.
///
/// It bounds how late a lone sleep ends. Where many fire, a loop looks only every [seventh tick](crate::Timers::idle).
pub const DEFAULT_TICK: Duration = Duration::from_nanos(1 << 14);

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
    /// One bit a level that is not empty.
    occupied: u32,
    levels: [Level; LEVELS],
    entries: Vec<Entry<T>>,
    free: u32,
}

#[derive(Default)]
struct Level {
    /// One bit a slot with live items.
    occupied: [u64; WORDS],
    /// Made when the level is first used: 8 KiB.
    slots: Vec<Slot>,
}

#[derive(Clone, Default)]
struct Slot {
    items: Vec<Item>,
    live: usize,
}

#[derive(Clone, Copy)]
struct Item {
    deadline: u64,
    key: Key,
}

struct Entry<T> {
    /// `None` while the place is free.
    value: Option<T>,
    generation: u32,
    /// While the place is free: the next free one.
    next_free: u32,
    level: u8,
    slot: u8,
}

const LEVELS: usize = 8;
const SLOTS: usize = 256;
const BITS: u32 = 8;
const WORDS: usize = SLOTS / 64;
const NONE: u32 = u32::MAX;
/// An empty slot keeps at most room for so many items: 6 KiB.
const KEPT_MAX: usize = 256;
/// A slot with fewer dead items than this is not worth a sweep.
const DEAD_MIN: usize = 64;

impl<T> Wheel<T> {
    /// Makes an empty wheel at time 0 whose tick is `tick`, rounded down to a power of two of nanoseconds, at least 1.
    pub fn new(tick: Duration) -> Self {
        let nanos = u64::try_from(tick.as_nanos()).unwrap_or(u64::MAX).max(1);
        Self {
            elapsed: 0,
            tick_shift: nanos.ilog2(),
            len: 0,
            occupied: 0,
            levels: Default::default(),
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
        let key = self.take_place(value);
        self.link(Item { deadline, key });
        self.len += 1;
        Ok(key)
    }

    /// Removes an entry that has not fired and returns its value.
    #[inline]
    pub fn remove(&mut self, key: Key) -> Option<T> {
        let value = self.release_place(key)?;
        let Entry { level, slot, .. } = self.entries[key.index as usize];
        self.bury(level.into(), slot.into());
        Some(value)
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
            self.move_down_or_fire(level, slot, due);
        }
        self.elapsed = self.elapsed.max(now);
    }

    /// Takes every value out, in no particular order.
    pub fn drain(&mut self) -> Vec<T> {
        let keys: Vec<Key> = self
            .levels
            .iter()
            .flat_map(|level| &level.slots)
            .flat_map(|slot| slot.items.iter().map(|item| item.key))
            .collect();
        keys.into_iter().filter_map(|key| self.remove(key)).collect()
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
        if self.occupied == 0 {
            return None;
        }
        let level = self.occupied.trailing_zeros();
        let words = &self.levels[level as usize].occupied;
        let word = words.iter().position(|&bits| bits != 0)?;
        let slot = word as u32 * 64 + words[word].trailing_zeros();
        let shift = level * BITS;
        let above = self.elapsed.checked_shr(shift + BITS).unwrap_or(0);
        let digits = (above << BITS) | u64::from(slot);
        Some((level as usize, slot as usize, digits << shift))
    }

    /// Puts the item of a live entry into its slot (W1).
    #[inline]
    fn link(&mut self, item: Item) {
        let tick = self.tick_of(item.deadline);
        let level = ((tick ^ self.elapsed) | 1).ilog2() / BITS;
        let slot = (tick >> (level * BITS)) as usize % SLOTS;
        let entry = &mut self.entries[item.key.index as usize];
        (entry.level, entry.slot) = (level as u8, slot as u8);
        self.occupied |= 1 << level;
        let level = &mut self.levels[level as usize];
        level.occupied[slot / 64] |= 1 << (slot % 64);
        if level.slots.is_empty() {
            level.slots = vec![Slot::default(); SLOTS];
        }
        let slot = &mut level.slots[slot];
        slot.items.push(item);
        slot.live += 1;
    }

    /// Counts the item of an entry that is gone as dead, and clears up if there are many (W5).
    #[inline]
    fn bury(&mut self, level: usize, slot: usize) {
        let place = &mut self.levels[level].slots[slot];
        place.live -= 1;
        if place.live == 0 {
            place.items = kept(std::mem::take(&mut place.items));
            self.clear_occupied(level, slot);
        } else if place.items.len() - place.live > place.live.max(DEAD_MIN) {
            let entries = &self.entries;
            place.items.retain(|item| entries[item.key.index as usize].is(item.key));
        }
    }

    #[inline]
    fn clear_occupied(&mut self, level: usize, slot: usize) {
        let occupied = &mut self.levels[level].occupied;
        occupied[slot / 64] &= !(1 << (slot % 64));
        if *occupied == [0; WORDS] {
            self.occupied &= !(1 << level);
        }
    }

    /// Moves the entries of a slot that the present has reached to their lower levels; those that are due fire.
    fn move_down_or_fire(&mut self, level: usize, slot: usize, due: &mut Vec<T>) {
        self.clear_occupied(level, slot);
        let place = &mut self.levels[level].slots[slot];
        place.live = 0;
        let mut items = std::mem::take(&mut place.items);
        let is_due = |wheel: &Self, item: &Item| wheel.tick_of(item.deadline) <= wheel.elapsed;
        // Stable, so ties keep the order of insertion (W3). Above level 0 only what is due now needs an order of its own.
        items.sort_by_key(|item| if is_due(self, item) { item.deadline } else { u64::MAX });
        for item in items.drain(..) {
            if is_due(self, &item) {
                due.extend(self.release_place(item.key));
            } else if self.entries[item.key.index as usize].is(item.key) {
                self.link(item);
            }
        }
        self.levels[level].slots[slot].items = kept(items);
    }

    #[inline]
    fn take_place(&mut self, value: T) -> Key {
        let index = self.free;
        if let Some(entry) = self.entries.get_mut(index as usize) {
            self.free = entry.next_free;
            entry.value = Some(value);
            return Key { index, generation: entry.generation };
        }
        let index = u32::try_from(self.entries.len()).ok().filter(|&index| index != NONE);
        let index = index.expect("a timer wheel holds at most 2^32 - 1 entries");
        self.entries.push(Entry { value: Some(value), generation: 0, next_free: NONE, level: 0, slot: 0 });
        Key { index, generation: 0 }
    }

    #[inline]
    fn release_place(&mut self, key: Key) -> Option<T> {
        let entry = self.entries.get_mut(key.index as usize).filter(|entry| entry.is(key))?;
        entry.generation = entry.generation.wrapping_add(1);
        entry.next_free = std::mem::replace(&mut self.free, key.index);
        self.len -= 1;
        entry.value.take()
    }
}

/// Empties an array for its slot to use again, unless a burst has made it large (W5).
fn kept(mut items: Vec<Item>) -> Vec<Item> {
    if items.capacity() > KEPT_MAX {
        return Vec::new();
    }
    items.clear();
    items
}

impl<T> Entry<T> {
    /// Says whether the entry is the one that the key names (W4).
    #[inline]
    fn is(&self, key: Key) -> bool {
        self.generation == key.generation && self.value.is_some()
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

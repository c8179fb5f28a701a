//! The ready tasks of one worker that others may take: a ring that its owner fills and empties, first in, first out, and that
//! thieves take the older half of.
//!
//! The shape is that of Go's run queue (`runtime/proc.go`): two indices that only rise, and whoever moves the front one past an item
//! has it. Instead of spilling when it is full, it grows.
//!
//! - R1: only the [`OwnEnd`] writes `tail`, the slots and the buffer. There is one, and it works by `&mut`.
//! - R2: the buffer is replaced under `stealing`, and thieves read it under that. The own end reads it without, since nobody else
//!   replaces it. So there is one thief at a time; another one goes on to the next ring instead of waiting.
//! - R3: an item belongs to whoever moves `head` past it. A thief copies pointers first and then moves `head`; if that fails, its copies
//!   are nothing. Slots are atomics, so a copy that came too late is a stale number and not a data race.
//! - R4: an index names one item for ever: `usize` counts pushes, and does not come around while somebody holds an old one.

#![expect(unsafe_code, reason = "items as pointers that two threads may copy and one gets")]

use std::cell::Cell;
use std::fmt;
use std::marker::PhantomData;
use std::ptr::{self, NonNull};

use asyncio_base::shim::{Arc, AtomicPtr, AtomicUsize, Mutex, Ordering, UnsafeCell};

/// What a ring holds: an owned pointer.
///
/// # Safety
///
/// - `from_raw` of what `into_raw` gave is the same value, on any thread.
pub(crate) unsafe trait Raw: Send + Sized {
    fn into_raw(self) -> NonNull<()>;

    /// # Safety
    ///
    /// - `raw` comes from `into_raw`, and this is called once for it.
    unsafe fn from_raw(raw: NonNull<()>) -> Self;
}

/// A line of its own, so that threads that write side by side do not slow each other down. 128 bytes: processors fetch lines in pairs.
#[repr(align(128))]
pub(crate) struct Padded<T>(pub(crate) T);

/// How many items a ring has room for at first: 2 KiB a worker.
#[cfg(not(any(loom, shuttle)))]
const CAPACITY: usize = 256;
#[cfg(any(loom, shuttle))]
const CAPACITY: usize = 2;
/// A ring that has grown beyond this gives its memory back when it is empty: 64 KiB.
const CAPACITY_KEPT: usize = 32 * CAPACITY;
/// How many items a thief takes at most. Half of what is there is fair; more than this at once only moves cache lines.
pub(super) const STOLEN_MAX: usize = 64;

struct Ring<T: Raw> {
    head: Padded<AtomicUsize>,
    tail: Padded<AtomicUsize>,
    stealing: Mutex<()>,
    buffer: UnsafeCell<Box<[AtomicPtr<()>]>>,
    items: PhantomData<T>,
}

// SAFETY: items are `Send`, and pass from thread to thread by R3; the buffer is kept by R1 and R2.
unsafe impl<T: Raw> Send for Ring<T> {}
// SAFETY: as above.
unsafe impl<T: Raw> Sync for Ring<T> {}

/// The owner's end. It may be sent, and not be shared.
pub(crate) struct OwnEnd<T: Raw> {
    ring: Arc<Ring<T>>,
    not_sync: PhantomData<Cell<()>>,
}

/// The end of everybody else.
pub(crate) struct Stealer<T: Raw> {
    ring: Arc<Ring<T>>,
}

/// Makes an empty ring.
pub(crate) fn new<T: Raw>() -> (OwnEnd<T>, Stealer<T>) {
    let ring = Arc::new(Ring {
        head: Padded(AtomicUsize::new(0)),
        tail: Padded(AtomicUsize::new(0)),
        stealing: Mutex::new(()),
        buffer: UnsafeCell::new(buffer(CAPACITY)),
        items: PhantomData,
    });
    (OwnEnd { ring: ring.clone(), not_sync: PhantomData }, Stealer { ring })
}

fn buffer(capacity: usize) -> Box<[AtomicPtr<()>]> {
    (0..capacity).map(|_| AtomicPtr::new(ptr::null_mut())).collect()
}

/// Returns the place of an item. Capacities are powers of two.
fn slot(buffer: &[AtomicPtr<()>], index: usize) -> &AtomicPtr<()> {
    &buffer[index & (buffer.len() - 1)]
}

impl<T: Raw> Ring<T> {
    fn head(&self) -> &AtomicUsize {
        &self.head.0
    }

    fn tail(&self) -> &AtomicUsize {
        &self.tail.0
    }

    /// # Safety
    ///
    /// - The caller is the own end, or holds `stealing` (R2).
    unsafe fn with_buffer<R>(&self, f: impl FnOnce(&[AtomicPtr<()>]) -> R) -> R {
        // SAFETY: as the caller says: nobody replaces it meanwhile.
        self.buffer.with(|buffer| f(unsafe { &*buffer }))
    }

    /// Takes the item with this index, if it is the first.
    ///
    /// # Safety
    ///
    /// - The caller is the own end, and has pushed the item.
    unsafe fn take_first(&self, index: usize) -> Option<T> {
        // SAFETY: the own end.
        // Relaxed: it was stored by this end.
        let raw = unsafe { self.with_buffer(|buffer| slot(buffer, index).load(Ordering::Relaxed)) };
        // Acquire and Release: so that whoever sees `head` here also sees the pushes before it.
        let next = index.wrapping_add(1);
        self.head().compare_exchange(index, next, Ordering::AcqRel, Ordering::Acquire).ok()?;
        // SAFETY: R3: it came from `into_raw`, and is ours alone.
        NonNull::new(raw).map(|raw| unsafe { T::from_raw(raw) })
    }
}

impl<T: Raw> OwnEnd<T> {
    /// Returns the index that the next item will have.
    pub(crate) fn next_index(&self) -> usize {
        // Relaxed: written by this end.
        self.ring.tail().load(Ordering::Relaxed)
    }

    pub(crate) fn len(&self) -> usize {
        // Acquire: what thieves copied before they moved `head` is copied before a slot is written anew.
        self.next_index().wrapping_sub(self.ring.head().load(Ordering::Acquire))
    }

    /// Adds an item at the back. What the caller reads by a `SeqCst` load afterwards, it reads after the item is seen by everybody.
    #[inline]
    pub(crate) fn push(&mut self, item: T) {
        let tail = self.next_index();
        let len = self.len();
        // SAFETY: the own end.
        let capacity = unsafe { self.ring.with_buffer(<[_]>::len) };
        if len == capacity {
            self.resize(2 * capacity);
        } else if len == 0 && capacity > CAPACITY_KEPT {
            self.resize(CAPACITY);
        }
        let raw = item.into_raw().as_ptr();
        // SAFETY: the own end.
        // Relaxed: published by `tail`.
        unsafe { self.ring.with_buffer(|buffer| slot(buffer, tail).store(raw, Ordering::Relaxed)) };
        // A swap, which is cheaper than a store and a fence. SeqCst: I1 in `idle.rs`; Release for the slot is in it.
        self.ring.tail().swap(tail.wrapping_add(1), Ordering::SeqCst);
    }

    /// Takes the item with this index out, which must be the first of those that this end has not taken; `None` if it was stolen.
    #[inline]
    pub(crate) fn take(&mut self, index: usize) -> Option<T> {
        debug_assert!(self.next_index().wrapping_sub(index) > 0, "it was pushed");
        // SAFETY: the own end. If it is not the first any more, it was stolen (R4).
        unsafe { self.ring.take_first(index) }
    }

    /// Moves the items into a buffer of another size.
    #[cold]
    fn resize(&mut self, capacity: usize) {
        let (head, tail) = (self.ring.head().load(Ordering::Acquire), self.next_index());
        let wider = buffer(capacity);
        // R2: from here on no thief is at the buffer. One that is now holds this for as long as it takes to copy.
        let _stealing = self.ring.stealing.lock();
        let mut index = head;
        while index != tail {
            // SAFETY: the own end.
            let raw = unsafe { self.ring.with_buffer(|buffer| slot(buffer, index).load(Ordering::Relaxed)) };
            slot(&wider, index).store(raw, Ordering::Relaxed);
            index = index.wrapping_add(1);
        }
        // SAFETY: the own end, under `stealing`: nobody else is at it.
        let former = self.ring.buffer.with_mut(|buffer| std::mem::replace(unsafe { &mut *buffer }, wider));
        drop(former);
    }
}

impl<T: Raw> Stealer<T> {
    /// Says whether nothing is there.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        let head = self.ring.head().load(Ordering::SeqCst);
        // SeqCst: I1 in `idle.rs`. `tail` after `head`: it is not behind it then.
        self.ring.tail().load(Ordering::SeqCst) == head
    }

    /// Takes the older half of what is there, and gives it to `receive`. Returns how many items that were.
    ///
    /// It takes none where another thief is at work here.
    pub(crate) fn steal(&self, mut receive: impl FnMut(T)) -> usize {
        let mut copies = [ptr::null_mut(); STOLEN_MAX];
        let stolen = {
            let Some(_stealing) = self.ring.stealing.try_lock() else { return 0 };
            self.copy_half(&mut copies)
        };
        for raw in copies.iter().take(stolen).filter_map(|&raw| NonNull::new(raw)) {
            // SAFETY: R3: `head` was moved past it by us, and it came from `into_raw`.
            receive(unsafe { T::from_raw(raw) });
        }
        stolen
    }

    /// The caller holds `stealing`.
    fn copy_half(&self, copies: &mut [*mut (); STOLEN_MAX]) -> usize {
        // Acquire: pairs with whoever moved it, so `tail` is not behind it.
        let mut head = self.ring.head().load(Ordering::Acquire);
        loop {
            // Acquire: the slots up to it are stored, and the buffer is at least as new.
            let len = self.ring.tail().load(Ordering::Acquire).wrapping_sub(head);
            let count = (len - len / 2).min(STOLEN_MAX);
            if count == 0 {
                return 0;
            }
            for (nth, copy) in copies.iter_mut().enumerate().take(count) {
                let index = head.wrapping_add(nth);
                // SAFETY: the caller holds `stealing`.
                *copy =
                    unsafe { self.ring.with_buffer(|buffer| slot(buffer, index).load(Ordering::Relaxed)) };
            }
            let next = head.wrapping_add(count);
            // Release: the copies were made before; Acquire, on failure: as above.
            match self.ring.head().compare_exchange(head, next, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return count,
                Err(now) => head = now,
            }
        }
    }
}

impl<T: Raw> Drop for Ring<T> {
    fn drop(&mut self) {
        let (mut head, tail) = (self.head().load(Ordering::Relaxed), self.tail().load(Ordering::Relaxed));
        while head != tail {
            // SAFETY: nobody else has the ring any more.
            drop(unsafe { self.take_first(head) });
            head = head.wrapping_add(1);
        }
    }
}

impl<T: Raw> fmt::Debug for Stealer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = self.ring.head().load(Ordering::Relaxed);
        let len = self.ring.tail().load(Ordering::Relaxed).wrapping_sub(head);
        f.debug_struct("Stealer").field("len", &len).finish()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// An item in a box: if it is had twice, or never, a test under AddressSanitizer says so.
    pub(in crate::workers) struct Item<V>(pub(in crate::workers) Box<V>);

    // SAFETY: a box, there and back.
    unsafe impl<V: Send> Raw for Item<V> {
        fn into_raw(self) -> NonNull<()> {
            NonNull::from(Box::leak(self.0)).cast()
        }

        unsafe fn from_raw(raw: NonNull<()>) -> Self {
            // SAFETY: as the caller says.
            Self(unsafe { Box::from_raw(raw.cast().as_ptr()) })
        }
    }
}

#[cfg(all(test, not(loom)))]
mod model_tests {
    use std::collections::VecDeque;

    use super::tests::Item;
    use super::*;

    /// The own end against a `VecDeque`, with a thief between.
    #[test]
    fn behaves_like_a_queue_from_which_somebody_takes_the_older_half() {
        for seed in 0..200_u64 {
            let (mut own, stealer) = new::<Item<u32>>();
            let mut model: VecDeque<(usize, u32)> = VecDeque::new();
            let mut next_to_take = 0;
            let mut random = seed;
            for n in 0..4_000 {
                random =
                    random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                // Phases in which it fills, and phases in which it empties: so it grows, wraps and shrinks.
                let fills = (n / 700) % 2 == 0;
                match (random >> 33) % 8 {
                    0 => {
                        let mut got = Vec::new();
                        stealer.steal(|Item(n)| got.push(*n));
                        let half = (model.len() - model.len() / 2).min(STOLEN_MAX);
                        let expected: Vec<u32> = model.drain(..half).map(|(_, n)| n).collect();
                        assert_eq!(got, expected, "seed {seed}, step {n}");
                    }
                    roll if (roll < 6) == fills => {
                        model.push_back((own.next_index(), n));
                        own.push(Item(Box::new(n)));
                    }
                    _ if next_to_take < own.next_index() => {
                        let taken = own.take(next_to_take).map(|Item(n)| *n);
                        let is_there = model.front().is_some_and(|(index, _)| *index == next_to_take);
                        let expected = if is_there { model.pop_front().map(|(_, n)| n) } else { None };
                        assert_eq!(taken, expected, "seed {seed}, step {n}");
                        next_to_take += 1;
                    }
                    _ => assert!(model.is_empty() || next_to_take < own.next_index()),
                }
                assert_eq!(stealer.is_empty(), model.is_empty(), "seed {seed}, step {n}");
            }
        }
    }

    #[test]
    fn a_ring_that_was_full_gives_its_memory_back() {
        let (mut own, _stealer) = new::<Item<u32>>();
        let capacity = |own: &OwnEnd<Item<u32>>| {
            // SAFETY: the own end.
            unsafe { own.ring.with_buffer(<[_]>::len) }
        };
        for n in 0..100_000 {
            own.push(Item(Box::new(n)));
        }
        assert_eq!(capacity(&own), 131_072);
        for n in 0..100_000 {
            assert_eq!(own.take(n).map(|Item(n)| *n as usize), Some(n));
        }
        own.push(Item(Box::new(0)));
        assert_eq!(capacity(&own), CAPACITY);
    }

    /// Every item is got by exactly one thread, whatever they do at the same time.
    #[test]
    fn each_item_goes_to_one_of_many() {
        use std::sync::atomic::{AtomicBool, AtomicU32};
        const ITEMS: u32 = 200_000;
        let counts: Vec<AtomicU32> = (0..ITEMS).map(|_| AtomicU32::new(0)).collect();
        let done = AtomicBool::new(false);
        let (mut own, stealer) = new::<Item<u32>>();
        let count = |Item(n): Item<u32>| counts[*n as usize].fetch_add(1, Ordering::Relaxed);
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    while !done.load(Ordering::Acquire) {
                        stealer.steal(|item| {
                            count(item);
                        });
                    }
                });
            }
            let mut next = 0;
            for n in 0..ITEMS {
                own.push(Item(Box::new(n)));
                if n % 3 != 0 {
                    own.take(next).map(count);
                    next += 1;
                }
            }
            while next != own.next_index() {
                own.take(next).map(count);
                next += 1;
            }
            done.store(true, Ordering::Release);
        });
        assert!(counts.iter().all(|count| count.load(Ordering::Relaxed) == 1));
    }
}

//! Random numbers that a simulation decides.
//!
//! For jitter, samples and choices of a program: they are fast, and anything but secret. In a simulation they come from its seed, so that a run can be had again;
//! anywhere else from a generator of the thread, which the system's randomness seeds.
//!
//! # Examples
//!
//! ```
//! use asyncio_base::random;
//! use std::time::Duration;
//!
//! let backoff = Duration::from_millis(100 + random::below(50));
//! assert!(backoff < Duration::from_millis(150));
//! ```

use std::cell::{Cell, RefCell};
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::marker::PhantomData;
use std::rc::Rc;

/// Answers with a number below the one that it gets.
pub type Source = Rc<dyn Fn(u64) -> u64>;

thread_local! {
    static SOURCE: RefCell<Option<Source>> = const { RefCell::new(None) };
    static STATE: Cell<u64> = const { Cell::new(0) };
}

/// Returns a number from 0 on, below `count`; 0 if that is 0.
pub fn below(count: u64) -> u64 {
    if count <= 1 {
        return 0;
    }
    let source = SOURCE.try_with(|source| source.borrow().clone()).ok().flatten();
    match source {
        Some(source) => source(count),
        None => ((u128::from(next()) * u128::from(count)) >> 64) as u64,
    }
}

/// Returns any number.
pub fn word() -> u64 {
    below(1 << 32) << 32 | below(1 << 32)
}

/// Returns a number from 0 on, below 1.
pub fn fraction() -> f64 {
    // What the mantissa holds.
    below(1 << 53) as f64 / (1_u64 << 53) as f64
}

/// Says yes with this probability.
pub fn happens(probability: f64) -> bool {
    // No is 0, the plain answer of a simulation.
    fraction() >= 1.0 - probability
}

/// Returns one of `items`; `None` if there is none.
pub fn pick<T>(items: &[T]) -> Option<&T> {
    items.get(below(items.len() as u64) as usize)
}

/// Brings `items` into any order (Fisher and Yates).
pub fn shuffle<T>(items: &mut [T]) {
    for last in (1..items.len()).rev() {
        // The plain answer leaves everything where it is.
        let other = last - below(last as u64 + 1) as usize;
        items.swap(last, other);
    }
}

/// Fills `bytes`.
pub fn fill(bytes: &mut [u8]) {
    for chunk in bytes.chunks_mut(8) {
        let word = word().to_le_bytes();
        chunk.copy_from_slice(&word[..chunk.len()]);
    }
}

/// SplitMix64, seeded by what std seeds its hash tables with.
fn next() -> u64 {
    let step = |state: &Cell<u64>| {
        if state.get() == 0 {
            state.set(RandomState::new().hash_one(0_u8) | 1);
        }
        state.set(state.get().wrapping_add(0x9E37_79B9_7F4A_7C15));
        state.get()
    };
    let mut z = STATE.try_with(step).unwrap_or_else(|_| RandomState::new().hash_one(0_u8));
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// Has this thread's numbers come from `source`, until the guard is dropped: for a simulation.
#[must_use = "the former source comes back when the guard is dropped"]
pub fn enter(source: Source) -> RandomGuard {
    RandomGuard { former: SOURCE.replace(Some(source)), _not_send: PhantomData }
}

/// Puts the former source of a thread back when dropped. Made by [`enter`].
#[must_use = "the former source comes back when the guard is dropped"]
pub struct RandomGuard {
    former: Option<Source>,
    _not_send: PhantomData<*mut ()>,
}

impl Drop for RandomGuard {
    fn drop(&mut self) {
        let former = self.former.take();
        // At the end of the thread there is nothing to put back.
        let left = SOURCE.try_with(|source| source.replace(former));
        drop(left);
    }
}

impl fmt::Debug for RandomGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RandomGuard").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_in_their_range_and_spread_over_it() {
        let mut seen = [0; 10];
        (0..10_000).for_each(|_| seen[below(10) as usize] += 1);
        assert!(seen.iter().all(|&count| (700..1300).contains(&count)), "{seen:?}");
        assert_eq!((below(0), below(1)), (0, 0));
        assert!((0..1000).all(|_| (0.0..1.0).contains(&fraction())));
        assert_eq!((happens(0.0), happens(1.0)), (false, true));
        assert_eq!(pick::<u8>(&[]), None);
    }

    #[test]
    fn shuffled_items_are_the_same_ones() {
        let mut items: Vec<u32> = (0..100).collect();
        shuffle(&mut items);
        assert_ne!(items, (0..100).collect::<Vec<_>>());
        items.sort_unstable();
        assert_eq!(items, (0..100).collect::<Vec<_>>());
    }

    #[test]
    fn a_source_decides_until_it_is_left() {
        let entered = enter(Rc::new(|count| count - 1));
        assert_eq!((below(10), word(), happens(0.000_001)), (9, u64::MAX, true));
        drop(entered);
        assert_ne!((word(), word()), (u64::MAX, u64::MAX));
        let _plain = enter(Rc::new(|_| 0));
        let mut items = [1, 2, 3];
        shuffle(&mut items);
        assert_eq!((items, happens(0.999)), ([1, 2, 3], false));
    }
}

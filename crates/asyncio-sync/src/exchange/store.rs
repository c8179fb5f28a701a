//! What items lie in while they are on their way, and in which order they come out: [`Fifo`], [`Lifo`], [`Least`].

use std::cmp::Ordering;
use std::collections::{BinaryHeap, VecDeque};
use std::fmt;

/// Items on their way.
#[expect(unnameable_types, reason = "sealed: what is called under the lock is ours, but for `Ord`")]
pub trait Store: Default {
    /// What is kept.
    type Item;

    /// Keeps an item.
    fn push(&mut self, item: Self::Item);
    /// Takes out the one whose turn it is.
    fn pop(&mut self) -> Option<Self::Item>;
    /// How many it keeps.
    fn len(&self) -> usize;
}

/// First in, first out. As queues and channels are.
pub struct Fifo<T>(VecDeque<T>);

impl<T> Fifo<T> {
    pub(crate) const fn new() -> Self {
        Self(VecDeque::new())
    }

    /// One that takes so many without growing.
    pub(crate) fn with_capacity(count: usize) -> Self {
        Self(VecDeque::with_capacity(count))
    }
}

impl<T> Default for Fifo<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Store for Fifo<T> {
    type Item = T;

    #[inline]
    fn push(&mut self, item: T) {
        self.0.push_back(item);
    }

    #[inline]
    fn pop(&mut self) -> Option<T> {
        self.0.pop_front()
    }

    #[inline]
    fn len(&self) -> usize {
        self.0.len()
    }
}

/// Last in, first out.
pub struct Lifo<T>(Vec<T>);

impl<T> Lifo<T> {
    pub(crate) const fn new() -> Self {
        Self(Vec::new())
    }
}

impl<T> Default for Lifo<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Store for Lifo<T> {
    type Item = T;

    fn push(&mut self, item: T) {
        self.0.push(item);
    }

    fn pop(&mut self) -> Option<T> {
        self.0.pop()
    }

    fn len(&self) -> usize {
        self.0.len()
    }
}

/// Least first; of equals, the one that came first.
pub struct Least<T> {
    heap: BinaryHeap<Ranked<T>>,
    /// How many have come.
    pushed: u64,
}

/// An item that is the greater, the earlier it is to come out.
struct Ranked<T> {
    item: T,
    came: u64,
}

impl<T: Ord> Least<T> {
    pub(crate) const fn new() -> Self {
        Self { heap: BinaryHeap::new(), pushed: 0 }
    }
}

impl<T: Ord> Default for Least<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: Ord> Store for Least<T> {
    type Item = T;

    fn push(&mut self, item: T) {
        self.heap.push(Ranked { item, came: self.pushed });
        self.pushed += 1;
    }

    fn pop(&mut self) -> Option<T> {
        self.heap.pop().map(|ranked| ranked.item)
    }

    fn len(&self) -> usize {
        self.heap.len()
    }
}

impl<T: Ord> Ord for Ranked<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        other.item.cmp(&self.item).then(other.came.cmp(&self.came))
    }
}

impl<T: Ord> PartialOrd for Ranked<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T: Ord> PartialEq for Ranked<T> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl<T: Ord> Eq for Ranked<T> {}

impl<T> fmt::Debug for Fifo<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fifo").finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for Lifo<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lifo").finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for Least<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Least").finish_non_exhaustive()
    }
}

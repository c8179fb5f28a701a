//! [`List`]: those who wait, in order; and [`Node`]: a place in one, which lies in the future that waits.
//!
//! A doubly linked list, so that joining and leaving are a few stores, and nothing is allocated. The invariants that make it sound:
//!
//! - L1: a node that is `QUEUED` is pinned, alive, and in exactly one list. All but its stage is then touched only by whoever has that list by
//!   `&mut`, which is whoever has the lock around it.
//! - L2: a node that is not `QUEUED` is touched by its owner alone.
//! - L3: whoever takes a node out of a list writes its stage **last**, with Release. From then on its owner may free it at any moment, so nothing of
//!   it is read afterwards. The owner reads the stage with Acquire before it touches the rest.
//! - L4: an owner whose node is `QUEUED` takes it out, under the lock, before it goes. One that is forgotten (`mem::forget`) leaves its
//!   memory behind too, as pinning promises; it stays in the list for ever, and is chosen in its turn.
//!
//! Deliberately not here: locks and wakes. `mod.rs` has both.

#![expect(unsafe_code, reason = "an intrusive list, whose nodes lie in the futures that wait")]

use std::marker::PhantomPinned;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::ptr::NonNull;
use std::task::Waker;

use asyncio_base::shim::{AtomicU8, Ordering, UnsafeCell};

/// Has not waited yet.
pub(super) const IDLE: u8 = 0;
/// Is in a list.
pub(super) const QUEUED: u8 = 1;
/// Was in a list, and was taken out by one who chose it.
pub(super) const CHOSEN: u8 = 2;
/// Has gone through, and does not wait any more.
pub(super) const OVER: u8 = 3;

/// A place in a [`List`]; `T` is what its owner waits for, and what it got.
pub(super) struct Node<T> {
    /// Written under the list's lock by whoever chooses the node (L3), and by its owner.
    stage: AtomicU8,
    /// There while the stage is `QUEUED`.
    links: UnsafeCell<MaybeUninit<Links<T>>>,
    turn: UnsafeCell<T>,
    _pinned: PhantomPinned,
}

struct Links<T> {
    previous: Option<NonNull<Node<T>>>,
    next: Option<NonNull<Node<T>>>,
    waker: Waker,
}

// SAFETY: what it points to are nodes that the list's lock guards (L1), and what it carries is moved between threads.
unsafe impl<T: Send> Send for Node<T> {}
// SAFETY: a `&Node` gives out nothing but its stage, unless the caller proves that it may.
unsafe impl<T: Send> Sync for Node<T> {}

impl<T> Node<T> {
    const_unless_modelled! {
        /// Makes a node that is in no list.
        pub(super) fn new(turn: T) -> Self {
            Self {
                stage: AtomicU8::new(IDLE),
                links: UnsafeCell::new(MaybeUninit::uninit()),
                turn: UnsafeCell::new(turn),
                _pinned: PhantomPinned,
            }
        }
    }

    /// Where its owner stands. What was written before it was chosen is visible to whoever sees `CHOSEN`.
    #[inline]
    pub(super) fn stage(&self) -> u8 {
        // Acquire: L3, pairs with the Release in `List::choose`.
        self.stage.load(Ordering::Acquire)
    }

    /// Notes where its owner stands.
    ///
    /// # Safety
    ///
    /// - The caller is its owner, and the node is not queued.
    #[inline]
    pub(super) unsafe fn set_stage(&self, stage: u8) {
        // Relaxed: only its owner reads what its owner writes.
        self.stage.store(stage, Ordering::Relaxed);
    }

    /// Reaches what its owner waits for.
    ///
    /// # Safety
    ///
    /// - The caller is its owner and the node is not queued, or the caller has the list's lock.
    /// - No other reference to it lives.
    #[inline]
    #[expect(clippy::mut_from_ref, reason = "the caller proves that it is the only one")]
    pub(super) unsafe fn turn(&self) -> &mut T {
        // SAFETY: the caller's promise (L1, L2).
        self.turn.with_mut(|turn| unsafe { &mut *turn })
    }
}

/// Those who wait, in order.
pub(crate) struct List<T> {
    first: Option<NonNull<Node<T>>>,
    last: Option<NonNull<Node<T>>>,
}

// SAFETY: it is a list of nodes whose contents move between threads with their owners; access goes through `&mut` (L1).
unsafe impl<T: Send> Send for List<T> {}

impl<T> List<T> {
    pub(crate) const fn new() -> Self {
        Self { first: None, last: None }
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    /// How many wait. Walks the list: it is not kept, since only statistics ask.
    pub(crate) fn len(&self) -> usize {
        self.nodes().count()
    }

    /// Says whether more than so many wait, without walking any further.
    pub(crate) fn has_more_than(&self, count: usize) -> bool {
        self.nodes().nth(count).is_some()
    }

    fn nodes(&self) -> impl Iterator<Item = NonNull<Node<T>>> {
        // SAFETY: L1: it is queued here and alive; nobody has the list by `&mut` while we have it by `&`.
        std::iter::successors(self.first, |node| unsafe { links(*node, |links| links.next) })
    }

    /// Reaches what the first one waits for.
    #[inline]
    pub(crate) fn first(&mut self) -> Option<&mut T> {
        // SAFETY: L1: it is queued here, and `&mut self` is the right to touch it.
        self.first.map(|first| unsafe { turn(first) })
    }

    /// Reaches what each of them waits for, in order.
    pub(crate) fn for_each(&mut self, mut touch: impl FnMut(&mut T)) {
        for node in self.nodes() {
            // SAFETY: L1: it is queued here, and `&mut self` is the right to touch it.
            touch(unsafe { turn(node) });
        }
    }

    /// Takes out the first one, as chosen: `settle` says what it gets. Returns what wakes it, and what `settle` returned.
    #[inline]
    pub(crate) fn choose<R>(&mut self, settle: impl FnOnce(&mut T) -> R) -> Option<(Waker, R)> {
        let first = self.first?;
        // SAFETY: L1: it is queued here, and not touched after its stage is written.
        let node = unsafe { first.as_ref() };
        // SAFETY: L1: `&mut self` is the right to touch it.
        let result = settle(unsafe { node.turn() });
        // SAFETY: it is the first of this list.
        let waker = unsafe { self.unlink(first) };
        // Release: L3, pairs with the Acquire in `stage`.
        node.stage.store(CHOSEN, Ordering::Release);
        Some((waker, result))
    }

    /// Moves the first one to the end of another list of the same lock.
    pub(crate) fn move_first_to(&mut self, other: &mut Self, settle: impl FnOnce(&mut T)) -> bool {
        let Some(first) = self.first else { return false };
        // SAFETY: it is the first of this list.
        let waker = unsafe { self.unlink(first) };
        // SAFETY: it was queued here, and both lists are ours by `&mut`.
        settle(unsafe { turn(first) });
        // SAFETY: it was queued, so it is pinned and alive; now it is in no list.
        unsafe { other.link_last(first, waker) };
        true
    }

    /// Queues a node behind all others.
    ///
    /// # Safety
    ///
    /// - The caller is its owner, and takes it out again, by `remove` with this list, before it goes, unless it was chosen.
    /// - It is in no list.
    pub(super) unsafe fn push_last(&mut self, node: Pin<&Node<T>>, waker: Waker) {
        // SAFETY: the caller's promise; it is pinned.
        unsafe { self.link_last(NonNull::from(node.get_ref()), waker) };
        // Relaxed: its owner reads it back, and others under the lock.
        node.stage.store(QUEUED, Ordering::Relaxed);
    }

    /// Queues a node before all others.
    ///
    /// # Safety
    ///
    /// The same as for [`push_last`](Self::push_last).
    pub(super) unsafe fn push_first(&mut self, node: Pin<&Node<T>>, waker: Waker) {
        let (pointer, next) = (NonNull::from(node.get_ref()), self.first);
        // SAFETY: the caller's promise: it is in no list, so its links are the caller's to write, who lends them to us.
        unsafe { write_links(pointer, Links { previous: None, next, waker }) };
        match next {
            // SAFETY: L1: it is queued here.
            Some(next) => unsafe { links(next, |links| links.previous = Some(pointer)) },
            None => self.last = Some(pointer),
        }
        self.first = Some(pointer);
        node.stage.store(QUEUED, Ordering::Relaxed);
    }

    /// Takes a node out. Returns what would have woken it.
    ///
    /// # Safety
    ///
    /// - The caller is its owner, and the node is queued in this list.
    pub(super) unsafe fn remove(&mut self, node: Pin<&Node<T>>) -> Waker {
        // SAFETY: the caller's promise.
        let waker = unsafe { self.unlink(NonNull::from(node.get_ref())) };
        // Relaxed: only its owner reads it, who is here.
        node.stage.store(IDLE, Ordering::Relaxed);
        waker
    }

    /// Gives a node another waker and returns the former one; or gives `waker` back if it would wake the same.
    ///
    /// # Safety
    ///
    /// - The node is queued in this list.
    pub(super) unsafe fn replace_waker(&mut self, node: Pin<&Node<T>>, waker: Waker) -> Waker {
        let pointer = NonNull::from(node.get_ref());
        // SAFETY: the caller's promise, and L1.
        unsafe { links(pointer, |links| std::mem::replace(&mut links.waker, waker)) }
    }

    /// Says whether a node's waker wakes the same as another.
    ///
    /// # Safety
    ///
    /// - The node is queued in this list.
    pub(super) unsafe fn will_wake(&mut self, node: Pin<&Node<T>>, waker: &Waker) -> bool {
        // SAFETY: the caller's promise, and L1.
        unsafe { links(NonNull::from(node.get_ref()), |links| links.waker.will_wake(waker)) }
    }

    /// # Safety
    ///
    /// - The node is pinned, alive, and in no list.
    #[inline]
    unsafe fn link_last(&mut self, pointer: NonNull<Node<T>>, waker: Waker) {
        let previous = self.last;
        // SAFETY: the caller's promise: its links are in nobody else's hands.
        unsafe { write_links(pointer, Links { previous, next: None, waker }) };
        match previous {
            // SAFETY: L1: it is queued here.
            Some(previous) => unsafe { links(previous, |links| links.next = Some(pointer)) },
            None => self.first = Some(pointer),
        }
        self.last = Some(pointer);
    }

    /// # Safety
    ///
    /// - The node is queued in this list.
    #[inline]
    unsafe fn unlink(&mut self, pointer: NonNull<Node<T>>) -> Waker {
        // SAFETY: L1: it is queued, so its links are there; they are not read again before they are written anew.
        let Links { previous, next, waker } = unsafe { read_links(pointer) };
        match previous {
            // SAFETY: L1: it is queued here.
            Some(previous) => unsafe { links(previous, |links| links.next = next) },
            None => self.first = next,
        }
        match next {
            // SAFETY: L1: it is queued here.
            Some(next) => unsafe { links(next, |links| links.previous = previous) },
            None => self.last = previous,
        }
        waker
    }
}

/// Reaches what a node's owner waits for.
///
/// # Safety
///
/// - The node is queued in a list that the caller has by `&mut`, and no other reference to it lives.
#[inline]
unsafe fn turn<'t, T>(node: NonNull<Node<T>>) -> &'t mut T {
    // SAFETY: L1: it is alive.
    let node = unsafe { node.as_ref() };
    // SAFETY: L1, and the caller's promise.
    unsafe { node.turn() }
}

/// Reaches the links of a node.
///
/// # Safety
///
/// - The node is queued in a list that the caller has by `&mut`, or by `&` and does not change.
#[inline]
unsafe fn links<T, R>(node: NonNull<Node<T>>, touch: impl FnOnce(&mut Links<T>) -> R) -> R {
    // SAFETY: L1: it is alive.
    let node = unsafe { node.as_ref() };
    // SAFETY: L1: it is queued, so its links are written, and the caller's to touch.
    node.links.with_mut(|links| touch(unsafe { &mut *links.cast::<Links<T>>() }))
}

/// # Safety
///
/// - The node is alive and in no list, and nobody else touches its links.
#[inline]
unsafe fn write_links<T>(node: NonNull<Node<T>>, links: Links<T>) {
    // SAFETY: the caller's promise.
    let node = unsafe { node.as_ref() };
    // SAFETY: the caller's promise. What is overwritten is not initialised.
    node.links.with_mut(|place| unsafe { place.write(MaybeUninit::new(links)) });
}

/// # Safety
///
/// - The node is queued in a list that the caller has by `&mut`, and the links are not used again.
#[inline]
unsafe fn read_links<T>(node: NonNull<Node<T>>) -> Links<T> {
    // SAFETY: L1: it is alive.
    let node = unsafe { node.as_ref() };
    // SAFETY: L1: it is queued, so its links are written.
    node.links.with_mut(|place| unsafe { place.cast::<Links<T>>().read() })
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use std::collections::VecDeque;
    use std::sync::Arc;
    use std::sync::atomic::{self, AtomicUsize};
    use std::task::Wake;

    use super::*;

    struct Count(AtomicUsize);
    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, atomic::Ordering::Relaxed);
        }
    }

    /// Two lists, beside two `VecDeque`s.
    struct Beside {
        lists: [List<usize>; 2],
        models: [VecDeque<usize>; 2],
        nodes: Vec<Pin<Box<Node<usize>>>>,
        count: Arc<Count>,
        chosen: usize,
    }

    impl Beside {
        fn step(&mut self, below: &mut impl FnMut(usize) -> usize) {
            let Self { lists, models, nodes, count, chosen } = self;
            let (which, n) = (below(2), below(nodes.len()));
            let (node, waker) = (nodes[n].as_ref(), Waker::from(count.clone()));
            match below(6) {
                0 if node.stage() != QUEUED => {
                    // SAFETY: it is in no list, and the nodes outlive the lists' use of them.
                    unsafe { lists[which].push_last(node, waker) };
                    models[which].push_back(n);
                }
                1 if node.stage() != QUEUED => {
                    // SAFETY: the same.
                    unsafe { lists[which].push_first(node, waker) };
                    models[which].push_front(n);
                }
                2 if models[which].contains(&n) => {
                    // SAFETY: the model says that it is queued in this list.
                    drop(unsafe { lists[which].remove(node) });
                    models[which].retain(|other| *other != n);
                    assert_eq!(node.stage(), IDLE);
                }
                3 => {
                    let first = lists[which].choose(|turn| *turn).map(|(waker, turn)| {
                        waker.wake();
                        *chosen += 1;
                        turn
                    });
                    assert_eq!(first, models[which].pop_front());
                    assert!(first.is_none_or(|first| nodes[first].stage() == CHOSEN));
                }
                4 => {
                    let [one, other] = lists;
                    let (from, to) = if which == 0 { (one, other) } else { (other, one) };
                    let has_moved = from.move_first_to(to, |_| ());
                    let moved = models[which].pop_front();
                    assert_eq!(has_moved, moved.is_some());
                    models[1 - which].extend(moved);
                }
                _ => {}
            }
        }

        fn compare(&mut self) {
            for (list, model) in self.lists.iter_mut().zip(&self.models) {
                let mut seen = Vec::new();
                list.for_each(|turn| seen.push(*turn));
                assert!(seen.iter().eq(model), "{seen:?} {model:?}");
                assert_eq!((list.len(), list.is_empty()), (model.len(), model.is_empty()));
                assert_eq!(list.first().copied(), model.front().copied());
                assert!(!list.has_more_than(model.len()));
                assert!(model.is_empty() || list.has_more_than(model.len() - 1));
            }
        }
    }

    #[test]
    fn it_is_a_queue_that_can_be_left_from_anywhere() {
        for seed in 0..200_u64 {
            eprintln!("seed {seed}");
            let mut random = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
            let mut below = |bound: usize| {
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                (random % bound as u64) as usize
            };
            let mut beside = Beside {
                lists: [List::new(), List::new()],
                models: [VecDeque::new(), VecDeque::new()],
                nodes: (0..20).map(|n| Box::pin(Node::new(n))).collect(),
                count: Arc::new(Count(AtomicUsize::new(0))),
                chosen: 0,
            };
            for _ in 0..500 {
                beside.step(&mut below);
                beside.compare();
            }
            beside.lists.iter_mut().for_each(|list| while list.choose(|_| ()).is_some() {});
            assert_eq!(beside.count.0.load(atomic::Ordering::Relaxed), beside.chosen);
            assert_eq!(Arc::strong_count(&beside.count), 1, "a waker was not dropped once");
        }
    }
}

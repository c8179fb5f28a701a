//! Those whose turn has come, from under the lock to where they are woken: [`Woken`] for two at most, [`wake_each`] for any number.

use std::task::Waker;

use asyncio_base::WakeList;
use asyncio_base::panic::{catch_and_store, discard};

use crate::lock::Lock;

/// Up to two wakers: no step of a primitive chooses more, but those that choose all.
pub(crate) struct Woken {
    first: Option<Waker>,
    second: Option<Waker>,
}

impl Woken {
    #[inline]
    pub(crate) const fn new() -> Self {
        Self { first: None, second: None }
    }

    /// Keeps a waker until the lock is given back.
    #[inline]
    pub(crate) fn push(&mut self, waker: Waker) {
        let place = if self.first.is_none() { &mut self.first } else { &mut self.second };
        debug_assert!(place.is_none(), "a third waker");
        *place = Some(waker);
    }

    /// Wakes them. Call it without the lock.
    #[inline]
    pub(crate) fn wake(&mut self) {
        // By reference, and looked at first: moved, its four words would be read in pairs right after they were written one by one, which
        // stalls.
        if self.first.is_some() {
            self.wake_next();
            self.wake_next();
        }
    }

    fn wake_next(&mut self) {
        if let Some(waker) = self.first.take() {
            self.first = self.second.take();
            wake(waker);
        }
    }
}

impl Drop for Woken {
    #[inline]
    fn drop(&mut self) {
        // There only if the first one's waker has panicked.
        if self.first.is_some() {
            quietly(|| self.wake_next());
        }
    }
}

/// Does its step when dropped: also if the step before it, which wakes, has panicked.
pub(crate) struct Finally<F: FnMut()>(pub(crate) F);

impl<F: FnMut()> Drop for Finally<F> {
    fn drop(&mut self) {
        match std::thread::panicking() {
            true => quietly(&mut self.0),
            false => (self.0)(),
        }
    }
}

/// Wakes one. Where a panic is under way already, as in the drop of a guard, a second one must not meet it, and is dropped.
#[inline]
pub(crate) fn wake(waker: Waker) {
    match std::thread::panicking() {
        true => quietly(|| waker.wake()),
        false => waker.wake(),
    }
}

/// Does what may panic and must not.
#[cold]
pub(crate) fn quietly(step: impl FnOnce()) {
    let mut panic = None;
    catch_and_store(&mut panic, step);
    panic.into_iter().for_each(discard);
}

/// Wakes one after the other, as long as `next` finds somebody: collected under the lock, woken after it.
///
/// A waker that panics does not keep the others from being woken; its panic goes on afterwards.
pub(crate) fn wake_each<S>(lock: &Lock<S>, next: impl FnMut(&mut S) -> Option<Waker>) {
    match std::thread::panicking() {
        true => quietly(|| wake_in_batches(lock, next)),
        false => wake_in_batches(lock, next),
    }
}

fn wake_in_batches<S>(lock: &Lock<S>, mut next: impl FnMut(&mut S) -> Option<Waker>) {
    let Some(first) = next(&mut lock.lock()) else { return };
    let mut woken = WakeList::new();
    woken.push(first);
    let mut rest = Rest { lock, next, woken };
    while rest.collect() {
        rest.woken.wake_all();
    }
    rest.woken.wake_all();
}

struct Rest<'a, S, F: FnMut(&mut S) -> Option<Waker>> {
    lock: &'a Lock<S>,
    next: F,
    woken: WakeList,
}

impl<S, F: FnMut(&mut S) -> Option<Waker>> Rest<'_, S, F> {
    /// Fills the list. Says whether there may be more.
    fn collect(&mut self) -> bool {
        let mut state = self.lock.lock();
        while !self.woken.is_full() {
            match (self.next)(&mut state) {
                Some(waker) => self.woken.push(waker),
                None => return false,
            }
        }
        true
    }
}

impl<S, F: FnMut(&mut S) -> Option<Waker>> Drop for Rest<'_, S, F> {
    fn drop(&mut self) {
        // Not through: a waker has panicked.
        while std::thread::panicking() && (self.collect() || !self.woken.is_empty()) {
            quietly(|| self.woken.wake_all());
        }
    }
}

//! Tells the debug mode which lock is taken, waited for and given back, where it has asked for it.

use std::panic::Location;

use asyncio_base::lock_watch::{self, LockId, WaitId};

use crate::lock::Lock;

#[inline]
fn id<S>(lock: &Lock<S>) -> LockId {
    LockId::of(lock)
}

#[inline]
pub(crate) fn taken<S>(lock: &Lock<S>, place: &'static Location<'static>) {
    if lock_watch::is_on() {
        lock_watch::taken(id(lock), place);
    }
}

/// `door` is the future's own, so its address stands for it.
#[inline]
pub(crate) fn waits<D, S>(door: &D, lock: &Lock<S>, place: &'static Location<'static>) {
    if lock_watch::is_on() {
        lock_watch::waits(WaitId::of(door), id(lock), place);
    }
}

#[inline]
pub(crate) fn waits_no_more<D>(door: &D) {
    if lock_watch::is_on() {
        lock_watch::waits_no_more(WaitId::of(door));
    }
}

#[inline]
pub(crate) fn released<S>(lock: &Lock<S>) {
    if lock_watch::is_on() {
        lock_watch::released(id(lock));
    }
}

//! [`Children`]: many futures that are awaited together, each polled only when it was woken.
//!
//! - N1: each child has a waker of its own, which puts it into the list of those to be polled, once, and wakes whoever polls the set.
//! - N2: no child is polled twice in one poll of the set: that takes the list as it is, and one that is woken meanwhile comes in the next, though it may
//!   have been polled since.
//! - N3: where the scope around is cancelled, all are polled: so the scopes in them need not be known there by wakers of their own
//!   ([`Kind::POLLS_ALL`](crate::scope::Kind)).
//! - N4: where somebody records what is waited for, all are polled, too: a dump shows them all.
//! - N5: a child that has ended is dropped at once.

mod giving;
mod one;
mod woken;

#[cfg(all(test, loom))]
mod loom_tests;

use std::pin::Pin;
use std::task::{Context, Poll};

use asyncio_base::shim::Arc;
use asyncio_base::wait_point;

use crate::branch::AnyBranch;
use crate::scope::{self, Kind};

pub(crate) use self::giving::{Output, local, send};
pub(crate) use self::one::Owned;
pub(crate) use self::woken::Woken;

/// The scope around many (N3).
pub(crate) struct Many;

impl Kind for Many {
    const POLLS_ALL: bool = true;
}

/// A set of children, polled in the order in which they are woken; new ones after those.
pub(crate) struct Children<C: ?Sized> {
    /// Those that have not ended, by their numbers.
    all: Vec<Option<Owned<C>>>,
    /// The numbers that are free.
    free: Vec<usize>,
    woken: Arc<Woken>,
    /// Those that are new, and are to be polled next time. Empty, it is kept for its memory.
    new: Vec<usize>,
    /// All are to be polled next time.
    polls_all: bool,
}

impl<B: AnyBranch> Children<B> {
    /// Makes a set whose children have the numbers from zero on.
    pub(crate) fn new(branches: impl Iterator<Item = B>) -> Self {
        let woken = Arc::default();
        let mut children = Self::of(Arc::clone(&woken));
        children.insert_all(branches.map(|branch| Owned::alone(branch, &woken)).collect());
        children
    }
}

impl<C: ?Sized> Drop for Children<C> {
    /// Wakers that somebody keeps do not keep whoever polled.
    fn drop(&mut self) {
        self.woken.forget_parent();
    }
}

impl<C: AnyBranch + ?Sized> Children<C> {
    /// Makes an empty set, for children that are made with that list.
    pub(crate) fn of(woken: Arc<Woken>) -> Self {
        Self { all: Vec::new(), free: Vec::new(), woken, new: Vec::new(), polls_all: false }
    }

    /// Takes in some more, to be polled in the next poll.
    pub(crate) fn insert_all(&mut self, children: Vec<Owned<C>>) {
        let mut children = children.into_iter();
        while let Some(index) = self.free.pop() {
            let Some(child) = children.next() else {
                self.free.push(index);
                break;
            };
            self.all[index] = Some(child);
            // Nobody is to be woken: whoever inserts polls.
            self.new.push(index);
        }
        self.new.extend(self.all.len()..self.all.len() + children.len());
        self.all.extend(children.map(Some));
    }

    fn each(&self) -> impl Iterator<Item = &Owned<C>> {
        self.all.iter().flatten()
    }

    fn each_mut(&mut self) -> impl Iterator<Item = &mut Owned<C>> {
        self.all.iter_mut().flatten()
    }

    /// Returns how many have not ended.
    pub(crate) fn left(&self) -> usize {
        self.all.len() - self.free.len()
    }

    /// Cancels all that are left; they are polled in the next poll.
    pub(crate) fn cancel(&mut self) {
        self.each_mut().for_each(|child| child.branch_mut().cancel());
        self.polls_all = true;
    }

    /// Says whether one of them must not be dropped.
    pub(crate) fn is_any_holding(&self) -> bool {
        self.each().any(|child| child.branch().is_holding())
    }

    /// Cancels those that wait and may be dropped, and says whether there are any; they are polled in the next poll.
    pub(crate) fn cancel_those_that_wait(&mut self) -> bool {
        let mut is_any = false;
        for child in self.each_mut().filter(|child| child.branch().is_idle()) {
            child.branch_mut().cancel();
            is_any = true;
        }
        self.polls_all |= is_any;
        is_any
    }

    /// Polls those that were woken, and hands each that has ended to `ended`, with its number; that says whether to go on.
    pub(crate) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        mut ended: impl FnMut(usize, Pin<&mut C>) -> bool,
    ) -> Poll<()> {
        self.woken.exchange(&mut self.new, cx.waker());
        let mut woken = std::mem::take(&mut self.new);
        // Also the first time after a cancellation: in that the scopes inside may have left their bodies unpolled.
        let is_cancelled = scope::is_cancelled();
        if std::mem::replace(&mut self.polls_all, is_cancelled) || is_cancelled || wait_point::is_recording()
        {
            woken.clear();
            woken.extend((0..self.all.len()).filter(|&index| self.all[index].is_some()));
        }
        let mut polled = 0;
        for &index in &woken {
            polled += 1;
            // It may have been woken after its end, and its number may be another one's by now: that is polled in vain.
            let Some(Some(child)) = self.all.get_mut(index) else { continue };
            if !child.poll_end(index) {
                continue;
            }
            let goes_on = ended(index, child.branch_mut());
            // N5.
            let child = self.all[index].take();
            self.free.push(index);
            drop(child);
            if !goes_on {
                break;
            }
        }
        // Who was not polled is, next time.
        self.polls_all |= polled < woken.len();
        // Its memory is used again.
        woken.clear();
        self.new = woken;
        if self.left() == 0 { Poll::Ready(()) } else { Poll::Pending }
    }
}

//! [`Children`]: many futures that are awaited together, each polled only when it was woken.
//!
//! - N1: each child has a waker of its own, which puts it into the list of those to be polled, once, and wakes whoever polls the set.
//! - N2: no child is polled twice in one poll of the set; one that wakes itself comes in the next.
//! - N3: where the scope around is cancelled, all are polled: so the scopes in them need not be known there by wakers of their own
//!   ([`Kind::POLLS_ALL`](crate::scope::Kind)).
//! - N4: a child that has ended is dropped at once.

use std::pin::Pin;
use std::task::{Context, Poll, Wake, Waker};

use asyncio_base::shim::{Arc, AtomicBool, Mutex, Ordering};

use slab::Slab;

use crate::branch::AnyBranch;
use crate::scope::{self, Kind};

/// The scope around many (N3).
pub(crate) struct Many;

impl Kind for Many {
    const POLLS_ALL: bool = true;
}

/// A set of children, polled in the order in which they are woken.
pub(crate) struct Children<B: ?Sized> {
    /// Those that have not ended.
    all: Slab<Child<B>>,
    woken: Arc<Woken>,
    /// All are to be polled next time.
    polls_all: bool,
}

struct Child<B: ?Sized> {
    branch: Pin<Box<B>>,
    waker: Arc<ChildWaker>,
    /// The same, as it is polled with.
    as_waker: Waker,
}

/// Who is to be polled.
#[derive(Default)]
struct Woken {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    children: Vec<usize>,
    /// Whoever polls the set.
    parent: Option<Waker>,
}

struct ChildWaker {
    index: usize,
    is_woken: AtomicBool,
    woken: Arc<Woken>,
}

impl Wake for ChildWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // AcqRel: what was done before a wake that finds it set is seen by the poll that clears it.
        if self.is_woken.swap(true, Ordering::AcqRel) {
            return;
        }
        let parent = {
            let mut state = self.woken.state.lock();
            state.children.push(self.index);
            state.parent.take()
        };
        if let Some(parent) = parent {
            parent.wake();
        }
    }
}

impl<B: AnyBranch> Children<B> {
    /// Makes a set whose children have the numbers from zero on.
    pub(crate) fn new(branches: impl Iterator<Item = B>) -> Self {
        let mut children = Self::default();
        branches.for_each(|branch| children.insert(Box::pin(branch)));
        children
    }
}

impl<B: ?Sized> Default for Children<B> {
    fn default() -> Self {
        Self { all: Slab::new(), woken: Arc::default(), polls_all: false }
    }
}

impl<B: ?Sized> Drop for Children<B> {
    /// Wakers that somebody keeps do not keep whoever polled.
    fn drop(&mut self) {
        let parent = self.woken.state.lock().parent.take();
        drop(parent);
    }
}

impl<B: AnyBranch + ?Sized> Children<B> {
    /// Takes in one more, to be polled in the next poll.
    pub(crate) fn insert(&mut self, branch: Pin<Box<B>>) {
        let place = self.all.vacant_entry();
        let index = place.key();
        let waker = ChildWaker { index, is_woken: AtomicBool::new(true), woken: self.woken.clone() };
        let waker = Arc::new(waker);
        place.insert(Child { branch, as_waker: Waker::from(waker.clone()), waker });
        // Nobody is to be woken: whoever inserts polls.
        self.woken.state.lock().children.push(index);
    }

    /// Returns how many have not ended.
    pub(crate) fn left(&self) -> usize {
        self.all.len()
    }

    /// Cancels all that are left; they are polled in the next poll.
    pub(crate) fn cancel(&mut self) {
        for (_, child) in &mut self.all {
            child.branch.as_mut().cancel();
        }
        self.polls_all = true;
    }

    /// Says whether one of them must not be dropped.
    pub(crate) fn is_any_holding(&self) -> bool {
        self.all.iter().any(|(_, child)| child.branch.is_holding())
    }

    /// Cancels those that wait and may be dropped, and says whether there are any; they are polled in the next poll.
    pub(crate) fn cancel_those_that_wait(&mut self) -> bool {
        let mut is_any = false;
        for (_, child) in self.all.iter_mut().filter(|(_, child)| child.branch.is_idle()) {
            child.branch.as_mut().cancel();
            is_any = true;
        }
        self.polls_all |= is_any;
        is_any
    }

    /// Polls those that were woken, and hands each that has ended to `ended`, with its number; that says whether to go on.
    pub(crate) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        mut ended: impl FnMut(usize, Pin<&mut B>) -> bool,
    ) -> Poll<()> {
        let mut woken = self.take_woken(cx.waker());
        // Also the first time after a cancellation: in that the scopes inside may have left their bodies unpolled.
        if std::mem::replace(&mut self.polls_all, scope::is_cancelled()) || self.polls_all {
            woken = self.all.iter().map(|(index, _)| index).collect();
        }
        let mut woken = woken.into_iter();
        for index in woken.by_ref() {
            // It may have been woken after its end, and its number may be another one's by now: that is polled in vain.
            let Some(child) = self.all.get_mut(index) else { continue };
            // AcqRel: N2, and as in `wake_by_ref`.
            child.waker.is_woken.swap(false, Ordering::AcqRel);
            if !child.branch.as_mut().poll_end(&mut Context::from_waker(&child.as_waker)) {
                continue;
            }
            let goes_on = ended(index, child.branch.as_mut());
            // N4.
            drop(self.all.remove(index));
            if !goes_on {
                break;
            }
        }
        // Who was not polled is, next time.
        self.polls_all |= woken.len() > 0;
        if self.all.is_empty() { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Returns who was woken; from now on a wake of a child wakes `waker`.
    fn take_woken(&self, waker: &Waker) -> Vec<usize> {
        {
            let mut state = self.woken.state.lock();
            if state.parent.as_ref().is_some_and(|former| former.will_wake(waker)) {
                return std::mem::take(&mut state.children);
            }
        }
        let waker = waker.clone();
        let mut state = self.woken.state.lock();
        let former = state.parent.replace(waker);
        let woken = std::mem::take(&mut state.children);
        drop(state);
        drop(former);
        woken
    }
}

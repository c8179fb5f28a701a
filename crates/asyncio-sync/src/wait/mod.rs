//! The one way in which everything in this crate waits.
//!
//! A primitive is a plain state under a short lock ([`Lock`](crate::lock::Lock)), with one or more lists of those who wait ([`List`]). What is different
//! between a mutex, a barrier and a channel is sequential code on that state; how a future waits is here, once. A primitive says, by the
//! trait [`Door`], who may go through and what becomes of a turn that nobody takes, and its futures are thin faces of [`Wait`].
//!
//! The laws, which hold for every primitive:
//!
//! - W1 (order): a list is first in, first out, and a newcomer goes through only where [`Door::enter`] lets it, which looks at who waits already.
//! - W2 (no lost wake): `enter` fails and the node is queued under one hold of the lock, and whoever changes the state chooses from the list under
//!   that lock. So a change is seen by `enter`, or its author sees the node.
//! - W3 (chosen): to choose is to take the node out, with its turn in it. What it was chosen for belongs to it from then on, so nobody overtakes it.
//! - W4 (a chosen one that goes): a future dropped while queued leaves the list; one dropped after it was chosen gives its turn back, by
//!   [`Door::leave`], which hands it on. Nothing is lost at whichever poll it is dropped.
//! - W5 (user code): wakers are cloned before the lock is taken, and woken and dropped after it was given back. A waker that panics in
//!   its clone leaves nothing behind; one that comes back into the primitive finds it unlocked.
//! - W6 (cost): waiting allocates nothing; joining and leaving are O(1). One who has been chosen learns it by one load.
//!
//! Deliberately not here: what is waited for.

#![expect(unsafe_code, reason = "the future that waits owns a node that others reach by its address")]

mod list;
mod woken;

use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use asyncio_base::{budget, wait_point};

use crate::lock::Lock;
use crate::watch_locks;
use list::{CHOSEN, IDLE, Node, OVER, QUEUED};

pub(crate) use list::List;
pub(crate) use woken::{Finally, Woken, quietly, wake, wake_each};

/// Where one waits: a primitive, seen from the one thing that is waited for.
///
/// An implementation gives the same lock, and for the same turn the same list, as long as it lives; debug builds check it by the list's length. The
/// futures' memory safety hangs on it, so the trait is private to the crate, and each implementation is a few lines.
pub(crate) trait Door {
    /// What is under the lock.
    type State;
    /// What one party wants, and what it got. It lies in the party's node.
    type Turn;
    /// What it has when it is through.
    type Output;
    /// As it stands in a dump of tasks.
    const NAME: &'static str;

    fn lock(&self) -> &Lock<Self::State>;

    /// The list in which such a turn waits.
    fn list<'s>(state: &'s mut Self::State, turn: &Self::Turn) -> &'s mut List<Self::Turn>;

    /// A look without the lock: whether waiting is to be expected. It spares a try that would fail.
    #[inline]
    fn looks_shut(&self) -> bool {
        false
    }

    /// Goes through without waiting, if that is right now; otherwise nothing changes.
    fn enter(
        &self,
        state: &mut Self::State,
        turn: &mut Self::Turn,
        woken: &mut Woken,
    ) -> Option<Self::Output>;

    /// Has just gone through without waiting. Called without the lock: what may wake more than two.
    #[inline]
    fn entered(&self, _output: &Self::Output) {}

    /// Has just been queued.
    fn queued(&self, _state: &mut Self::State, _woken: &mut Woken) {}

    /// Whether one with this turn goes before all others.
    fn is_first(_turn: &Self::Turn) -> bool {
        false
    }

    /// Has been chosen. Called without the lock.
    fn chosen(&self, turn: &mut Self::Turn) -> Self::Output;

    /// Goes away without having gone through: out of the list, or (`was_chosen`) with a turn that it does not take.
    fn leave(&self, state: &mut Self::State, turn: &mut Self::Turn, was_chosen: bool, woken: &mut Woken);

    /// After [`leave`](Self::leave), without the lock: what may wake more than one.
    fn left(&self) {}

    /// Where a lock is asked for, if the debug mode is to know who holds it meanwhile.
    fn place(&self) -> Option<&'static Location<'static>> {
        None
    }
}

/// A future's way through a [`Door`].
pub(crate) struct Wait<D: Door> {
    door: D,
    node: Node<D::Turn>,
}

impl<D: Door> Wait<D> {
    #[inline]
    pub(crate) fn new(door: D, turn: D::Turn) -> Self {
        Self { door, node: Node::new(turn) }
    }

    /// Whether it is through; the output has been taken.
    pub(crate) fn is_over(&self) -> bool {
        self.node.stage() == OVER
    }

    /// Whether it has been in a list, and is not through.
    pub(crate) fn has_waited(&self) -> bool {
        matches!(self.node.stage(), QUEUED | CHOSEN)
    }

    /// Makes it ready to wait once more, after it is through.
    pub(crate) fn renew(self: Pin<&mut Self>, turn: D::Turn) {
        assert!(self.is_over(), "a wait is renewed before it is over");
        let node = self.as_ref().node();
        // SAFETY: L2: it is over, so we, its owner by `&mut`, are alone with it.
        unsafe { *node.turn() = turn };
        // SAFETY: the same.
        unsafe { node.get_ref().set_stage(IDLE) };
    }

    #[inline]
    fn node(self: Pin<&Self>) -> Pin<&Node<D::Turn>> {
        // SAFETY: the node is pinned with the rest: nothing moves it out, and `Drop` takes it out of its list.
        unsafe { self.map_unchecked(|this| &this.node) }
    }

    /// Has not waited yet.
    #[inline(always)]
    fn poll_enter(self: Pin<&Self>, cx: &mut Context<'_>) -> Poll<D::Output> {
        let leave = ready!(budget::poll_leave(cx));
        if self.door.looks_shut() {
            return self.enter_or_queue(cx);
        }
        match self.enter(leave) {
            Some(output) => Poll::Ready(output),
            None => self.enter_or_queue(cx),
        }
    }

    #[inline(always)]
    fn enter(self: Pin<&Self>, leave: budget::Leave) -> Option<D::Output> {
        let mut woken = Woken::new();
        let mut state = self.door.lock().lock();
        // SAFETY: L2: it is not queued.
        let output = self.door.enter(&mut state, unsafe { self.node.turn() }, &mut woken)?;
        drop(state);
        // SAFETY: L2: it is in no list, and we are its owner.
        unsafe { self.node.set_stage(OVER) };
        leave.spend_step();
        self.note_taken();
        woken.wake();
        self.door.entered(&output);
        Some(output)
    }

    /// Is through.
    #[inline]
    fn finish(self: Pin<&Self>) {
        // SAFETY: L2: it is in no list, and we are its owner.
        unsafe { self.node.set_stage(OVER) };
        budget::spend_steps(1);
    }

    #[cold]
    fn enter_or_queue(self: Pin<&Self>, cx: &mut Context<'_>) -> Poll<D::Output> {
        // W5: before the lock.
        let waker = cx.waker().clone();
        let mut woken = Woken::new();
        let mut state = self.door.lock().lock();
        // SAFETY: L2: it is not queued.
        let turn = unsafe { self.node.turn() };
        if let Some(output) = self.door.enter(&mut state, turn, &mut woken) {
            drop(state);
            self.finish();
            self.note_taken();
            // Not needed after all. If its drop panics, we are through nevertheless.
            quietly(|| drop(waker));
            woken.wake();
            self.door.entered(&output);
            return Poll::Ready(output);
        }
        let is_first = D::is_first(turn);
        let list = D::list(&mut state, turn);
        match is_first {
            // SAFETY: it is in no list, and `Drop` takes it out of this one.
            true => unsafe { list.push_first(self.node(), waker) },
            // SAFETY: the same.
            false => unsafe { list.push_last(self.node(), waker) },
        }
        self.door.queued(&mut state, &mut woken);
        drop(state);
        if let Some(place) = self.door.place() {
            watch_locks::waits(&self.door, self.door.lock(), place);
        }
        woken.wake();
        wait_point::here(D::NAME);
        Poll::Pending
    }

    /// Has waited.
    #[inline(never)]
    fn poll_again(self: Pin<&Self>, cx: &mut Context<'_>) -> Poll<D::Output> {
        match self.node.stage() {
            CHOSEN => Poll::Ready(self.take()),
            QUEUED => self.poll_queued(cx),
            _ => panic!("a future of `{}` was polled after it was ready", D::NAME),
        }
    }

    /// Is in the list, or was a moment ago: another waker may have to be kept.
    #[cold]
    fn poll_queued(self: Pin<&Self>, cx: &mut Context<'_>) -> Poll<D::Output> {
        // The first look spares a clone where the waker is the same, which it nearly always is.
        if self.with_list(|list, node| list.will_wake_same(node, cx.waker())) == Some(false) {
            let waker = cx.waker().clone();
            let former = self.with_list(move |list, node| list.exchange_waker(node, waker));
            drop(former);
        }
        if self.node.stage() == CHOSEN {
            return Poll::Ready(self.take());
        }
        wait_point::here(D::NAME);
        Poll::Pending
    }

    /// Runs `touch` with the list if the node is in it.
    fn with_list<R>(
        self: Pin<&Self>,
        touch: impl FnOnce(&mut Queued<'_, D::Turn>, Pin<&Node<D::Turn>>) -> R,
    ) -> Option<R> {
        let mut state = self.door.lock().lock();
        if self.node.stage() != QUEUED {
            return None;
        }
        // SAFETY: L1: it is queued, and we have the lock.
        let turn = unsafe { self.node.turn() };
        Some(touch(&mut Queued(D::list(&mut state, turn)), self.node()))
    }

    /// Was chosen.
    #[inline]
    fn take(self: Pin<&Self>) -> D::Output {
        self.finish();
        self.note_gone();
        self.note_taken();
        // SAFETY: L2, L3: it was chosen, so it is ours alone.
        self.door.chosen(unsafe { self.node.turn() })
    }

    /// Tells the debug mode that it waits no more.
    fn note_gone(self: Pin<&Self>) {
        if self.door.place().is_some() {
            watch_locks::waits_no_more(&self.door);
        }
    }

    /// Tells the debug mode that it has the lock.
    #[inline]
    fn note_taken(self: Pin<&Self>) {
        if let Some(place) = self.door.place() {
            watch_locks::taken(self.door.lock(), place);
        }
    }

    /// Goes away while it waits, or with a turn that it does not take.
    #[cold]
    fn leave(self: Pin<&Self>) {
        let mut woken = Woken::new();
        let mut state = self.door.lock().lock();
        // SAFETY: L1 or L2: it is queued and we have the lock, or it is not and we are its owner.
        let turn = unsafe { self.node.turn() };
        let was_chosen = self.node.stage() == CHOSEN;
        let own = (!was_chosen).then(|| {
            let list = D::list(&mut state, turn);
            debug_assert!(!list.is_empty(), "{}: this is not the list in which the node waits", D::NAME);
            // SAFETY: L4: it is queued in this list, and we are its owner.
            unsafe { list.remove(self.node()) }
        });
        self.door.leave(&mut state, turn, was_chosen, &mut woken);
        drop(state);
        self.note_gone();
        // W5: after the lock. Its own waker is dropped last, whatever that does.
        let _own = own;
        woken.wake();
        self.door.left();
    }
}

/// A list in which the node at hand is queued.
struct Queued<'a, T>(&'a mut List<T>);

impl<T> Queued<'_, T> {
    fn will_wake_same(&mut self, node: Pin<&Node<T>>, waker: &Waker) -> bool {
        // SAFETY: `with_list` has looked: it is queued here.
        unsafe { self.0.will_wake(node, waker) }
    }

    fn exchange_waker(&mut self, node: Pin<&Node<T>>, waker: Waker) -> Waker {
        // SAFETY: `with_list` has looked: it is queued here.
        unsafe { self.0.replace_waker(node, waker) }
    }
}

impl<D: Door> Drop for Wait<D> {
    #[inline]
    fn drop(&mut self) {
        if matches!(self.node.stage(), QUEUED | CHOSEN) {
            // SAFETY: it was polled, so it is pinned, and stays where it is until it is dropped, which is now.
            unsafe { Pin::new_unchecked(&*self) }.leave();
        }
    }
}

impl<D: Door> Future for Wait<D> {
    type Output = D::Output;

    /// Goes through, or waits.
    ///
    /// # Panics
    ///
    /// Panics if it is through already.
    #[inline(always)]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<D::Output> {
        match self.node.stage() {
            IDLE => self.into_ref().poll_enter(cx),
            _ => self.into_ref().poll_again(cx),
        }
    }
}

//! Loom models of a group's list of members, and of its turns.

use std::task::{Context, Poll, Waker};

use asyncio_base::shim::{Arc, AtomicU32, Ordering, thread};
use loom::model;

use super::members::Members;
use super::turns::Turns;
use crate::loom_tests::Park;

fn with_members(count: usize) -> Arc<Members> {
    let members = Arc::new(Members::default());
    for _ in 0..count {
        assert!(members.enter().is_ok());
    }
    members
}

/// M1, M3: whoever waits sees what the last one did before it left.
#[test]
fn two_leave_while_somebody_waits_for_the_last() {
    model(|| {
        let members = with_members(2);
        let done = Arc::new(AtomicU32::new(0));
        let threads = [0, 1].map(|_| {
            let (members, done) = (members.clone(), done.clone());
            thread::spawn(move || {
                // Relaxed: the leaving publishes it.
                done.fetch_add(1, Ordering::Relaxed);
                members.leave(None, false);
            })
        });
        let (park, waker) = Park::new();
        park.wait(&waker, |cx| members.poll_closed(cx));
        assert_eq!(done.load(Ordering::Relaxed), 2);
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
}

/// M1: who has entered is waited for; who comes too late is refused.
#[test]
fn one_enters_while_the_group_closes() {
    model(|| {
        let members = with_members(0);
        let entered = Arc::new(AtomicU32::new(0));
        let thread = thread::spawn({
            let (members, entered) = (members.clone(), entered.clone());
            move || {
                if members.enter().is_ok() {
                    entered.store(1, Ordering::Relaxed);
                    members.leave(None, false);
                }
            }
        });
        let (park, waker) = Park::new();
        park.wait(&waker, |cx| members.poll_closed(cx));
        let was_entered = entered.load(Ordering::Relaxed);
        thread.join().unwrap();
        // Nobody entered after it was closed.
        assert_eq!(entered.load(Ordering::Relaxed), was_entered);
        assert!(members.enter().is_err());
    });
}

/// M2: a child that is about to wait is told, or woken.
#[test]
fn a_child_waits_while_the_group_is_cancelled() {
    model(|| {
        let members = with_members(1);
        let child = thread::spawn({
            let members = members.clone();
            move || {
                let (park, waker) = Park::new();
                let mut key = None;
                park.wait(&waker, |cx| {
                    if members.cancelled.is_set() {
                        return Poll::Ready(());
                    }
                    if key.is_none() {
                        key = members.wait(cx.waker().clone());
                        if key.is_none() {
                            cx.waker().wake_by_ref();
                        }
                    }
                    Poll::Pending
                });
                members.leave(key, true);
            }
        });
        assert!(members.cancel());
        let (park, waker) = Park::new();
        park.wait(&waker, |cx| members.poll_closed(cx));
        assert!(members.is_any_cut());
        child.join().unwrap();
    });
}

/// Two failures at once: one of them is news. The body is told.
#[test]
fn two_cancel_while_the_body_waits() {
    model(|| {
        let members = with_members(2);
        let news = Arc::new(AtomicU32::new(0));
        let threads = [0, 1].map(|_| {
            let (members, news) = (members.clone(), news.clone());
            thread::spawn(move || {
                news.fetch_add(u32::from(members.cancel()), Ordering::Relaxed);
                members.leave(None, false);
            })
        });
        let (park, waker) = Park::new();
        park.wait(&waker, |cx| match members.cancelled.poll(cx.waker()) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        });
        park.wait(&waker, |cx| members.poll_closed(cx));
        assert!(!members.must_be_awaited());
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(news.load(Ordering::Relaxed), 1);
    });
}

/// A child completes while the group is cancelled: it is cut, or it is not, and the group closes either way.
#[test]
fn a_child_ends_while_the_group_is_cancelled() {
    model(|| {
        let members = with_members(1);
        let child = thread::spawn({
            let members = members.clone();
            move || members.leave(None, false)
        });
        members.cancel();
        let (park, waker) = Park::new();
        park.wait(&waker, |cx| members.poll_closed(cx));
        assert!(!members.is_any_cut());
        child.join().unwrap();
    });
}

/// T2, T3: a turn that comes to somebody who is just leaving goes on to the next.
#[test]
fn a_turn_is_given_to_one_who_leaves() {
    model(|| {
        let turns = Turns::new(1);
        let mut first = turns.turn();
        assert!(first.poll(&mut Context::from_waker(Waker::noop())).is_ready());
        let mut leaver = turns.turn();
        leaver.line_up();
        let mut last = turns.turn();
        let threads = [thread::spawn(move || drop(first)), thread::spawn(move || drop(leaver))];
        let (park, waker) = Park::new();
        park.wait(&waker, |cx| last.poll(cx));
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
}

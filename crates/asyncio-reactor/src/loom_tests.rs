//! Loom models of what is private here: the readiness of a descriptor, and the signal that wakes a turn.
//!
//! `RUSTFLAGS="--cfg loom" cargo test --release -p asyncio-reactor --lib`. Each model has two or three threads and takes under
//! ten seconds at two preemptions. Loom's own `Waker` is not modelled: a waker here is a flag in a loom atomic.

use std::task::{Context, Poll, Wake, Waker};

use asyncio_base::WakeList;
use asyncio_base::shim::{Arc, AtomicBool, AtomicUsize, Ordering, thread};
use loom::model;

use crate::readiness::{Direction, Ready};
use crate::selector_reactor::Signal;
use crate::state::IoState;
use crate::waiter::Waiter;

struct Flag(AtomicUsize);

impl Flag {
    fn new() -> (Arc<Self>, Waker) {
        let flag = Arc::new(Self(AtomicUsize::new(0)));
        (flag.clone(), Waker::from(flag))
    }

    fn get(&self) -> usize {
        self.0.load(Ordering::Acquire)
    }
}

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::AcqRel);
    }
}

fn event(state: &IoState, ready: Ready) {
    state.set(ready);
    wake(state, ready);
}

fn wake(state: &IoState, ready: Ready) {
    let mut list = WakeList::new();
    assert!(state.take_wakers(ready, &mut list));
    list.wake_all();
}

fn poll(state: &Arc<IoState>, waiter: &mut Waiter, waker: &Waker) -> Poll<std::io::Result<crate::Seen>> {
    state.poll_ready(&mut Context::from_waker(waker), waiter, Direction::Read)
}

#[test]
fn register_against_event() {
    model(|| {
        let state = Arc::new(IoState::new());
        let (flag, waker) = Flag::new();
        let reactor = thread::spawn({
            let state = state.clone();
            move || event(&state, Ready::READABLE)
        });
        let mut waiter = Waiter::new();
        let saw = poll(&state, &mut waiter, &waker).is_ready();
        reactor.join().unwrap();
        assert!(saw || flag.get() == 1, "the wake-up is lost");
        assert!(poll(&state, &mut waiter, &waker).is_ready());
    });
}

#[test]
fn clear_against_event() {
    model(|| {
        let state = Arc::new(IoState::new());
        event(&state, Ready::READABLE);
        let data = Arc::new(AtomicBool::new(false));
        let seen = state.seen();
        let reactor = thread::spawn({
            let (state, data) = (state.clone(), data.clone());
            move || {
                data.store(true, Ordering::Relaxed);
                event(&state, Ready::READABLE);
            }
        });
        let read = data.load(Ordering::Relaxed);
        state.clear(Direction::Read, seen);
        reactor.join().unwrap();
        let (_flag, waker) = Flag::new();
        let ready = poll(&state, &mut Waiter::new(), &waker).is_ready();
        assert!(read || ready, "what came during the operation was erased");
    });
}

#[test]
fn waker_replaced_against_event() {
    model(|| {
        let state = Arc::new(IoState::new());
        let ((first, first_waker), (second, second_waker)) = (Flag::new(), Flag::new());
        let mut waiter = Waiter::new();
        assert!(poll(&state, &mut waiter, &first_waker).is_pending());
        let reactor = thread::spawn({
            let state = state.clone();
            move || event(&state, Ready::READABLE)
        });
        let saw = poll(&state, &mut waiter, &second_waker).is_ready();
        reactor.join().unwrap();
        assert!(saw || second.get() == 1, "the second waker is lost");
        assert!(first.get() + second.get() <= 1);
    });
}

/// Whoever stands, and is woken, takes what there is, clears what he saw, and does not poll again.
#[test]
fn standing_against_events() {
    model(|| {
        let state = Arc::new(IoState::edge_triggered());
        let (flag, waker) = Flag::new();
        let mut waiter = Waiter::standing();
        assert!(poll(&state, &mut waiter, &waker).is_pending());
        let data = Arc::new(AtomicUsize::new(0));
        let reactor = thread::spawn({
            let (state, data) = (state.clone(), data.clone());
            move || {
                for _ in 0..2 {
                    // Relaxed: the event alone must publish it.
                    data.fetch_add(1, Ordering::Relaxed);
                    event(&state, Ready::READABLE);
                }
            }
        });
        let (mut woken, mut taken) = (0, 0);
        let mut take = || {
            let now = flag.get();
            let is_new = std::mem::replace(&mut woken, now) < now;
            if is_new {
                let seen = state.seen();
                if seen.ready().intersects(Ready::READABLE) {
                    taken += data.swap(0, Ordering::Relaxed);
                    state.clear(Direction::Read, seen);
                }
            }
            taken
        };
        take();
        reactor.join().unwrap();
        assert_eq!(take(), 2, "what came is not taken, and nobody is told");
    });
}

#[test]
fn waiter_dropped_against_event() {
    model(|| {
        let state = Arc::new(IoState::new());
        let ((_, leaving_waker), (staying, staying_waker)) = (Flag::new(), Flag::new());
        let (mut leaving, mut staying_waiter) = (Waiter::new(), Waiter::new());
        assert!(poll(&state, &mut leaving, &leaving_waker).is_pending());
        assert!(poll(&state, &mut staying_waiter, &staying_waker).is_pending());
        let reactor = thread::spawn({
            let state = state.clone();
            move || event(&state, Ready::READABLE)
        });
        drop(leaving);
        reactor.join().unwrap();
        assert_eq!(staying.get(), 1, "the other waiter was robbed");
    });
}

#[test]
fn close_against_register() {
    model(|| {
        let state = Arc::new(IoState::new());
        let (flag, waker) = Flag::new();
        let reactor = thread::spawn({
            let state = state.clone();
            move || {
                state.close();
                wake(&state, Ready::ERROR);
            }
        });
        let mut waiter = Waiter::new();
        let refused = poll(&state, &mut waiter, &waker).is_ready();
        reactor.join().unwrap();
        assert!(refused || flag.get() == 1);
        assert!(matches!(poll(&state, &mut waiter, &waker), Poll::Ready(Err(_))));
    });
}

/// A selector reduced to what the signal needs of it: something that ends a wait.
#[test]
fn notify_against_turn() {
    model(|| {
        let signal = Arc::new(Signal::default());
        let woken = Arc::new(loom::sync::Notify::new());
        let work = Arc::new(AtomicBool::new(false));
        let remote = thread::spawn({
            let (signal, woken, work) = (signal.clone(), woken.clone(), work.clone());
            move || {
                // Relaxed: the signal alone must publish it.
                work.store(true, Ordering::Relaxed);
                if signal.notify() {
                    woken.notify();
                }
            }
        });
        // The loop: look for work, then turn; a turn that would wait for ever is a lost wake-up.
        while !work.load(Ordering::Relaxed) {
            if signal.begin_turn(None).is_none() {
                woken.wait();
                signal.end_wait();
            }
        }
        remote.join().unwrap();
    });
}

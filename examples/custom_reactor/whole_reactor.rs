//! A whole reactor: the trait itself, on the public parts that ours stands on, `IoState` and `Waiter`.

use std::collections::HashMap;
use std::io;
use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use asyncio::LoopClosed;
use asyncio::base::WakeList;
use asyncio::reactor::{Direction, Interest, IoState, Reactor, Readiness, Ready, Seen, Selector, Waiter};

use crate::poll_selector::PollSelector;

#[derive(Debug)]
pub struct WholeReactor {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    selector: PollSelector,
    states: Mutex<HashMap<usize, Arc<IoState>>>,
    next_key: AtomicUsize,
    is_notified: AtomicBool,
    is_closed: AtomicBool,
}

impl WholeReactor {
    pub fn new() -> io::Result<Self> {
        let shared = Shared {
            selector: PollSelector::new()?,
            states: Mutex::default(),
            next_key: AtomicUsize::new(0),
            is_notified: AtomicBool::new(false),
            is_closed: AtomicBool::new(false),
        };
        Ok(Self { shared: Arc::new(shared) })
    }
}

/// Wakes all that wait for one of the conditions, holding no lock.
fn wake(state: &IoState, conditions: Ready) {
    let mut list = WakeList::new();
    while !state.take_wakers(conditions, &mut list) {
        list.wake_all();
    }
    list.wake_all();
}

impl Reactor for WholeReactor {
    fn turn(&self, wait: Option<Duration>) -> io::Result<usize> {
        let shared = &self.shared;
        let wait = if shared.is_notified.swap(false, Ordering::AcqRel) { Some(Duration::ZERO) } else { wait };
        let mut events = Vec::new();
        shared.selector.wait(&mut events, wait)?;
        for event in &events {
            let state = shared.states.lock().expect("no panic under this lock").get(&event.key).cloned();
            if let Some(state) = state {
                state.set(event.ready);
                // The selector is one-shot: both directions look again, and arm what they still need.
                wake(&state, Ready::ERROR);
            }
        }
        Ok(events.len())
    }

    fn notify(&self) {
        if !self.shared.is_notified.swap(true, Ordering::AcqRel) {
            self.shared.selector.notify().expect("a pipe can be written to");
        }
    }

    fn readiness(&self, source: BorrowedFd<'_>) -> io::Result<Box<dyn Readiness>> {
        let shared = self.shared.clone();
        let key = shared.next_key.fetch_add(1, Ordering::Relaxed);
        let state = Arc::new(IoState::new());
        let mut states = shared.states.lock().expect("no panic under this lock");
        if shared.is_closed.load(Ordering::Acquire) {
            return Err(LoopClosed::new().into());
        }
        shared.selector.add(source, key, Interest::NONE)?;
        states.insert(key, state.clone());
        drop(states);
        Ok(Box::new(Watch { state, key, shared }))
    }

    fn close(&self) {
        self.shared.is_closed.store(true, Ordering::Release);
        let states = std::mem::take(&mut *self.shared.states.lock().expect("no panic under this lock"));
        for state in states.into_values() {
            state.close();
            wake(&state, Ready::ERROR);
        }
    }
}

#[derive(Debug)]
struct Watch {
    state: Arc<IoState>,
    key: usize,
    shared: Arc<Shared>,
}

impl Readiness for Watch {
    fn poll_ready(
        &self,
        cx: &mut Context<'_>,
        waiter: &mut Waiter,
        fd: BorrowedFd<'_>,
        direction: Direction,
    ) -> Poll<io::Result<Seen>> {
        let poll = self.state.poll_ready(cx, waiter, direction);
        if poll.is_pending() {
            self.shared.selector.arm(fd, direction)?;
        }
        poll
    }

    fn clear(&self, direction: Direction, seen: Seen) {
        self.state.clear(direction, seen);
    }

    fn deregister(self: Box<Self>, fd: BorrowedFd<'_>) -> io::Result<()> {
        self.shared.states.lock().expect("no panic under this lock").remove(&self.key);
        self.shared.selector.delete(fd)
    }
}

//! A whole reactor: the trait itself, on the public parts that ours stands on, `IoState` and `Readiness`.

use std::collections::HashMap;
use std::io;
use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use asyncio::LoopClosed;
use asyncio::base::WakeList;
use asyncio::reactor::{
    AnyRegistrar, Direction, Interest, IoState, Reactor, Readiness, Ready, Registrar, Selector,
};

use crate::poll_selector::PollSelector;

#[derive(Debug)]
pub struct WholeReactor {
    shared: Arc<Shared>,
    registrar: AnyRegistrar,
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
        let shared = Arc::new(shared);
        Ok(Self { registrar: AnyRegistrar::new(Registrations(shared.clone())), shared })
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

    fn readiness(&self, source: BorrowedFd<'_>) -> io::Result<Readiness> {
        let shared = &self.shared;
        let key = shared.next_key.fetch_add(1, Ordering::Relaxed);
        let state = Arc::new(IoState::new());
        let mut states = shared.states.lock().expect("no panic under this lock");
        if shared.is_closed.load(Ordering::Acquire) {
            return Err(LoopClosed::new().into());
        }
        shared.selector.add(source, key, Interest::NONE)?;
        states.insert(key, state.clone());
        drop(states);
        Ok(Readiness::new(state, key, self.registrar.clone()))
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

/// What registrations ask of it.
#[derive(Debug)]
struct Registrations(Arc<Shared>);

impl Registrar for Registrations {
    fn arm(&self, _: &IoState, _: usize, fd: BorrowedFd<'_>, direction: Direction) -> io::Result<()> {
        self.0.selector.arm(fd, direction)
    }

    fn forget(&self, key: usize) {
        self.0.states.lock().expect("no panic under this lock").remove(&key);
    }

    fn delete(&self, fd: BorrowedFd<'_>) -> io::Result<()> {
        self.0.selector.delete(fd)
    }
}

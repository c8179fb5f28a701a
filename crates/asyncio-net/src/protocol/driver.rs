//! The driver: one task for all protocols of a loop. It has the one buffer into which everything is received.
//!
//! - D1: whatever happens to a connection wakes its key, from any thread. That notes the connection in a list, once, and wakes the driver; callbacks run
//!   in the driver alone, never in a wake.
//! - D2: a connection is the driver's from its making to its `connection_lost`. Transports only borrow it; so a protocol may keep its transport.
//! - D3: a key is of one connection. One that comes late, when another has its number, is told apart by a count; and what is noted for a number is forgotten
//!   when that is given again, but that it is to have a turn.
//! - D4: when the loop ends, all connections are closed after what is unsent; the end waits for that as for clean-up.
//!
//! No more than [`STEPS_MAX`] connections have their turn before the loop's other tasks have theirs.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fmt::{self, Debug};
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll, Wake, Waker};

use asyncio_base::budget;
use asyncio_base::panic::{catch_and_store, into_message};
use asyncio_base::report::{self, Report};
use asyncio_base::shim::{Arc, Mutex};
use asyncio_tasks::{Builder, Cleanup, LocalGuard, guard_local};
use slab::Slab;

use crate::protocol::driven::Driven;
use crate::protocol::link::Link;
use crate::server::Client;

/// What asyncio receives at once, at most: 256 KiB. Pages that are not used are not there.
const BUFFER_SIZE: usize = 256 * 1024;

/// Where the buffer begins in memory. An allocator gives so large a piece 16 bytes behind the beginning of a page, and there a receive
/// of 4 KiB takes a third longer: what is copied begins a page as well, and a processor that compares low bits alone takes a read for one of
/// what was just written.
const BUFFER_ALIGNMENT: usize = 64;

/// Of connections that each have a message to answer, so many use 128 operations, which is what a task may do in one poll.
const STEPS_MAX: usize = 64;

thread_local! {
    /// The drivers of this thread: hardly ever more than that of its one loop.
    static DRIVERS: RefCell<Vec<Rc<Driver>>> = const { RefCell::new(Vec::new()) };
}

/// The protocols of one loop.
pub(super) struct Driver {
    /// Whose loop it is; `None` on a bare executor.
    runtime: Option<Cleanup>,
    links: RefCell<Slab<Rc<Link<dyn Driven>>>>,
    noted: Arc<Noted>,
    /// D4: the loop ends, and whoever comes is closed.
    is_ending: Cell<bool>,
}

impl Driver {
    /// Returns that of the loop that runs on this thread; starts it if there is none.
    ///
    /// # Panics
    ///
    /// Panics where no loop runs on this thread.
    pub(super) fn current() -> Rc<Self> {
        let runtime = Cleanup::current();
        let is_of_runtime = |driver: &&Rc<Self>| driver.runtime == runtime;
        let found = DRIVERS.with_borrow(|drivers| drivers.iter().find(is_of_runtime).cloned());
        found.unwrap_or_else(|| Self::start(runtime))
    }

    fn start(runtime: Option<Cleanup>) -> Rc<Self> {
        let is_ending = runtime.as_ref().is_some_and(Cleanup::is_draining);
        let driver = Rc::new(Self {
            runtime,
            links: RefCell::default(),
            noted: Arc::new(Noted { state: Mutex::default() }),
            is_ending: Cell::new(is_ending),
        });
        // Filled once there is a task to hold it.
        let place = Rc::new(Cell::new(None));
        let taken = place.clone();
        let task = async move {
            let Some(running) = taken.take() else { return };
            let running: LocalGuard<Running> = running;
            if running.0.is_ending.get() {
                // D4: as a part of the clean-up.
                return;
            }
            let mut room = Room::new();
            poll_fn(|cx| {
                running.0.poll(cx, &mut room);
                Poll::<()>::Pending
            })
            .await;
        };
        // Nobody's context: callbacks are of many.
        let builder = Builder::new().name("protocols").context(asyncio_tasks::Context::default());
        builder.spawn_local(task).detach();
        place.set(Some(guard_local(Running(driver.clone()), Running::finish)));
        DRIVERS.with_borrow_mut(|drivers| drivers.push(driver.clone()));
        driver
    }

    /// Takes a connection in. `make` gets its key.
    pub(super) fn take_in<P: Driven + 'static>(&self, make: impl FnOnce(Arc<Key>) -> Link<P>) -> Rc<Link<P>> {
        let mut links = self.links.borrow_mut();
        let entry = links.vacant_entry();
        let link = Rc::new(make(Noted::key(&self.noted, entry.key())));
        entry.insert(link.clone());
        drop(links);
        if self.is_ending.get() {
            link.close();
        }
        link.schedule();
        link
    }

    /// Gives some connections their turn.
    fn poll(&self, cx: &mut Context<'_>, room: &mut Room) {
        // Those that are there now: what comes meanwhile has woken this task, and comes after the others' turn.
        let are_left = self.noted.take(cx.waker(), &mut room.turn);
        let Room { memory, turn } = room;
        let buffer = aligned(memory);
        // What one connection may do is limited where it does it.
        budget::unlimited(|| {
            for (index, wishes) in turn.drain(..) {
                let link = self.links.borrow().get(index).cloned();
                let Some(link) = link else { continue };
                // Callbacks are watched where they are called. This is for what else is a user's: wakers, and what is dropped.
                if watched(|| link.step(&link, wishes, buffer)).unwrap_or(true) {
                    let ended = self.links.borrow_mut().try_remove(index);
                    watched(|| {
                        link.give_up();
                        drop((ended, link));
                    });
                }
            }
        });
        if are_left {
            cx.waker().wake_by_ref();
        }
    }
}

/// What a driver needs for a turn.
struct Room {
    /// The buffer, and what it takes to align it.
    memory: Box<[u8]>,
    /// Whose turn it is.
    turn: Vec<(usize, Wishes)>,
}

impl Room {
    fn new() -> Self {
        Self { memory: vec![0; BUFFER_SIZE + BUFFER_ALIGNMENT].into_boxed_slice(), turn: Vec::new() }
    }
}

/// The buffer within its memory.
fn aligned(memory: &mut [u8]) -> &mut [u8] {
    // `align_offset` may give up, which costs time alone.
    let start = memory.as_ptr().align_offset(BUFFER_ALIGNMENT).min(BUFFER_ALIGNMENT);
    &mut memory[start..start + BUFFER_SIZE]
}

/// Does what may panic in a user's code, which is reported; `None` if it has.
fn watched<R>(f: impl FnOnce() -> R) -> Option<R> {
    let mut panic = None;
    let result = catch_and_store(&mut panic, f);
    if let Some(payload) = panic {
        let text = into_message(payload);
        Report::new(
            "net",
            format_args!("a protocol, or what it has, panicked where it was dropped or woken: {text}"),
        )
        .panicked()
        .send();
    }
    result
}

impl Debug for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Driver").finish_non_exhaustive()
    }
}

/// The driver as its task holds it, and after that the clean-up.
struct Running(Rc<Driver>);

impl Running {
    /// D4.
    async fn finish(self) {
        self.0.is_ending.set(true);
        for (_, link) in &*self.0.links.borrow() {
            link.close();
            // Also one that is closing already: it may have been its turn.
            link.schedule();
        }
        let mut room = Room::new();
        poll_fn(|cx| {
            self.0.poll(cx, &mut room);
            if self.0.links.borrow().is_empty() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let driver = &self.0;
        // At the end of the thread it is gone already.
        let _ = DRIVERS.try_with(|drivers| drivers.borrow_mut().retain(|other| !Rc::ptr_eq(other, driver)));
        let left = std::mem::take(&mut *driver.links.borrow_mut());
        if left.is_empty() {
            return;
        }
        let unsent: usize = left.iter().map(|(_, link)| link.unsent()).sum();
        let count = left.len();
        report::report(
            "net",
            format_args!("{count} connections of protocols are given up with {unsent} bytes unsent"),
        );
        for (_, link) in left {
            watched(|| {
                link.give_up();
                drop(link);
            });
        }
    }
}

/// Which connections are to have a turn (D1).
struct Noted {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The numbers of the connections, in the order in which they were noted.
    list: VecDeque<u32>,
    /// By the number of the connection.
    marks: Vec<Mark>,
    /// The driver's, unless it has been woken.
    driver: Option<Waker>,
}

#[derive(Clone, Copy, Default)]
struct Mark {
    /// D3: how many connections have had this number.
    count: u32,
    /// It is in the list.
    is_noted: bool,
    wishes: Wishes,
}

/// What a server wants of a connection.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Wishes {
    pub(super) close: bool,
    pub(super) abort: bool,
}

impl Noted {
    /// Makes the key of a new connection.
    fn key(noted: &Arc<Self>, index: usize) -> Arc<Key> {
        let mut state = noted.state.lock();
        if state.marks.len() <= index {
            state.marks.resize_with(index + 1, Mark::default);
        }
        let mark = &mut state.marks[index];
        mark.count = mark.count.wrapping_add(1);
        mark.wishes = Wishes::default();
        let count = mark.count;
        drop(state);
        let index = u32::try_from(index).expect("fewer than 2^32 connections fit into memory");
        Arc::new(Key { noted: noted.clone(), index, count })
    }

    /// Takes the first of the list to `turn`, and says whether others are left. The next note wakes `driver`.
    fn take(&self, driver: &Waker, turn: &mut Vec<(usize, Wishes)>) -> bool {
        // Outside of the lock: it is a user's, on a foreign executor.
        let driver = driver.clone();
        let mut state = self.state.lock();
        let State { list, marks, driver: place } = &mut *state;
        let former = place.replace(driver);
        let count = list.len().min(STEPS_MAX);
        turn.extend(list.drain(..count).map(|index| {
            let mark = &mut marks[index as usize];
            mark.is_noted = false;
            (index as usize, std::mem::take(&mut mark.wishes))
        }));
        let are_left = !list.is_empty();
        drop(state);
        drop(former);
        are_left
    }

    fn note(&self, key: &Key, wishes: Wishes) {
        let mut state = self.state.lock();
        let State { list, marks, driver } = &mut *state;
        let mark = &mut marks[key.index as usize];
        if mark.count != key.count {
            return;
        }
        mark.wishes.close |= wishes.close;
        mark.wishes.abort |= wishes.abort;
        if std::mem::replace(&mut mark.is_noted, true) {
            return;
        }
        list.push_back(key.index);
        let waker = driver.take();
        drop(state);
        waker.into_iter().for_each(Waker::wake);
    }
}

/// What stands for one connection on every thread.
pub(super) struct Key {
    noted: Arc<Noted>,
    index: u32,
    /// D3.
    count: u32,
}

impl Wake for Key {
    fn wake(self: std::sync::Arc<Self>) {
        self.noted.note(&self, Wishes::default());
    }

    fn wake_by_ref(self: &std::sync::Arc<Self>) {
        self.noted.note(self, Wishes::default());
    }
}

impl Client for Key {
    fn close(self: Arc<Self>) {
        self.noted.note(&self, Wishes { close: true, abort: false });
    }

    fn abort(self: Arc<Self>) {
        self.noted.note(&self, Wishes { close: false, abort: true });
    }
}

impl Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key").field("index", &self.index).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noted() -> Arc<Noted> {
        Arc::new(Noted { state: Mutex::default() })
    }

    fn all(noted: &Noted) -> Vec<(usize, bool, bool)> {
        let mut turn = Vec::new();
        noted.take(Waker::noop(), &mut turn);
        turn.into_iter().map(|(index, wishes)| (index, wishes.close, wishes.abort)).collect()
    }

    /// D1: in the order in which they were noted, each once, with all that is wanted of them.
    #[test]
    fn each_is_noted_once_until_its_turn() {
        let noted = noted();
        let keys = [0, 1].map(|index| Noted::key(&noted, index));
        keys[1].wake_by_ref();
        keys[0].wake_by_ref();
        Client::close(keys[1].clone());
        Client::abort(keys[1].clone());
        assert_eq!(all(&noted), [(1, true, true), (0, false, false)]);
        keys[1].wake_by_ref();
        assert_eq!(all(&noted), [(1, false, false)], "again, and nothing of before");
    }

    /// D3: what a server wanted of one connection is not done to the next that has its number.
    #[test]
    fn what_is_wanted_of_a_connection_goes_with_it() {
        let noted = noted();
        let former = Noted::key(&noted, 0);
        Client::abort(former.clone());
        let next = Noted::key(&noted, 0);
        Client::abort(former.clone());
        former.wake();
        next.wake_by_ref();
        assert_eq!(all(&noted), [(0, false, false)]);
        let _next = Noted::key(&noted, 0);
        Client::abort(next);
        assert_eq!(all(&noted), [], "it is nobody's any more");
    }

    /// D1: whoever is noted after the others have been taken has woken the driver.
    #[test]
    fn the_first_note_after_a_turn_wakes_the_driver() {
        struct Woken(std::sync::atomic::AtomicUsize);
        impl Wake for Woken {
            fn wake(self: std::sync::Arc<Self>) {
                self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            }
        }
        let woken = std::sync::Arc::new(Woken(0.into()));
        let (noted, driver) = (noted(), Waker::from(woken.clone()));
        let keys = [0, 1].map(|index| Noted::key(&noted, index));
        let times = || woken.0.load(std::sync::atomic::Ordering::Relaxed);
        let mut turn = Vec::new();
        assert!(!noted.take(&driver, &mut turn) && turn.is_empty());
        keys.iter().for_each(Wake::wake_by_ref);
        assert_eq!(times(), 1);
        assert!(!noted.take(&driver, &mut turn));
        assert_eq!(turn.len(), 2);
        keys[1].wake_by_ref();
        keys[1].wake_by_ref();
        keys[0].wake_by_ref();
        assert_eq!(times(), 2, "those who had their turn are noted anew");
    }

    #[test]
    fn the_buffer_begins_where_it_is_fast() {
        let mut room = Room::new();
        let buffer = aligned(&mut room.memory);
        assert_eq!(buffer.len(), BUFFER_SIZE);
        assert_eq!(buffer.as_ptr().addr() % BUFFER_ALIGNMENT, 0);
    }

    #[test]
    fn a_turn_is_of_so_many_and_leaves_the_rest() {
        let noted = noted();
        let keys: Vec<_> = (0..STEPS_MAX + 3).map(|index| Noted::key(&noted, index)).collect();
        keys.iter().for_each(Wake::wake_by_ref);
        let mut turn = Vec::new();
        assert!(noted.take(Waker::noop(), &mut turn));
        assert_eq!(turn.len(), STEPS_MAX);
        keys[0].wake_by_ref();
        let mut rest = Vec::new();
        assert!(!noted.take(Waker::noop(), &mut rest));
        let rest: Vec<usize> = rest.into_iter().map(|(index, _)| index).collect();
        assert_eq!(rest, [STEPS_MAX, STEPS_MAX + 1, STEPS_MAX + 2, 0]);
    }
}

//! The driver: one task for all protocols of a loop. It has the one buffer into which everything is received.
//!
//! - D1: whatever happens to a connection wakes its key, from any thread. That notes the connection in a list, once, and wakes the driver; callbacks run
//!   in the driver alone, never in a wake.
//! - D2: a connection is the driver's from its making to its `connection_lost`. Transports have its [`Head`](super::head::Head) alone; so a protocol may keep its transport.
//! - D3: a key is of one connection. One whose connection is over notes nothing, so what was wanted of it is not done to the next that has its number.
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
use asyncio_base::shim::{Arc, AtomicBool, Mutex, Ordering};
use asyncio_tasks::{Builder, Cleanup, LocalGuard, guard_local};
use slab::Slab;

use crate::protocol::driven::Driven;
use crate::protocol::link::Link;
use crate::receive_buffer::ReceiveBuffer;
use crate::server::Client;

/// What asyncio receives at once, at most: 256 KiB. Pages that are not used are not there.
const BUFFER_SIZE: usize = 256 * 1024;

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
            noted: Arc::default(),
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
        let link = Rc::new(make(Arc::new(Key::new(self.noted.clone(), entry.key()))));
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
        let are_left = self.take_turn(cx, &mut room.turn);
        let Room { buffer, turn } = room;
        // What one connection may do is limited where it does it.
        budget::unlimited(|| {
            for (index, wishes) in turn.drain(..) {
                let index = index as usize;
                let link = self.links.borrow().get(index).cloned();
                let Some(link) = link else { continue };
                // Callbacks are watched where they are called. This is for what else is a user's: wakers, and what is dropped.
                if watched(|| link.step(wishes, buffer)).unwrap_or(true) {
                    self.let_go(index, link);
                }
            }
        });
        if are_left {
            cx.waker().wake_by_ref();
        }
    }

    /// Takes those who are to have a turn now, and says whether others are left. The next who is noted wakes this task.
    fn take_turn(&self, cx: &Context<'_>, turn: &mut Vec<(u32, Wishes)>) -> bool {
        // Cloned and dropped while nothing is borrowed: it is a user's, on a foreign executor.
        let (are_left, former) = self.noted.take(cx.waker().clone(), turn);
        drop(former);
        are_left
    }

    /// Forgets a connection that is over.
    #[inline(never)]
    fn let_go(&self, index: usize, link: Rc<Link<dyn Driven>>) {
        // Before another one has its number (D3).
        link.key().end();
        let ended = self.links.borrow_mut().try_remove(index);
        watched(|| {
            link.give_up();
            drop((ended, link));
        });
    }
}

/// What a driver needs for a turn.
struct Room {
    buffer: ReceiveBuffer,
    /// Whose turn it is.
    turn: Vec<(u32, Wishes)>,
}

impl Room {
    fn new() -> Self {
        Self { buffer: ReceiveBuffer::new(BUFFER_SIZE), turn: Vec::new() }
    }
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
#[derive(Default)]
struct Noted {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The numbers of the connections, in the order in which they were noted. One that is over may be left in it, of which nothing is wanted.
    list: VecDeque<u32>,
    /// [`Wishes`] by the number of the connection, which is in the list if there is one.
    marks: Vec<u8>,
    /// The driver's, unless it has been woken.
    driver: Option<Waker>,
}

impl Noted {
    /// Takes the first of the list to `turn`, and says whether others are left; and which waker it had. The next note wakes `driver`.
    fn take(&self, driver: Waker, turn: &mut Vec<(u32, Wishes)>) -> (bool, Option<Waker>) {
        let mut state = self.state.lock();
        let State { list, marks, driver: place } = &mut *state;
        let former = place.replace(driver);
        while turn.len() < STEPS_MAX {
            let Some(index) = list.pop_front() else { break };
            let wishes = std::mem::take(&mut marks[index as usize]);
            // One that is over. The next with its number, if it is noted, has had its turn, or has it in this place (D3).
            if wishes != 0 {
                turn.push((index, Wishes(wishes)));
            }
        }
        (!list.is_empty(), former)
    }
}

/// What is wanted of a connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wishes(u8);

impl Wishes {
    /// It is to have a turn, and nothing else.
    const TURN: u8 = 1;
    /// A server wants it closed.
    pub(super) const CLOSE: u8 = 1 << 1;
    /// Or closed at once.
    pub(super) const ABORT: u8 = 1 << 2;

    pub(super) const fn has(self, wish: u8) -> bool {
        self.0 & wish != 0
    }

    /// Whether it is to have a turn, and nothing else.
    pub(super) const fn is_turn_alone(self) -> bool {
        self.0 == Self::TURN
    }
}

/// What stands for one connection on every thread.
pub(super) struct Key {
    noted: Arc<Noted>,
    index: u32,
    /// D3. Written and read under the lock of `noted`; not behind it, since here it takes no room.
    is_over: AtomicBool,
}

impl Key {
    fn new(noted: Arc<Noted>, index: usize) -> Self {
        let mut state = noted.state.lock();
        if state.marks.len() <= index {
            state.marks.resize(index + 1, 0);
        }
        // Whatever was wanted of one that had the number, and never came to be.
        state.marks[index] = 0;
        drop(state);
        let index = u32::try_from(index).expect("fewer than 2^32 connections fit into memory");
        Self { noted, index, is_over: AtomicBool::new(false) }
    }

    /// Has the driver look at the connection soon.
    pub(super) fn note(&self) {
        self.want(Wishes::TURN);
    }

    #[inline]
    fn want(&self, wishes: u8) {
        let mut state = self.noted.state.lock();
        // Relaxed: under the lock.
        if self.is_over.load(Ordering::Relaxed) {
            return;
        }
        let marks = &mut state.marks[self.index as usize];
        let is_noted = *marks != 0;
        *marks |= Wishes::TURN | wishes;
        if is_noted {
            return;
        }
        state.list.push_back(self.index);
        let driver = state.driver.take();
        drop(state);
        driver.into_iter().for_each(Waker::wake);
    }

    /// D3: notes nothing any more, and what was wanted of it is forgotten.
    fn end(&self) {
        let mut state = self.noted.state.lock();
        self.is_over.store(true, Ordering::Relaxed);
        state.marks[self.index as usize] = 0;
    }
}

impl Wake for Key {
    fn wake(self: std::sync::Arc<Self>) {
        self.note();
    }

    fn wake_by_ref(self: &std::sync::Arc<Self>) {
        self.note();
    }
}

impl Client for Key {
    fn close(self: Arc<Self>) {
        self.want(Wishes::CLOSE);
    }

    fn abort(self: Arc<Self>) {
        self.want(Wishes::ABORT);
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

    fn keys(noted: &Arc<Noted>, count: usize) -> Vec<Arc<Key>> {
        (0..count).map(|index| Arc::new(Key::new(noted.clone(), index))).collect()
    }

    /// The first of those that are noted, what is wanted of them, and whether others are left.
    fn take(noted: &Noted, driver: &Waker) -> (Vec<(u32, bool, bool)>, bool) {
        let mut turn = Vec::new();
        let (are_left, _) = noted.take(driver.clone(), &mut turn);
        let read =
            |(index, wishes): (u32, Wishes)| (index, wishes.has(Wishes::CLOSE), wishes.has(Wishes::ABORT));
        (turn.into_iter().map(read).collect(), are_left)
    }

    /// D1: in the order in which they were noted, each once, with all that is wanted of them.
    #[test]
    fn each_is_noted_once_until_its_turn() {
        let noted = Arc::default();
        let keys = keys(&noted, 2);
        keys[1].wake_by_ref();
        keys[0].wake_by_ref();
        Client::close(keys[1].clone());
        Client::abort(keys[1].clone());
        let all = || take(&noted, Waker::noop()).0;
        assert_eq!(all(), [(1, true, true), (0, false, false)]);
        keys[1].wake_by_ref();
        assert_eq!(all(), [(1, false, false)], "again, and nothing of before");
    }

    /// D3: what a server wanted of one connection is not done to the next that has its number.
    #[test]
    fn what_is_wanted_of_a_connection_goes_with_it() {
        let noted = Arc::default();
        let former = keys(&noted, 2);
        let all = || take(&noted, Waker::noop()).0;
        Client::abort(former[0].clone());
        former[0].end();
        Client::abort(former[0].clone());
        former[0].wake_by_ref();
        assert_eq!(all(), [], "it is over");
        let next = keys(&noted, 1);
        Client::close(former[0].clone());
        assert_eq!(all(), [], "nothing is wanted of the next");
        next[0].wake_by_ref();
        former[0].wake_by_ref();
        assert_eq!(all(), [(0, false, false)]);
        // The former is in the list when the next is noted: that has one turn, with what is wanted of it.
        next[0].wake_by_ref();
        next[0].end();
        let third = keys(&noted, 1);
        former[1].wake_by_ref();
        Client::close(third[0].clone());
        assert_eq!(all(), [(0, true, false), (1, false, false)]);
        assert_eq!(all(), []);
        third[0].wake_by_ref();
        assert_eq!(all(), [(0, false, false)]);
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
        let times = || woken.0.load(std::sync::atomic::Ordering::Relaxed);
        let (noted, driver) = (Arc::default(), Waker::from(woken.clone()));
        let keys = keys(&noted, 2);
        assert_eq!(take(&noted, &driver), (vec![], false));
        keys.iter().for_each(Wake::wake_by_ref);
        assert_eq!(times(), 1);
        assert_eq!(take(&noted, &driver).0.len(), 2);
        keys[1].wake_by_ref();
        keys[1].wake_by_ref();
        keys[0].wake_by_ref();
        assert_eq!(times(), 2, "those who had their turn are noted anew");
    }

    /// D2: one that its driver has dropped without a word is gone, though somebody has its transport, and is told so.
    #[test]
    fn a_transport_keeps_no_connection() {
        struct Nothing;
        impl crate::protocol::Protocol for Nothing {
            fn data_received(&mut self, _: &[u8]) {}
        }
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let peer = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let socket = asyncio_reactor::adopt(peer.into()).unwrap();
        let alive = Arc::downgrade(&socket);
        let protocol = crate::protocol::AnyProtocol::driven(Nothing);
        let link = Link::new(keys(&Arc::default(), 1).remove(0), socket, protocol, None);
        let transport = crate::protocol::Transport::of(link.head());
        transport.write(b"x");
        assert!(!transport.is_closing() && transport.socket().is_some());
        drop(link);
        assert!(alive.upgrade().is_none(), "its socket is still open");
        transport.write(b"y");
        transport.close();
        assert!(transport.is_closing() && transport.socket().is_none());
    }

    #[test]
    fn a_turn_is_of_so_many_and_leaves_the_rest() {
        let noted = Arc::default();
        let keys = keys(&noted, STEPS_MAX + 3);
        keys.iter().for_each(Wake::wake_by_ref);
        let (turn, are_left) = take(&noted, Waker::noop());
        assert!(turn.len() == STEPS_MAX && are_left);
        keys[0].wake_by_ref();
        let (rest, are_left) = take(&noted, Waker::noop());
        let rest: Vec<usize> = rest.into_iter().map(|(index, _, _)| index as usize).collect();
        assert_eq!(rest, [STEPS_MAX, STEPS_MAX + 1, STEPS_MAX + 2, 0]);
        assert!(!are_left);
    }
}

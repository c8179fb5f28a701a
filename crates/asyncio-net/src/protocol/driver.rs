//! The driver: one task for all protocols of a loop. It has the one buffer into which everything is received.
//!
//! - D1: whatever happens to a connection wakes its key, from any thread. That notes the connection in a list, once, and wakes the driver; callbacks run
//!   in the driver alone, never in a wake.
//! - D2: a connection is the driver's from its making to its `connection_lost`. Transports only borrow it; so a protocol may keep its transport.
//! - D3: a key is of one connection. One that comes late, when another has its number, is told apart by a count.
//! - D4: when the loop ends, all connections are closed after what is unsent; the end waits for that as for clean-up.
//!
//! No more than [`STEPS_MAX`] connections have their turn before the loop's other tasks have theirs.

use std::cell::{Cell, RefCell};
use std::fmt::{self, Debug};
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll, Wake, Waker};

use asyncio_base::shim::{Arc, Mutex};
use asyncio_base::{budget, report};
use asyncio_tasks::{Builder, Cleanup, LocalGuard, guard_local};
use slab::Slab;

use crate::protocol::driven::Driven;
use crate::protocol::link::Link;
use crate::server::Client;

/// What asyncio receives at once, at most: 256 KiB. Pages that are not used are not there.
const BUFFER_SIZE: usize = 256 * 1024;

/// A turn of so many connections takes about as long as 128 operations of a task, the budget of one.
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
        let driver = Rc::new(Self {
            runtime,
            links: RefCell::default(),
            noted: Arc::new(Noted { state: Mutex::default() }),
        });
        // Filled once there is a task to hold it.
        let place = Rc::new(Cell::new(None));
        let taken = place.clone();
        let task = async move {
            let Some(running) = taken.take() else { return };
            let running: LocalGuard<Running> = running;
            let mut buffer = vec![0; BUFFER_SIZE].into_boxed_slice();
            let mut turn = Vec::new();
            poll_fn(|cx| {
                running.0.poll(cx, &mut turn, &mut buffer);
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
        link.schedule();
        link
    }

    /// Gives some connections their turn; `turn` are those that it is the turn of.
    fn poll(&self, cx: &mut Context<'_>, turn: &mut Vec<Note>, buffer: &mut [u8]) {
        self.noted.take(cx.waker(), turn);
        let now = turn.len().min(STEPS_MAX);
        // What one connection may do is limited where it does it.
        budget::unlimited(|| {
            for note in turn.drain(..now) {
                let link = self.links.borrow().get(note.index).cloned();
                let is_over = link.is_some_and(|link| link.step(&link, note.wishes, buffer));
                if is_over {
                    let link = self.links.borrow_mut().try_remove(note.index);
                    drop(link);
                }
            }
        });
        if !turn.is_empty() {
            cx.waker().wake_by_ref();
        }
    }
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
        for (_, link) in &*self.0.links.borrow() {
            link.close();
        }
        let mut buffer = vec![0; BUFFER_SIZE].into_boxed_slice();
        let mut turn = Vec::new();
        poll_fn(|cx| {
            self.0.poll(cx, &mut turn, &mut buffer);
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
        let unsent: usize = left.iter().map(|(_, link)| link.unsent()).sum();
        if unsent > 0 {
            let count = left.len();
            report::report(
                "net",
                format_args!("{count} connections of protocols are given up with {unsent} bytes unsent"),
            );
        }
    }
}

/// Which connections are to have a turn (D1).
struct Noted {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    list: Vec<Note>,
    /// By the number of the connection.
    marks: Vec<Mark>,
    /// The driver's, unless it has been woken.
    driver: Option<Waker>,
}

#[derive(Clone, Copy, Default)]
struct Mark {
    /// D3: how many connections have had this number.
    count: u32,
    /// Where it is in the list, and one more; 0 if it is not.
    place: u32,
}

/// A connection is to have a turn.
#[derive(Clone, Copy)]
pub(super) struct Note {
    index: usize,
    pub(super) wishes: Wishes,
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
        let count = state.marks[index].count.wrapping_add(1);
        state.marks[index].count = count;
        drop(state);
        let index = u32::try_from(index).expect("fewer than 2^32 connections fit into memory");
        Arc::new(Key { noted: noted.clone(), index, count })
    }

    /// Moves the list behind `turn`; the next note wakes `driver`.
    fn take(&self, driver: &Waker, turn: &mut Vec<Note>) {
        let driver = driver.clone();
        let mut state = self.state.lock();
        let State { list, marks, .. } = &mut *state;
        for note in list.drain(..) {
            marks[note.index].place = 0;
            turn.push(note);
        }
        let former = state.driver.replace(driver);
        drop(state);
        drop(former);
    }

    fn note(&self, key: &Key, wishes: Wishes) {
        let index = key.index as usize;
        let mut state = self.state.lock();
        let State { list, marks, driver } = &mut *state;
        let mark = &mut marks[index];
        if mark.count != key.count {
            return;
        }
        if mark.place == 0 {
            list.push(Note { index, wishes });
            mark.place = u32::try_from(list.len()).expect("each is noted once");
        } else {
            let noted = &mut list[mark.place as usize - 1].wishes;
            noted.close |= wishes.close;
            noted.abort |= wishes.abort;
        }
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

//! What is current on this thread: the queue that is entered, and the task that is polled.

#![expect(unsafe_code, reason = "pointers to what this thread's guards keep")]

use std::cell::{Cell, RefCell};
use std::ptr;

use asyncio_base::per_thread;
use asyncio_base::shim::Arc;

use crate::header::Header;
use crate::queue::{Owner, Queue};

per_thread! {
    /// The queue that is entered on this thread: always that of the last owner in `ENTERED`, which keeps it alive, or null.
    static CURRENT: Cell<*const Queue> = Cell::new(ptr::null());
    /// Everything that is entered on this thread. Guards may be dropped in any order, or never.
    static ENTERED: RefCell<EnteredStack> = RefCell::new(EnteredStack(Vec::new()));
    /// The task that is being polled on this thread.
    static POLLED: Cell<*const Header> = Cell::new(ptr::null());
    static NEXT_ENTRY: Cell<u64> = Cell::new(0);
}

/// Returns the queue that is entered on this thread, or null. It is good for as long as it stays entered.
#[inline]
pub(crate) fn queue() -> *const Queue {
    CURRENT.try_with(Cell::get).unwrap_or(ptr::null())
}

/// Enters a queue, until the guard is dropped.
pub(crate) fn enter(owner: Owner) -> Entered {
    let id = NEXT_ENTRY.with(|next| next.replace(next.get() + 1));
    // At the end of the thread the stack may be gone. Then wakes take the remote side, which is slower and as good.
    let _ = ENTERED.try_with(|entered| entered.borrow_mut().push(id, owner));
    Entered { id, _not_send: std::marker::PhantomData }
}

/// Says whether this is the task that is polled, or whose future is dropped, on this thread.
#[inline]
pub(crate) fn is_polled(header: &Header) -> bool {
    POLLED.try_with(|polled| ptr::eq(polled.get(), header)).unwrap_or(false)
}

/// Says whether a task is polled, or its future dropped, on this thread.
#[inline]
pub(crate) fn is_in_task() -> bool {
    POLLED.try_with(|polled| !polled.get().is_null()).unwrap_or(true)
}

/// What is entered on this thread, the innermost last.
struct EnteredStack(Vec<(u64, Owner)>);

impl EnteredStack {
    fn push(&mut self, id: u64, owner: Owner) {
        self.0.push((id, owner));
        self.publish();
    }

    /// Takes an entry out, wherever it stands; the caller drops it outside of the borrow.
    fn remove(&mut self, id: u64) -> Option<Owner> {
        let place = self.0.iter().rposition(|(entry, _)| *entry == id)?;
        let (_, owner) = self.0.remove(place);
        self.publish();
        Some(owner)
    }

    fn publish(&self) {
        let current = self.0.last().map_or(ptr::null(), |(_, owner)| Arc::as_ptr(owner.queue()));
        CURRENT.with(|place| place.set(current));
    }
}

impl Drop for EnteredStack {
    fn drop(&mut self) {
        // The thread ends, with guards that were forgotten: before their queues go, nothing may point to them any more.
        if !self.0.is_empty() {
            CURRENT.with(|place| place.set(ptr::null()));
        }
    }
}

/// While it lives, its queue is entered on this thread.
pub(crate) struct Entered {
    id: u64,
    _not_send: std::marker::PhantomData<*mut ()>,
}

impl Drop for Entered {
    fn drop(&mut self) {
        // At the end of the thread the stack may be gone, and everything with it.
        let owner = ENTERED.try_with(|entered| entered.borrow_mut().remove(self.id));
        drop(owner);
    }
}

/// While it lives, its task is the one that is polled on this thread.
pub(crate) struct Polling<'a> {
    former: *const Header,
    _header: &'a Header,
}

impl<'a> Polling<'a> {
    #[inline]
    pub(crate) fn begin(header: &'a Header) -> Self {
        Self { former: POLLED.with(|polled| polled.replace(header)), _header: header }
    }
}

impl Drop for Polling<'_> {
    #[inline]
    fn drop(&mut self) {
        POLLED.with(|polled| polled.set(self.former));
    }
}

/// Runs `f` with the header of the task that is being polled on this thread.
#[inline]
pub(crate) fn with_polled<R>(f: impl FnOnce(&Header) -> R) -> Option<R> {
    let header = POLLED.try_with(Cell::get).unwrap_or(ptr::null());
    // SAFETY: null, or `Polling` set it and takes it back, and borrows the header meanwhile. It is private and lives on the frames that poll,
    // so it cannot be forgotten.
    unsafe { header.as_ref() }.map(f)
}

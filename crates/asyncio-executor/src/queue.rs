//! [`Queue`]: the ready queue of one thread, and the list of its live tasks.
//!
//! The queue has two sides. The local side belongs to the thread that made the executor and takes neither lock nor atomic; the
//! remote side takes wakes from every other thread.
//!
//! - E1: the local side is touched only by its *owner*, the thread on which the executor was made. Two ways lead to it: through
//!   `LocalExecutor`, which is `!Send`, and through `CURRENT`, a thread-local that only the owner's `EnterGuard` sets.
//! - E2: a borrow of the local side never spans user code. Where a user's `Schedule` wakes a task from inside a choice, the
//!   borrow is seen and the wake takes the remote side.
//! - E3: the future of a task of this queue is polled and dropped on the owner alone (K4 in `task/mod.rs`), and `close` does not return
//!   before every future is gone. What arrives later is an empty shell.
//! - E4: the remote side publishes last: after the push only a count of the queue that was taken before it is touched
//!   (async-executor #163 was the bug).

#![expect(unsafe_code, reason = "one thread's side of a queue that all threads hold")]

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fmt;
use std::num::NonZeroU64;
use std::ptr;
use std::task::{Wake, Waker};

use asyncio_base::budget;
use asyncio_base::shim::{Arc, AtomicBool, Ordering};

use concurrent_queue::ConcurrentQueue;
use slab::Slab;

use crate::header::{Header, TaskId};
use crate::schedule::{ReadyTasks, Schedule};
use crate::task::LocalTask;

/// The ready queue of one thread.
pub(crate) struct Queue {
    local: Owned<RefCell<Local>>,
    remote: ConcurrentQueue<Entry>,
    /// Woken after a push to the remote side.
    unpark: Waker,
    /// Set by the owner before it drops the futures; read by the owner, and by whoever asks from afar.
    is_closing: AtomicBool,
}

/// What waits in the ready queue. There is one kind of place in it, so that the order is one.
pub(crate) enum Entry {
    Task(LocalTask),
    /// The main future of a loop, which its owner polls in place.
    Main,
}

impl Entry {
    pub(crate) fn id(&self) -> TaskId {
        match self {
            Self::Task(task) => task.header().id(),
            Self::Main => TaskId::MAIN,
        }
    }
}

/// What [`LocalExecutor::run_up_to`](crate::LocalExecutor::run_up_to) did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Ran {
    /// How many tasks were polled.
    pub polls: usize,
    /// Why no more were.
    pub stopped: Stopped,
}

/// Why a run of polls stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stopped {
    /// Nothing is ready.
    Idle,
    /// The limit is reached.
    Limit,
    /// It is the turn of the main future, which was woken through [`main_waker`](crate::LocalExecutor::main_waker).
    Main,
}

struct Local {
    ready: VecDeque<Entry>,
    /// How many of `ready` belong to the present round.
    round_left: usize,
    /// Live tasks, by which `close` gets hold of their futures.
    tasks: Slab<LocalTask>,
    /// `None` is first in, first out.
    schedule: Option<Box<dyn Schedule>>,
    budget: u32,
    next_id: u64,
    ids_end: u64,
}

/// Something that only the owner touches (E1).
struct Owned<T>(T);

// SAFETY: E1. The value is reached through `Queue::owner_side` alone, which is unsafe and asks for the owner's thread; and it is
// dropped with the queue, when the last waker is: by then `close` has emptied it (E3), or the executor was leaked with it.
unsafe impl<T> Send for Owned<T> {}
// SAFETY: as above.
unsafe impl<T> Sync for Owned<T> {}

#[cfg(not(loom))]
thread_local! {
    /// The queue that is entered on this thread: always that of the last owner in `ENTERED`, which keeps it alive, or null.
    static CURRENT: Cell<*const Queue> = const { Cell::new(ptr::null()) };
}

#[cfg(loom)]
loom::thread_local! {
    static CURRENT: Cell<*const Queue> = Cell::new(ptr::null());
}

thread_local! {
    /// Everything that is entered on this thread. Guards may be dropped in any order, or never.
    static ENTERED: RefCell<EnteredStack> = const { RefCell::new(EnteredStack(Vec::new())) };
    /// The task that is being polled on this thread.
    static POLLED: Cell<*const Header> = const { Cell::new(ptr::null()) };
}

impl Queue {
    pub(crate) fn new(unpark: Waker, schedule: Option<Box<dyn Schedule>>) -> Self {
        let local = Local {
            ready: VecDeque::new(),
            round_left: 0,
            tasks: Slab::new(),
            schedule,
            budget: budget::DEFAULT,
            next_id: 0,
            ids_end: 0,
        };
        Self {
            local: Owned(RefCell::new(local)),
            remote: ConcurrentQueue::unbounded(),
            unpark,
            is_closing: AtomicBool::new(false),
        }
    }

    /// Says whether this is the queue that is entered on this thread; then this is its owner's thread (E1).
    #[inline]
    pub(crate) fn is_entered(&self) -> bool {
        CURRENT.try_with(|current| ptr::eq(current.get(), self)).unwrap_or(false)
    }

    /// Makes an entry ready; gives it back where a user's schedule is choosing (E2).
    ///
    /// # Safety
    ///
    /// - The caller is on the owner's thread (E1).
    #[inline]
    pub(crate) unsafe fn push_ready(&self, entry: Entry) -> Result<(), Entry> {
        // SAFETY: the caller is on the owner's thread.
        match unsafe { self.owner_side() }.try_borrow_mut() {
            Ok(mut local) => {
                local.ready.push_back(entry);
                Ok(())
            }
            Err(_) => Err(entry),
        }
    }

    /// Makes an entry ready, from any thread. `this` is a count of the caller's own (E4).
    #[cold]
    pub(crate) fn push_remote(this: &Arc<Self>, entry: Entry) {
        match this.remote.push(entry) {
            Ok(()) => this.unpark.wake_by_ref(),
            // Closed: an empty shell (E3), which any thread may drop.
            Err(shell) => drop(shell),
        }
    }

    /// Hands a new task to the owner; gives it back where the queue is closed.
    pub(crate) fn push_new(this: &Arc<Self>, task: LocalTask) -> Result<(), LocalTask> {
        match this.remote.push(Entry::Task(task)) {
            Ok(()) => {
                this.unpark.wake_by_ref();
                Ok(())
            }
            Err(error) => match error.into_inner() {
                Entry::Task(task) => Err(task),
                Entry::Main => unreachable!("a task was pushed"),
            },
        }
    }

    /// # Safety
    ///
    /// - The caller is on the owner's thread (E1).
    #[inline]
    unsafe fn owner_side(&self) -> &RefCell<Local> {
        &self.local.0
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.is_closing.load(Ordering::Acquire)
    }
}

/// The owner's face of a [`Queue`]: its existence proves that this is the owner's thread, for it is neither `Send` nor `Sync`.
#[derive(Clone)]
pub(crate) struct Owner {
    queue: Arc<Queue>,
    _not_send: std::marker::PhantomData<*mut ()>,
}

impl Owner {
    /// Makes this thread the owner of a new queue.
    pub(crate) fn new(queue: Queue) -> Self {
        Self { queue: Arc::new(queue), _not_send: std::marker::PhantomData }
    }

    /// Returns the owner's face of the queue that is entered on this thread.
    #[inline]
    pub(crate) fn current() -> Option<Self> {
        let queue = CURRENT.try_with(Cell::get).ok().filter(|queue| !queue.is_null())?;
        // SAFETY: `ENTERED` holds an `Arc` of the queue that `CURRENT` points to, so the count is at least one.
        unsafe { Arc::increment_strong_count(queue) };
        // SAFETY: the count that was just added is this one's.
        let queue = unsafe { Arc::from_raw(queue) };
        Some(Self { queue, _not_send: std::marker::PhantomData })
    }

    pub(crate) fn queue(&self) -> &Arc<Queue> {
        &self.queue
    }

    #[inline]
    fn local(&self) -> &RefCell<Local> {
        // SAFETY: E1: an `Owner` exists on the owner's thread alone.
        unsafe { self.queue.owner_side() }
    }

    /// Makes this the queue that local wakes on this thread reach without an atomic.
    pub(crate) fn enter(&self) -> Entered {
        let id = NEXT_ENTRY.replace(NEXT_ENTRY.get() + 1);
        // At the end of the thread the stack may be gone. Then wakes take the remote side, which is slower and as good.
        let _ = ENTERED.try_with(|entered| entered.borrow_mut().push(id, self.clone()));
        Entered { id, _not_send: std::marker::PhantomData }
    }

    /// Returns the owner's face of `queue`, if that is the one that is entered on this thread.
    pub(crate) fn of(queue: &Arc<Queue>) -> Option<Self> {
        queue.is_entered().then(|| Self { queue: queue.clone(), _not_send: std::marker::PhantomData })
    }

    /// Says whether a user's schedule is choosing right now (E2).
    pub(crate) fn is_choosing(&self) -> bool {
        self.local().try_borrow_mut().is_err()
    }

    /// Returns an id of this queue's block.
    #[inline]
    pub(crate) fn fresh_id(&self) -> TaskId {
        self.local().borrow_mut().fresh_id()
    }

    /// Takes a new task into the list of live tasks and makes it ready; or ends it at once, if the queue is closing.
    #[inline]
    pub(crate) fn take_in(&self, task: LocalTask) {
        if self.queue.is_closing() {
            return task.cancel_unlisted();
        }
        let mut local = self.local().borrow_mut();
        let slot = local.tasks.insert(task.clone());
        task.set_slot(u32::try_from(slot).expect("an executor holds fewer than 2^32 tasks"));
        local.ready.push_back(Entry::Task(task));
    }

    /// Takes a task that ends out of the list of live tasks.
    #[inline]
    pub(crate) fn unregister(&self, slot: u32) -> LocalTask {
        self.local().borrow_mut().tasks.remove(slot as usize)
    }

    /// Polls at most `limit` ready tasks, in the order of the schedule, until it is the main future's turn.
    pub(crate) fn run_up_to(&self, limit: usize) -> Ran {
        self.take_remote();
        let units = self.budget();
        for polls in 0..limit {
            match self.pop() {
                Some(Entry::Task(task)) => budget::with_budget(units, || task.run(self)),
                Some(Entry::Main) => return Ran { polls, stopped: Stopped::Main },
                None => return Ran { polls, stopped: Stopped::Idle },
            };
        }
        Ran { polls: limit, stopped: Stopped::Limit }
    }

    #[inline]
    fn pop(&self) -> Option<Entry> {
        let mut local = self.local().borrow_mut();
        if local.round_left == 0 {
            local.round_left = local.ready.len();
        }
        local.round_left = local.round_left.checked_sub(1)?;
        if local.schedule.is_some() {
            return local.pop_scheduled();
        }
        local.ready.pop_front()
    }

    /// Moves what other threads have made ready to the local side.
    #[inline]
    pub(crate) fn take_remote(&self) {
        if !self.queue.remote.is_empty() {
            self.take_remote_entries();
        }
    }

    #[cold]
    fn take_remote_entries(&self) {
        if self.is_choosing() {
            // E2: a user's schedule looks around from inside a choice. They stay where they are.
            return;
        }
        // No more than there are now: whoever wakes without end does not hold the owner here.
        for _ in 0..self.queue.remote.len() {
            let Ok(entry) = self.queue.remote.pop() else { break };
            match entry {
                Entry::Task(task) if task.is_unlisted() => self.take_in(task),
                Entry::Task(task) if !task.accept_remote() => {}
                entry => self.local().borrow_mut().ready.push_back(entry),
            }
        }
    }

    pub(crate) fn ready_count(&self) -> usize {
        self.take_remote();
        self.local().borrow().ready.len()
    }

    pub(crate) fn task_count(&self) -> usize {
        self.local().borrow().tasks.len()
    }

    pub(crate) fn budget(&self) -> u32 {
        self.local().borrow().budget
    }

    pub(crate) fn set_budget(&self, units: u32) {
        self.local().borrow_mut().budget = units.max(1);
    }

    /// Drops every future in place, here, and then closes the queue (E3).
    pub(crate) fn close(&self) {
        self.queue.is_closing.store(true, Ordering::Release);
        let _entered = self.enter();
        let tasks: Vec<LocalTask> =
            self.local().borrow().tasks.iter().map(|(_, task)| task.clone()).collect();
        // What they spawn meanwhile is dropped where it is spawned.
        tasks.into_iter().for_each(|task| task.cancel(self));
        debug_assert_eq!(self.task_count(), 0, "all have ended");
        self.queue.remote.close();
        while let Ok(entry) = self.queue.remote.pop() {
            match entry {
                Entry::Task(task) if task.is_unlisted() => task.cancel_unlisted(),
                shell => drop(shell),
            }
        }
        let mut local = self.local().borrow_mut();
        local.round_left = 0;
        let shells = std::mem::take(&mut local.ready);
        // A user's schedule may hold a `Spawner`, and that the queue.
        let schedule = local.schedule.take();
        drop(local);
        drop((shells, schedule));
    }
}

impl Local {
    #[cold]
    fn pop_scheduled(&mut self) -> Option<Entry> {
        let count = (self.round_left + 1).min(self.ready.len());
        let schedule = self.schedule.as_mut().filter(|_| count > 0)?;
        let chosen = schedule.next(ReadyTasks { queue: &self.ready, count }) % count;
        self.ready.swap_remove_front(chosen)
    }

    /// Takes the next id from a block of this queue's own, so that spawning does not touch what all threads share.
    #[inline]
    fn fresh_id(&mut self) -> TaskId {
        if self.next_id == self.ids_end {
            (self.next_id, self.ids_end) = crate::spawn::take_ids();
        }
        self.next_id += 1;
        // OK because it has just been raised by one, and 2^64 tasks are not spawned.
        TaskId::new(NonZeroU64::new(self.next_id).expect("ids start at 1"))
    }
}

/// Wakes the main future: puts its entry into the ready queue, once until its turn has come.
pub(crate) struct MainWaker {
    queue: Arc<Queue>,
    is_queued: AtomicBool,
}

impl MainWaker {
    pub(crate) fn new(queue: Arc<Queue>) -> Self {
        Self { queue, is_queued: AtomicBool::new(false) }
    }

    /// Says that its turn has come: the next wake puts it into the queue again.
    #[inline]
    pub(crate) fn take_turn(&self) {
        // AcqRel: pairs with the swap in `wake_by_ref`, so that the poll sees what was done before a wake that found it queued.
        self.is_queued.swap(false, Ordering::AcqRel);
    }
}

impl Wake for MainWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    #[inline]
    fn wake_by_ref(self: &Arc<Self>) {
        if !self.is_queued.swap(true, Ordering::AcqRel) {
            let is_pushed = self.queue.is_entered()
                // SAFETY: where the queue is entered is the owner's thread.
                && unsafe { self.queue.push_ready(Entry::Main) }.is_ok();
            if !is_pushed {
                Queue::push_remote(&self.queue, Entry::Main);
            }
        }
    }
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue")
            .field("remote", &self.remote.len())
            .field("is_closing", &self.is_closing())
            .finish_non_exhaustive()
    }
}

thread_local! {
    static NEXT_ENTRY: Cell<u64> = const { Cell::new(0) };
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
        let current = self.0.last().map_or(ptr::null(), |(_, owner)| Arc::as_ptr(&owner.queue));
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
        Self { former: POLLED.replace(header), _header: header }
    }
}

impl Drop for Polling<'_> {
    #[inline]
    fn drop(&mut self) {
        POLLED.set(self.former);
    }
}

/// Runs `f` with the header of the task that is being polled on this thread.
pub(crate) fn with_polled<R>(f: impl FnOnce(&Header) -> R) -> Option<R> {
    let header = POLLED.try_with(Cell::get).ok().filter(|header| !header.is_null())?;
    // SAFETY: `Polling` set it and takes it back, and borrows the header meanwhile. It is private and lives on the frames that poll,
    // so it cannot be forgotten.
    Some(f(unsafe { &*header }))
}

//! [`Queue`]: the ready queue of one thread, and the list of its live tasks.
//!
//! The queue has two sides. The local side belongs to the thread that made the executor and takes neither lock nor atomic; the
//! remote side takes wakes from every other thread.
//!
//! - E1: the local side is touched only by its *owner*, the thread on which the executor was made. Two ways lead to it: through
//!   `LocalExecutor`, which is `!Send`, and through what is current on a thread (`current.rs`), which only the owner's `EnterGuard` sets.
//! - E2: a borrow of the local side never spans user code. Where a user's `Schedule` wakes a task from inside a choice, the
//!   borrow is seen and the wake takes the remote side.
//! - E3: the future of a task of this queue is polled and dropped on the owner alone (K4 in `task/mod.rs`), and `close` does not return
//!   before every future is gone. What arrives later is an empty shell.
//! - E4: the remote side publishes last: after the push only a count of the queue that was taken before it is touched
//!   (async-executor #163 was the bug).

#![expect(unsafe_code, reason = "one thread's side of a queue that all threads hold")]

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fmt;
use std::num::NonZeroU64;
use std::ptr;
use std::task::{Wake, Waker};

use asyncio_base::budget;
use asyncio_base::shim::{Arc, AtomicBool, Ordering};

use concurrent_queue::ConcurrentQueue;
use slab::Slab;

use crate::current::{self, Entered};
use crate::header::TaskId;
use crate::runnable::Runnable;
use crate::schedule::{ReadyTasks, Schedule};
use crate::task::LocalTask;
use crate::workers::{Attention, Found, FromHot, Member, Seat, Shared};

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
    /// A token for the next item of this worker's ring, where others may have taken it from. So the order is one here too.
    Shared,
}

/// What is to be run.
enum Next {
    Task(LocalTask),
    Main,
    Shared(Runnable),
    /// To be dropped, since its executor is closed.
    Dropped(Runnable),
}

/// Where a task of several workers went that became ready.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Pushed {
    /// To the place that its worker comes to next of all.
    Hot,
    /// Into the ring, where its worker comes to it next: nobody else needs to be told.
    Next,
    /// Into the ring, behind others.
    ForAll,
}

/// How a task came to be ready.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Because {
    Spawned,
    Woken,
}

impl Entry {
    pub(crate) fn id(&self) -> TaskId {
        match self {
            Self::Task(task) => task.header().id(),
            // A worker of several has no schedule that could ask for the other one.
            Self::Main | Self::Shared => TaskId::MAIN,
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
    /// Its side of an executor of several workers, if it is one of them.
    member: Option<Member<Runnable>>,
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

impl Queue {
    pub(crate) fn new(unpark: Waker, schedule: Option<Box<dyn Schedule>>) -> Self {
        let local = Local {
            ready: VecDeque::new(),
            round_left: 0,
            tasks: Slab::new(),
            schedule,
            member: None,
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
        ptr::eq(current::queue(), self)
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
                Entry::Main | Entry::Shared => unreachable!("a task was pushed"),
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
        let queue = current::queue();
        if queue.is_null() {
            return None;
        }
        // SAFETY: an `Entered` holds an `Arc` of the queue that is current, so the count is at least one.
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
        current::enter(self.clone())
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
                Some(Next::Task(task)) => budget::with_budget(units, || task.run(self)),
                Some(Next::Shared(runnable)) => {
                    budget::with_budget(units, || runnable.run());
                }
                Some(Next::Dropped(runnable)) => drop(runnable),
                Some(Next::Main) => return Ran { polls, stopped: Stopped::Main },
                None => return Ran { polls, stopped: Stopped::Idle },
            }
        }
        Ran { polls: limit, stopped: Stopped::Limit }
    }

    #[inline]
    fn pop(&self) -> Option<Next> {
        let mut local = self.local().borrow_mut();
        if local.member.is_some() {
            return local.pop_as_member();
        }
        match local.pop_entry()? {
            Entry::Task(task) => Some(Next::Task(task)),
            Entry::Main => Some(Next::Main),
            Entry::Shared => unreachable!("a member's token"),
        }
    }

    /// Moves what other threads have made ready to the local side.
    #[inline]
    pub(crate) fn take_remote(&self) {
        if !self.queue.remote.is_empty() {
            self.take_remote_entries();
        }
        if let Ok(mut local) = self.local().try_borrow_mut() {
            if let Some(member) = &mut local.member {
                let count = member.take_injected();
                local.queue_tokens(count);
            }
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
        let local = self.local().borrow();
        local.ready.len() + usize::from(local.is_hot())
    }

    /// Makes this the worker at `seat`.
    pub(crate) fn join(&self, member: Member<Runnable>) {
        self.local().borrow_mut().member = Some(member);
    }

    pub(crate) fn is_member_of(&self, executor: &Arc<Shared<Runnable>>) -> bool {
        self.local().borrow().member.as_ref().is_some_and(|member| Arc::ptr_eq(member.shared(), executor))
    }

    /// Returns the seat of this worker, if it is one of several.
    pub(crate) fn seat(&self) -> Option<Arc<Seat<Runnable>>> {
        self.local().borrow().member.as_ref().map(|member| member.seat().clone())
    }

    /// Looks for something to do: here, and then elsewhere. If there is nothing, this worker sleeps from now on, until it
    /// [rises](Self::rise).
    pub(crate) fn find_or_sleep(&self) -> bool {
        if self.ready_count() > 0 {
            return true;
        }
        self.with_member(Member::find_or_sleep)
    }

    /// Ends the sleep.
    pub(crate) fn rise(&self) {
        self.with_member(Member::rise);
    }

    /// Lets others have what is ready here, because this worker will not look at it for a while.
    pub(crate) fn step_away(&self) {
        self.with_member(Member::step_away);
    }

    fn with_member(&self, step: impl FnOnce(&mut Member<Runnable>) -> Found) -> bool {
        let mut local = self.local().borrow_mut();
        let Some(member) = &mut local.member else { return false };
        let found = step(member);
        let helper = found.needs_help.then(|| member.shared().clone());
        local.queue_tokens(found.count);
        drop(local);
        if let Some(shared) = helper {
            shared.summon();
        }
        found.count > 0
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
        // A user's schedule may hold a `Spawner`, and that the queue; so does the executor, whose seat is given up.
        let schedule = local.schedule.take();
        let member = local.member.take();
        drop(local);
        drop((shells, schedule, member));
    }
}

impl Local {
    #[inline]
    fn pop_entry(&mut self) -> Option<Entry> {
        if self.round_left == 0 {
            self.round_left = self.ready.len();
        }
        self.round_left = self.round_left.checked_sub(1)?;
        if self.schedule.is_some() {
            return self.pop_scheduled();
        }
        self.ready.pop_front()
    }

    /// What is hot first; and past the tokens whose items were stolen.
    #[inline]
    fn pop_as_member(&mut self) -> Option<Next> {
        let member = self.member.as_mut()?;
        match member.take_hot() {
            FromHot::Run(runnable) => return Some(Next::Shared(runnable)),
            FromHot::Drop(runnable) => return Some(Next::Dropped(runnable)),
            FromHot::Queued => self.ready.push_back(Entry::Shared),
            FromHot::Nothing => {}
        }
        loop {
            let entry = self.pop_entry()?;
            let member = self.member.as_mut()?;
            match entry {
                Entry::Task(task) => return Some(Next::Task(task)),
                Entry::Main => {
                    member.is_attentive = false;
                    return Some(Next::Main);
                }
                Entry::Shared => {
                    if let Some(runnable) = member.take_next() {
                        return Some(Next::Shared(runnable));
                    }
                }
            }
        }
    }

    fn is_hot(&self) -> bool {
        self.member.as_ref().is_some_and(Member::is_hot)
    }

    fn queue_tokens(&mut self, count: usize) {
        self.ready.extend(std::iter::repeat_with(|| Entry::Shared).take(count));
    }

    /// Makes a task ready here, and says for whom.
    #[inline]
    fn push_shared(&mut self, runnable: Runnable, because: Because) -> Pushed {
        let is_in_task = current::is_in_task();
        let Some(member) = &mut self.member else { unreachable!("a member's task") };
        if is_in_task && because == Because::Woken {
            // It talks to the one that is polled now, whose data is at hand.
            if !member.push_hot(runnable) {
                return Pushed::Hot;
            }
            self.ready.push_back(Entry::Shared);
            return Pushed::ForAll;
        }
        let is_next = member.is_attentive && !is_in_task && self.ready.is_empty() && !member.is_hot();
        member.push(runnable);
        self.ready.push_back(Entry::Shared);
        if is_next { Pushed::Next } else { Pushed::ForAll }
    }

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

/// Makes a task of an executor of several workers ready at the worker of this thread; gives it back where this is none of them.
#[inline]
pub(crate) fn push_here(
    executor: *const Shared<Runnable>,
    runnable: Runnable,
    because: Because,
) -> Result<(), Runnable> {
    let queue = current::queue();
    if queue.is_null() {
        return Err(runnable);
    }
    let helper = {
        // SAFETY: an `Entered` holds an `Arc` of the queue that is current, and nothing here drops it: no code of a user's runs.
        let queue = unsafe { &*queue };
        // SAFETY: E1: it is entered on this thread.
        let Ok(mut local) = (unsafe { queue.owner_side() }).try_borrow_mut() else { return Err(runnable) };
        let is_member =
            local.member.as_ref().is_some_and(|member| ptr::eq(Arc::as_ptr(member.shared()), executor));
        if !is_member {
            return Err(runnable);
        }
        let pushed = local.push_shared(runnable, because);
        if pushed == Pushed::Hot {
            return Ok(());
        }
        let Some(member) = &local.member else { unreachable!("it is a member") };
        match member.shared().attention() {
            Attention::Given => None,
            Attention::Wanted if pushed == Pushed::Next => None,
            Attention::Wanted | Attention::Closed => Some(member.shared().clone()),
        }
    };
    if let Some(shared) = helper {
        shared.after_push();
    }
    Ok(())
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

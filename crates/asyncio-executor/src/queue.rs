//! [`Queue`]: the ready queue of one thread, and the list of its live tasks.
//!
//! The queue has two sides. The local side belongs to the thread that made the executor and takes neither lock nor atomic; the
//! remote side takes wakes from every other thread.
//!
//! - E1: the local side is touched only by its *owner*, the thread on which the executor was made. Two ways lead to it: through
//!   `LocalExecutor`, which is `!Send`, and through what is current on a thread (`current.rs`), which only the owner's `EnterGuard` sets.
//! - E2: a borrow of the local side never spans user code. Where a user's `Schedule` wakes or spawns a task from inside a choice, the
//!   borrow is seen and the task takes the remote side.
//! - E3: the future of a task of this queue is polled and dropped on the owner alone (K4 in `task/local.rs`), and `close` does not return
//!   before every future is gone. What arrives later is an empty shell.
//! - E4: the remote side publishes last: after the push only a count of the queue that was taken before it is touched
//!   (async-executor #163 was the bug).

#![expect(unsafe_code, reason = "one thread's side of a queue that all threads hold")]

use std::cell::{RefCell, RefMut};
use std::fmt;
use std::mem::ManuallyDrop;
use std::num::NonZeroU64;
use std::ptr;
use std::task::Waker;
use std::thread::ThreadId;

use asyncio_base::LoopClosed;
use asyncio_base::budget::{self, Grant};
use asyncio_base::shim::{Arc, AtomicBool, Ordering, UnsafeCell, Weak};

use concurrent_queue::{ConcurrentQueue, PushError};
use slab::Slab;

use crate::current::{self, Entered};
use crate::header::TaskId;
use crate::lent::Lent;
use crate::local::{NoExecutor, Ran, Stopped};
use crate::main_waker::MainWaker;
use crate::ready::{Because, Entry, Next, Ready};
use crate::schedule::Schedule;
use crate::spawn;
use crate::task::{LocalTask, Reference, Runnable};
use crate::watch::Watch;
use crate::workers::{Found, Member, Seat, Shared};

/// The ready queue of one thread.
pub(crate) struct Queue {
    local: Owned<RefCell<Local>>,
    remote: ConcurrentQueue<Entry>,
    /// Woken after a push to the remote side.
    unpark: Waker,
    /// Set by the owner before it drops the futures; read by the owner, and by whoever asks from afar.
    is_closing: AtomicBool,
    /// The owner's: an executor does not leave the thread on which it was made.
    thread: ThreadId,
    /// The owner's: so many counts of this queue are kept by itself, for the tasks to come (`lent.rs`).
    spare: Owned<UnsafeCell<u32>>,
}

struct Local {
    ready: Ready,
    /// Live tasks, by which `close` gets hold of their futures.
    tasks: Slab<LocalTask>,
    budget: u32,
    next_id: u64,
    ids_end: u64,
    /// There if somebody asks how long polls take.
    watch: Option<Arc<Watch>>,
    /// Weak: it has the queue.
    main: Weak<MainWaker>,
    /// Where the last run of polls began, on the owner's stack.
    stack_base: usize,
}

/// Something that only the owner touches (E1).
struct Owned<T>(T);

// SAFETY: E1. The value is reached through `Queue::owner_side` or `with_spare`, which are unsafe and ask for the owner's thread; and it is
// dropped with the queue, when the last waker is: by then `close` has emptied it (E3), or the executor was leaked with it.
unsafe impl<T> Send for Owned<T> {}
// SAFETY: as above.
unsafe impl<T> Sync for Owned<T> {}

impl Queue {
    pub(crate) fn new(unpark: Waker, schedule: Option<Box<dyn Schedule>>) -> Self {
        let local = Local {
            ready: Ready::new(schedule),
            tasks: Slab::new(),
            budget: budget::DEFAULT,
            next_id: 0,
            ids_end: 0,
            watch: None,
            main: Weak::new(),
            stack_base: 0,
        };
        Self {
            local: Owned(RefCell::new(local)),
            remote: ConcurrentQueue::unbounded(),
            unpark,
            is_closing: AtomicBool::new(false),
            thread: std::thread::current().id(),
            spare: Owned(UnsafeCell::new(0)),
        }
    }

    /// Says whether this is its owner's thread.
    pub(crate) fn is_owned_here(&self) -> bool {
        std::thread::current().id() == self.thread
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
                local.ready.push(entry);
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

    /// Makes the entry of the main future ready, from any thread. `this` is a count of the caller's own (E4).
    #[inline]
    pub(crate) fn push_main(this: &Arc<Self>) {
        // SAFETY: where the queue is entered is the owner's thread.
        let is_pushed = this.is_entered() && unsafe { this.push_ready(Entry::Main) }.is_ok();
        if !is_pushed {
            Self::push_remote(this, Entry::Main);
        }
    }

    /// Hands a new task to the owner; ends it where the queue is closed, and says so. `this` is a count of the caller's own (E4).
    pub(crate) fn push_new(this: &Arc<Self>, task: LocalTask) -> Result<(), LoopClosed> {
        match this.remote.push(Entry::Task(task)).map_err(PushError::into_inner) {
            Ok(()) => {
                this.unpark.wake_by_ref();
                Ok(())
            }
            Err(Entry::Task(task)) => {
                task.cancel_unlisted();
                Err(LoopClosed::new())
            }
            Err(Entry::Main | Entry::Shared) => unreachable!("a task was pushed"),
        }
    }

    /// # Safety
    ///
    /// - The caller is on the owner's thread (E1).
    #[inline]
    unsafe fn owner_side(&self) -> &RefCell<Local> {
        &self.local.0
    }

    /// # Safety
    ///
    /// - The caller is on the owner's thread (E1).
    /// - `f` does not come here again.
    #[inline]
    pub(crate) unsafe fn with_spare<R>(&self, f: impl FnOnce(&mut u32) -> R) -> R {
        // SAFETY: one thread, and not from inside: nobody else is there while `f` runs.
        self.spare.0.with_mut(|spare| f(unsafe { &mut *spare }))
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.is_closing.load(Ordering::Acquire)
    }
}

/// What a worker gives to a task that may move.
pub(crate) struct Birth {
    pub(crate) seat: Arc<Seat<Runnable>>,
    pub(crate) id: TaskId,
    /// The budget of its polls there.
    pub(crate) units: u32,
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

    /// The same without a count of its own.
    ///
    /// # Safety
    ///
    /// - While what is returned is used, the queue stays entered, or somebody else keeps it.
    #[inline]
    pub(crate) unsafe fn borrow_current() -> Option<ManuallyDrop<Self>> {
        let queue = current::queue();
        if queue.is_null() {
            return None;
        }
        // SAFETY: it comes from an `Arc`, whose count the caller answers for; this one is not dropped.
        let queue = unsafe { Arc::from_raw(queue) };
        Some(ManuallyDrop::new(Self { queue, _not_send: std::marker::PhantomData }))
    }

    /// Returns what the worker of this thread gives to a task that is spawned there; `Ok(None)` where the executor stands by itself.
    #[inline]
    pub(crate) fn birth_here() -> Result<Option<Birth>, NoExecutor> {
        // SAFETY: no code of a user's runs here, so it stays entered.
        let owner = unsafe { Self::borrow_current() }.ok_or(NoExecutor(()))?;
        let Some(seat) = owner.seat() else { return Ok(None) };
        Ok(Some(Birth { seat, id: owner.fresh_id(), units: owner.budget() }))
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

    /// Returns an id of this queue's block; of another one where a user's schedule is choosing (E2).
    #[inline]
    pub(crate) fn fresh_id(&self) -> TaskId {
        self.local().try_borrow_mut().map_or_else(|_| spawn::fresh_id(), |mut local| local.fresh_id())
    }

    /// Takes a new task into the list of live tasks and makes it ready; or ends it at once, if the queue is closing.
    #[inline]
    pub(crate) fn take_in(&self, task: LocalTask) {
        if let Some((mut local, task)) = self.list(task) {
            local.ready.push(Entry::Task(task));
        }
    }

    /// The same, but that it is polled here and now.
    #[cold]
    pub(crate) fn take_in_and_run(&self, task: LocalTask) {
        let Some((local, task)) = self.list(task) else { return };
        let units = local.budget;
        drop(local);
        let kept = task.clone();
        budget::with_budget(units, || task.run_cold(self));
        if self.queue.is_closing() {
            // It has closed its own executor, which passed it over, since it was being polled.
            kept.cancel(self);
            // If it had woken itself, it is there once more.
            self.empty();
        }
    }

    /// Takes a new task into the list of live tasks, and returns it; or nothing, where the queue is closing or a schedule is choosing.
    #[inline]
    fn list(&self, task: LocalTask) -> Option<(RefMut<'_, Local>, LocalTask)> {
        if self.queue.is_closing() {
            task.cancel_unlisted();
            return None;
        }
        let Ok(mut local) = self.local().try_borrow_mut() else {
            // E2. That side is open: it is the owner who closes it.
            Queue::push_remote(&self.queue, Entry::Task(task));
            return None;
        };
        let slot = local.tasks.insert(task.clone());
        task.set_slot(u32::try_from(slot).expect("an executor holds fewer than 2^32 tasks"));
        Some((local, task))
    }

    /// Takes a task that ends out of the list of live tasks.
    #[inline]
    pub(crate) fn unregister(&self, slot: u32) -> LocalTask {
        self.local().borrow_mut().tasks.remove(slot as usize)
    }

    /// Polls at most `limit` ready tasks, in the order of the schedule, until it is the main future's turn.
    pub(crate) fn run_up_to(&self, limit: usize) -> Ran {
        self.take_remote();
        let grant = Grant::of(self.budget());
        let is_watched = {
            let mut local = self.local().borrow_mut();
            local.ready.set_attentive(true);
            local.stack_base = ptr::from_ref(&grant).addr();
            local.watch.is_some()
        };
        let ran = if is_watched { self.run_watched(limit, grant) } else { self.run(limit, grant) };
        self.local().borrow_mut().ready.set_attentive(false);
        ran
    }

    #[inline(always)]
    fn run(&self, limit: usize, grant: Grant) -> Ran {
        let granting = grant.begin();
        let mut polls = 0;
        while polls < limit {
            let next = self.local().borrow_mut().ready.pop();
            match next {
                Some(Next::Task(task)) => {
                    granting.renew();
                    task.run(self);
                }
                Some(Next::Shared(runnable)) => {
                    granting.renew();
                    runnable.run();
                }
                Some(Next::Dropped(runnable)) => {
                    granting.pause();
                    drop(runnable);
                }
                Some(Next::Announce(helper)) => {
                    granting.pause();
                    helper.announce();
                    continue;
                }
                Some(Next::Main) => return Ran { polls, stopped: Stopped::Main },
                None => return Ran { polls, stopped: Stopped::Idle },
            }
            polls += 1;
        }
        Ran { polls, stopped: Stopped::Limit }
    }

    /// The same, under somebody's eyes.
    #[cold]
    #[inline(never)]
    fn run_watched(&self, limit: usize, grant: Grant) -> Ran {
        let watch = self.local().borrow().watch.clone().unwrap_or_default();
        let mut watching = watch.begin();
        let mut polls = 0;
        let stopped = loop {
            if polls == limit {
                break Stopped::Limit;
            }
            let next = self.local().borrow_mut().ready.pop();
            match next {
                Some(Next::Task(next)) => {
                    let task = next.clone();
                    watching.poll(task.header(), || {
                        grant.during(|| next.run_cold(self));
                        task.has_ended()
                    });
                }
                Some(Next::Shared(runnable)) => {
                    let task = runnable.task();
                    watching.poll(task.header(), || {
                        grant.during(|| runnable.run());
                        task.has_ended()
                    });
                }
                Some(Next::Dropped(runnable)) => drop(runnable),
                Some(Next::Announce(helper)) => {
                    helper.announce();
                    continue;
                }
                Some(Next::Main) => {
                    watching.stop_for_main();
                    break Stopped::Main;
                }
                None => break Stopped::Idle,
            }
            polls += 1;
        };
        Ran { polls, stopped }
    }

    /// Moves what other threads have made ready to the local side.
    #[inline]
    pub(crate) fn take_remote(&self) {
        if !self.queue.remote.is_empty() {
            self.take_remote_entries();
        }
        // E2: from inside a user's choice nothing is moved.
        let taken = self.local().try_borrow_mut().ok().and_then(|mut local| local.ready.take_injected());
        if let Some(helper) = taken {
            helper.announce();
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
                entry => self.local().borrow_mut().ready.push(entry),
            }
        }
    }

    pub(crate) fn ready_count(&self) -> usize {
        self.take_remote();
        self.local().borrow().ready.count()
    }

    /// Makes this the worker at `seat`.
    pub(crate) fn join(&self, member: Member<Runnable>) {
        self.local().borrow_mut().ready.join(member);
    }

    pub(crate) fn is_member_of(&self, executor: &Arc<Shared<Runnable>>) -> bool {
        // E2: whoever has a schedule is no member.
        let Ok(local) = self.local().try_borrow() else { return false };
        local.ready.member().is_some_and(|member| Arc::ptr_eq(member.shared(), executor))
    }

    /// Returns the seat of this worker, if it is one of several.
    pub(crate) fn seat(&self) -> Option<Arc<Seat<Runnable>>> {
        self.local().try_borrow().ok()?.ready.member().map(|member| member.seat().clone())
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
        let (has_found, helper) = self.local().borrow_mut().ready.with_member(step);
        if let Some(helper) = helper {
            helper.announce();
        }
        has_found
    }

    pub(crate) fn task_count(&self) -> usize {
        self.local().borrow().tasks.len()
    }

    /// Returns the tasks that have not ended.
    pub(crate) fn tasks(&self) -> Vec<LocalTask> {
        self.local().borrow().tasks.iter().map(|(_, task)| task.clone()).collect()
    }

    pub(crate) fn set_watch(&self, watch: Option<Arc<Watch>>) {
        let former = std::mem::replace(&mut self.local().borrow_mut().watch, watch);
        drop(former);
    }

    pub(crate) fn set_main(&self, main: &Arc<MainWaker>) {
        self.local().borrow_mut().main = Arc::downgrade(main);
    }

    /// Returns what wakes the main future, if there is or was one.
    pub(crate) fn main(&self) -> Option<Arc<MainWaker>> {
        self.local().try_borrow().ok()?.main.upgrade().filter(|main| main.is_used())
    }

    /// Returns an address of the frame that runs the polls of this thread.
    pub(crate) fn stack_base(&self) -> Option<usize> {
        let base = self.local().try_borrow().ok()?.stack_base;
        (base > 0).then_some(base)
    }

    pub(crate) fn budget(&self) -> u32 {
        self.local().borrow().budget
    }

    pub(crate) fn set_budget(&self, units: u32) {
        self.local().borrow_mut().budget = units.clamp(1, budget::MAX);
    }

    /// Drops every future in place, here, and then closes the queue (E3).
    pub(crate) fn close(&self) {
        self.queue.is_closing.store(true, Ordering::Release);
        // First, for what is below may panic.
        Lent::drop_spare(self);
        let _entered = self.enter();
        // What they spawn meanwhile is dropped where it is spawned.
        self.tasks().into_iter().for_each(|task| task.cancel(self));
        // But for one that closes its own executor from inside of an eager poll, and is ended after that.
        debug_assert!(self.task_count() == 0 || current::is_in_task(), "all have ended");
        self.queue.remote.close();
        while let Ok(entry) = self.queue.remote.pop() {
            match entry {
                Entry::Task(task) if task.is_unlisted() => task.cancel_unlisted(),
                shell => drop(shell),
            }
        }
        self.empty();
    }

    /// Drops what is left of a queue that is closed.
    fn empty(&self) {
        // Outside of the borrow: shells, a user's schedule, and the seat that is given up. The latter two may hold the queue.
        let ready = std::mem::replace(&mut self.local().borrow_mut().ready, Ready::new(None));
        drop(ready);
    }
}

impl Local {
    /// Takes the next id from a block of this queue's own, so that spawning does not touch what all threads share.
    #[inline]
    fn fresh_id(&mut self) -> TaskId {
        if self.next_id == self.ids_end {
            (self.next_id, self.ids_end) = spawn::take_ids();
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
    let helper = {
        // SAFETY: an `Entered` keeps the queue that is current, and nothing here drops that: no code of a user's runs.
        let Some(owner) = (unsafe { Owner::borrow_current() }) else { return Err(runnable) };
        let Ok(mut local) = owner.local().try_borrow_mut() else { return Err(runnable) };
        local.ready.push_shared(executor, runnable, because)?
    };
    if let Some(helper) = helper {
        helper.announce();
    }
    Ok(())
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue")
            .field("remote", &self.remote.len())
            .field("is_closing", &self.is_closing())
            .finish_non_exhaustive()
    }
}

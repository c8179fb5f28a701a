//! [`Shared`]: what the workers of one executor share: a seat for each, the injection queue, and who sleeps.
//!
//! No lock is taken by all workers on a hot path: a seat's ring is lock-free for its owner; its list of tasks that wait is locked by the
//! worker where one waits first, and by whoever ends it; and the injection queue is lock-free.
//!
//! - S1: a seat has at most one occupant, who has the own end of its ring.
//! - S2: closing comes in this order: the executor says that it is closed, at each seat too; each list of tasks that wait is closed, so that
//!   none is added; every task in them is made ready; every queue is emptied, which drops what is in it, on the thread that closes. Until
//!   then whoever makes a task ready leaves it to that thread; afterwards he empties the queues himself ([`Attention::Closed`]). A worker
//!   that comes to a task drops it instead of polling it; one that it was polling already is made ready once more at the end of that
//!   poll, if it has not ended ([`Registration`](super::Registration)).
//! - S3: no user code runs under a lock: wakers and tasks are taken out first.

use std::cell::Cell;
use std::fmt;
use std::ptr;
use std::task::Waker;

use asyncio_base::per_thread;
use asyncio_base::shim::{Arc, AtomicBool, AtomicU32, Mutex, Ordering, Weak, seq_cst, thread};
use concurrent_queue::ConcurrentQueue;
use slab::Slab;

use super::hot::Hot;
use super::idle::{Attention, Idle, NOBODY};
use super::ring::{self, OwnEnd, Raw, STOLEN_MAX, Stealer};
use crate::spawn::Spawner;
use crate::task::MovableTask;

pub(crate) struct Shared<T: Raw> {
    injected: ConcurrentQueue<T>,
    idle: Idle,
    seats: Box<[Arc<Seat<T>>]>,
}

/// What a worker has that others reach for. Aligned as `Padded` is, for the same reason.
#[repr(align(128))]
pub(crate) struct Seat<T: Raw> {
    /// Weak: a task keeps its seat, and must not keep the executor.
    shared: Weak<Shared<T>>,
    index: usize,
    stealer: Stealer<T>,
    /// The task that the present poll woke last.
    hot: Hot<T>,
    /// Whether the executor is closed, for tasks: they have no way to the rest.
    is_closed: AtomicBool,
    /// How often all tasks were asked to end.
    generation: AtomicU32,
    /// The tasks that waited here first, and have not ended.
    waiting: Mutex<Waiting>,
    occupant: Mutex<Occupant<T>>,
}

/// Tasks that wait are in no queue; by this, closing gets hold of them. A task that is ready at its first poll never comes here.
#[derive(Default)]
struct Waiting {
    tasks: Slab<MovableTask>,
    is_closed: bool,
}

/// Who sits there (S1).
enum Occupant<T: Raw> {
    Nobody(OwnEnd<T>),
    Worker(Arc<Occupied>),
}

struct Occupied {
    unpark: Waker,
    spawner: Spawner,
}

per_thread! {
    /// The closed executor whose queues this thread is emptying.
    static EMPTYING: Cell<*const ()> = Cell::new(ptr::null());
}

impl<T: Raw> Shared<T> {
    pub(super) fn new(workers: usize) -> Arc<Self> {
        Arc::new_cyclic(|shared| Self {
            injected: ConcurrentQueue::unbounded(),
            idle: Idle::new(workers),
            seats: (0..workers).map(|index| Arc::new(Seat::new(shared.clone(), index))).collect(),
        })
    }

    pub(crate) fn seats(&self) -> &[Arc<Seat<T>>] {
        &self.seats
    }

    pub(super) fn idle(&self) -> &Idle {
        &self.idle
    }

    /// Hands an item to whichever worker comes first.
    pub(crate) fn inject(&self, item: T) {
        // OK because it has no bound and is not closed.
        let pushed = self.injected.push(item);
        debug_assert!(pushed.is_ok(), "it takes all");
        self.after_push(NOBODY);
    }

    #[inline]
    pub(crate) fn attention(&self) -> Attention {
        self.idle.attention()
    }

    /// What comes after each push, outside of every lock: somebody may have to be summoned for it, other than the worker that pushed.
    pub(crate) fn after_push(&self, worker: usize) {
        match self.attention() {
            Attention::Given => {}
            Attention::Wanted => self.summon(worker),
            Attention::Closed => self.drop_queued(),
        }
    }

    /// Summons one that sleeps, other than `besides`, unless somebody searches.
    #[cold]
    pub(crate) fn summon(&self, besides: usize) {
        if let Some(worker) = self.idle.summon(besides, || self.has_work_besides(besides)) {
            if let Some(occupied) = self.seats[worker].occupied() {
                occupied.unpark.wake_by_ref();
            }
        }
    }

    /// Says whether there is something to be found by those who search. What is in a hot place is not: its owner is about to come to it.
    pub(super) fn has_work(&self) -> bool {
        self.has_work_besides(NOBODY)
    }

    /// The same, besides what is in the ring of this worker.
    pub(super) fn has_work_besides(&self, worker: usize) -> bool {
        seq_cst();
        let others = || self.seats.iter().filter(|seat| seat.index != worker);
        !self.injected.is_empty() || others().any(|seat| !seat.stealer.is_empty())
    }

    pub(super) fn is_anything_injected(&self) -> bool {
        !self.injected.is_empty()
    }

    /// Takes this worker's part of what was injected.
    pub(super) fn take_injected(&self, mut receive: impl FnMut(T)) -> usize {
        let share = (self.injected.len() / self.seats.len() + 1).min(STOLEN_MAX);
        let taken = (0..share).map_while(|_| self.injected.pop().ok());
        taken.map(&mut receive).count()
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.idle.is_closed()
    }

    /// Asks all tasks that there are to end, and wakes those that wait.
    pub(super) fn request_cancel_all(&self) {
        for seat in &self.seats {
            // SeqCst: a task that begins to wait registers and then reads this; this is written before those that wait are looked for.
            seat.generation.fetch_add(1, Ordering::SeqCst);
        }
        for seat in &self.seats {
            seat.listed().into_iter().for_each(MovableTask::wake);
        }
    }

    /// Returns the tasks that have waited and have not ended.
    pub(crate) fn listed(&self) -> Vec<MovableTask> {
        self.seats.iter().flat_map(|seat| seat.listed()).collect()
    }

    /// Says whether no task is left: none is queued, every worker but `besides` sleeps or is not there, and none waits.
    pub(super) fn is_quiet(&self, besides: usize) -> bool {
        let is_anything_queued = self.has_work() || self.seats.iter().any(|seat| !seat.hot.is_empty());
        let mut others = self.seats.iter().filter(|seat| seat.index != besides);
        !is_anything_queued
            && others.all(|seat| self.idle.is_asleep(seat.index) || seat.occupied().is_none())
            && self.seats.iter().all(|seat| seat.waiting.lock().tasks.is_empty())
    }

    /// Closes (S2). Every task that is not being polled right now is gone afterwards; those that are go at the end of their poll.
    pub(crate) fn close(&self) {
        self.idle.close();
        seq_cst();
        for seat in &self.seats {
            // Release: pairs with the Acquire in `Seat::is_closed`.
            seat.is_closed.store(true, Ordering::Release);
        }
        for seat in &self.seats {
            seat.close_registry().into_iter().for_each(|(_, task)| task.wake());
        }
        self.drop_queued();
        self.idle.set_emptied();
        // What came before that was left to us.
        seq_cst();
        self.drop_queued();
    }

    /// Drops what is in the queues of a closed executor, and what that makes ready: one after the other, not one inside of the other.
    #[cold]
    fn drop_queued(&self) {
        struct Emptying(*const ());
        impl Drop for Emptying {
            fn drop(&mut self) {
                EMPTYING.with(|emptying| emptying.set(self.0));
            }
        }
        let me = ptr::from_ref(self).cast();
        let former = EMPTYING.with(|emptying| emptying.replace(me));
        let _emptying = Emptying(former);
        if former == me {
            return;
        }
        loop {
            let injected = self.injected.pop().map(drop).is_ok();
            let queued = self.seats.iter().any(|seat| {
                let hot = seat.hot.take().map(drop).is_some();
                hot || seat.stealer.steal(drop) > 0
            });
            if !injected && !queued {
                if !self.has_work() {
                    return;
                }
                // Somebody else is at it.
                thread::yield_now();
            }
        }
    }
}

impl<T: Raw> Seat<T> {
    fn new(shared: Weak<Shared<T>>, index: usize) -> Self {
        let (own, stealer) = ring::new();
        Self {
            shared,
            index,
            stealer,
            hot: Hot::new(),
            is_closed: AtomicBool::new(false),
            generation: AtomicU32::new(0),
            waiting: Mutex::default(),
            occupant: Mutex::new(Occupant::Nobody(own)),
        }
    }

    pub(crate) fn shared(&self) -> &Weak<Shared<T>> {
        &self.shared
    }

    pub(crate) fn index(&self) -> usize {
        self.index
    }

    pub(super) fn stealer(&self) -> &Stealer<T> {
        &self.stealer
    }

    /// Says whether the executor is closed.
    #[inline]
    pub(crate) fn is_closed(&self) -> bool {
        // Acquire: pairs with the Release in `close`.
        self.is_closed.load(Ordering::Acquire)
    }

    #[inline]
    pub(crate) fn generation(&self) -> u32 {
        self.generation.load(Ordering::SeqCst)
    }

    /// Takes a task in that waits, and returns its key; `None` if the executor is closed.
    pub(super) fn register(&self, task: MovableTask) -> Option<usize> {
        let mut waiting = self.waiting.lock();
        if waiting.is_closed {
            drop(waiting);
            drop(task);
            return None;
        }
        Some(waiting.tasks.insert(task))
    }

    fn listed(&self) -> Vec<MovableTask> {
        self.waiting.lock().tasks.iter().map(|(_, task)| task.clone()).collect()
    }

    pub(super) fn unregister(&self, key: usize) {
        // Not there if the executor was closed meanwhile.
        let task = self.waiting.lock().tasks.try_remove(key);
        drop(task);
    }

    fn close_registry(&self) -> Slab<MovableTask> {
        let mut waiting = self.waiting.lock();
        waiting.is_closed = true;
        std::mem::take(&mut waiting.tasks)
    }

    pub(super) fn hot(&self) -> &Hot<T> {
        &self.hot
    }

    /// Sits down; `None` if somebody sits there.
    pub(super) fn occupy(&self, unpark: Waker, spawner: Spawner) -> Option<OwnEnd<T>> {
        let occupied = Arc::new(Occupied { unpark, spawner });
        let mut occupant = self.occupant.lock();
        match std::mem::replace(&mut *occupant, Occupant::Worker(occupied)) {
            Occupant::Nobody(own) => Some(own),
            former @ Occupant::Worker(_) => {
                let refused = std::mem::replace(&mut *occupant, former);
                drop(occupant);
                drop(refused);
                None
            }
        }
    }

    pub(super) fn vacate(&self, own: OwnEnd<T>) {
        let former = std::mem::replace(&mut *self.occupant.lock(), Occupant::Nobody(own));
        drop(former);
    }

    fn occupied(&self) -> Option<Arc<Occupied>> {
        match &*self.occupant.lock() {
            Occupant::Worker(occupied) => Some(occupied.clone()),
            Occupant::Nobody(_) => None,
        }
    }

    /// Returns what spawns onto the worker that sits here.
    pub(crate) fn spawner(&self) -> Option<Spawner> {
        self.occupied().map(|occupied| occupied.spawner.clone())
    }
}

impl<T: Raw> fmt::Debug for Shared<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("workers", &self.seats.len())
            .field("idle", &self.idle)
            .field("injected", &self.injected.len())
            .field("is_closed", &self.is_closed())
            .finish()
    }
}

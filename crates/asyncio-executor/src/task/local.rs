//! [`LocalTask`]: a counted reference to a task of a [`Queue`].
//!
//! Its waker is a pointer to it. Wakes and references of the owner's thread take no atomic, which is what a wake costs elsewhere.
//!
//! - K1: flags and stage belong to the owner: the thread on which the queue was made. A reference knows that it is on it where the queue is
//!   entered ([`Queue::is_entered`]) or where an `Owner` is at hand. Everywhere else it goes the remote way, which is always right.
//!   A task that is `UNLISTED` has no owner yet: whoever made it has it to himself, with its handle, until he hands it over.
//! - K2: a task is in the ready queue at most once: `QUEUED` says so. A wake while it is being polled only sets the flag; the end of the poll
//!   puts it into the queue. So no poll nests in another one of the same task.
//! - K3: a remote wake sets `is_woken_remotely` and, if it was clear, pushes a reference to the remote side. The owner clears it when it
//!   takes the reference over, before the poll. Both are swaps, so the poll sees what came before a wake that found it set.
//! - K4: the future is polled and dropped by the owner alone, and gone when the task has ended. The output is stored before
//!   `Join` says so; then it is the handle's (`join.rs`).
//! - K5: the list of live tasks holds a reference until the task ends; then the counts are settled (`counts.rs`). Whatever is left
//!   after that, on any thread, holds memory and nothing else.

#![expect(unsafe_code, reason = "futures that are not `Send` in tasks whose wakers are")]

use std::cell::Cell;
use std::future::Future;
use std::mem::{self, ManuallyDrop};
use std::ptr::NonNull;
use std::task::{Context, RawWaker, RawWakerVTable, Waker};

use asyncio_base::shim::{Arc, AtomicBool, Ordering};

use super::counts::Counts;
use super::join::AtEnd;
use super::{Core, Reference, TaskHandle, guard, stage};
use crate::current::Polling;
use crate::header::{Header, TaskState};
use crate::lent::Lent;
use crate::queue::{Owner, Queue};
use crate::ready::Entry;

/// It is in the ready queue, or will be put into it after this poll.
const QUEUED: u8 = 1;
/// It is being polled, or its future is being dropped.
const RUNNING: u8 = 1 << 1;
/// Its future is gone.
const ENDED: u8 = 1 << 2;
/// Not in the list of live tasks yet: whoever made it has it to himself, with its handle.
const UNLISTED: u32 = u32::MAX;

/// What a task of a queue has besides what all tasks have.
pub(crate) struct Local {
    queue: Lent,
    counts: Counts,
    /// The owner's (K1).
    flags: Cell<u8>,
    is_woken_remotely: AtomicBool,
    /// The owner's (K1): its place in the list of live tasks, or `UNLISTED`.
    slot: Cell<u32>,
}

/// A counted reference to a task.
pub(crate) struct LocalTask(NonNull<Core<Local>>);

// SAFETY: what a reference does away from the owner's thread touches atomics only (K1, C1), and in the end frees memory in which neither
// future nor output is left (K4, K5).
unsafe impl Send for LocalTask {}
// SAFETY: as above: every method asks where it is.
unsafe impl Sync for LocalTask {}

static WAKER: RawWakerVTable = RawWakerVTable::new(
    |data| {
        // SAFETY: `data` is of a waker that lives, and so has a reference.
        let task = unsafe { LocalTask::borrowed(data) };
        mem::forget(LocalTask::clone(&task));
        RawWaker::new(data, &WAKER)
    },
    // SAFETY: the waker's reference passes to this one.
    |data| unsafe { LocalTask::from_data(data) }.wake(),
    // SAFETY: `data` is of a waker that lives, and so has a reference.
    |data| unsafe { LocalTask::borrowed(data) }.wake_by_ref(),
    // SAFETY: the waker's reference passes to this one.
    |data| drop(unsafe { LocalTask::from_data(data) }),
);

// SAFETY: it counts as one from when it is made until it is dropped.
unsafe impl Reference for LocalTask {
    type Kind = Local;

    #[inline]
    fn pointer(&self) -> NonNull<Core<Local>> {
        self.0
    }

    #[inline]
    unsafe fn from_pointer(pointer: NonNull<Core<Local>>) -> Self {
        Self(pointer)
    }

    #[inline]
    fn wake_by_ref(&self) {
        if self.core().kind.queue.is_entered() {
            if self.must_push() {
                // SAFETY: where the queue is entered is the owner's thread.
                unsafe { self.push_clone() };
            }
        } else if !self.core().kind.is_woken_remotely.swap(true, Ordering::AcqRel) {
            self.push_clone_remotely();
        }
    }
}

impl LocalTask {
    /// Makes a task for `queue` that is in no list yet. The caller has it to himself until he hands it over.
    pub(crate) fn create<F>(queue: Lent, header: Header, future: F) -> (Self, TaskHandle<Self, F::Output>)
    where
        F: Future + 'static,
        F::Output: 'static,
    {
        let local = Local {
            queue,
            counts: Counts::new(2),
            flags: QUEUED.into(),
            is_woken_remotely: AtomicBool::new(false),
            slot: UNLISTED.into(),
        };
        let pointer = stage::allocate(local, header, future);
        (Self(pointer), TaskHandle::new(Self(pointer)))
    }

    /// Says what the task is doing. On the owner's thread.
    pub(crate) fn state(&self) -> TaskState {
        match self.core().kind.flags.get() {
            flags if flags & RUNNING != 0 => TaskState::Running,
            flags if flags & QUEUED != 0 || self.core().kind.is_woken_remotely.load(Ordering::Relaxed) => {
                TaskState::Ready
            }
            _ => TaskState::Waiting,
        }
    }

    /// Says whether its future is gone. On the owner's thread.
    pub(crate) fn has_ended(&self) -> bool {
        self.core().kind.flags.get() & ENDED != 0
    }

    /// Asks the task to end.
    pub(crate) fn request_cancel(&self) {
        if self.header().request_cancel() {
            self.wake_by_ref();
        }
    }

    /// Makes the task ready, if it is not yet.
    #[inline]
    fn wake(self) {
        if self.core().kind.queue.is_entered() {
            if self.must_push() {
                // SAFETY: where the queue is entered is the owner's thread.
                unsafe { self.push() };
            }
        } else if !self.core().kind.is_woken_remotely.swap(true, Ordering::AcqRel) {
            self.push_remotely();
        }
    }

    /// Marks it as queued, and says whether it is to be pushed for that (K2). On the owner's thread.
    #[inline]
    fn must_push(&self) -> bool {
        let flags = self.core().kind.flags.get();
        if flags & (QUEUED | ENDED) != 0 {
            return false;
        }
        self.core().kind.flags.set(flags | QUEUED);
        flags & RUNNING == 0
    }

    /// Puts it into the ready queue.
    ///
    /// # Safety
    ///
    /// - The caller is on the owner's thread.
    #[inline]
    unsafe fn push(self) {
        let queue = Arc::as_ptr(&self.core().kind.queue);
        // SAFETY: it is entered, or reached through an `Owner`: both keep it.
        let queue = unsafe { &*queue };
        // SAFETY: the owner's thread.
        let pushed = unsafe { queue.push_ready(Entry::Task(self)) };
        if let Err(Entry::Task(this)) = pushed {
            this.push_from_inside_a_choice();
        }
    }

    /// A reference more, for the queue.
    ///
    /// # Safety
    ///
    /// - The caller is on the owner's thread.
    #[inline(never)]
    unsafe fn push_clone(&self) {
        // SAFETY: as the caller says.
        unsafe { self.clone().push() };
    }

    /// E2: a user's schedule wakes it from inside a choice.
    #[cold]
    #[inline(never)]
    fn push_from_inside_a_choice(self) {
        self.core().kind.flags.set(self.core().kind.flags.get() & !QUEUED);
        if !self.core().kind.is_woken_remotely.swap(true, Ordering::AcqRel) {
            self.push_remotely();
        }
    }

    #[cold]
    #[inline(never)]
    fn push_clone_remotely(&self) {
        self.clone().push_remotely();
    }

    #[cold]
    #[inline(never)]
    fn push_remotely(self) {
        let queue = Arc::clone(&self.core().kind.queue);
        Queue::push_remote(&queue, Entry::Task(self));
    }

    /// Takes over a remote wake, and says whether it is to be put into the ready queue (K3). On the owner's thread.
    pub(crate) fn accept_remote(&self) -> bool {
        if self.core().kind.flags.get() & ENDED != 0 {
            return false;
        }
        self.core().kind.is_woken_remotely.swap(false, Ordering::AcqRel);
        self.must_push()
    }

    /// Polls the task once. Inlined where the ready queue is run, which is the hot one of its two callers.
    #[inline(always)]
    pub(crate) fn run(self, owner: &Owner) {
        let core = self.core();
        core.kind.flags.set((core.kind.flags.get() & !QUEUED) | RUNNING);
        core.header.count_poll();
        // SAFETY: of the shape that `WAKER` asks for; the reference is this one's, and the waker is not dropped.
        let waker = ManuallyDrop::new(unsafe { Waker::from_raw(RawWaker::new(self.data(), &WAKER)) });
        let has_ended = {
            let _polling = Polling::begin(&core.header);
            // SAFETY: the owner's thread; not ended, for then it is not queued (K2); and not nested in a poll of it (K2).
            unsafe { (core.methods.poll)(self.0, &mut Context::from_waker(&waker)) }
        };
        if has_ended {
            let listed = owner.unregister(core.kind.slot.get());
            return self.end(Some(listed));
        }
        let flags = core.kind.flags.get() & !RUNNING;
        core.kind.flags.set(flags);
        if flags & QUEUED != 0 {
            // SAFETY: the owner's thread.
            unsafe { self.push() };
        } else {
            // SAFETY: the owner's thread. It is not the last one: the list has another (K5).
            let is_last = unsafe { core.kind.counts.drop_one(true) };
            debug_assert!(!is_last, "the list has another one");
            mem::forget(self);
        }
    }

    /// The same where it is not hot: eagerly, or while the clock is read.
    #[cold]
    pub(crate) fn run_cold(self, owner: &Owner) {
        self.run(owner);
    }

    /// Drops the future in place, and ends the task without an output.
    pub(crate) fn cancel(self, owner: &Owner) {
        if self.core().kind.flags.get() & (ENDED | RUNNING) != 0 {
            return;
        }
        self.drop_future();
        let listed = owner.unregister(self.core().kind.slot.get());
        self.end(Some(listed));
    }

    /// The same for a task that is in no list yet, on the thread that made it or that took it over.
    #[cold]
    pub(crate) fn cancel_unlisted(self) {
        // It comes twice where it was also woken before it was listed: then only this reference is left to give up.
        if self.core().kind.flags.get() & (ENDED | RUNNING) != 0 {
            return;
        }
        self.drop_future();
        self.end(None);
    }

    fn drop_future(&self) {
        let core = self.core();
        core.kind.flags.set(core.kind.flags.get() | RUNNING);
        let _polling = Polling::begin(&core.header);
        // SAFETY: the owner's thread, or that of whoever has it to himself; not ended, and not inside of a poll.
        unsafe { (core.methods.drop_future)(self.0) };
    }

    pub(crate) fn is_unlisted(&self) -> bool {
        self.core().kind.slot.get() == UNLISTED
    }

    pub(crate) fn set_slot(&self, slot: u32) {
        self.core().kind.slot.set(slot);
    }

    /// The future is gone, and the output stored (K4). `listed` is the list's reference, if it was in the list.
    fn end(self, listed: Option<Self>) {
        let core = self.core();
        core.kind.flags.set(ENDED);
        // From here on a remote wake finds it set, and pushes nothing (Relaxed: there is nothing to see for whoever does).
        core.kind.is_woken_remotely.store(true, Ordering::Relaxed);
        // Both references are given up by `settle`.
        let references = 1 + i32::from(listed.is_some());
        mem::forget(listed);
        // SAFETY: the owner, once.
        match unsafe { core.join.end() } {
            AtEnd::Handle => self.settle(references),
            AtEnd::Waiting(waker) => {
                // Before that: the task may be freed.
                let task = (core.header.id, core.header.spawned_at);
                self.settle(references);
                guard(|| task, "waking whoever awaits", || waker.wake());
            }
            AtEnd::Nobody => {
                // SAFETY: the output is stored, and nobody else comes for it (J3).
                core.guard("dropping the output", || unsafe { (core.methods.drop_output)(self.0) });
                self.settle(references);
            }
        }
    }

    /// Gives up the references of the owner, which is this one and perhaps the list's.
    #[inline]
    fn settle(self, references: i32) {
        let this = ManuallyDrop::new(self);
        let core = this.core();
        let free = core.methods.free;
        // SAFETY: the owner's thread, once; the references are this one and the list's.
        if unsafe { core.kind.counts.settle(references) } {
            // SAFETY: the last reference.
            unsafe { free(this.0) };
        }
    }
}

impl Clone for LocalTask {
    #[inline]
    fn clone(&self) -> Self {
        let core = self.core();
        // SAFETY: where the queue is entered is the owner's thread.
        unsafe { core.kind.counts.take(core.kind.queue.is_entered()) };
        Self(self.0)
    }
}

impl Drop for LocalTask {
    #[inline]
    fn drop(&mut self) {
        let core = self.core();
        // SAFETY: where the queue is entered is the owner's thread; the reference is this one.
        if unsafe { core.kind.counts.drop_one(core.kind.queue.is_entered()) } {
            // SAFETY: the last reference.
            unsafe { (core.methods.free)(self.0) };
        }
    }
}

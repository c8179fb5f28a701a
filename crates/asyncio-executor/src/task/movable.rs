//! [`MovableTask`]: a counted reference to a task that any thread may poll; [`Runnable`]: the right to poll it.
//!
//! - M1: future and output are `Send`: that is asked for where the task is made. A `Runnable` is the one who has the task (W1 in `word.rs`); by
//!   that he is alone at its stage until the end, and at the flag of M2.
//! - M2: a poll on this thread that wakes its own task says so in a plain flag: he who polls has the task, and looks at the flag afterwards.
//! - M3: the future is gone when the task has ended. The output is stored before `Join` says so; then it is the handle's (`join.rs`).
//! - M4: whoever drops a `Runnable` ends the task, without an output.

#![expect(unsafe_code, reason = "one right to a task's future, which passes from thread to thread")]

use std::fmt::{self, Debug};
use std::future::Future;
use std::mem::{self, ManuallyDrop};
use std::ptr::NonNull;
use std::sync::OnceLock;
use std::task::{Context, RawWaker, RawWakerVTable, Waker};

use asyncio_base::shim::{Arc, UnsafeCell};

use super::join::AtEnd;
use super::word::{LetGo, Then, Word};
use super::{Core, Reference, TaskHandle, guard, stage};
use crate::current::{self, Polling};
use crate::foreign::Spawn;
use crate::header::{Header, TaskId, TaskState};
use crate::spawn::TaskOptions;
use crate::workers::{self, Raw, Registration, Seat};

/// What a task that may move has besides what all tasks have.
pub(crate) struct Movable {
    word: Word,
    /// M2. A cell of the shim's, so that models see who is at it.
    is_woken_here: UnsafeCell<bool>,
    home: Home,
    /// How often all tasks of the executor had been asked to end when it was spawned.
    generation: u32,
    /// By which it is found, from the end of its first poll on; `None` if its executor was closed by then.
    registration: OnceLock<Option<Registration>>,
}

/// Where a task goes when it is ready.
pub(crate) enum Home {
    /// To an executor of somebody else's.
    Foreign(Arc<dyn Spawn>),
    /// To the workers of an executor of ours, by way of the seat where it was spawned.
    Seat(Arc<Seat<Runnable>>),
}

/// A counted reference to a task that may move.
pub(crate) struct MovableTask(NonNull<Core<Movable>>);

// SAFETY: a reference reaches atomics, locks, and what is only read. The stage, and the flag of M2, is for whoever has the task (M1);
// future and output are `Send`.
unsafe impl Send for MovableTask {}
// SAFETY: as above.
unsafe impl Sync for MovableTask {}

/// A task that is ready to be polled.
///
/// Dropping it ends the task: its future is dropped, and its handle gives `None`.
pub struct Runnable(NonNull<Core<Movable>>);

// SAFETY: it is the one who has the task, with a reference; the future is `Send` (M1).
unsafe impl Send for Runnable {}
// SAFETY: by `&` one reads the header, which is for all threads, and takes references, which are too.
unsafe impl Sync for Runnable {}

static WAKER: RawWakerVTable = RawWakerVTable::new(
    |data| {
        // SAFETY: `data` is of a waker that lives, and so has a reference.
        let task = unsafe { MovableTask::borrowed(data) };
        mem::forget(MovableTask::clone(&task));
        RawWaker::new(data, &WAKER)
    },
    // SAFETY: the waker's reference passes to this one.
    |data| unsafe { MovableTask::from_data(data) }.wake(),
    // SAFETY: `data` is of a waker that lives, and so has a reference.
    |data| unsafe { MovableTask::borrowed(data) }.wake_by_ref(),
    // SAFETY: the waker's reference passes to this one.
    |data| drop(unsafe { MovableTask::from_data(data) }),
);

// SAFETY: it counts as one from when it is made until it is dropped.
unsafe impl Reference for MovableTask {
    type Kind = Movable;

    #[inline]
    fn pointer(&self) -> NonNull<Core<Movable>> {
        self.0
    }

    #[inline]
    unsafe fn from_pointer(pointer: NonNull<Core<Movable>>) -> Self {
        Self(pointer)
    }

    #[inline]
    fn wake_by_ref(&self) {
        if !self.is_woken_by_itself() {
            let then = self.core().kind.word.wake_by_ref();
            self.follow(then);
        }
    }
}

impl MovableTask {
    #[inline]
    pub(crate) fn wake(self) {
        if self.is_woken_by_itself() {
            return;
        }
        let this = ManuallyDrop::new(self);
        let then = this.core().kind.word.wake();
        this.follow(then);
    }

    /// Wakes the task if it is the one that this thread polls (M2).
    #[inline]
    fn is_woken_by_itself(&self) -> bool {
        let core = self.core();
        // While its future is dropped too: then nobody looks at the flag any more.
        let is_polled_here = current::is_polled(&core.header);
        if is_polled_here {
            // SAFETY: this thread polls it, so it has the task (M1).
            unsafe { core.kind.set_woken_here() };
        }
        is_polled_here
    }

    /// Does what is left to do. The reference by which this is called is one of those that [`Then`] speaks of.
    #[inline]
    fn follow(&self, then: Then) {
        match then {
            Then::Nothing => {}
            Then::Schedule => Runnable(self.0).schedule(),
            // SAFETY: the last reference.
            Then::Free => unsafe { (self.core().methods.free)(self.0) },
        }
    }

    /// Says whether its future is gone.
    pub(crate) fn has_ended(&self) -> bool {
        self.core().kind.word.has_ended()
    }
}

impl Clone for MovableTask {
    #[inline]
    fn clone(&self) -> Self {
        self.core().kind.word.take();
        Self(self.0)
    }
}

impl Drop for MovableTask {
    #[inline]
    fn drop(&mut self) {
        let then = self.core().kind.word.drop_one();
        self.follow(then);
    }
}

impl Movable {
    /// # Safety
    ///
    /// - The caller has the task (W1).
    #[inline]
    unsafe fn set_woken_here(&self) {
        // SAFETY: as the caller says: nobody else is at it.
        self.is_woken_here.with_mut(|is_woken_here| unsafe { *is_woken_here = true });
    }

    /// # Safety
    ///
    /// - The caller has the task (W1).
    #[inline]
    unsafe fn take_woken_here(&self) -> bool {
        // SAFETY: as the caller says: nobody else is at it.
        self.is_woken_here.with_mut(|is_woken_here| unsafe { mem::replace(&mut *is_woken_here, false) })
    }

    /// Says whether all tasks of its executor were asked to end after it was spawned.
    #[inline]
    fn is_of_a_former_generation(&self) -> bool {
        matches!(&self.home, Home::Seat(seat) if seat.generation() != self.generation)
    }
}

impl Runnable {
    /// Makes a task. It is not ready until it is [scheduled](Self::schedule).
    pub(crate) fn create<F>(
        id: TaskId,
        options: TaskOptions,
        home: Home,
        future: F,
    ) -> (Self, TaskHandle<MovableTask, F::Output>)
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let generation = match &home {
            Home::Foreign(_) => 0,
            Home::Seat(seat) => seat.generation(),
        };
        let movable = Movable {
            word: Word::new(2),
            is_woken_here: UnsafeCell::new(false),
            home,
            generation,
            registration: OnceLock::new(),
        };
        let pointer = stage::allocate(movable, options.header(id), future);
        (Self(pointer), TaskHandle::new(MovableTask(pointer)))
    }

    #[inline]
    fn core(&self) -> &Core<Movable> {
        // SAFETY: it has a reference, so it is not freed; and nobody has it by `&mut`.
        unsafe { self.0.as_ref() }
    }

    /// Borrows the reference that it has.
    #[inline]
    fn as_task(&self) -> ManuallyDrop<MovableTask> {
        ManuallyDrop::new(MovableTask(self.0))
    }

    /// Sends the task to where it belongs.
    #[inline]
    pub(crate) fn schedule(self) {
        match &self.core().kind.home {
            // A clone first: the task may be gone as soon as the other side sees it.
            Home::Foreign(home) => home.clone().schedule(self),
            Home::Seat(_) => {
                self.header().set_state(TaskState::Ready);
                workers::schedule(self);
            }
        }
    }

    /// Polls the task once. Says whether it was made ready again meanwhile.
    #[inline]
    pub fn run(self) -> bool {
        let core = self.core();
        let kind = &core.kind;
        if kind.word.begin() {
            // Dropped, and not polled (W5).
            return false;
        }
        core.header.count_poll();
        core.header.set_state(TaskState::Running);
        if kind.is_of_a_former_generation() {
            core.header.request_cancel();
        }
        let task = self.as_task();
        // SAFETY: of the shape that `WAKER` asks for; the reference is this one's, and the waker is not dropped.
        let waker = ManuallyDrop::new(unsafe { Waker::from_raw(RawWaker::new(task.data(), &WAKER)) });
        let has_ended = {
            let _polling = Polling::begin(&core.header);
            // SAFETY: this is the one who has the task, which has not ended (M1).
            unsafe { (core.methods.poll)(self.0, &mut Context::from_waker(&waker)) }
        };
        if has_ended {
            self.end();
            return false;
        }
        // Whoever wakes it from now on says that it is ready, after this poll.
        core.header.set_state(TaskState::Waiting);
        self.let_go()
    }

    /// After a poll: says whether it was made ready again.
    #[inline]
    fn let_go(self) -> bool {
        let kind = &self.core().kind;
        // First: one that always wakes itself is to be found, too.
        let is_to_come_round = self.is_to_come_round();
        // S2 in `workers/shared.rs`: where the executor is closed it is dropped when it comes round again.
        // SAFETY: a `Runnable` has the task.
        let is_woken_here = unsafe { kind.take_woken_here() };
        if is_woken_here || is_to_come_round {
            self.schedule();
            return true;
        }
        match kind.word.let_go() {
            LetGo::Gone => {
                mem::forget(self);
                false
            }
            LetGo::Woken => {
                self.schedule();
                true
            }
            LetGo::Alone => {
                drop(self);
                false
            }
        }
    }

    /// A task of ours waits: from now on it is found. Says whether it was looked for before that.
    #[inline]
    fn is_to_come_round(&self) -> bool {
        let kind = &self.core().kind;
        let Home::Seat(seat) = &kind.home else { return false };
        if kind.registration.get().is_some() {
            return seat.is_closed();
        }
        // Empty, since only whoever has the task sets it.
        let surplus = kind.registration.set(Registration::of(seat, self.task()));
        drop(surplus);
        // Whoever asks all to end says so, and then looks at those that are registered: under one lock with this.
        kind.is_of_a_former_generation() || seat.is_closed()
    }

    /// The future is gone, and the output stored (M3).
    fn end(self) {
        let core = self.core();
        if let Some(Some(registration)) = core.kind.registration.get() {
            registration.end();
        }
        // SAFETY: whoever has the task, once.
        match unsafe { core.join.end() } {
            AtEnd::Handle => self.leave(),
            AtEnd::Waiting(waker) => {
                // Before that: the task may be freed.
                let task = (core.header.id, core.header.spawned_at);
                self.leave();
                guard(|| task, "waking whoever awaits", || waker.wake());
            }
            AtEnd::Nobody => {
                // SAFETY: the output is stored, and nobody else comes for it (J3).
                core.guard("dropping the output", || unsafe { (core.methods.drop_output)(self.0) });
                self.leave();
            }
        }
    }

    /// Gives the task and the reference up, after its end.
    #[inline]
    fn leave(self) {
        let this = ManuallyDrop::new(self);
        let core = this.core();
        let free = core.methods.free;
        if core.kind.word.end() {
            // SAFETY: the last reference.
            unsafe { free(this.0) };
        }
    }

    /// Returns the seat of a task of ours.
    #[inline]
    pub(crate) fn seat(&self) -> Option<&Arc<Seat<Self>>> {
        match &self.core().kind.home {
            Home::Foreign(_) => None,
            Home::Seat(seat) => Some(seat),
        }
    }

    /// Returns a reference, which keeps the task, though it ends meanwhile.
    pub(crate) fn task(&self) -> MovableTask {
        MovableTask::clone(&self.as_task())
    }

    /// Returns the id of the task.
    pub fn id(&self) -> TaskId {
        self.header().id()
    }

    /// Returns what the task carries besides its future.
    #[inline]
    pub fn header(&self) -> &Header {
        &self.core().header
    }
}

/// M4.
impl Drop for Runnable {
    fn drop(&mut self) {
        let this = Self(self.0);
        let core = self.core();
        {
            let _polling = Polling::begin(&core.header);
            // SAFETY: this is the one who has the task, which has not ended, and it is not being polled (M1).
            unsafe { (core.methods.drop_future)(self.0) };
        }
        this.end();
    }
}

impl Debug for Runnable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Runnable").field(self.header()).finish()
    }
}

// SAFETY: its pointer, there and back.
unsafe impl Raw for Runnable {
    #[inline]
    fn into_raw(self) -> NonNull<()> {
        ManuallyDrop::new(self).0.cast()
    }

    #[inline]
    unsafe fn from_raw(raw: NonNull<()>) -> Self {
        Self(raw.cast())
    }
}

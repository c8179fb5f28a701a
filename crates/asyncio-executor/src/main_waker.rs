//! [`MainWaker`]: the waker of a main future, which its owner polls in place, in its turn among the tasks.

use std::task::Wake;

use asyncio_base::shim::{Arc, AtomicBool, AtomicU32, Ordering};

use crate::queue::Queue;

/// Wakes the main future: puts its entry into the ready queue, once until its turn has come.
pub(crate) struct MainWaker {
    queue: Arc<Queue>,
    is_queued: AtomicBool,
    /// How often it has had its turn.
    turns: AtomicU32,
    /// Somebody has asked for a waker of it: there is, or was, a main future.
    is_used: AtomicBool,
}

impl MainWaker {
    pub(crate) fn new(queue: Arc<Queue>) -> Self {
        let [is_queued, is_used] = [false; 2].map(AtomicBool::new);
        Self { queue, is_queued, turns: AtomicU32::new(0), is_used }
    }

    pub(crate) fn turns(&self) -> u32 {
        self.turns.load(Ordering::Relaxed)
    }

    pub(crate) fn set_used(&self) {
        self.is_used.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_used(&self) -> bool {
        self.is_used.load(Ordering::Relaxed)
    }

    /// Says that its turn has come: the next wake puts it into the queue again.
    #[inline]
    pub(crate) fn take_turn(&self) {
        // Relaxed: one thread counts, and reads.
        self.turns.store(self.turns().wrapping_add(1), Ordering::Relaxed);
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
            Queue::push_main(&self.queue);
        }
    }
}

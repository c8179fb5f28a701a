//! [`Lent`]: the count of its queue that a task has.
//!
//! A task that ends on its owner's thread gives it back, and the next one takes it from there, so that neither touches the atomic of the
//! `Arc`. An executor in which tasks come and go would touch it twice a task.
//!
//! - N1: `spare` is the number of counts that were forgotten for it. It belongs to the owner's thread (E1 in `queue.rs`).
//! - N2: nothing is given back to a queue that closes, and closing drops what is there: so the queue does not keep itself.

#![expect(unsafe_code, reason = "counts of an `Arc` without the `Arc`")]

use std::mem::{self, ManuallyDrop};
use std::ops::Deref;

use asyncio_base::shim::Arc;

use crate::queue::{Owner, Queue};

/// No more are kept than this: closing drops them one by one.
const SPARE_MAX: u32 = 4096;

pub(crate) struct Lent(ManuallyDrop<Arc<Queue>>);

impl Lent {
    /// Takes a count for a task.
    #[inline]
    pub(crate) fn by(owner: &Owner) -> Self {
        // SAFETY: an `Owner` exists on the owner's thread alone.
        let spare = unsafe { owner.queue().spare() };
        let Some(left) = spare.get().checked_sub(1) else { return Self::from(owner.queue().clone()) };
        spare.set(left);
        // SAFETY: N1: a count that was forgotten, and is not in `spare` any more.
        Self::from(unsafe { Arc::from_raw(Arc::as_ptr(owner.queue())) })
    }

    /// Drops what is spare, of a queue that closes (N2).
    pub(crate) fn forgo(owner: &Owner) {
        // SAFETY: an `Owner` exists on the owner's thread alone.
        for _ in 0..unsafe { owner.queue().spare() }.replace(0) {
            // SAFETY: N1: a count that was forgotten. The owner has one of its own besides.
            drop(unsafe { Arc::from_raw(Arc::as_ptr(owner.queue())) });
        }
    }
}

impl From<Arc<Queue>> for Lent {
    #[inline]
    fn from(queue: Arc<Queue>) -> Self {
        Self(ManuallyDrop::new(queue))
    }
}

impl Deref for Lent {
    type Target = Arc<Queue>;

    #[inline]
    fn deref(&self) -> &Arc<Queue> {
        &self.0
    }
}

impl Drop for Lent {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: it is not used again.
        let queue = unsafe { ManuallyDrop::take(&mut self.0) };
        if !queue.is_entered() || queue.is_closing() {
            return;
        }
        // SAFETY: where the queue is entered is the owner's thread.
        let spare = unsafe { queue.spare() };
        if spare.get() < SPARE_MAX {
            spare.set(spare.get() + 1);
            mem::forget(queue);
        }
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use std::sync::Arc;
    use std::task::{Wake, Waker};

    use crate::LocalExecutor;

    struct Unpark;

    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {}
    }

    /// The queue keeps `unpark`, which so tells whether the queue is gone.
    fn executor() -> (LocalExecutor, Arc<Unpark>) {
        let unpark = Arc::new(Unpark);
        (LocalExecutor::new(Waker::from(unpark.clone())), unpark)
    }

    #[test]
    fn counts_that_were_given_back_do_not_keep_the_queue() {
        let (executor, unpark) = executor();
        for tasks in [1, 3, 2, 5000] {
            let entered = executor.enter();
            let handles: Vec<_> = (0..tasks).map(|n| executor.spawn(async move { n })).collect();
            executor.run_round();
            for (n, handle) in handles.into_iter().enumerate() {
                assert_eq!(handle.try_take().flatten().map(Result::unwrap), Some(n));
            }
            drop(entered);
        }
        drop(executor);
        assert_eq!(Arc::strong_count(&unpark), 1, "the queue is gone");
    }

    #[test]
    fn a_handle_that_outlives_its_executor_gives_nothing_back() {
        let (executor, unpark) = executor();
        let (other, of_other) = self::executor();
        let ended = executor.spawn(async {});
        executor.run_round();
        let cut_off = executor.spawn(std::future::pending::<()>());
        let elsewhere = executor.spawn(async { 7 });
        executor.run_round();
        drop(executor);
        assert_eq!(Arc::strong_count(&unpark), 2, "three handles keep it");
        let entered = other.enter();
        drop((ended, cut_off));
        assert_eq!(std::thread::spawn(move || crate::block_on(elsewhere)).join().unwrap(), Some(7));
        assert_eq!(Arc::strong_count(&unpark), 1, "the queue is gone");
        drop(entered);
        drop(other);
        assert_eq!(Arc::strong_count(&of_other), 1);
    }
}

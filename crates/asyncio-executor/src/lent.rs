//! [`Lent`]: the count of its queue that a task has.
//!
//! A task that ends on its owner's thread gives it back, and the next one takes it from there, so that neither touches the atomic of the
//! `Arc`. An executor in which tasks come and go would touch it twice a task.
//!
//! - N1: `spare` is the number of counts that were forgotten for it. It belongs to the owner's thread (E1 in `queue.rs`).
//! - N2: nothing is given back to a queue that closes, and closing begins by dropping what is there: so the queue does not keep itself.

#![expect(unsafe_code, reason = "counts of an `Arc` without the `Arc`")]

use std::mem::{self, ManuallyDrop};
use std::ops::Deref;

use asyncio_base::shim::Arc;

use crate::queue::{Owner, Queue};

/// No more are kept than this: closing drops them one by one.
const SPARE_MAX: u32 = 4096;

/// A count of a queue, for as long as a task has it.
pub(crate) struct Lent(ManuallyDrop<Arc<Queue>>);

impl Lent {
    /// Takes a count for a task.
    #[inline]
    pub(crate) fn by(owner: &Owner) -> Self {
        // SAFETY: an `Owner` exists on the owner's thread alone, and counting leads nowhere.
        let is_spare = unsafe {
            owner.queue().with_spare(|spare| spare.checked_sub(1).map(|left| *spare = left).is_some())
        };
        if !is_spare {
            return Self::from(owner.queue().clone());
        }
        // SAFETY: N1: a count that was forgotten, and is not in `spare` any more.
        Self::from(unsafe { Arc::from_raw(Arc::as_ptr(owner.queue())) })
    }

    /// Drops what is spare, of a queue that closes (N2).
    pub(crate) fn drop_spare(owner: &Owner) {
        // SAFETY: an `Owner` exists on the owner's thread alone, and counting leads nowhere.
        for _ in 0..unsafe { owner.queue().with_spare(mem::take) } {
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
        let put_back = |spare: &mut u32| {
            let has_room = *spare < SPARE_MAX;
            *spare += u32::from(has_room);
            has_room
        };
        // SAFETY: where the queue is entered is the owner's thread; and counting leads nowhere.
        if queue.is_entered() && !queue.is_closing() && unsafe { queue.with_spare(put_back) } {
            mem::forget(queue);
        } else {
            give_up(queue);
        }
    }
}

/// Apart, since a task that is freed has mostly put its count back.
#[cold]
#[inline(never)]
fn give_up(queue: Arc<Queue>) {
    drop(queue);
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::Arc;
    use std::task::{Wake, Waker};

    use super::SPARE_MAX;
    use crate::{LocalExecutor, ReadyTasks, Schedule};

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
        for tasks in [1, 3, 2, SPARE_MAX + 10] {
            let _entered = executor.enter();
            let handles: Vec<_> = (0..tasks).map(|n| executor.spawn(async move { n })).collect();
            executor.run_round();
            for (n, handle) in (0..).zip(handles) {
                assert_eq!(handle.try_take().flatten().map(Result::unwrap), Some(n));
            }
        }
        drop(executor);
        assert_eq!(Arc::strong_count(&unpark), 1, "the queue is gone");
    }

    /// What else might be counted are those who have the queue: here the executor, whoever has entered it, and its main future's waker.
    #[test]
    fn a_task_takes_the_count_of_another_one_that_has_ended() {
        let (executor, _unpark) = executor();
        let entered = executor.enter();
        let counts = || Arc::strong_count(executor.owner().queue());
        let before = counts();
        executor.spawn(async {}).detach();
        executor.run_round();
        assert_eq!(counts(), before + 1, "it is kept");
        let task = executor.spawn(async {});
        assert_eq!(counts(), before + 1, "and is the next one's");
        executor.run_round();
        drop(entered);
        let left = counts();
        drop(task);
        assert_eq!(counts(), left - 1, "given up where nobody knows whether this is the owner's thread");
    }

    #[test]
    fn a_task_that_outlives_its_executor_gives_nothing_back() {
        let (executor, unpark) = executor();
        let entered = executor.enter();
        let ended = executor.spawn(async {});
        executor.run_round();
        let (cut_off, elsewhere) =
            (executor.spawn(std::future::pending::<()>()), executor.spawn(async { 7 }));
        executor.run_round();
        drop(executor);
        drop((ended, cut_off));
        assert_eq!(std::thread::spawn(move || crate::block_on(elsewhere)).join().unwrap(), Some(7));
        drop(entered);
        assert_eq!(Arc::strong_count(&unpark), 1, "the queue is gone");
    }

    /// A schedule of a user's, which is dropped with its executor.
    #[derive(Debug)]
    struct Bad;

    impl Schedule for Bad {
        fn next(&mut self, _ready: ReadyTasks<'_>) -> usize {
            0
        }
    }

    impl Drop for Bad {
        fn drop(&mut self) {
            panic!("a drop panics on purpose");
        }
    }

    #[test]
    fn a_panic_while_it_closes_keeps_nothing() {
        let unpark = Arc::new(Unpark);
        let executor = LocalExecutor::with_schedule(Waker::from(unpark.clone()), Bad);
        let entered = executor.enter();
        executor.spawn(async {}).detach();
        executor.run_round();
        drop(entered);
        assert!(catch_unwind(AssertUnwindSafe(|| drop(executor))).is_err());
        assert_eq!(Arc::strong_count(&unpark), 1, "the queue is gone");
    }
}

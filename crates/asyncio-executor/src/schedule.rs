//! [`Schedule`]: which ready task is next.

use std::collections::VecDeque;
use std::fmt::{self, Debug};

use crate::header::TaskId;
use crate::task::{LocalTask, Reference};

/// Which ready task is next: the seam for tests that look for an order in which a program fails.
///
/// Laws: the executor asks whenever a task is to be polled, and offers only those of the present round. An answer beyond the
/// last is taken modulo their number. It may wake and spawn tasks: those are offered when the
/// executor is run the next time, and an eager one is polled then.
pub trait Schedule: Debug + Send + 'static {
    /// Chooses one of the ready tasks, of which there is at least one, by its place.
    fn next(&mut self, ready: ReadyTasks<'_>) -> usize;
}

/// The tasks of the present round that have not been polled yet, in the order in which they became ready.
///
/// After a choice other than the first, the first takes the place of the chosen one.
#[derive(Clone, Copy)]
pub struct ReadyTasks<'a> {
    /// `None` is the main future.
    pub(crate) queue: &'a VecDeque<Option<LocalTask>>,
    pub(crate) count: usize,
}

impl ReadyTasks<'_> {
    /// Returns how many there are: at least one.
    #[expect(clippy::len_without_is_empty, reason = "it is never empty")]
    pub fn len(&self) -> usize {
        self.count
    }

    /// Returns the ids, in order.
    pub fn ids(&self) -> impl ExactSizeIterator<Item = TaskId> + '_ {
        self.queue
            .iter()
            .take(self.count)
            .map(|entry| entry.as_ref().map_or(TaskId::MAIN, |task| task.header().id()))
    }
}

impl Debug for ReadyTasks<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.ids()).finish()
    }
}

/// First in, first out: asyncio's order, and the default.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct Fifo;

impl Schedule for Fifo {
    fn next(&mut self, _ready: ReadyTasks<'_>) -> usize {
        0
    }
}

/// A random order that is the same for the same seed, on every platform.
///
/// # Examples
///
/// ```
/// use asyncio_executor::{LocalExecutor, SeededRandom};
/// use std::{cell::RefCell, rc::Rc, task::Waker};
///
/// let order = |seed| {
///     let executor = LocalExecutor::with_schedule(Waker::noop().clone(), SeededRandom::new(seed));
///     let order = Rc::new(RefCell::new(Vec::new()));
///     for n in 0..10 {
///         let order = order.clone();
///         drop(executor.spawn(async move { order.borrow_mut().push(n) }));
///     }
///     executor.run_round();
///     order.take()
/// };
/// assert_eq!(order(7), order(7));
/// assert_ne!(order(7), order(8));
/// ```
#[derive(Clone, Debug)]
pub struct SeededRandom {
    state: u64,
}

impl SeededRandom {
    /// Makes a schedule from a seed.
    pub const fn new(seed: u64) -> Self {
        Self { state: seed }
    }
}

impl Schedule for SeededRandom {
    /// SplitMix64 (Steele, Lea, Flood: "Fast Splittable Pseudorandom Number Generators", 2014).
    fn next(&mut self, ready: ReadyTasks<'_>) -> usize {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) % ready.len() as u64) as usize
    }
}

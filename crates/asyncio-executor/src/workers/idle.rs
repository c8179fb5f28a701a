//! [`Idle`]: which workers sleep, how many search, and why no wake-up is lost.
//!
//! A worker that has nothing to do *searches* (in the injection queue, in the rings of others), and if it finds nothing it *sleeps*, in
//! its reactor, until it is *summoned* or something of its own happens. To wake one costs a system call, so whoever makes work summons
//! one only if nobody searches: that one would find it anyway. This is Go's protocol (`runtime/proc.go`, "Worker thread parking/unparking"),
//! and tokio's.
//!
//! - I1: work is published before `searching` is read; both are `SeqCst`.
//! - I2: a worker says that it sleeps before it stops counting as a searcher: one that is not the last does not look once more, and so must be
//!   seen by whoever reads that nobody searches.
//! - I3: whoever sleeps, and then finds that nobody searches, looks at all queues once more; if work is there he rises and searches.
//! - I4: whoever found something, and was the last searcher, summons another one if there is more.
//! - I5: whoever is summoned counts as a searcher from the moment that he is chosen. So one is summoned at a time, and they come one by one
//!   for as long as there is work: no herd.
//!
//! *No work lies about while all sleep.* Take a push whose maker reads that somebody searches (I1). That searcher stops later than the read.
//! If he found something he is awake, and the last of them looks for more (I4); if not, the last one looks at all queues (I3), after the
//! push. Take a push whose maker reads zero, and that nobody sleeps. A worker that sleeps later says so after that read. If he
//! reads then that nobody searches he looks (I3), after the push; if he reads that somebody does, that searcher stops later, and
//! it is the first case. If somebody sleeps he is summoned.
//!
//! Where a summons finds nobody because all have risen by themselves, its maker was a searcher for that moment, and looks once more too (I3).

use std::fmt;

use asyncio_base::shim::{AtomicUsize, Ordering, seq_cst};

use super::ring::Padded;

pub(super) struct Idle {
    /// How many search, or are on their way to it; and `CLOSED` and `EMPTIED`.
    searching: Padded<AtomicUsize>,
    /// A bit for each worker that sleeps.
    asleep: Box<[AtomicUsize]>,
    /// More than half of the workers searching is a waste (Go, tokio).
    searching_max: usize,
}

/// What is to be done about work that was just published.
pub(crate) enum Attention {
    /// Somebody searches, or nobody sleeps, or whoever closes comes to it.
    Given,
    /// Somebody is to be summoned.
    Wanted,
    /// The executor is closed, and its queues are emptied: it is to be dropped.
    Closed,
}

/// No worker has this number.
pub(super) const NOBODY: usize = usize::MAX;

/// In `searching`: the executor is closed, and nobody is summoned any more.
const CLOSED: usize = 1 << (usize::BITS - 1);
/// Besides, whoever closed it has emptied the queues: what comes now is for whoever pushes it to drop.
const EMPTIED: usize = CLOSED >> 1;
const COUNT: usize = EMPTIED - 1;

impl Idle {
    pub(super) fn new(workers: usize) -> Self {
        let words = workers.div_ceil(usize::BITS as usize);
        Self {
            searching: Padded(AtomicUsize::new(0)),
            asleep: (0..words).map(|_| AtomicUsize::new(0)).collect(),
            searching_max: workers.div_ceil(2),
        }
    }

    fn searching(&self) -> &AtomicUsize {
        &self.searching.0
    }

    /// Says what is to be done about work that was just published (I1). Cheap, and usually nothing.
    #[inline]
    pub(super) fn attention(&self) -> Attention {
        seq_cst();
        match self.searching().load(Ordering::SeqCst) {
            0 if self.is_somebody_asleep() => Attention::Wanted,
            searching if searching & EMPTIED != 0 => Attention::Closed,
            _ => Attention::Given,
        }
    }

    fn is_somebody_asleep(&self) -> bool {
        seq_cst();
        self.asleep.iter().any(|word| word.load(Ordering::SeqCst) != 0)
    }

    pub(super) fn is_asleep(&self, worker: usize) -> bool {
        let (word, bit) = self.bit(worker);
        word.load(Ordering::SeqCst) & bit != 0
    }

    /// Chooses one that sleeps, other than `besides`, and makes it a searcher (I5), if nobody searches.
    pub(super) fn summon(&self, mut besides: usize, is_work_there: impl Fn() -> bool) -> Option<usize> {
        while self.is_somebody_asleep() {
            if self.searching().compare_exchange(0, 1, Ordering::SeqCst, Ordering::SeqCst).is_err() {
                return None;
            }
            if let Some(worker) = self.choose(besides) {
                return Some(worker);
            }
            // All have risen by themselves. We counted as a searcher for a moment (I3).
            if !self.stop_searching() || !is_work_there() {
                return None;
            }
            besides = NOBODY;
        }
        None
    }

    /// Takes the bit of the first one that sleeps: he has slept for the shortest time, if there was little to do.
    fn choose(&self, besides: usize) -> Option<usize> {
        for (nth, word) in self.asleep.iter().enumerate() {
            let is_here = besides / usize::BITS as usize == nth;
            let passed_over = if is_here { 1 << (besides % usize::BITS as usize) } else { 0 };
            let mut bits = word.load(Ordering::SeqCst) & !passed_over;
            while bits != 0 {
                let lowest = bits & bits.wrapping_neg();
                let former = word.fetch_and(!lowest, Ordering::SeqCst);
                if former & lowest != 0 {
                    return Some(nth * usize::BITS as usize + lowest.trailing_zeros() as usize);
                }
                bits = former & !lowest & !passed_over;
            }
        }
        None
    }

    /// Begins to search, unless enough do or the executor is closed.
    pub(super) fn begin_searching(&self) -> bool {
        let now = self.searching().load(Ordering::SeqCst);
        if now >= self.searching_max {
            return false;
        }
        // One too many now and then does no harm.
        if self.searching().fetch_add(1, Ordering::SeqCst) & CLOSED != 0 {
            self.searching().fetch_sub(1, Ordering::SeqCst);
            return false;
        }
        true
    }

    /// Stops to search, and says whether nobody does any more.
    pub(super) fn stop_searching(&self) -> bool {
        seq_cst();
        self.searching().fetch_sub(1, Ordering::SeqCst) & COUNT == 1
    }

    pub(super) fn is_anybody_searching(&self) -> bool {
        seq_cst();
        self.searching().load(Ordering::SeqCst) & COUNT != 0
    }

    /// Says that this worker sleeps (I2).
    pub(super) fn sleep(&self, worker: usize) {
        let (word, bit) = self.bit(worker);
        word.fetch_or(bit, Ordering::SeqCst);
    }

    /// Says that it does not any more; `false` if it was summoned: then it counts as a searcher already (I5).
    pub(super) fn rise(&self, worker: usize) -> bool {
        let (word, bit) = self.bit(worker);
        word.fetch_and(!bit, Ordering::SeqCst) & bit != 0
    }

    fn bit(&self, worker: usize) -> (&AtomicUsize, usize) {
        (&self.asleep[worker / usize::BITS as usize], 1 << (worker % usize::BITS as usize))
    }

    pub(super) fn close(&self) {
        self.searching().fetch_or(CLOSED, Ordering::SeqCst);
    }

    pub(super) fn set_emptied(&self) {
        self.searching().fetch_or(EMPTIED, Ordering::SeqCst);
    }

    #[inline]
    pub(super) fn is_closed(&self) -> bool {
        self.searching().load(Ordering::SeqCst) & CLOSED != 0
    }
}

impl fmt::Debug for Idle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let asleep: u32 = self.asleep.iter().map(|word| word.load(Ordering::Relaxed).count_ones()).sum();
        f.debug_struct("Idle")
            .field("searching", &(self.searching().load(Ordering::Relaxed) & COUNT))
            .field("asleep", &asleep)
            .finish()
    }
}

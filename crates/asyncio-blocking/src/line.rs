//! [`Line`]: the calls that wait, the threads that take them, and why none is left lying about while a thread sleeps.
//!
//! To wake a thread, or to start one, costs a system call. So whoever brings a call summons one only if nobody is on his way already: that one looks at the line,
//! takes what is first, and summons the next if there is more. Threads so come one by one for as long as there are calls: no herd, and in a crowd hardly ever a
//! system call. It is the protocol of the executor's workers (`idle.rs` there), with one searcher.
//!
//! - L1: a call is in the line before its bringer reads whether somebody searches, and whether anybody could be summoned.
//! - L2: a thread says that it sleeps before it stops searching, and looks at the line once more after both.
//! - L3: whoever searches and finds a call stops searching before he runs it, and then summons the next if there is more.
//! - L4: whoever is summoned searches from the moment that he is chosen.
//! - L5: a thread that has run a call takes the next one without searching. What comes meanwhile is its bringer's business.
//! - L6: a thread leaves those that sleep, and is chosen, under one lock. If it rises by itself meanwhile, no word of it comes when it sleeps the next time.
//! - L7: a thread wakes where it went to sleep, as a rule. While calls are short one is summoned that went to sleep on this very CPU: to wake another, which may be halted,
//!   takes longer than the call. While they are long, one that did so elsewhere: it would keep its bringer from going on.
//!
//! - L8: a thread that cannot be started has searched for a moment, in which others may have gone to sleep without seeing what came. One of those searches in its place.
//!
//! Take a call whose bringer reads that somebody searches (L1). That one stops after the read: with a call in his hands, and then he sees this one (L3), or to
//! sleep, and then he does, too (L2). Take one whose bringer reads that nobody can be summoned: each thread that sleeps later looks after that (L2). Otherwise one is
//! summoned.
//!
//! The loom models are in `loom_tests.rs`.

use std::time::Duration;
#[cfg(not(loom))]
use std::time::Instant;

use asyncio_base::shim::{Arc, AtomicBool, AtomicUsize, Mutex, Ordering, seq_cst, thread};
use concurrent_queue::{ConcurrentQueue, PushError};

use crate::cpu;

/// Not for ever at once: a duration that is too long is none for the system.
#[cfg(not(loom))]
const LONG: Duration = Duration::from_secs(3600);

/// What takes less time than to wake a CPU that is halted.
const SHORT: Duration = Duration::from_micros(20);

/// The calls that wait, and the threads that take them.
pub(crate) struct Line<T> {
    queue: ConcurrentQueue<T>,
    /// How many may wait, if there is a bound; then they are counted.
    calls_max: Option<usize>,
    calls: AtomicUsize,
    /// Somebody is on his way to the line (L4).
    searches: AtomicBool,
    /// How many could be summoned: those that sleep, and those that could be started.
    summonable: AtomicUsize,
    /// The last call that somebody was summoned for was short.
    are_short: AtomicBool,
    state: Mutex<State>,
}

struct State {
    /// The one that has slept longest is first.
    asleep: Vec<Arc<Thread>>,
    /// How many there are, asleep or not.
    count: usize,
    count_max: usize,
    is_closed: bool,
}

/// A thread that takes calls.
pub(crate) struct Thread {
    handle: thread::Thread,
    /// It was asleep, and is summoned.
    is_chosen: AtomicBool,
    /// Where it went to sleep. Under the lock.
    cpu: AtomicUsize,
}

/// What is to be done about a call that was brought.
#[must_use = "otherwise the call may lie about"]
pub(crate) enum Attention {
    Given,
    /// A thread is to be started, which searches and is counted already.
    Start,
}

/// Whether a thread goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rest {
    /// There may be something.
    Rises { searches: bool },
    /// It has been idle for long, or the line is closed. It is not counted any more.
    Ends,
}

impl<T> Line<T> {
    /// At most `calls_max` calls wait, if there is such a bound.
    pub(crate) fn new(count_max: usize, calls_max: Option<usize>) -> Self {
        let state = State { asleep: Vec::new(), count: 0, count_max, is_closed: false };
        Self {
            queue: ConcurrentQueue::unbounded(),
            calls_max,
            calls: AtomicUsize::new(0),
            searches: AtomicBool::new(false),
            summonable: AtomicUsize::new(count_max),
            are_short: AtomicBool::new(false),
            state: Mutex::new(state),
        }
    }

    /// Brings a call. It comes back if the line is full, or closed.
    pub(crate) fn push(&self, call: T) -> Result<Attention, PushError<T>> {
        if let Some(max) = self.calls_max {
            // Relaxed: a count.
            if self.calls.fetch_add(1, Ordering::Relaxed) >= max {
                self.calls.fetch_sub(1, Ordering::Relaxed);
                return Err(PushError::Full(call));
            }
        }
        if let Err(error) = self.queue.push(call) {
            self.calls.fetch_sub(usize::from(self.calls_max.is_some()), Ordering::Relaxed);
            return Err(error);
        }
        Ok(self.attend())
    }

    /// L1, for what is in the line.
    fn attend(&self) -> Attention {
        seq_cst();
        if self.searches.load(Ordering::SeqCst) || self.summonable.load(Ordering::SeqCst) == 0 {
            return Attention::Given;
        }
        self.summon()
    }

    fn summon(&self) -> Attention {
        if self.searches.swap(true, Ordering::SeqCst) {
            return Attention::Given;
        }
        let mut state = self.state.lock();
        if let Some(thread) = state.take(self.are_short.load(Ordering::Relaxed)) {
            self.summonable.fetch_sub(1, Ordering::SeqCst);
            thread.choose();
            drop(state);
            thread.handle.unpark();
            return Attention::Given;
        }
        if state.count < state.count_max && !state.is_closed {
            state.count += 1;
            self.summonable.fetch_sub(1, Ordering::SeqCst);
            return Attention::Start;
        }
        // Under the lock: whoever goes to sleep after this looks after this.
        self.searches.store(false, Ordering::SeqCst);
        Attention::Given
    }

    /// Says that a thread which was to be started is not. Somebody who sleeps searches in its place (L8). Returns whether there is nobody at all: then nobody would come.
    pub(crate) fn not_started(&self) -> bool {
        let mut state = self.state.lock();
        state.count -= 1;
        if let Some(thread) = state.take(false) {
            // One fewer sleeps, and one more could be started.
            thread.choose();
            drop(state);
            thread.handle.unpark();
            return false;
        }
        self.summonable.fetch_add(1, Ordering::SeqCst);
        // Under the lock: whoever goes to sleep after this looks after this.
        self.searches.store(false, Ordering::SeqCst);
        state.count == 0
    }

    /// Takes what is first.
    pub(crate) fn pop(&self) -> Option<T> {
        let call = self.queue.pop().ok()?;
        if self.calls_max.is_some() {
            self.calls.fetch_sub(1, Ordering::Relaxed);
        }
        Some(call)
    }

    /// Says that whoever searches has found a call (L3).
    pub(crate) fn found(&self) -> Attention {
        self.searches.store(false, Ordering::SeqCst);
        seq_cst();
        if self.queue.is_empty() { Attention::Given } else { self.attend() }
    }

    /// Sleeps, since there was nothing (L2), at most for so long; `searches` says whether this one searches.
    pub(crate) fn rest(&self, thread: &Arc<Thread>, searches: bool, keep_alive: Duration) -> Rest {
        {
            let mut state = self.state.lock();
            if state.is_closed {
                state.count -= 1;
                return Rest::Ends;
            }
            if cfg!(any(loom, debug_assertions)) {
                assert!(!state.asleep.iter().any(|other| Arc::ptr_eq(other, thread)), "it sleeps once");
            }
            // Relaxed: under the lock.
            thread.is_chosen.store(false, Ordering::Relaxed);
            thread.cpu.store(cpu::current(), Ordering::Relaxed);
            state.asleep.push(thread.clone());
            self.summonable.fetch_add(1, Ordering::SeqCst);
        }
        if searches {
            self.searches.store(false, Ordering::SeqCst);
        }
        seq_cst();
        if !self.queue.is_empty() {
            return self.rise(thread);
        }
        if thread.sleep(keep_alive) {
            return Rest::Rises { searches: true };
        }
        let mut state = self.state.lock();
        if state.wake(thread) {
            // One fewer sleeps, and one more could be started.
            state.count -= 1;
            Rest::Ends
        } else {
            Rest::Rises { searches: true }
        }
    }

    /// Rises by itself, and searches unless somebody else does.
    fn rise(&self, thread: &Arc<Thread>) -> Rest {
        let has_risen = self.state.lock().wake(thread);
        if has_risen {
            self.summonable.fetch_sub(1, Ordering::SeqCst);
            Rest::Rises { searches: !self.searches.swap(true, Ordering::SeqCst) }
        } else {
            // It was chosen meanwhile.
            Rest::Rises { searches: true }
        }
    }

    /// Takes no more. What is in the line is to be taken out and dropped; all threads that sleep end.
    pub(crate) fn close(&self) {
        self.queue.close();
        let asleep = {
            let mut state = self.state.lock();
            state.is_closed = true;
            state.asleep.iter().for_each(|thread| thread.choose());
            std::mem::take(&mut state.asleep)
        };
        self.summonable.store(0, Ordering::SeqCst);
        for thread in asleep {
            thread.handle.unpark();
        }
    }

    /// Says how long the call took that somebody was summoned for (L7).
    pub(crate) fn took(&self, time: Duration) {
        let are_short = time < SHORT;
        if self.are_short.load(Ordering::Relaxed) != are_short {
            self.are_short.store(are_short, Ordering::Relaxed);
        }
    }

    /// How many threads there are.
    pub(crate) fn threads(&self) -> usize {
        self.state.lock().count
    }

    /// How many of them sleep.
    pub(crate) fn asleep(&self) -> usize {
        self.state.lock().asleep.len()
    }

    /// How many calls wait.
    pub(crate) fn calls(&self) -> usize {
        self.queue.len()
    }
}

impl State {
    /// Takes a thread that sleeps, the one that has slept longest: the one that was busy last may still be on its way. One that is near, where the calls are short,
    /// and one that is not, where they are long (L7).
    fn take(&mut self, is_near: bool) -> Option<Arc<Thread>> {
        let here = cpu::current();
        // Relaxed: under the lock.
        let is_fit = |thread: &Arc<Thread>| (thread.cpu.load(Ordering::Relaxed) == here) == is_near;
        let place = self.asleep.iter().position(is_fit).unwrap_or(0);
        (!self.asleep.is_empty()).then(|| self.asleep.remove(place))
    }

    /// Takes a thread from those that sleep; says whether it was there.
    fn wake(&mut self, thread: &Arc<Thread>) -> bool {
        let place = self.asleep.iter().position(|other| Arc::ptr_eq(other, thread));
        place.map(|place| self.asleep.remove(place)).is_some()
    }
}

impl Thread {
    /// This one.
    pub(crate) fn current() -> Arc<Self> {
        Arc::new(Self {
            handle: thread::current(),
            is_chosen: AtomicBool::new(false),
            cpu: AtomicUsize::new(0),
        })
    }

    /// Under the lock (L6). It is to be unparked afterwards, which may come late: that is no more than a turn for nothing.
    fn choose(&self) {
        // Release: pairs with the Acquire of the sleeper, who sees what his summoner did.
        self.is_chosen.store(true, Ordering::Release);
    }

    /// Sleeps until it is chosen, at most for so long; says whether it was.
    #[cfg(not(loom))]
    fn sleep(&self, keep_alive: Duration) -> bool {
        // One that is past all time never comes.
        let until = Instant::now().checked_add(keep_alive);
        loop {
            if self.is_chosen.load(Ordering::Acquire) {
                return true;
            }
            let left = until.map_or(LONG, |until| until.saturating_duration_since(Instant::now())).min(LONG);
            if left.is_zero() {
                return false;
            }
            thread::park_timeout(left);
        }
    }

    /// In a model there is no time: either it is over at once, or never.
    #[cfg(loom)]
    fn sleep(&self, keep_alive: Duration) -> bool {
        while !self.is_chosen.load(Ordering::Acquire) {
            if keep_alive.is_zero() {
                return false;
            }
            thread::park();
        }
        true
    }
}

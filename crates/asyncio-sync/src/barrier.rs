//! [`Barrier`]: nobody goes on before all have come.
//!
//! - B1: whoever waits without an outcome has arrived. The last party, a reset and an abort give all of these their outcome under one hold of the
//!   lock, and wake them afterwards; who comes meanwhile stands behind them and has none.

use std::fmt;
use std::future::Future;
use std::task::Waker;

use crate::blocking::wait_blocking;
use crate::error::BrokenBarrier;
use crate::lock::Lock;
use crate::wait::{Door, List, Wait, Woken, wake_each};

/// A place where parties wait for each other: asyncio's `Barrier`. It may be used again and again.
///
/// When to use it: for phases, where each party must have ended one before any begins the next. When not: to wait for tasks to end, which a
/// group or `gather` does.
///
/// # Examples
///
/// ```
/// use asyncio_sync::Barrier;
/// # futures_lite::future::block_on(async {
/// let barrier = Barrier::new(2);
/// let (one, other) = futures_lite::future::zip(barrier.wait(), barrier.wait()).await;
/// let mut turns = [one?, other?];
/// turns.sort();
/// assert_eq!(turns, [0, 1]);
/// # Ok::<_, asyncio_sync::BrokenBarrier>(())
/// # }).unwrap();
/// ```
pub struct Barrier {
    parties: usize,
    state: Lock<State>,
}

struct State {
    /// How many have arrived and wait.
    arrived: usize,
    is_broken: bool,
    waiting: List<Turn>,
}

/// What became of a party's waiting; `None` as long as it waits.
type Turn = Option<Result<usize, BrokenBarrier>>;

impl Barrier {
    const_unless_modelled! {
        /// Makes a barrier for so many parties.
        ///
        /// # Panics
        ///
        /// Panics if there are none.
        pub fn new(parties: usize) -> Self {
            assert!(parties > 0, "a barrier needs at least one party");
            let state = State { arrived: 0, is_broken: false, waiting: List::new() };
            Self { parties, state: Lock::new(state) }
        }
    }

    /// Arrives, and waits until all parties have. Each gets a number of its own, from 0 on; the last to arrive gets the largest.
    ///
    /// # Errors
    ///
    /// [`BrokenBarrier`] if the barrier is reset or aborted meanwhile, or was aborted before.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is ready, it has not arrived: the others go on waiting for as many parties. If all had been let through already,
    /// nothing is changed for them.
    pub fn wait(&self) -> impl Future<Output = Result<usize, BrokenBarrier>> {
        Wait::new(ToOtherSide(self), None)
    }

    /// Arrives, and blocks the thread until all parties have. For threads on which no loop runs.
    ///
    /// # Errors
    ///
    /// [`BrokenBarrier`] if the barrier is reset or aborted meanwhile, or was aborted before.
    ///
    /// # Panics
    ///
    /// Panics inside of a task of an event loop, whose thread this would block.
    #[track_caller]
    pub fn wait_blocking(&self) -> Result<usize, BrokenBarrier> {
        wait_blocking("wait_blocking", "wait().await", self.wait())
    }

    /// Makes it as new. Whoever waits gets [`BrokenBarrier`].
    pub fn reset(&self) {
        self.send_away(false);
    }

    /// Breaks it: whoever waits gets [`BrokenBarrier`], and so does everybody who comes, until it is [reset](Self::reset).
    pub fn abort(&self) {
        self.send_away(true);
    }

    /// How many parties it is for.
    pub const fn parties(&self) -> usize {
        self.parties
    }

    /// How many wait at it. Not guaranteed to be true a moment later.
    #[doc(alias = "n_waiting")]
    pub fn waiting(&self) -> usize {
        self.state.lock().arrived
    }

    /// Says whether it was aborted, and not reset since.
    pub fn is_broken(&self) -> bool {
        self.state.lock().is_broken
    }

    /// What is known of it at this moment.
    pub fn statistics(&self) -> BarrierStatistics {
        self.statistics_of(&self.state.lock())
    }

    fn statistics_of(&self, state: &State) -> BarrierStatistics {
        BarrierStatistics { parties: self.parties, waiting: state.arrived, is_broken: state.is_broken }
    }

    fn send_away(&self, is_broken: bool) {
        let mut state = self.state.lock();
        state.is_broken = is_broken;
        state.settle(|_| Err(BrokenBarrier));
        drop(state);
        self.wake_settled();
    }

    fn wake_settled(&self) {
        wake_each(&self.state, State::choose_settled);
    }
}

impl State {
    /// Gives an outcome to all who wait (B1).
    fn settle(&mut self, mut outcome: impl FnMut(usize) -> Result<usize, BrokenBarrier>) {
        let mut index = 0;
        self.waiting.for_each(|turn| {
            if turn.is_none() {
                *turn = Some(outcome(index));
                index += 1;
            }
        });
        self.arrived = 0;
    }

    fn choose_settled(&mut self) -> Option<Waker> {
        if self.waiting.first()?.is_none() {
            return None;
        }
        self.waiting.choose(|_| ()).map(|(waker, ())| waker)
    }
}

impl fmt::Debug for Barrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Barrier").field(&self.state.peek(|state| self.statistics_of(state))).finish()
    }
}

/// What is known of a [`Barrier`] at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BarrierStatistics {
    /// How many parties it is for.
    pub parties: usize,
    /// How many wait at it.
    pub waiting: usize,
    /// Whether it was aborted.
    pub is_broken: bool,
}

/// The way past a barrier.
struct ToOtherSide<'a>(&'a Barrier);

impl Door for ToOtherSide<'_> {
    type State = State;
    type Turn = Turn;
    type Output = Result<usize, BrokenBarrier>;
    const NAME: &'static str = "barrier.wait";

    fn lock(&self) -> &Lock<State> {
        &self.0.state
    }

    fn list<'s>(state: &'s mut State, _: &Turn) -> &'s mut List<Turn> {
        &mut state.waiting
    }

    fn enter(&self, state: &mut State, _: &mut Turn, _: &mut Woken) -> Option<Self::Output> {
        if state.is_broken {
            return Some(Err(BrokenBarrier));
        }
        let is_last = state.arrived + 1 == self.0.parties;
        is_last.then(|| {
            state.settle(Ok);
            Ok(self.0.parties - 1)
        })
    }

    fn entered(&self, output: &Self::Output) {
        if output.is_ok() {
            self.0.wake_settled();
        }
    }

    fn queued(&self, state: &mut State, _: &mut Woken) {
        state.arrived += 1;
    }

    fn chosen(&self, turn: &mut Turn) -> Self::Output {
        turn.take().unwrap_or(Err(BrokenBarrier))
    }

    fn leave(&self, state: &mut State, turn: &mut Turn, _: bool, _: &mut Woken) {
        // With an outcome it is not counted any more.
        if turn.is_none() {
            state.arrived -= 1;
        }
    }
}

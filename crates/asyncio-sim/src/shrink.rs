//! Making a failing run smaller: fewer events, and fewer choices that are not plain.
//!
//! A run is its [`Script`]. Pieces of it are cut out, so that what follows comes earlier, or made plain, or as great as may be; a change is kept if the run still fails in the same way and
//! is smaller: fewer events, or as many with fewer choices. Pieces are halved until they are single choices (Zeller and Hildebrandt: "Simplifying and Isolating
//! Failure-Inducing Input", 2002).
//!
//! A long run has often many reasons to be as it is, and loses its failure with each. So where it has come to rest other seeds are tried, for all of it or for some kinds of choices, while the
//! others stay or are plain (`MIXTURES`): one of them may fail in the same way, and is smaller by far.

use std::time::{Duration, Instant};

use crate::choice::{Lane, Script};
use crate::explore::run;
use crate::run::{Builder, Failure, Sim};

/// Long enough for some thousand runs of a small scenario, short enough for somebody who waits for a test.
pub(crate) const PATIENCE: Duration = Duration::from_secs(50);

/// A run of so few events can be read as it is.
const SHORT: u64 = 50;
/// So many other seeds are tried at a time, of each kind; and so often.
const SEEDS: u64 = 40;
const BATCHES: u64 = 10;

/// The kinds of lanes in a [`Script`] in which a great number may be the simpler one: of faults, where the greatest comes soonest, and a program's own random numbers.
const GREAT: [usize; 2] = [2, 3];

/// A failing run that was made smaller.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Shrunk {
    /// What is chosen in it.
    pub script: Script,
    /// How it fails.
    pub failure: Failure,
    /// How many runs it took to find it.
    pub runs: usize,
}

impl Shrunk {
    /// The same seed did not fail in the same way again.
    pub(crate) fn differs(first: &Failure, again: Option<&Failure>) -> Self {
        let kind = crate::FailureKind::Nondeterminism;
        let second = again.map_or_else(
            || String::from("the second found nothing"),
            |again| format!("the second found {again}"),
        );
        let message = format!(
            "the same seed gave two runs: something goes past the simulation (`Instant::now`, a hash table's order, a thread); the first found {first}; {second}"
        );
        let failure = Failure { kind, message, ..first.clone() };
        Self { script: Script::default(), failure, runs: 0 }
    }
}

/// Makes a failing run smaller, if there is patience for it; else it is only written down.
pub(crate) fn shrink(
    scenario: &dyn Fn(Builder) -> Sim,
    script: Script,
    failure: &Failure,
    patience: Option<Duration>,
) -> Shrunk {
    let mut search = Search {
        scenario,
        best: Shrunk { script, failure: failure.clone(), runs: 0 },
        until: Instant::now().checked_add(patience.unwrap_or_default()),
    };
    search.best.script.trim();
    if patience.is_some() {
        let first = search.best.clone();
        // Where no single change helps any more it comes to rest, and not always where it is smallest.
        let enough = (failure.events / 25).max(SHORT);
        search.try_other_seeds(0..SEEDS);
        search.descend();
        if search.best.failure.events > enough {
            let found = std::mem::replace(&mut search.best, first);
            search.best.runs = found.runs;
            search.descend();
            if found.failure.events <= search.best.failure.events {
                search.best = Shrunk { runs: search.best.runs, ..found };
            }
        }
        let batches = (1..BATCHES).map(|batch| batch * SEEDS..(batch + 1) * SEEDS);
        for seeds in batches {
            if search.best.failure.events > enough {
                search.try_other_seeds(seeds);
                search.descend();
            }
        }
    }
    search.best
}

struct Search<'a> {
    scenario: &'a dyn Fn(Builder) -> Sim,
    best: Shrunk,
    /// Never, if that is further away than a clock can say.
    until: Option<Instant>,
}

impl Search<'_> {
    fn is_over(&self) -> bool {
        self.until.is_some_and(|until| Instant::now() >= until)
    }

    /// Makes it smaller, change by change, until none helps.
    fn descend(&mut self) {
        while !self.is_over() {
            if self.round() {
                continue;
            }
            let events = self.best.failure.events;
            for lane in self.lanes() {
                self.lessen(lane);
            }
            if self.best.failure.events == events {
                return;
            }
        }
    }

    /// What is changed first: the program's own numbers, since most depends on them; then faults, and the network.
    fn lanes(&self) -> impl Iterator<Item = Lane> + use<> {
        self.best.script.lanes().into_iter().rev()
    }

    /// Looks for a run that fails so, and is smaller from the beginning.
    fn try_other_seeds(&mut self, seeds: std::ops::Range<u64>) {
        /// What the seed chooses of order, network, faults and random numbers; and what stays as it is. The rest is plain.
        const MIXTURES: [([bool; 4], [bool; 4]); 4] = [
            ([false, true, true, false], [true, false, false, true]),
            ([false, true, true, false], [false; 4]),
            ([true, true, true, false], [false; 4]),
            ([false, true, true, true], [false; 4]),
        ];
        for (by_seed, stays) in MIXTURES {
            for seed in seeds.clone() {
                if self.is_over() {
                    return;
                }
                let script = self.best.script.only(stays);
                self.offer_run(Builder { by_seed, ..Sim::builder().seed(seed).script(script) });
            }
        }
    }

    /// Tries a changed script; keeps it if its run is smaller.
    fn offer(&mut self, script: Script) -> bool {
        self.offer_run(Sim::builder().script(script))
    }

    fn offer_run(&mut self, builder: Builder) -> bool {
        self.best.runs += 1;
        // What is not smaller need not be seen to its end.
        let builder = Builder { events_max: self.best.failure.events, ..builder };
        let builder = builder.record(true).details(false);
        let Err(failure) = run(self.scenario, builder) else { return false };
        if !failure.is_like(&self.best.failure) {
            return false;
        }
        // What was asked for, which may be less than was offered.
        let mut script = failure.script.clone().unwrap_or_default();
        script.trim();
        let size =
            |script: &Script, failure: &Failure| (failure.events, script.weight(), script.len(), sum(script));
        if size(&script, &failure) >= size(&self.best.script, &self.best.failure) {
            return false;
        }
        (self.best.script, self.best.failure) = (script, *failure);
        true
    }

    /// Tries all changes once, from great to small. Says whether one was kept.
    fn round(&mut self) -> bool {
        let mut has_changed = false;
        for lane in self.lanes() {
            has_changed |= !self.is_over() && self.clear(lane);
        }
        for lane in self.lanes() {
            let mut piece = self.best.script.lane(lane).len().div_ceil(2);
            while piece > 0 && !self.is_over() {
                has_changed |= self.pass(lane, piece, &cut);
                has_changed |= self.pass(lane, piece, &make_plain);
                has_changed |= GREAT.contains(&lane.0) && self.pass(lane, piece, &make_great);
                piece /= 2;
            }
        }
        has_changed
    }

    /// Makes each answer as small as it can be, by halving the distance.
    fn lessen(&mut self, lane: Lane) {
        let mut place = self.best.script.lane(lane).len();
        while place > 0 && !self.is_over() {
            place -= 1;
            // Behind the end, if the script has become shorter meanwhile.
            let Some(&most) = self.best.script.lane(lane).get(place) else { continue };
            let (mut too_small, mut enough) = (0, most);
            while enough > too_small + 1 && !self.is_over() {
                let middle = too_small + (enough - too_small) / 2;
                let mut script = self.best.script.clone();
                let Some(answer) = script.lane_mut(lane).get_mut(place) else { break };
                *answer = middle;
                if self.offer(script) {
                    enough = middle;
                } else {
                    too_small = middle;
                }
            }
        }
    }

    /// Makes a whole lane plain.
    fn clear(&mut self, lane: Lane) -> bool {
        if self.best.script.lane(lane).is_empty() {
            return false;
        }
        let mut script = self.best.script.clone();
        script.lane_mut(lane).clear();
        self.offer(script)
    }

    /// Changes each piece of that length in turn, from the end, since what is behind does not move then.
    fn pass(
        &mut self,
        lane: Lane,
        piece: usize,
        change: &dyn Fn(&mut Vec<u64>, usize, usize) -> bool,
    ) -> bool {
        let mut has_changed = false;
        let mut end = self.best.script.lane(lane).len();
        while end > 0 && !self.is_over() {
            let start = end.saturating_sub(piece);
            let mut script = self.best.script.clone();
            if change(script.lane_mut(lane), start, end) && self.offer(script) {
                has_changed = true;
            }
            end = start.min(self.best.script.lane(lane).len());
        }
        has_changed
    }
}

fn sum(script: &Script) -> u128 {
    script.lanes().into_iter().flat_map(|lane| script.lane(lane)).map(|answer| u128::from(*answer)).sum()
}

fn cut(answers: &mut Vec<u64>, start: usize, end: usize) -> bool {
    answers.drain(start..end.min(answers.len()));
    true
}

#[expect(clippy::ptr_arg, reason = "all changes have one shape")]
fn make_plain(answers: &mut Vec<u64>, start: usize, end: usize) -> bool {
    let end = end.min(answers.len());
    let piece = &mut answers[start..end];
    let changes = piece.iter().any(|answer| *answer != 0);
    piece.fill(0);
    changes
}

/// As great as what is asked for may be: whoever sleeps longer between two looks has fewer of them.
#[expect(clippy::ptr_arg, reason = "all changes have one shape")]
fn make_great(answers: &mut Vec<u64>, start: usize, end: usize) -> bool {
    let end = end.min(answers.len());
    answers[start..end].fill(u64::MAX);
    true
}

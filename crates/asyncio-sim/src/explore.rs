//! [`Explorer`]: many seeds of one scenario; and for the one that fails, the smallest run that fails so, and a line that replays it.

use std::env;
use std::fmt::Write as _;
use std::panic::Location;
use std::time::Duration;

use crate::choice::Script;
use crate::run::{Builder, Failure, FailureKind, Outcome, Sim, Summary, panics};
use crate::shrink::{self, Shrunk};
use crate::trace::TraceHash;

/// Runs a scenario with many seeds. A scenario makes of a builder, which has the seed already, a simulation with its hosts.
///
/// What `#[asyncio::test(sim, seeds = 100)]` stands on.
///
/// Variables of the environment have their say, since a test has no arguments:
/// - `ASYNCIO_SIM_SEED=7` runs that seed alone, `ASYNCIO_SIM_SEED=7..100` those;
/// - `ASYNCIO_SIM_SCRIPT=s1.3=1,n0.0=7` replays that run;
/// - `ASYNCIO_SIM_SEEDS=10000` sets how many seeds there are;
/// - `ASYNCIO_SIM_TRACE=1` tells each event on stderr, and `ASYNCIO_SIM_EVENTS=file` writes them to a file;
/// - `ASYNCIO_SIM_HASHES=file` appends each seed with its hash to a file, to be compared with those of another process.
///
/// # Examples
///
/// ```
/// use asyncio_sim::Explorer;
///
/// let scenario = |builder: asyncio_sim::Builder| {
///     let sim = builder.build();
///     sim.client("client", "10.0.0.1", || async {
///         assert!(asyncio_base::random::below(20) < 19, "a bug, now and then");
///     });
///     sim
/// };
/// let found = Explorer::new("doc").seeds(1000).explore(&scenario).unwrap_err();
/// assert_eq!(found.shrunk.script.weight(), 1, "one choice makes it fail");
/// ```
#[derive(Clone, Debug)]
pub struct Explorer {
    name: String,
    seeds: std::ops::Range<u64>,
    shrinks: bool,
    patience: Duration,
}

/// What was found: the failure as it was seen first, and the smallest one that is like it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Found {
    /// With which seed.
    pub seed: Option<u64>,
    /// How it failed first.
    pub failure: Failure,
    /// The smallest run that fails so.
    pub shrunk: Shrunk,
}

impl Explorer {
    /// Makes one for a scenario of that name: that of its test.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), seeds: 0..1, shrinks: true, patience: shrink::PATIENCE }
    }

    /// Sets how many seeds are run, from 0 on. The default is one.
    #[must_use]
    pub fn seeds(self, count: u64) -> Self {
        Self { seeds: 0..count, ..self }
    }

    /// Sets whether a failure is made smaller before it is reported. The default is that it is.
    #[must_use]
    pub fn shrink(self, shrinks: bool) -> Self {
        Self { shrinks, ..self }
    }

    /// Sets how long a failure may be made smaller, in real time. The default is 50 s: some thousand runs of a small scenario.
    #[must_use]
    pub fn patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// Runs all seeds, until one fails.
    ///
    /// # Errors
    ///
    /// Fails with what was found.
    pub fn explore(&self, scenario: &dyn Fn(Builder) -> Sim) -> Result<Vec<Summary>, Box<Found>> {
        let mut summaries = Vec::new();
        for seed in self.seeds.clone() {
            match run(scenario, traced(Sim::builder().seed(seed).details(false))) {
                Ok(summary) => {
                    note_hash(&self.name, seed, summary.events, summary.hash);
                    summaries.push(summary);
                }
                Err(failure) => {
                    note_hash(&self.name, seed, failure.events, failure.hash);
                    return Err(Box::new(self.found(scenario, seed, *failure)));
                }
            }
        }
        Ok(summaries)
    }

    fn found(&self, scenario: &dyn Fn(Builder) -> Sim, seed: u64, failure: Failure) -> Found {
        // Once more, written down.
        let recorded = run(scenario, Sim::builder().seed(seed).record(true).details(false));
        let shrunk = match recorded {
            Err(again) if again.hash == failure.hash => {
                let script = again.script.clone().unwrap_or_default();
                shrink::shrink(scenario, script, &failure, self.shrinks.then_some(self.patience))
            }
            other => Shrunk::differs(&failure, other.as_ref().err().map(|again| &**again)),
        };
        Found { seed: Some(seed), failure, shrunk }
    }

    /// Runs what the environment asks for, or else all seeds.
    ///
    /// # Panics
    ///
    /// Panics with a report if one fails, and if the environment cannot be understood.
    #[track_caller]
    pub fn check(mut self, scenario: &dyn Fn(Builder) -> Sim) {
        if let Some(script) = read::<Script>("ASYNCIO_SIM_SCRIPT") {
            if let Err(failure) = run(scenario, traced(Sim::builder().script(script))) {
                panic!("{failure}");
            }
            return;
        }
        if let Some(count) = read::<u64>("ASYNCIO_SIM_SEEDS") {
            self.seeds = 0..count;
        }
        if let Ok(text) = env::var("ASYNCIO_SIM_SEED") {
            self.seeds =
                range(&text).unwrap_or_else(|| panic!("ASYNCIO_SIM_SEED={text}: say `7`, or `7..10`"));
        }
        if let Err(found) = self.explore(scenario) {
            let place = Location::caller();
            panic!("{}", self.report(scenario, &found, place));
        }
    }

    fn report(&self, scenario: &dyn Fn(Builder) -> Sim, found: &Found, place: &Location<'_>) -> String {
        let Found { seed, failure, shrunk } = found;
        let mut text = format!("{place}: the simulation {:?} found {failure}\n", self.name);
        if shrunk.failure.kind == FailureKind::Nondeterminism {
            let seed = seed.unwrap_or_default();
            let _ = write!(text, "{}\nwith the seed {seed}", shrunk.failure.message);
            return text;
        }
        let (first, last) = (failure.events, shrunk.failure.events);
        if shrunk.runs > 0 {
            let weight = shrunk.script.weight();
            let _ = writeln!(
                text,
                "made smaller in {} runs: from {first} events to {last}, by {weight} choices that are not plain",
                shrunk.runs
            );
        }
        // With all that there is to be told.
        let replayed = run(scenario, Sim::builder().script(shrunk.script.clone()));
        match replayed {
            Err(failure) => {
                let _ = writeln!(text, "the smallest: {failure}");
            }
            Ok(_) => text.push_str("it could not be replayed: something goes past the simulation\n"),
        }
        let seed = seed.unwrap_or_default();
        let _ = writeln!(
            text,
            "replay the seed:     ASYNCIO_SIM_SEED={seed} cargo test {} -- --exact",
            self.name
        );
        let _ = write!(
            text,
            "replay the smallest: ASYNCIO_SIM_SCRIPT={} cargo test {} -- --exact",
            shrunk.script, self.name
        );
        text
    }
}

/// Runs an async test on the host "test" of a simulation, with many seeds: what `#[asyncio::test(sim)]` expands to.
///
/// `path` is that of the test, from its crate on.
///
/// # Panics
///
/// Panics with a report if a seed fails.
#[track_caller]
pub fn test<F>(path: &str, seeds: u64, with: impl Fn(Builder) -> Builder, body: fn() -> F)
where
    F: Future + 'static,
    F::Output: Outcome,
{
    // cargo names a test without its crate.
    let name = path.split_once("::").map_or(path, |(_, name)| name);
    Explorer::new(name).seeds(seeds).check(&|builder| {
        let sim = with(builder).build();
        sim.client("test", TEST_ADDRS, body);
        sim
    });
}

/// Addresses for documentation (RFC 5737, RFC 3849), which no test takes for a host of its own.
const TEST_ADDRS: &str = "192.0.2.1, 2001:db8::1";

/// Runs a scenario once. Its panics are reported, and not printed.
pub(crate) fn run(scenario: &dyn Fn(Builder) -> Sim, builder: Builder) -> Result<Summary, Box<Failure>> {
    // What it says while it is made is its own fault, and told of.
    let sim = scenario(builder);
    let _quiet = panics::quiet(true);
    sim.run()
}

/// Has events told, if the environment asks for it.
fn traced(builder: Builder) -> Builder {
    use std::io::Write as _;
    if let Ok(path) = env::var("ASYNCIO_SIM_EVENTS") {
        let file = std::fs::File::options().append(true).create(true).open(&path);
        let file = file.unwrap_or_else(|error| panic!("ASYNCIO_SIM_EVENTS: opening {path}: {error}"));
        let mut file = std::io::BufWriter::new(file);
        // What cannot be written is missed by whoever reads it.
        return builder.on_event(move |number, line| _ = writeln!(file, "{number} {line}"));
    }
    if env::var_os("ASYNCIO_SIM_TRACE").is_none() {
        return builder;
    }
    // Nobody is left to hear that stderr is closed.
    builder.on_event(|number, line| _ = writeln!(std::io::stderr(), "{number} {line}"))
}

fn note_hash(name: &str, seed: u64, events: u64, hash: TraceHash) {
    use std::io::Write as _;
    let Ok(path) = env::var("ASYNCIO_SIM_HASHES") else { return };
    let file = std::fs::File::options().append(true).create(true).open(&path);
    let written = file.and_then(|mut file| writeln!(file, "{name} {seed} {events} {hash}"));
    written.unwrap_or_else(|error| panic!("ASYNCIO_SIM_HASHES: writing to {path}: {error}"));
}

fn read<T: std::str::FromStr<Err: std::fmt::Display>>(name: &str) -> Option<T> {
    let text = env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|error| panic!("{name}={text}: {error}")))
}

fn range(text: &str) -> Option<std::ops::Range<u64>> {
    match text.split_once("..") {
        Some((from, to)) => Some(from.parse().ok()?..to.parse().ok()?),
        None => text.parse().ok().map(|seed: u64| seed..seed + 1),
    }
}

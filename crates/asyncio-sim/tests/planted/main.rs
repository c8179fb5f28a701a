//! Twelve bugs that were planted: each is found within its budget of seeds, had again, and made smaller;
//! and what is sound is never accused.
//!
//! `PLANTED_FIGURES=file` appends a line for each that is found: its name, the seed, the events of the first
//! and of the smallest run, and how many runs it took.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

mod connections;
mod leases;
mod local;
mod retries;
mod scene;
mod storage;

use std::time::Duration;

use asyncio_sim::{Builder, Explorer, FailureKind, Found, Script, Sim};

/// A program with a bug that can be switched off.
struct Planted {
    name: &'static str,
    /// Within so many seeds it is found.
    seeds: u64,
    /// As what it may show itself.
    kinds: &'static [FailureKind],
    /// A part of the message.
    says: &'static str,
    scenario: fn(Builder, bool) -> Sim,
}

/// So many are run without the bug.
const SOUND_SEEDS: u64 = if cfg!(debug_assertions) { 4 } else { 200 };

/// A failing run with fewer events is short already.
const SHORT: u64 = 2000;

/// How it was found.
#[derive(Debug)]
struct Figures {
    name: &'static str,
    seed: u64,
    events: u64,
    shrunk: u64,
    runs: usize,
}

impl Figures {
    fn of(planted: &Planted, found: &Found) -> Self {
        Self {
            name: planted.name,
            seed: found.seed.unwrap_or_default(),
            events: found.failure.events,
            shrunk: found.shrunk.failure.events,
            runs: found.shrunk.runs,
        }
    }

    /// Appends a line to the file that was asked for.
    fn note(&self) {
        use std::io::Write as _;
        let Some(path) = std::env::var_os("PLANTED_FIGURES") else { return };
        let Self { name, seed, events, shrunk, runs } = self;
        let mut file = std::fs::File::options().append(true).create(true).open(path).unwrap();
        // At once, as others write, too.
        file.write_all(format!("{name} {seed} {events} {shrunk} {runs}\n").as_bytes()).unwrap();
    }
}

/// Without optimisation it is not waited for: `cargo xtask sim` runs them with it.
const PATIENCE: Duration = Duration::from_secs(if cfg!(debug_assertions) { 1 } else { 60 });

fn is_found(planted: &Planted) {
    let scenario = planted.scenario;
    let explored = Explorer::new(planted.name)
        .seeds(planted.seeds)
        .patience(PATIENCE)
        .explore(&|builder| scenario(builder, true));
    let Err(found) = explored else { panic!("{}: not found with {} seeds", planted.name, planted.seeds) };
    let (failure, shrunk) = (&found.failure, &found.shrunk.failure);
    assert!(planted.kinds.contains(&failure.kind), "{failure}");
    assert!(failure.message.contains(planted.says), "{failure}");
    assert!(shrunk.is_like(failure), "{failure}\n{shrunk}");

    let text = found.shrunk.script.to_string();
    for _ in 0..3 {
        let script: Script = text.parse().unwrap();
        let again = scenario(Sim::builder().script(script).details(false), true).run().unwrap_err();
        assert!(again.is_like(failure), "{failure}\n{again}");
        assert_eq!((again.hash, again.events), (shrunk.hash, shrunk.events));
    }

    let figures = Figures::of(planted, &found);
    figures.note();
    // Without optimisation the time is up before it is as small as that.
    let most =
        if figures.events < SHORT || cfg!(debug_assertions) { figures.events } else { figures.events / 20 };
    assert!(figures.shrunk <= most, "{figures:?}");
}

fn is_sound(planted: &Planted) {
    let scenario = planted.scenario;
    let explorer = Explorer::new(planted.name).seeds(SOUND_SEEDS).shrink(false);
    if let Err(found) = explorer.explore(&|builder| scenario(builder, false)) {
        panic!("{}, seed {:?}: {}", planted.name, found.seed, found.failure);
    }
}

macro_rules! planted {
    ($($name:ident: $planted:path,)*) => {
        mod each_is_found_replayed_and_shrunk {
            $(
                #[test]
                fn $name() {
                    super::is_found(&$planted);
                }
            )*
        }

        mod without_its_bug_none_fails {
            $(
                #[test]
                fn $name() {
                    super::is_sound(&$planted);
                }
            )*
        }
    };
}

planted! {
    lost_wake: crate::local::LOST_WAKE,
    lost_permit: crate::local::LOST_PERMIT,
    locks_in_two_orders: crate::local::LOCKS_IN_TWO_ORDERS,
    retry_storm: crate::retries::RETRY_STORM,
    counted_twice: crate::retries::COUNTED_TWICE,
    missing_timeout: crate::retries::MISSING_TIMEOUT,
    split_brain: crate::leases::SPLIT_BRAIN,
    trusted_clock: crate::leases::TRUSTED_CLOCK,
    forgotten_entry: crate::connections::FORGOTTEN_ENTRY,
    assumed_order: crate::connections::ASSUMED_ORDER,
    short_read: crate::connections::SHORT_READ,
    early_answer: crate::storage::EARLY_ANSWER,
}

/// Fails whatever happens.
async fn canary() {
    let caller = scene::Caller::new("10.0.0.1:80").await.unwrap();
    caller.insist([1, 2, 3]).await;
    panic!("broken on purpose");
}

#[test]
fn one_that_is_broken_on_purpose_is_always_reported() {
    let scenario = |builder: Builder| {
        let sim = scene::bounded(builder).build();
        sim.host("server", "10.0.0.1", || scene::serve(Some));
        sim.client("canary", "10.0.0.2", canary);
        sim
    };
    for seed in 0..100 {
        let failure = scenario(Sim::builder().seed(seed).details(false)).run().unwrap_err();
        assert_eq!((failure.kind, failure.host.as_deref()), (FailureKind::Panic, Some("canary")));
        assert!(failure.message.contains("broken on purpose"), "{failure}");
    }
    let found = Explorer::new("canary").explore(&scenario).unwrap_err();
    assert_eq!(found.seed, Some(0));
    assert!(found.shrunk.failure.events <= found.failure.events);
}

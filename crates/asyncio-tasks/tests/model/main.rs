//! Random trees of scopes, shields, guards, timeouts, races, tasks, groups, borrowing children and other crates' combinators, under a clock that is
//! moved by hand. Each tree is run to its end, and then the laws of `docs/cancellation.md` are checked:
//!
//! - M1: every closer ran exactly once, to its end, and began after its guard was dropped, or its scope had ended.
//! - M2: when a scope returns, every closer that was registered in it, at any depth, has ended; and so has every step, child and task of it.
//! - M3: a shield that was polled ran to its end, but where another crate's combinator dropped it.
//! - M4: what begins to wait in a scope that is cancelled never has its wait come to an end, but for siblings in another crate's combinator.
//! - M6: a group gives as many errors as there were; and no more of its children run than its limit allows.
//! - M5: nothing is left: no task, no job, no timer; and the tree ends at all.
//!
//! `ASYNCIO_MODEL_TREES` is how many trees, `ASYNCIO_MODEL_SEED` where to begin: a failure names its seed. The counts of what occurred are printed.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

mod group;
mod run;
mod tree;
mod witness;

use std::collections::BTreeMap;

/// How many trees, where nobody says otherwise: some seconds without optimisation. `cargo xtask ci --full` has five million.
const TREES: u64 = 15_000;

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |number| number.parse().unwrap())
}

#[test]
fn random_trees_keep_the_laws() {
    let (first, count) = (number("ASYNCIO_MODEL_SEED", 0), number("ASYNCIO_MODEL_TREES", TREES));
    // A panic of a tree is a part of it, and not to be printed; one of the checks is.
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if info.payload_as_str() != Some(run::PANIC) {
            hook(info);
        }
    }));
    let mut seen = BTreeMap::new();
    let (mut failures, mut smallest) = (0, None);
    for seed in first..first + count {
        let tree = std::sync::Arc::new(tree::Tree::random(seed));
        // Every other one by the seeded schedule.
        match run::run(&tree, (seed % 2 == 1).then_some(seed)) {
            Ok(pairs) => pairs.into_iter().for_each(|pair| *seen.entry(pair).or_insert(0_u64) += 1),
            Err(faults) => {
                let text = format!("seed {seed}: {faults:#?}\n{tree:?}");
                failures += 1;
                if smallest.as_ref().is_none_or(|smallest: &String| text.len() < smallest.len()) {
                    smallest = Some(text);
                }
            }
        }
    }
    if let Some(smallest) = smallest {
        panic!("{failures} trees broke a law; the smallest is\n{smallest}");
    }
    for ((kind, end), count) in &seen {
        println!("{kind:>14} × {end:<9} {count}");
    }
    if count < TREES {
        return;
    }
    let kinds =
        ["timeout", "cancel scope", "shield", "race", "join", "try_join", "task", "guard", "group", "scope"];
    let ends = ["value", "error", "panic", "cancel", "drop", "timeout"];
    for pair in kinds.iter().flat_map(|kind| ends.map(|end| (*kind, end))) {
        let times = seen.get(&pair).copied().unwrap_or(0);
        assert!(times >= count / 100, "{pair:?} occurred {times} times in {count} trees");
    }
}

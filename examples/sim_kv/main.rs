//! A lease protocol with a planted bug, which a simulation finds, makes small, and has again; and the same protocol mended, in which it finds nothing.
//!
//! `cargo run --release --example sim_kv [-- --seeds N] [--mended] [--script SCRIPT]`. The protocol stands in `lease.rs`.

use std::process::ExitCode;
use std::time::Instant;

use asyncio::sim::{Explorer, Found, Script, Sim};
use clap::Parser;
use examples::lease::world;

/// Looks for a lost update in a lease protocol.
#[derive(Parser)]
struct Arguments {
    /// How many seeds at most.
    #[arg(long, default_value_t = 500)]
    seeds: u64,
    /// Runs the mended protocol alone.
    #[arg(long)]
    mended: bool,
    /// Replays this run, as in s1.3=1,n0.0=7.
    #[arg(long)]
    script: Option<Script>,
}

fn main() -> ExitCode {
    let Arguments { seeds, mended, script } = Arguments::parse();
    let is_good = match script {
        Some(script) => replay(script, mended),
        None if mended => finds_nothing(seeds),
        None => finds_the_bug(seeds) && finds_nothing(seeds),
    };
    if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Runs what a report says.
fn replay(script: Script, is_mended: bool) -> bool {
    match world(Sim::builder().script(script), is_mended).run() {
        Ok(summary) => {
            println!("nothing, in {:?} and {} events", summary.elapsed, summary.events);
            true
        }
        Err(failure) => {
            println!("{failure}");
            false
        }
    }
}

/// Runs the protocol as it is until the bug shows, and shows it again.
fn finds_the_bug(seeds: u64) -> bool {
    let began = Instant::now();
    let explored = Explorer::new("sim_kv").seeds(seeds).explore(&|builder| world(builder, false));
    let Err(found) = explored else {
        println!("{seeds} seeds, and the bug was not found");
        return false;
    };
    report(&found);
    println!("all that took {:.1} s\n", began.elapsed().as_secs_f64());
    let shrunk = &found.shrunk;
    println!("the same again, from its script:");
    match world(Sim::builder().script(shrunk.script.clone()), false).run() {
        Err(again) if again.is_like(&shrunk.failure) && again.hash == shrunk.failure.hash => {
            println!("{again}\n");
            true
        }
        other => {
            println!("that was another run: {other:?}");
            false
        }
    }
}

fn report(found: &Found) {
    let (first, shrunk) = (&found.failure, &found.shrunk);
    println!("seed {} found {first}", found.seed.unwrap_or_default());
    println!(
        "made smaller in {} runs, from {} events to {}, by {} choices that are not plain:",
        shrunk.runs,
        first.events,
        shrunk.failure.events,
        shrunk.script.weight()
    );
    println!("{}", shrunk.failure);
    println!("replay it: cargo run --release --example sim_kv -- --script {}", shrunk.script);
}

/// Runs the mended protocol with all seeds.
fn finds_nothing(seeds: u64) -> bool {
    let began = Instant::now();
    match Explorer::new("sim_kv").seeds(seeds).explore(&|builder| world(builder, true)) {
        Ok(summaries) => {
            let events: u64 = summaries.iter().map(|summary| summary.events).sum();
            let a_second = seeds as f64 / began.elapsed().as_secs_f64();
            println!(
                "mended: nothing found, in {seeds} seeds and {events} events; {a_second:.0} seeds a second"
            );
            true
        }
        Err(found) => {
            report(&found);
            false
        }
    }
}

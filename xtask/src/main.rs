//! The project's own commands: `cargo xtask COMMAND`.
//!
//! One file a command. Each prints what it runs, so that a failure can be repeated by hand.

mod bench;
mod ci;
mod coming_from;
mod cross;
mod floor;
mod laws;
mod layers;
mod loom;
mod planted;
mod shuttle;
mod sim;
mod tidy;

mod shell;

use std::process::ExitCode;

use anyhow::{Result, bail};

const HELP: &str = "\
cargo xtask COMMAND

  test             every test of the workspace: what the README tells users to run
  ci [--full]      what a submission must pass; --full adds what takes longer
  layers           compares the arrows between crates with the table
  tidy             checks what rustfmt and clippy do not know about
  loom [--full]    the models; --full with three preemptions
  shuttle          the scheduler under random orders of its threads
  planted          plants bugs, each of which the test that it names must find
  sim              ten thousand seeds of a simulation find nothing; with a bug they do
  cross            type-checks the libraries for Windows, macOS and FreeBSD
  examples         runs every example, each of which ends in assertions
  floor            counts system calls, instructions, allocations and bytes
  bench [ARGS]     measures us beside raw epoll, tokio and smol; `bench --help` tells more
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match dispatch(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(arguments: &[&str]) -> Result<()> {
    match *arguments {
        ["test"] => ci::test(),
        ["ci"] => ci::run(ci::Extent::Submission),
        ["ci", "--full"] => ci::run(ci::Extent::Full),
        ["layers"] => layers::run(),
        ["tidy"] => tidy::run(),
        ["loom"] => loom::run(loom::Extent::Short),
        ["loom", "--full"] => loom::run(loom::Extent::Full),
        ["shuttle"] => shuttle::run(),
        ["planted"] => planted::run(),
        ["sim"] => sim::run(),
        ["cross"] => cross::run(),
        ["examples"] => ci::examples(),
        ["floor"] => floor::run(),
        ["bench", ref rest @ ..] => bench::run(rest),
        [] | ["help" | "--help" | "-h"] => {
            print!("{HELP}");
            Ok(())
        }
        _ => bail!("no such command: {}\n\n{HELP}", arguments.join(" ")),
    }
}

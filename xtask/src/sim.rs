//! The simulation at length: ten thousand seeds of a scenario that does a little of everything under every fault. `test` runs a few hundred of it, and all suites.

use anyhow::{Result, ensure};

use crate::shell::{self, cargo_program, command};

const SEEDS: &str = "10000";

/// Has the twelve planted bugs found and made small; runs the seeds, which find nothing; and the same ones with a bug switched on, which must be found.
pub(crate) fn run() -> Result<()> {
    let planted = ["test", "--release", "--package", "asyncio-sim", "--test", "planted"];
    shell::run(&mut command(&cargo_program(), &planted))?;
    shell::run(&mut seeds())?;
    let with_bug = shell::run(seeds().env("ASYNCIO_SIM_BUG", "1"));
    ensure!(with_bug.is_err(), "{SEEDS} seeds did not find the bug that was switched on");
    eprintln!("the bug that was switched on was found, as it must be");
    Ok(())
}

fn seeds() -> std::process::Command {
    let arguments = [
        "test",
        "--release",
        "--package",
        "asyncio-sim",
        "--test",
        "it",
        "--",
        "--exact",
        "fresh::everything_goes",
    ];
    let mut test = command(&cargo_program(), &arguments);
    test.env("ASYNCIO_SIM_SEEDS", SEEDS);
    test
}

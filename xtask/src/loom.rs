//! The loom models: `cfg(loom)` in a target folder of their own.

use std::process::Command;

use anyhow::Result;

use crate::shell::{self, cargo_program, command};

/// How many preemptions a model may have.
#[derive(Clone, Copy)]
pub(crate) enum Extent {
    /// Two: what finds nearly everything (Musuvathi and Qadeer, "Iterative Context Bounding", 2007).
    Short,
    /// Three.
    Full,
}

/// The packages that have models.
const PACKAGES: [&str; 5] =
    ["asyncio-blocking", "asyncio-reactor", "asyncio-executor", "asyncio-sync", "asyncio-tasks"];

/// The command that builds the models and runs them.
pub(crate) fn models(extent: Extent) -> Command {
    // `--lib`, since the models are of private parts; in a profile of their own, since they run many times.
    let mut test = command(&cargo_program(), &["test", "--profile", "loom", "--lib"]);
    for package in PACKAGES {
        test.args(["--package", package]);
    }
    test.env("RUSTFLAGS", "--cfg loom").env("CARGO_TARGET_DIR", "target/loom");
    let preemptions = match extent {
        Extent::Short => "2",
        Extent::Full => "3",
    };
    test.env("LOOM_MAX_PREEMPTIONS", preemptions);
    test
}

pub(crate) fn run(extent: Extent) -> Result<()> {
    shell::run(&mut models(extent))
}

//! The scheduler, the primitives, and what other threads do to scopes, under random orders of the threads: `cfg(shuttle)` in a target folder of its own.

use anyhow::Result;

use crate::shell::{self, cargo_program, command};

pub(crate) fn run() -> Result<()> {
    let arguments = [
        "test",
        "--release",
        "--lib",
        "--package",
        "asyncio-executor",
        "--package",
        "asyncio-sync",
        "--package",
        "asyncio-tasks",
        "shuttle_tests",
    ];
    let mut test = command(&cargo_program(), &arguments);
    shell::run(test.env("RUSTFLAGS", "--cfg shuttle").env("CARGO_TARGET_DIR", "target/shuttle"))
}

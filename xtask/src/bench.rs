//! Measures us beside raw epoll and our peers: builds `benches/`, a workspace of its own, and runs it.

use anyhow::Result;

use crate::shell::{self, cargo_program, command, root};

pub(crate) fn run(arguments: &[&str]) -> Result<()> {
    build()?;
    let mut bench = command(&program("bench"), &["run"]);
    shell::run(bench.args(arguments).current_dir(root().join("benches")))
}

/// Builds the measuring programs.
pub(crate) fn build() -> Result<()> {
    let arguments = ["build", "--release", "--locked", "--manifest-path", "benches/Cargo.toml"];
    shell::run(&mut command(&cargo_program(), &arguments))
}

/// The path of one of them.
pub(crate) fn program(name: &str) -> String {
    root().join("benches/target/release").join(name).to_string_lossy().into_owned()
}

//! Measures us beside raw epoll and our peers: builds `benches/`, a workspace of its own, and runs it.

use std::process::Command;

use anyhow::Result;

use crate::shell::{self, cargo_program, command, root};

pub(crate) fn run(arguments: &[&str]) -> Result<()> {
    shell::run(&mut Programs::WithPeers.build())?;
    let mut bench = command(&Programs::WithPeers.path("bench"), &["run"]);
    shell::run(bench.args(arguments).current_dir(root().join("benches")))
}

/// The measuring programs.
///
/// Each build has a folder of its own: `bench run` starts its own program anew for every measurement, for an hour, and a `floor` meanwhile
/// would put the other one in its place.
#[derive(Clone, Copy)]
pub(crate) enum Programs {
    WithPeers,
    /// Ours and tokio's alone, built in a fraction of the time.
    WithoutPeers,
}

impl Programs {
    /// The command that builds them.
    pub(crate) fn build(self) -> Command {
        let arguments = ["build", "--release", "--locked", "--manifest-path", "benches/Cargo.toml"];
        let mut build = command(&cargo_program(), &arguments);
        build.args(["--target-dir", self.target()]);
        if let Self::WithoutPeers = self {
            build.arg("--no-default-features");
        }
        build
    }

    /// The path of one of them.
    pub(crate) fn path(self, name: &str) -> String {
        root().join(self.target()).join("release").join(name).to_string_lossy().into_owned()
    }

    fn target(self) -> &'static str {
        match self {
            Self::WithPeers => "benches/target",
            Self::WithoutPeers => "benches/target/floor",
        }
    }
}

//! Type-checks the libraries for platforms that no machine of ours runs. `benches/`, the examples and this tool are left out.
//!
//! rustup's targets need a download of each platform's std. Debian ships std's source with a compiler of its own, which builds it as far as a
//! check needs: no linker, no foreign libraries.

use std::path::Path;

use anyhow::{Result, bail};

use crate::shell::{self, command};

const TARGETS: [&str; 3] = ["x86_64-pc-windows-gnu", "aarch64-apple-darwin", "x86_64-unknown-freebsd"];

/// What lies outside of the libraries.
const LEFT_OUT: [&str; 4] = ["xtask", "examples", "executor_only", "reactor_only"];

const COMPILER: &str = "/usr/bin/rustc";
const CARGO: &str = "/usr/bin/cargo";
const STD: &str = "/usr/lib/rustlib/src/rust/library/std/Cargo.toml";

pub(crate) fn run() -> Result<()> {
    for needed in [COMPILER, CARGO, STD] {
        if !Path::new(needed).exists() {
            bail!(
                "{needed} is missing: `apt-get install rustc-web cargo-web rust-web-src binutils-mingw-w64-x86-64` brings it"
            );
        }
    }
    for target in TARGETS {
        let mut check =
            command(CARGO, &["check", "--workspace", "--lib", "--all-features", "--target", target]);
        for package in LEFT_OUT {
            check.args(["--exclude", package]);
        }
        check.arg("-Zbuild-std=std,panic_abort");
        // Building std is a nightly feature, which this lets the compiler's own release do.
        check.env("RUSTC_BOOTSTRAP", "1").env("RUSTC", COMPILER).env("CARGO_TARGET_DIR", "target/cross");
        shell::run(check.env("RUSTFLAGS", "-Dwarnings"))?;
    }
    Ok(())
}

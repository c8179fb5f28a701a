//! Type-checks the libraries for platforms that no machine of ours runs. `benches/`, the examples and this tool are left out.
//!
//! rustup's targets need a download of each platform's std. Debian ships std's source with a compiler of its own, which builds it as far as a
//! check needs: no linker, no foreign libraries. C sources of the dependencies are not compiled either: their place is taken by empty files.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use crate::shell::{self, command, root};

const TARGETS: [&str; 3] = ["x86_64-pc-windows-gnu", "aarch64-apple-darwin", "x86_64-unknown-freebsd"];

/// What lies outside of the libraries.
const LEFT_OUT: [&str; 4] = ["xtask", "examples", "executor_only", "reactor_only"];

const COMPILER: &str = "/usr/bin/rustc";
const CARGO: &str = "/usr/bin/cargo";
const STD: &str = "/usr/lib/rustlib/src/rust/library/std/Cargo.toml";

/// Takes the place of a C compiler: what it is to make is made, and empty.
const C_COMPILER: &str = r#"#!/bin/sh
while [ $# -gt 0 ]; do
    case "$1" in
        -o) : > "$2" ;;
        -Fo*) : > "${1#-Fo}" ;;
    esac
    shift
done
"#;

fn c_compiler() -> Result<PathBuf> {
    let path = root().join("target/cross/cc");
    fs::create_dir_all(root().join("target/cross"))?;
    fs::write(&path, C_COMPILER)?;
    fs::set_permissions(&path, Permissions::from_mode(0o755))?;
    Ok(path)
}

pub(crate) fn run() -> Result<()> {
    for needed in [COMPILER, CARGO, STD] {
        if !Path::new(needed).exists() {
            bail!(
                "{needed} is missing: `apt-get install rustc-web cargo-web rust-web-src binutils-mingw-w64-x86-64` brings it"
            );
        }
    }
    let c_compiler = c_compiler()?;
    for target in TARGETS {
        let mut check =
            command(CARGO, &["check", "--workspace", "--lib", "--all-features", "--target", target]);
        for package in LEFT_OUT {
            check.args(["--exclude", package]);
        }
        check.arg("-Zbuild-std=std,panic_abort");
        // Building std is a nightly feature, which this lets the compiler's own release do.
        check.env("RUSTC_BOOTSTRAP", "1").env("RUSTC", COMPILER).env("CARGO_TARGET_DIR", "target/cross");
        check.env("TARGET_CC", &c_compiler).env("TARGET_AR", "ar");
        shell::run(check.env("RUSTFLAGS", "-Dwarnings"))?;
    }
    Ok(())
}

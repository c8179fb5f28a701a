//! Examples as programs: built by the cargo that runs the test.

use std::path::PathBuf;
use std::process::Command;

/// Cargo, as if somebody had called it who is no test.
///
/// What cargo tells a test of its own package is left out: build scripts that look at it (ring's does) would run anew, and all that stands on them would be compiled once more.
pub fn cargo() -> Command {
    let mut cargo = Command::new(env!("CARGO"));
    for (name, _) in std::env::vars_os() {
        let is_of_package = name
            .to_str()
            .is_some_and(|name| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_"));
        if is_of_package {
            cargo.env_remove(name);
        }
    }
    cargo
}

/// Builds an example with this profile, and says where it lies.
pub fn example(name: &str, profile: &str) -> PathBuf {
    let is_dev = profile == "dev";
    // Unoptimised, the README's test command has built it already, with the features of the whole workspace.
    let of: &[&str] = if is_dev { &["--workspace", "--all-features"] } else { &["--package", "examples"] };
    let built = cargo()
        .args(["build", "--quiet", "--profile", profile, "--example", name])
        .args(of)
        .status()
        .expect("cargo runs");
    assert!(built.success());
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../target"),
        |target| std::path::absolute(target).expect("there is a folder"),
    );
    // The one profile that is not called as its folder.
    let folder = if is_dev { "debug" } else { profile };
    target.join(folder).join("examples").join(name)
}

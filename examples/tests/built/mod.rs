//! Examples as programs: built by the cargo that runs the test.

use std::path::PathBuf;
use std::process::{Command, Stdio};

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

/// Says where an example lies. The README's test command has built it already, unoptimised and with the features of the whole workspace; whoever tests this package alone waits for that now.
pub fn example(name: &str) -> PathBuf {
    let built = cargo()
        .args(["build", "--quiet", "--workspace", "--all-features", "--example", name])
        .args(["--message-format", "json-render-diagnostics"])
        .stderr(Stdio::inherit())
        .output()
        .expect("cargo runs");
    assert!(built.status.success());
    // Cargo alone knows where its target folder is.
    let said = String::from_utf8(built.stdout).expect("JSON is UTF-8");
    let messages = said.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let mut executables = messages.filter_map(|message| Some(message["executable"].as_str()?.to_owned()));
    executables.next().expect("cargo says where it has put the example").into()
}

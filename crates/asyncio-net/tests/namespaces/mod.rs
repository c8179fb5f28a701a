//! A test that runs again, by itself, in a network of its own.

use std::path::Path;
use std::process::{Command, Output};

/// Set for the program inside.
const INSIDE: &str = "ASYNCIO_TEST_INSIDE";

/// Whether this program runs inside.
pub(crate) fn is_inside() -> bool {
    std::env::var_os(INSIDE).is_some()
}

/// What became of the program inside.
#[must_use = "it is to be checked"]
pub(crate) struct Outcome(std::io::Result<Output>);

/// Runs this program with the test of that name in namespaces, where there is nothing but the loopback; before that `script`, as their root. Its `$1` is
/// `argument`.
pub(crate) fn run_again(name: &str, script: &str, argument: &Path) -> Outcome {
    let script = format!("ip link set lo up\n{script}\nshift\nexec \"$@\"");
    let mut command = Command::new("unshare");
    command.args(["-U", "-r", "-n", "-m", "-p", "-f", "--kill-child", "sh", "-e", "-c", &script, "sh"]);
    command.arg(argument).arg(std::env::current_exe().unwrap());
    Outcome(command.args(["--exact", name, "--nocapture"]).env(INSIDE, "1").output())
}

impl Outcome {
    /// What is not installed, or not allowed, makes it say so and pass; with `ASYNCIO_REQUIRE_PEERS=1` it fails.
    pub(crate) fn check(self) {
        let is_required = std::env::var_os("ASYNCIO_REQUIRE_PEERS").is_some_and(|value| value == "1");
        match self.0 {
            Ok(output) => {
                let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
                // The test has begun, so the namespaces are not what failed.
                let has_begun = said.contains("running 1 test");
                if has_begun || is_required {
                    assert!(output.status.success() && has_begun, "{said}");
                    said.lines()
                        .filter(|line| line.starts_with("skipped"))
                        .for_each(|line| eprintln!("{line}"));
                } else {
                    eprintln!("skipped: no network of its own is to be had: {said}");
                }
            }
            Err(error) if is_required => panic!("unshare cannot be started: {error}"),
            Err(error) => eprintln!("skipped: unshare cannot be started: {error}"),
        }
    }
}

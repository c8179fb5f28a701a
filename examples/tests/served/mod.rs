//! What tests of an example that serves have in common: the program in a process of its own, and other people's clients.
//!
//! Where a client is not installed the test says so and passes; with `ASYNCIO_REQUIRE_PEERS=1` it fails.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Output, Stdio};

use crate::built;

/// An example that serves at the port it is given.
pub struct Server {
    pub child: Child,
    pub port: u16,
}

impl Server {
    /// Builds it, starts it, and waits until it says where it listens.
    pub fn start(example: &str) -> Self {
        Self::start_with(example, &[])
    }

    /// The same, with more arguments behind the port.
    pub fn start_with(example: &str, arguments: &[&str]) -> Self {
        let mut child = Command::new(built::example(example))
            .arg("0")
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .expect("it was built");
        let mut said = String::new();
        let stdout = child.stdout.take().expect("it is a pipe");
        BufReader::new(stdout).read_line(&mut said).expect("it says where it listens");
        let port = said.trim().rsplit_once(':').and_then(|(_, port)| port.parse().ok());
        Self { child, port: port.unwrap_or_else(|| panic!("{example} says {said:?}")) }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a client to its successful end; `None` where it is not installed, and need not be.
pub fn run(client: &mut Command) -> Option<Output> {
    let name = client.get_program().to_string_lossy().into_owned();
    match client.output() {
        Ok(output) => {
            let (said, errors) = (&output.stdout, &output.stderr);
            assert!(
                output.status.success(),
                "{client:?}: {}{}",
                String::from_utf8_lossy(said),
                String::from_utf8_lossy(errors)
            );
            Some(output)
        }
        Err(error) if std::env::var_os("ASYNCIO_REQUIRE_PEERS").is_none_or(|value| value != "1") => {
            eprintln!("skipped: {name} cannot be started: {error}");
            None
        }
        Err(error) => panic!("{name} cannot be started: {error}"),
    }
}

//! What tests of an example that serves have in common: the program in a process of its own, and other people's clients.
//!
//! Where a client is not installed the test says so and passes; with `ASYNCIO_REQUIRE_PEERS=1` it fails.

use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Output};

/// An example that serves at the port it is given.
pub struct Server {
    pub child: Child,
    pub port: u16,
}

impl Server {
    /// Builds it, starts it, and waits until it listens.
    pub fn start(example: &str) -> Self {
        let mut program = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../target");
        if let Some(target) = std::env::var_os("CARGO_TARGET_DIR") {
            program = PathBuf::from(target);
        }
        let built = Command::new(env!("CARGO"))
            .args(["build", "--quiet", "--release", "--package", "examples", "--example", example])
            .status()
            .expect("cargo runs");
        assert!(built.success());
        // A port that was free a moment ago.
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let port = listener.local_addr().expect("it listens").port();
        drop(listener);
        let mut child = Command::new(program.join("release/examples").join(example))
            .arg(port.to_string())
            .spawn()
            .expect("it was built");
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(child.try_wait().expect("it is ours").is_none(), "the server has ended");
            std::thread::yield_now();
        }
        Self { child, port }
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

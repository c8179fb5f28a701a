//! `redis_like` as Redis's own clients see it.
//!
//! Where they are not installed the test says so and passes; with `ASYNCIO_REQUIRE_PEERS=1` it fails.

#![cfg(unix)]

use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command};

struct Server {
    child: Child,
    port: String,
}

impl Server {
    fn start() -> Self {
        let mut program = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../target");
        if let Some(target) = std::env::var_os("CARGO_TARGET_DIR") {
            program = PathBuf::from(target);
        }
        let built = Command::new(env!("CARGO"))
            .args(["build", "--quiet", "--release", "--package", "examples", "--example", "redis_like"])
            .status()
            .expect("cargo runs");
        assert!(built.success());
        // A port that was free a moment ago.
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let port = listener.local_addr().expect("it listens").port().to_string();
        drop(listener);
        let mut child = Command::new(program.join("release/examples/redis_like"))
            .arg(&port)
            .spawn()
            .expect("it was built");
        while TcpStream::connect(format!("127.0.0.1:{port}")).is_err() {
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

/// Runs a client; `None` where it is not installed, and need not be.
fn client(name: &str, port: &str, arguments: &[&str]) -> Option<String> {
    match Command::new(name).args(["-p", port]).args(arguments).output() {
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stdout).into_owned();
            assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
            Some(said)
        }
        Err(error) if std::env::var_os("ASYNCIO_REQUIRE_PEERS").is_none_or(|value| value != "1") => {
            eprintln!("skipped: {name} cannot be started: {error}");
            None
        }
        Err(error) => panic!("{name} cannot be started: {error}"),
    }
}

#[test]
fn redis_cli_gets_its_answers() {
    let server = Server::start();
    let ask = |arguments: &[&str]| client("redis-cli", &server.port, arguments);
    for (arguments, answer) in [
        (&["PING"][..], "PONG\n"),
        (&["SET", "a key", "a value\r\nof two lines"], "OK\n"),
        (&["GET", "a key"], "a value\r\nof two lines\n"),
        (&["GET", "none"], "\n"),
        (&["INCR", "n"], "1\n"),
        (&["INCR", "n"], "2\n"),
        (&["DEL", "n", "a key", "none"], "2\n"),
        (&["ECHO", ""], "\n"),
    ] {
        let Some(said) = ask(arguments) else { return };
        assert_eq!(said, answer, "{arguments:?}");
    }
    let long = "x".repeat(3_000_000);
    assert!(long.len() > 256 * 1024);
    // By standard input, since a command line has an end.
    let file = std::env::temp_dir().join(format!("asyncio-redis-{}", std::process::id()));
    std::fs::write(&file, format!("SET long {long}\nGET long\n")).expect("there is room");
    let input = std::fs::File::open(&file).expect("it was written");
    let output =
        Command::new("redis-cli").args(["-p", &server.port]).stdin(input).output().expect("it ran before");
    std::fs::remove_file(&file).expect("it is there");
    assert_eq!(String::from_utf8_lossy(&output.stdout), format!("OK\n{long}\n"));
}

#[test]
fn redis_benchmark_runs_to_its_end() {
    let server = Server::start();
    for pipeline in ["1", "16"] {
        let arguments = ["-q", "-n", "20000", "-c", "50", "-P", pipeline, "-t", "ping,set,get,incr"];
        let Some(said) = client("redis-benchmark", &server.port, &arguments) else { return };
        for test in ["PING_INLINE", "PING_MBULK", "SET", "GET", "INCR"] {
            let is_measured = said
                .lines()
                .flat_map(|line| line.split('\r'))
                .any(|line| line.starts_with(test) && line.contains("requests per second"));
            assert!(is_measured, "{test}: {said}");
        }
        assert!(!said.contains("rror"), "{said}");
    }
}

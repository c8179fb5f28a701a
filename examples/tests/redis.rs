//! `redis_like` as Redis's own clients see it.

#![cfg(unix)]

mod built;
mod served;

use std::process::Command;

use served::Server;

/// What a client says.
fn client(name: &str, port: u16, arguments: &[&str]) -> Option<String> {
    let output = served::run(Command::new(name).args(["-p", &port.to_string()]).args(arguments))?;
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn redis_cli_gets_its_answers() {
    let server = Server::start("redis_like");
    let ask = |arguments: &[&str]| client("redis-cli", server.port, arguments);
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
    let output = Command::new("redis-cli")
        .args(["-p", &server.port.to_string()])
        .stdin(input)
        .output()
        .expect("it ran before");
    std::fs::remove_file(&file).expect("it is there");
    assert_eq!(String::from_utf8_lossy(&output.stdout), format!("OK\n{long}\n"));
}

#[test]
fn redis_benchmark_runs_to_its_end() {
    let server = Server::start("redis_like");
    for pipeline in ["1", "16"] {
        let arguments = ["-q", "-n", "20000", "-c", "50", "-P", pipeline, "-t", "ping,set,get,incr"];
        let Some(said) = client("redis-benchmark", server.port, &arguments) else { return };
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

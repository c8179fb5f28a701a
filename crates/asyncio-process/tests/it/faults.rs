//! What the system refuses: each system call of a child's life fails in turn, by strace, and nothing is left of it.
//!
//! Where strace is not installed this says so and passes; with `ASYNCIO_REQUIRE_PEERS=1` it fails.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Output;
use std::time::Duration;

use asyncio_process::{Command, Stdio};
use asyncio_runtime::Runner;

use crate::until;

/// Says to the process that is watched what it is to do.
const SCENE: &str = "ASYNCIO_SCENE";
/// So often is everything done before, so that a call of this number is of no other thread.
const BEFORE: usize = 12;

/// Runs tests of this file once more under strace; `None` where there is none.
fn traced(log: &Path, inject: &str, tests: &[&str]) -> Option<Output> {
    let mut strace = std::process::Command::new("strace");
    strace.args(["-f", "-o"]).arg(log).args(inject.split_whitespace());
    strace.arg(std::env::current_exe().unwrap()).args(["--exact"]).args(tests).env(SCENE, "1");
    match strace.output() {
        Err(error) if std::env::var_os("ASYNCIO_REQUIRE_PEERS").is_none_or(|value| value != "1") => {
            eprintln!("skipped, strace cannot be started: {error}");
            None
        }
        output => Some(output.unwrap()),
    }
}

fn fds() -> Vec<String> {
    let entries = std::fs::read_dir("/proc/self/fd").unwrap().flatten();
    // The directory itself is the last, and has gone.
    let links =
        entries.filter_map(|entry| Some(std::fs::read_link(entry.path()).ok()?.display().to_string()));
    let mut links: Vec<String> = links.filter(|link| !link.contains("/proc/")).collect();
    links.sort();
    links
}

/// Asked again where it is this that fails.
fn has_children() -> bool {
    std::fs::read_to_string("/proc/thread-self/children").map_or(true, |children| !children.is_empty())
}

/// Nothing, written to where errors go, stands around the calls that fail.
fn mark() {
    let _ = rustix::io::write(std::io::stderr(), b"");
}

async fn life() -> std::io::Result<Vec<u8>> {
    let mut command = Command::new("cat");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let output = command.spawn()?.communicate("some text").await?;
    Ok(output.stdout)
}

fn scene() {
    let mut runner = Runner::new().unwrap();
    let (mut errors, mut before) = (0, Vec::new());
    // Afterwards as often again: how many calls a life has differs by whether a child ends before it is looked at.
    for n in 0..2 * BEFORE {
        if n == BEFORE {
            before = fds();
            mark();
        }
        match runner.run(life()) {
            Ok(text) => assert_eq!(text, b"some text"),
            Err(error) => {
                errors += 1;
                assert!(error.to_string().len() > 10, "{error:?}");
            }
        }
        if n == BEFORE {
            mark();
        }
        // The end of a child that was given up is heard of by a turn of the loop.
        until("no child is left", || {
            let _ = runner.turn(Some(Duration::ZERO));
            !has_children()
        });
    }
    assert_eq!(fds(), before);
    assert!(errors <= 1, "one call fails, and the rest goes on");
}

/// The system calls between the marks, each with its number among those of that name on its thread.
fn calls_between_marks(log: &str) -> Vec<(String, usize)> {
    let mark = |line: &str| line.contains(", \"\", 0)") && line.contains("write(2");
    let thread = log.lines().find(|line| mark(line)).unwrap().split_whitespace().next().unwrap().to_owned();
    let (mut counts, mut calls, mut is_between) = (BTreeMap::<String, usize>::new(), Vec::new(), false);
    for line in log.lines() {
        let Some((of, call)) = line.split_once(char::is_whitespace) else { continue };
        let Some((name, _)) = call.trim_start().split_once('(') else { continue };
        if of != thread || call.contains("resumed>") {
            continue;
        }
        is_between ^= mark(line);
        let count = counts.entry(name.to_owned()).or_default();
        *count += 1;
        if is_between && !mark(line) {
            calls.push((name.to_owned(), *count));
        }
    }
    calls
}

/// What each of them may fail with.
fn errors(call: &str) -> &'static [&'static str] {
    match call {
        "pipe2" => &["EMFILE", "ENFILE"],
        "clone" | "clone3" | "vfork" => &["EAGAIN", "ENOMEM"],
        "pidfd_open" => &["EMFILE", "ENOMEM", "ENOSYS", "EPERM"],
        "ioctl" | "fcntl" => &["EIO"],
        "epoll_ctl" => &["ENOSPC", "ENOMEM"],
        "epoll_pwait2" | "epoll_wait" => &["EINTR"],
        "read" | "readv" | "write" | "writev" => &["EIO", "EINTR"],
        "waitid" | "wait4" => &["EINTR"],
        // Not to be refused, or not ours: memory, locks, the clock, a close that must not be repeated.
        _ => &[],
    }
}

#[test]
fn each_system_call_fails_in_turn_and_nothing_is_left() {
    if std::env::var_os(SCENE).is_some() {
        return scene();
    }
    let log = std::env::temp_dir().join(format!("asyncio-faults-{}", std::process::id()));
    let test = ["faults::each_system_call_fails_in_turn_and_nothing_is_left", "--nocapture"];
    let Some(output) = traced(&log, "", &test) else { return };
    assert!(output.status.success(), "{output:?}");
    let calls = calls_between_marks(&std::fs::read_to_string(&log).unwrap());
    let mut failed = BTreeMap::<&str, usize>::new();
    let mut seen = BTreeMap::<&str, usize>::new();
    for (call, number) in &calls {
        let seen = seen.entry(call).or_default();
        *seen += 1;
        // One for each of the three pipes.
        if *seen > if matches!(&**call, "pipe2" | "ioctl") { 3 } else { 1 } {
            continue;
        }
        for error in errors(call) {
            let inject =
                format!("--seccomp-bpf -e trace={call} -e inject={call}:error={error}:when={number}");
            let output = traced(&log, &inject, &test).unwrap();
            let text = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{call} {number} {error}: {text}");
            let injected = std::fs::read_to_string(&log).unwrap().matches("(INJECTED)").count();
            assert!(injected >= 1, "{call} {number} {error} was not reached");
            *failed.entry(call).or_default() += 1;
        }
    }
    let _ = std::fs::remove_file(&log);
    for call in ["pipe2", "pidfd_open", "epoll_ctl"] {
        assert!(failed.contains_key(call), "{call} is not among those that failed: {calls:?}");
    }
}

/// An old kernel, and a sandbox.
#[test]
fn without_descriptors_of_processes_all_is_as_with_them() {
    let log = std::env::temp_dir().join(format!("asyncio-sigchld-{}", std::process::id()));
    let tests = [
        "ends::any_number_waits_and_all_hear_the_same",
        "ends::on_every_kind_of_loop_and_without_one",
        "ends::a_wait_may_be_dropped_at_every_poll",
        "ends::stop_asks_and_then_insists",
        "orphans::one_that_is_dropped_goes_on_and_is_reaped_by_the_loop",
        "orphans::kill_on_drop_kills_and_reaps",
        "orphans::the_loop_may_be_closed_before_a_child_ends",
        "orphans::a_child_that_is_left_may_outlive_its_loop",
    ];
    let Some(output) =
        traced(&log, "-e trace=pidfd_open,rt_sigaction -e inject=pidfd_open:error=ENOSYS", &tests)
    else {
        return;
    };
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}");
    assert!(text.contains(&format!("{} passed", tests.len())), "{text}");
    let log_text = std::fs::read_to_string(&log).unwrap();
    assert!(log_text.contains("rt_sigaction(SIGCHLD"), "it listens");
    let _ = std::fs::remove_file(&log);
}

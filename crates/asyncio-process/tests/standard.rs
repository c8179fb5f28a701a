//! The standard streams, which are of the whole process: each test has one of its own, whose streams are what the test says.

#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test that fails says where; and what is printed is looked at"
)]

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use asyncio_process::io::{stderr, stdin, stdout};
use asyncio_runtime::run;
use asyncio_tasks::{spawn_local, timeout};
use futures_lite::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, StreamExt, io::BufReader};

/// Says to the process that is started what it is to do.
const SCENE: &str = "ASYNCIO_SCENE";

/// A command that runs this test once more, as one that does `scene`. What it prints stands between marks.
fn scene(test: &str, scene: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--nocapture", "--test-threads=1"]).env(SCENE, scene);
    command
}

fn is_scene(name: &str) -> bool {
    std::env::var(SCENE).is_ok_and(|scene| scene == name)
}

/// What stands between the marks.
fn said(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text).replace('\r', "");
    let said = text.split_once("<<").and_then(|(_, rest)| rest.rsplit_once(">>"));
    said.map(|(said, _)| said.to_owned()).unwrap_or_else(|| panic!("nothing is said: {text}"))
}

/// Reads all lines, and says what they are.
fn echo_lines() {
    run(async {
        let (mut lines, mut out) = (BufReader::new(stdin()).lines(), stdout());
        out.write_all(b"<<").await.unwrap();
        while let Some(line) = lines.next().await {
            out.write_all(format!("[{}]", line.unwrap()).as_bytes()).await.unwrap();
        }
        out.write_all(b">>").await.unwrap();
        out.flush().await.unwrap();
    });
}

#[test]
fn lines_come_from_a_pipe_a_file_a_socket_and_nowhere() {
    const TEST: &str = "lines_come_from_a_pipe_a_file_a_socket_and_nowhere";
    if is_scene("echo") {
        return echo_lines();
    }
    let with = |input: Stdio| said(&scene(TEST, "echo").stdin(input).output().unwrap().stdout);
    assert_eq!(with(Stdio::null()), "");
    let path = std::env::temp_dir().join(format!("asyncio-standard-{}", std::process::id()));
    std::fs::write(&path, "one\ntwo\n").unwrap();
    assert_eq!(with(File::open(&path).unwrap().into()), "[one][two]");
    let (mut ours, theirs) = UnixStream::pair().unwrap();
    ours.write_all(b"by a socket").unwrap();
    drop(ours);
    assert_eq!(with(OwnedFd::from(theirs).into()), "[by a socket]");
    let mut child = scene(TEST, "echo").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all("line\n".repeat(5_000).as_bytes()).unwrap();
    assert_eq!(said(&child.wait_with_output().unwrap().stdout), "[line]".repeat(5_000));
    // Closed altogether.
    let exe = std::env::current_exe().unwrap();
    let mut shell = Command::new("sh");
    shell.args(["-c", "exec \"$0\" \"$@\" <&-"]).arg(exe).args(["--exact", TEST, "--nocapture"]);
    assert_eq!(said(&shell.env(SCENE, "echo").output().unwrap().stdout), "");
    // The output is a file, to which it is appended.
    let file = File::options().append(true).open(&path).unwrap();
    let status = scene(TEST, "echo").stdin(Stdio::null()).stdout(file).status().unwrap();
    assert!(status.success());
    assert!(std::fs::read_to_string(&path).unwrap().starts_with("one\ntwo\n"));
    std::fs::remove_file(&path).unwrap();
}

/// Nobody ever writes: neither the end of the loop nor that of the process waits for it.
#[test]
fn a_pending_read_holds_nobody_at_the_end() {
    const TEST: &str = "a_pending_read_holds_nobody_at_the_end";
    if is_scene("pending") {
        run(async {
            let reads = spawn_local(async { stdin().read(&mut [0; 8]).await });
            assert!(timeout(Duration::from_millis(20), stdin().read(&mut [0; 8])).await.is_err());
            drop(reads);
        });
        println!("<<ended>>");
        std::process::exit(0);
    }
    let terminal =
        rustix::pty::openpt(rustix::pty::OpenptFlags::RDWR | rustix::pty::OpenptFlags::NOCTTY).unwrap();
    rustix::pty::grantpt(&terminal).unwrap();
    rustix::pty::unlockpt(&terminal).unwrap();
    let name = rustix::pty::ptsname(&terminal, Vec::new()).unwrap();
    let slave = File::options().read(true).write(true).open(name.to_str().unwrap()).unwrap();
    let (reader, writer) = std::os::unix::net::UnixStream::pair().unwrap();
    // Its other side is a new terminal to whoever opens it again.
    let other_side = terminal.try_clone().unwrap();
    // Without anybody on this side, the other has come to its end.
    let _kept = slave.try_clone().unwrap();
    reader.set_nonblocking(true).unwrap();
    for input in [Stdio::piped(), slave.into(), OwnedFd::from(reader).into(), other_side.into()] {
        let start = Instant::now();
        let mut child = scene(TEST, "pending").stdin(input).stdout(Stdio::piped()).spawn().unwrap();
        let _kept = child.stdin.take();
        let mut text = Vec::new();
        child.stdout.take().unwrap().read_to_end(&mut text).unwrap();
        assert!(child.wait().unwrap().success());
        assert_eq!(said(&text), "ended");
        assert!(start.elapsed() < Duration::from_secs(10));
    }
    drop(writer);
}

/// Those who share a terminal or a pipe with us do not find it changed.
#[cfg(target_os = "linux")]
#[test]
fn what_is_shared_goes_on_blocking() {
    const TEST: &str = "what_is_shared_goes_on_blocking";
    if is_scene("flags") {
        run(async {
            let mut buf = [0; 4];
            stdin().read_exact(&mut buf).await.unwrap();
            stdout().write_all(b"<<").await.unwrap();
            for fd in 0..3 {
                let info = std::fs::read_to_string(format!("/proc/self/fdinfo/{fd}")).unwrap();
                let flags = info.lines().find_map(|line| line.strip_prefix("flags:")).unwrap().trim();
                let is_blocking = u32::from_str_radix(flags, 8).unwrap() & 0o4000 == 0;
                stdout().write_all(format!("{is_blocking} ").as_bytes()).await.unwrap();
            }
            stderr().write_all(b"errors go there").await.unwrap();
            stdout().write_all(b">>").await.unwrap();
        });
        return;
    }
    let mut child = scene(TEST, "flags")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // So that the read is likely to wait when it comes; if it does not, the rest holds all the same.
    std::thread::sleep(Duration::from_millis(20));
    stdin.write_all(b"ping").unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(said(&output.stdout), "true true true ");
    assert!(String::from_utf8_lossy(&output.stderr).contains("errors go there"));
}

/// Runs a program whose streams are a terminal, by script(1); `None` where there is none.
fn in_terminal(line: &str, typed: &[&str]) -> Option<String> {
    let mut command = Command::new("script");
    command
        .args(["-qec", line, "/dev/null"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .env(SCENE, "terminal");
    let mut child = match command.spawn() {
        Err(error) if std::env::var_os("ASYNCIO_REQUIRE_PEERS").is_none_or(|value| value != "1") => {
            eprintln!("skipped, script cannot be started: {error}");
            return None;
        }
        child => child.unwrap(),
    };
    let mut stdin = child.stdin.take().unwrap();
    for line in typed {
        // As somebody types. What comes too early is kept by the terminal.
        std::thread::sleep(Duration::from_millis(30));
        stdin.write_all(line.as_bytes()).unwrap();
    }
    let output = child.wait_with_output().unwrap();
    drop(stdin);
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn a_terminal_gives_lines_and_goes_on_after_its_end() {
    if is_scene("terminal") {
        run(async {
            let (mut input, mut out) = (stdin(), stdout());
            let mut buf = [0; 100];
            out.write_all(b"<<").await.unwrap();
            for _ in 0..3 {
                let n = input.read(&mut buf).await.unwrap();
                out.write_all(format!("[{}]", String::from_utf8_lossy(&buf[..n]).trim()).as_bytes())
                    .await
                    .unwrap();
            }
            out.write_all(b">>").await.unwrap();
            out.flush().await.unwrap();
        });
        return;
    }
    let exe = std::env::current_exe().unwrap();
    let line = format!(
        "{} --exact a_terminal_gives_lines_and_goes_on_after_its_end --nocapture --test-threads=1",
        exe.display()
    );
    // Ctrl-D on an empty line is the end, and the terminal goes on after it.
    let Some(text) = in_terminal(&line, &["typed\n", "\u{4}", "more\n"]) else { return };
    let said = said(text.as_bytes());
    // What is typed is echoed by the terminal, in between.
    let heard: String = said
        .split_inclusive('[')
        .skip(1)
        .map(|part| part.split(']').next().unwrap_or(""))
        .collect::<Vec<_>>()
        .join("|");
    assert_eq!(heard, "typed||more", "{text}");
}

/// In a terminal of tmux(1), with keys that somebody presses.
#[test]
fn a_terminal_of_tmux() {
    const TEST: &str = "a_terminal_of_tmux";
    if is_scene("tmux") {
        let heard = run(async {
            let (mut lines, mut out) = (BufReader::new(stdin()).lines(), stdout());
            out.write_all(b"ready\n").await.unwrap();
            let mut heard = Vec::new();
            while let Some(line) = lines.next().await {
                heard.push(line.unwrap());
            }
            heard
        });
        // Whole, when it has its name.
        let path = std::env::var("ASYNCIO_HEARD").unwrap();
        std::fs::write(format!("{path}.part"), heard.join("|")).unwrap();
        return std::fs::rename(format!("{path}.part"), path).unwrap();
    }
    let path = std::env::temp_dir().join(format!("asyncio-tmux-{}", std::process::id()));
    let socket = format!("asyncio-{}", std::process::id());
    let tmux =
        |args: &[&str]| Command::new("tmux").args(["-L", &socket, "-f", "/dev/null"]).args(args).output();
    let exe = std::env::current_exe().unwrap();
    let line = format!(
        "{SCENE}=tmux ASYNCIO_HEARD={} {} --exact {TEST} --nocapture --test-threads=1",
        path.display(),
        exe.display()
    );
    match tmux(&["new-session", "-d", "-x", "80", "-y", "24", &line]) {
        Err(error) if std::env::var_os("ASYNCIO_REQUIRE_PEERS").is_none_or(|value| value != "1") => {
            return eprintln!("skipped, tmux cannot be started: {error}");
        }
        started => assert!(started.as_ref().unwrap().status.success(), "{started:?}"),
    }
    for keys in [&["hello there", "Enter"][..], &["y", "BSpace", "x", "Enter"], &["C-d"]] {
        let pressed = tmux(&[&["send-keys"], keys].concat()).unwrap();
        assert!(pressed.status.success(), "{pressed:?}");
    }
    let start = Instant::now();
    let heard = loop {
        if let Ok(heard) = std::fs::read_to_string(&path) {
            break heard;
        }
        assert!(start.elapsed() < Duration::from_secs(20), "nothing is heard");
        // A file that comes to be tells nobody.
        std::thread::sleep(Duration::from_millis(5));
    };
    let _ = std::fs::remove_file(&path);
    let _ = tmux(&["kill-server"]);
    assert_eq!(heard, "hello there|x");
}

//! What is started, and what it has.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use asyncio_process::{Command, Stdio};
use asyncio_runtime::run;
use rustix::process::{Signal, getpgid, getpgrp};

#[test]
fn an_error_names_the_program_and_leaves_nothing() {
    run(async {
        let dir = std::env::temp_dir().join(format!("asyncio-commands-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let file = |name: &str, text: &str, mode: u32| {
            let path = dir.join(name);
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            path
        };
        let not_executable = file("plain", "true", 0o644);
        let no_interpreter = file("script", "#!/no/such/interpreter\n", 0o755);
        let no_program = file("garbage", "\u{7f}ELF and nothing else", 0o755);
        for (program, kind) in [
            ("/no/such/program".into(), ErrorKind::NotFound),
            (not_executable, ErrorKind::PermissionDenied),
            (no_interpreter, ErrorKind::NotFound),
        ] {
            let error = Command::new(&program).spawn().unwrap_err();
            assert_eq!(error.kind(), kind, "{error}");
            assert!(error.to_string().contains(program.to_str().unwrap()), "{error}");
            assert!(error.to_string().contains("os error"), "{error}");
        }
        assert!(Command::new(&no_program).spawn().is_err());
        let error = Command::new("true").arg("a\0b").spawn().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
        // More than the system hands over.
        let error = Command::new("true").arg("x".repeat(8 << 20)).spawn().unwrap_err();
        assert_eq!(error.raw_os_error(), None);
        assert!(error.to_string().contains("os error 7"), "{error}");
        fs::remove_dir_all(&dir).unwrap();
    });
}

#[test]
fn arguments_environment_and_directory_are_those_that_were_set() {
    run(async {
        let dir = fs::canonicalize(std::env::temp_dir()).unwrap();
        let mut command = Command::shell("printf '%s|' \"$0\" \"$@\"; pwd; env");
        command.args(["zero", "one two", "", "ü"]).current_dir(&dir);
        command.env_clear().env("A", "1").envs([("B", "2"), ("C", "3")]).env_remove("C");
        let output = command.output().await.unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let (args, rest) = text.split_once('\n').unwrap();
        assert_eq!(args, format!("zero|one two||ü|{}", dir.display()));
        // The shell has some of its own.
        let env: BTreeMap<&str, &str> = rest.lines().filter_map(|line| line.split_once('=')).collect();
        assert_eq!((env.get("A"), env.get("B"), env.get("C")), (Some(&"1"), Some(&"2"), None));
        assert!(!env.contains_key("CARGO"));
        let output = Command::new("sh").arg0("named").args(["-c", "echo $0"]).output().await.unwrap();
        assert_eq!(output.stdout, b"named\n");
    });
}

#[test]
fn a_large_environment_and_many_arguments_arrive() {
    run(async {
        let args: Vec<String> = (0..20_000).map(|n| n.to_string()).collect();
        let mut command = Command::shell("echo $# ${#LARGE}");
        command.arg("sh").args(&args).env("LARGE", "x".repeat(100_000));
        let output = command.output().await.unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap(), "20000 100000\n");
    });
}

/// The lines of `/proc/self/status` of a child that begin so.
async fn status_of_child(command: &mut Command) -> BTreeMap<String, u64> {
    let output = command.output().await.unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let fields = text.lines().filter_map(|line| line.split_once(":\t"));
    fields.filter_map(|(key, value)| Some((key.to_owned(), u64::from_str_radix(value, 16).ok()?))).collect()
}

#[test]
fn a_child_has_no_signal_blocked_and_dies_of_a_broken_pipe() {
    run(async {
        // Handled here, and so as by default there.
        let _listens =
            asyncio_signal::unix::signal(asyncio_signal::unix::SignalKind::user_defined1()).unwrap();
        let status = status_of_child(Command::new("cat").arg("/proc/self/status")).await;
        assert_eq!(status["SigBlk"], 0, "none is blocked");
        assert_eq!(status["SigCgt"], 0, "none is handled");
        let bit = |signal: Signal| 1_u64 << (signal.as_raw() - 1);
        assert_eq!(status["SigIgn"] & bit(Signal::PIPE), 0, "it is not ignored, though it is here");
        let here = fs::read_to_string("/proc/self/status").unwrap();
        let ignored = here.lines().find_map(|line| line.strip_prefix("SigIgn:\t")).unwrap();
        assert_ne!(u64::from_str_radix(ignored, 16).unwrap() & bit(Signal::PIPE), 0, "here it is");
    });
}

#[test]
fn a_child_has_the_three_standard_streams_and_nothing_else() {
    let files: Vec<_> = (0..1000).map(|_| fs::File::open("/dev/null").unwrap()).collect();
    let inherited: BTreeSet<String> = fs::read_dir("/proc/self/fdinfo")
        .unwrap()
        .flatten()
        .filter(|entry| {
            let text = fs::read_to_string(entry.path()).unwrap_or_default();
            let flags = text.lines().find_map(|line| line.strip_prefix("flags:"));
            flags.is_some_and(|flags| u32::from_str_radix(flags.trim(), 8).unwrap() & 0o2_000_000 == 0)
        })
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect();
    let ends = Arc::new(AtomicBool::new(false));
    let others = [(); 4].map(|()| {
        let ends = ends.clone();
        thread::spawn(move || {
            while !ends.load(Ordering::Relaxed) {
                drop((fs::File::open("/dev/null"), std::net::TcpListener::bind("127.0.0.1:0")));
            }
        })
    });
    let listed = |closes: bool| {
        run(async move {
            let mut listed = Vec::new();
            for _ in 0..25 {
                let mut command = Command::shell("ls /proc/$$/fd");
                if closes {
                    command.close_fds();
                }
                command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
                let output = command.spawn().unwrap().communicate([]).await.unwrap();
                let text = String::from_utf8(output.stdout).unwrap();
                listed.push(text.lines().map(str::to_owned).collect::<BTreeSet<_>>());
            }
            listed
        })
    };
    let (closed, others_closed) = (listed(true), listed(false));
    ends.store(true, Ordering::Relaxed);
    others.into_iter().for_each(|other| other.join().unwrap());
    let standard: BTreeSet<_> = ["0", "1", "2"].map(str::to_owned).into();
    assert!(closed.iter().all(|listed| *listed == standard), "{closed:?}");
    // What this process itself was started with it hands on.
    let expected = &standard | &inherited;
    assert!(others_closed.iter().all(|listed| *listed == expected), "{others_closed:?} {inherited:?}");
    drop(files);
}

#[test]
fn output_is_collected_by_default_and_later_spawns_are_as_before() {
    run(async {
        // It would wait for a terminal, if it inherited one.
        let mut command = Command::shell("cat; echo out; echo err >&2");
        let output = command.output().await.unwrap();
        assert_eq!((&*output.stdout, &*output.stderr), (&b"out\n"[..], &b"err\n"[..]));
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        assert!(child.stdout.is_none() && child.stderr.is_none());
        assert!(child.wait().await.unwrap().success());
        // What was set stays.
        let output = command.output().await.unwrap();
        assert!(output.stdout.is_empty() && output.stderr.is_empty());
    });
}

#[test]
fn a_group_of_its_own() {
    run(async {
        let mut command = Command::new("sleep");
        let child = command.arg("3600").process_group(0).kill_on_drop(true).spawn().unwrap();
        let pid = rustix::process::Pid::from_raw(child.id().try_into().unwrap()).unwrap();
        assert_eq!(getpgid(Some(pid)).unwrap(), pid);
        assert_ne!(getpgrp(), pid);
    });
}

#[test]
fn what_may_not_be_changed_is_no_child() {
    run(async {
        if !rustix::process::getuid().is_root() {
            let error = Command::new("true").uid(0).spawn().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error}");
            return;
        }
        let output = Command::new("id").arg("-u").uid(65_534).gid(65_534).output().await.unwrap();
        assert_eq!(output.stdout, b"65534\n");
        // As nobody, one cannot become root.
        let script = "import os, sys; os.setuid(65534); os.execv(sys.argv[1], sys.argv[1:])";
        let nested = Command::new("python3").args(["-c", script, "/bin/id", "-u"]).output().await.unwrap();
        assert_eq!(nested.stdout, b"65534\n");
    });
}

//! Signals, which are of the whole process: each test has one of its own.

#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test that fails says where; and what is printed is looked at"
)]

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Waker};

use asyncio_executor::block_on;
use asyncio_runtime::Runner;
use asyncio_signal::unix::{Signal, SignalKind, signal};
use asyncio_signal::{CtrlC, ctrl_c};
use asyncio_tasks::{spawn, yield_now};
use futures_lite::StreamExt;
use signal_hook::consts::{SIGINT, SIGTERM, SIGUSR1, SIGUSR2};
use signal_hook::low_level;
use static_assertions::assert_impl_all;

assert_impl_all!(Signal: Send, Unpin);
assert_impl_all!(CtrlC: Send, Unpin);

/// Sends it to this thread: it has been handled when this returns, and cannot come when nobody listens any more.
fn raise(signal: i32) {
    low_level::raise(signal).unwrap();
}

#[test]
fn each_listener_hears_of_it_on_every_kind_of_loop() {
    for workers in [1, 2] {
        Runner::builder().workers(workers).build().unwrap().run(async {
            let mut first = signal(SignalKind::user_defined1()).unwrap();
            let mut second = signal(SignalKind::user_defined1()).unwrap();
            raise(SIGUSR1);
            first.recv().await.unwrap();
            second.recv().await.unwrap();
            // It came before the wait, or while it waits.
            let waits = spawn(async move { first.next().await });
            yield_now().await;
            raise(SIGUSR1);
            waits.await.unwrap().unwrap();
            second.recv().await.unwrap();
        });
    }
    // Without a loop, on the fallback's thread.
    let mut alone = signal(SignalKind::user_defined1()).unwrap();
    raise(SIGUSR1);
    block_on(alone.recv()).unwrap();
}

#[test]
fn several_before_one_is_received_are_one_and_none_is_lost_by_dropping_a_wait() {
    Runner::new().unwrap().run(async {
        let mut signals = signal(SignalKind::user_defined2()).unwrap();
        for _ in 0..1000 {
            raise(SIGUSR2);
        }
        signals.recv().await.unwrap();
        {
            let wait = pin!(signals.recv());
            assert!(wait.poll(&mut Context::from_waker(Waker::noop())).is_pending());
        }
        raise(SIGUSR2);
        signals.recv().await.unwrap();
        let wait = pin!(signals.recv());
        assert!(wait.poll(&mut Context::from_waker(Waker::noop())).is_pending());
    });
}

#[test]
fn ctrl_c_is_a_future_and_a_stream() {
    Runner::new().unwrap().run(async {
        let mut listens = ctrl_c();
        raise(SIGINT);
        listens.next().await.unwrap().unwrap();
        raise(SIGINT);
        listens.await.unwrap();
    });
}

#[test]
fn a_listener_that_is_gone_leaves_no_descriptor() {
    let count = || std::fs::read_dir("/proc/self/fd").map(Iterator::count).unwrap_or(0);
    drop(signal(SignalKind::hangup()).unwrap());
    let before = count();
    for _ in 0..1000 {
        drop(signal(SignalKind::hangup()).unwrap());
    }
    // Other tests open some meanwhile, but not as many.
    assert!(count() < before + 500);
}

#[test]
fn when_nobody_listens_any_more_the_default_is_back() {
    if std::env::var_os("ASYNCIO_TEST_DEFAULT").is_some() {
        drop(signal(SignalKind::terminate()).unwrap());
        let second = signal(SignalKind::terminate()).unwrap();
        raise(SIGTERM);
        drop(second);
        println!("until here");
        raise(SIGTERM);
        unreachable!("it ends before");
    }
    let child = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "when_nobody_listens_any_more_the_default_is_back", "--nocapture"])
        .env("ASYNCIO_TEST_DEFAULT", "1")
        .output()
        .unwrap();
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&child.status), Some(15), "{child:?}");
    assert!(String::from_utf8_lossy(&child.stdout).contains("until here"), "{child:?}");
}

#[test]
fn what_cannot_be_listened_to_is_refused() {
    for number in [9, 19, 11, 0, -1, 1000] {
        assert!(signal(SignalKind::from_raw(number)).is_err(), "{number}");
    }
}

/// Runs a test of this file once more, in a process of its own, where a signal is ignored, or as by default, from the start.
fn again(test: &str, scene: &str, action: &str) -> Option<std::process::Output> {
    let script = format!(
        "import os, signal, sys; signal.signal(signal.SIGHUP, signal.{action}); os.execv(sys.argv[1], sys.argv[1:])"
    );
    let mut python = std::process::Command::new("python3");
    python.args(["-c", &script]).arg(std::env::current_exe().unwrap()).args(["--exact", test, "--nocapture"]);
    match python.env("ASYNCIO_TEST_SCENE", scene).output() {
        Err(error) if std::env::var_os("ASYNCIO_REQUIRE_PEERS").is_none_or(|value| value != "1") => {
            eprintln!("skipped, python3 cannot be started: {error}");
            None
        }
        output => Some(output.unwrap()),
    }
}

/// As under `nohup`: what was ignored before somebody listened is ignored again.
#[test]
fn what_was_ignored_is_ignored_again() {
    const TEST: &str = "what_was_ignored_is_ignored_again";
    if std::env::var_os("ASYNCIO_TEST_SCENE").is_some() {
        let mut hangups = signal(SignalKind::hangup()).unwrap();
        raise(1);
        block_on(hangups.recv()).unwrap();
        drop(hangups);
        println!("until here");
        raise(1);
        return;
    }
    let Some(output) = again(TEST, "ignored", "SIG_IGN") else { return };
    assert!(output.status.success(), "{output:?}");
    let output = again(TEST, "default", "SIG_DFL").unwrap();
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&output.status), Some(1), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("until here"), "{output:?}");
}

/// Whoever had a handler before us has it beside us, and after us.
#[test]
fn a_handler_of_somebody_elses_is_called_beside_ours() {
    if std::env::var_os("ASYNCIO_TEST_SCENE").is_some() {
        let count = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let foreign = std::sync::Arc::clone(&count);
        // SAFETY is of the crate: it sets a flag.
        signal_hook::flag::register_usize(SIGTERM, foreign, 1).unwrap();
        let called = || count.swap(0, std::sync::atomic::Ordering::SeqCst) == 1;
        raise(SIGTERM);
        assert!(called());
        for workers in [1, 2] {
            Runner::builder().workers(workers).build().unwrap().run(async {
                let mut terminates = signal(SignalKind::terminate()).unwrap();
                raise(SIGTERM);
                terminates.recv().await.unwrap();
            });
            assert!(called());
        }
        // Nobody of us listens any more: it does not end this process, since it did not before.
        raise(SIGTERM);
        assert!(called());
        return;
    }
    let mut command = std::process::Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "a_handler_of_somebody_elses_is_called_beside_ours"]);
    let output = command.env("ASYNCIO_TEST_SCENE", "1").output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn one_that_comes_after_its_loop_is_closed_is_no_more_than_lost() {
    let mut hangups = signal(SignalKind::hangup()).unwrap();
    Runner::new().unwrap().run(async {
        let wait = pin!(hangups.recv());
        assert!(wait.poll(&mut Context::from_waker(Waker::noop())).is_pending());
    });
    raise(1);
    // It is counted before it is asked whether there is a loop.
    assert_eq!(block_on(hangups.recv()), Some(()));
    assert_eq!(block_on(hangups.recv()), None);
}

/// signal-safety(7): what a handler does between its start and its return.
#[cfg(target_os = "linux")]
#[test]
fn a_handler_writes_and_does_nothing_else() {
    if std::env::var_os("ASYNCIO_TEST_SCENE").is_some() {
        let mut signals = signal(SignalKind::user_defined1()).unwrap();
        (0..10).for_each(|_| raise(SIGUSR1));
        block_on(signals.recv()).unwrap();
        return;
    }
    let mut strace = std::process::Command::new("strace");
    strace.args(["-f", "-o", "/dev/stderr"]).arg(std::env::current_exe().unwrap());
    strace.args(["--exact", "a_handler_writes_and_does_nothing_else"]).env("ASYNCIO_TEST_SCENE", "1");
    let output = match strace.output() {
        Err(error) if std::env::var_os("ASYNCIO_REQUIRE_PEERS").is_none_or(|value| value != "1") => {
            return eprintln!("skipped, strace cannot be started: {error}");
        }
        output => output.unwrap(),
    };
    assert!(output.status.success(), "{output:?}");
    let log = String::from_utf8_lossy(&output.stderr);
    let (mut handled, mut calls) = (0, None::<Vec<&str>>);
    let thread =
        log.lines().find(|line| line.contains("--- SIGUSR1")).unwrap().split_whitespace().next().unwrap();
    for line in log.lines().filter(|line| line.starts_with(thread)) {
        let call = line[thread.len()..].trim_start();
        if call.starts_with("--- SIGUSR1") {
            calls = Some(Vec::new());
        } else if call.starts_with("rt_sigreturn") {
            let calls = calls.take().unwrap();
            assert!(calls.len() == 1 && calls[0].starts_with("write("), "{calls:?}");
            handled += 1;
        } else if let Some(calls) = &mut calls {
            calls.push(call);
        }
    }
    assert_eq!(handled, 10);
}

/// Those that have no name, too: one of real time ends the process by default.
#[cfg(target_os = "linux")]
#[test]
fn a_signal_without_a_name() {
    // SIGRTMIN + 3 of glibc.
    const NUMBER: i32 = 37;
    if std::env::var_os("ASYNCIO_TEST_SCENE").is_some() {
        let mut signals = signal(SignalKind::from_raw(NUMBER)).unwrap();
        raise(NUMBER);
        block_on(signals.recv()).unwrap();
        drop(signals);
        println!("until here");
        raise(NUMBER);
        unreachable!("it ends before");
    }
    let output = again("a_signal_without_a_name", "real time", "SIG_DFL");
    let Some(output) = output else { return };
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&output.status), Some(NUMBER), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("until here"), "{output:?}");
}

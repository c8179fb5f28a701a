//! Others in this process who reap children, which are of the whole process.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

use std::future::Future;
use std::pin::pin;
use std::process::Stdio;
use std::task::{Context, Waker};
use std::time::Duration;

use asyncio_executor::block_on;
use asyncio_process::Command;
use asyncio_runtime::run;
use asyncio_tasks::{gather_all, timeout};
use rustix::process::{Pid, WaitOptions, waitpid};

/// Whoever waits learns of it at once, and nobody waits for ever.
#[test]
fn a_child_that_somebody_else_has_reaped_is_an_error() {
    run(async {
        let child = Command::new("sleep").arg("0.05").spawn().unwrap();
        let pid = Pid::from_raw(child.id().try_into().unwrap()).unwrap();
        let mut waits = pin!(gather_all((0..3).map(|_| child.wait())));
        assert!(waits.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        // On the loop's own thread, which hears of it afterwards.
        assert!(waitpid(Some(pid), WaitOptions::empty()).unwrap().is_some());
        for wait in waits.await {
            assert!(wait.unwrap_err().to_string().contains("ECHILD"));
        }
        assert!(child.try_wait().unwrap_err().to_string().contains("ECHILD"));
        // Its number may be anybody's.
        assert!(child.send_signal(15).is_err());
        child.kill().unwrap();
    });
}

/// Where SIGCHLD is ignored the system reaps, and tells nobody how it was.
#[test]
fn a_process_that_ignores_the_end_of_its_children() {
    if std::env::var_os("ASYNCIO_SCENE").is_some() {
        let waited = run(async {
            let child = Command::new("sleep").arg("0.05").spawn().unwrap();
            timeout(Duration::from_secs(20), child.wait()).await
        });
        assert!(waited.unwrap().unwrap_err().to_string().contains("SIGCHLD is ignored"));
        let output = block_on(Command::new("true").stdin(Stdio::null()).output());
        assert!(output.is_err());
        return;
    }
    // The shell does not let it be ignored.
    let script = "import os, signal, sys; signal.signal(signal.SIGCHLD, signal.SIG_IGN); os.execv(sys.argv[1], sys.argv[1:])";
    let mut python = std::process::Command::new("python3");
    python.args(["-c", script]).arg(std::env::current_exe().unwrap());
    python.args(["--exact", "a_process_that_ignores_the_end_of_its_children"]).env("ASYNCIO_SCENE", "1");
    match python.output() {
        Err(error) if std::env::var_os("ASYNCIO_REQUIRE_PEERS").is_none_or(|value| value != "1") => {
            eprintln!("skipped, python3 cannot be started: {error}");
        }
        output => assert!(output.as_ref().unwrap().status.success(), "{output:?}"),
    }
}

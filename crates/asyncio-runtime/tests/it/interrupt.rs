//! Ctrl-C in a main future that may be interrupted. The signal is of the process: what happens at the second one, a child shows.

#![cfg(unix)]

use std::cell::Cell;
use std::future::pending;
use std::os::unix::process::ExitStatusExt;
use std::process::Command;
use std::rc::Rc;
use std::sync::Mutex;

use asyncio_runtime::{Interrupted, Runner};
use asyncio_tasks::{guard_local, shield, yield_now};
use signal_hook::consts::SIGINT;
use signal_hook::low_level::raise;

/// One test at a time sends it.
static ONE: Mutex<()> = Mutex::new(());

/// Sends it to this thread: it has been handled when this returns, and cannot come when nobody listens any more.
fn interrupt() {
    raise(SIGINT).unwrap();
}

#[test]
fn ctrl_c_cancels_main_and_its_clean_up_runs() {
    let _one = ONE.lock().unwrap();
    for workers in [1, 2] {
        let mut runner = Runner::builder().workers(workers).build().unwrap();
        let cleaned_up = Rc::new(Cell::new(false));
        let flag = cleaned_up.clone();
        let out = runner.run_interruptible(async {
            let _guard = guard_local((), move |()| async move {
                yield_now().await;
                flag.set(true);
            });
            interrupt();
            pending::<()>().await;
        });
        let error: Interrupted = out.unwrap_err();
        assert_eq!(error.to_string(), "the main future was interrupted by Ctrl-C");
        assert!(cleaned_up.get());
        // The loop goes on.
        assert_eq!(runner.run_interruptible(async { 1 }), Ok(1));
        assert_eq!(runner.run(async { 2 }), 2);
    }
}

#[test]
fn a_value_that_main_comes_to_nevertheless_is_kept() {
    let _one = ONE.lock().unwrap();
    let mut runner = Runner::new().unwrap();
    let out = runner.run_interruptible(async {
        interrupt();
        shield(async {
            for _ in 0..10 {
                yield_now().await;
            }
        })
        .await;
        7
    });
    assert_eq!(out, Ok(7));
}

#[test]
fn the_second_one_kills() {
    if std::env::var_os("ASYNCIO_TEST_INTERRUPTED").is_some() {
        let mut runner = Runner::new().unwrap();
        let _ = runner.run_interruptible(shield(async {
            interrupt();
            // So that the first one is seen.
            for _ in 0..100 {
                yield_now().await;
            }
            interrupt();
            pending::<()>().await;
        }));
        unreachable!("it ends before");
    }
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "interrupt::the_second_one_kills"])
        .env("ASYNCIO_TEST_INTERRUPTED", "1")
        .output()
        .unwrap();
    assert_eq!(child.status.signal(), Some(2), "{child:?}");
}

#[test]
fn whoever_does_not_listen_does_not_take_the_signal() {
    let _one = ONE.lock().unwrap();
    let mut runner = Runner::builder().ctrl_c(false).build().unwrap();
    assert_eq!(runner.run_interruptible(async { 3 }), Ok(3));
}

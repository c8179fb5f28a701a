//! Signals, which are of the whole process: each test has one of its own.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

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
            let waits = spawn(async move { first.next().await.unwrap() });
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
    for _ in 0..100 {
        drop(signal(SignalKind::hangup()).unwrap());
    }
    // Other tests open some meanwhile, but not as many.
    assert!(count() < before + 100);
}

#[test]
fn when_nobody_listens_any_more_the_default_is_back() {
    if std::env::var_os("ASYNCIO_TEST_DEFAULT").is_some() {
        drop(signal(SignalKind::terminate()).unwrap());
        let second = signal(SignalKind::terminate()).unwrap();
        raise(SIGTERM);
        drop(second);
        raise(SIGTERM);
        unreachable!("it ends before");
    }
    let child = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "when_nobody_listens_any_more_the_default_is_back"])
        .env("ASYNCIO_TEST_DEFAULT", "1")
        .output()
        .unwrap();
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&child.status), Some(15), "{child:?}");
}

#[test]
fn what_cannot_be_listened_to_is_refused() {
    for number in [9, 19, 11, 0, -1, 1000] {
        assert!(signal(SignalKind::from_raw(number)).is_err(), "{number}");
    }
}

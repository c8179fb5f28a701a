//! Callbacks of signals, which are of the whole process: each test has one of its own.

#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test that fails says where; and what is printed is looked at"
)]

use std::cell::RefCell;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use asyncio_base::is_loop_closed;
use asyncio_runtime::{LoopError, Runner};
use asyncio_tasks::yield_now;
use rustix::process::{Signal, getpid, kill_process};

/// To this process; it may take a moment.
fn send(signal: Signal) {
    kill_process(getpid(), signal).unwrap();
}

#[test]
fn each_handler_is_called_by_its_loop_in_order_with_everything_else() {
    let mut runner = Runner::new().unwrap();
    let event_loop = runner.event_loop();
    let calls = Rc::new(RefCell::new(Vec::new()));
    let here = thread::current().id();
    let handlers = ["first", "second"].map(|name| {
        let calls = calls.clone();
        let handler = move || {
            assert_eq!(thread::current().id(), here);
            calls.borrow_mut().push(name);
        };
        event_loop.add_signal_handler(Signal::USR1.as_raw(), handler).unwrap()
    });
    runner.run(async {
        for n in 1..=3 {
            send(Signal::USR1);
            while calls.borrow().len() < 2 * n {
                yield_now().await;
            }
        }
        handlers[0].cancel();
        send(Signal::USR1);
        while calls.borrow().len() < 7 {
            yield_now().await;
        }
    });
    assert_eq!(calls.borrow().iter().filter(|name| **name == "second").count(), 4);
}

#[test]
fn a_panic_of_one_is_reported_and_it_is_called_again() {
    let mut runner = Runner::new().unwrap();
    let event_loop = runner.event_loop();
    let panics = Arc::new(AtomicUsize::new(0));
    let sink = panics.clone();
    event_loop.set_exception_handler(move |event| {
        assert!(event.to_string().contains("a bug"), "{event}");
        sink.fetch_add(1, Ordering::SeqCst);
    });
    let _handler = event_loop.add_signal_handler(Signal::USR2.as_raw(), || panic!("a bug")).unwrap();
    runner.run(async {
        for n in 1..=2 {
            send(Signal::USR2);
            while panics.load(Ordering::SeqCst) < n {
                yield_now().await;
            }
        }
    });
}

#[test]
fn it_is_as_by_default_again_when_it_is_cancelled_or_its_loop_is_closed() {
    if let Ok(how) = std::env::var("ASYNCIO_TEST_HOW") {
        let mut runner = Runner::new().unwrap();
        let handler = runner.event_loop().add_signal_handler(Signal::TERM.as_raw(), || {}).unwrap();
        runner.run(async {
            send(Signal::TERM);
            yield_now().await;
            if how == "cancelled" {
                handler.cancel();
                // It is its task that listens.
                for _ in 0..10 {
                    yield_now().await;
                }
            }
        });
        if how != "cancelled" {
            drop(runner);
        }
        println!("until here");
        send(Signal::TERM);
        // The signal may take a moment, and ends this.
        thread::sleep(std::time::Duration::from_secs(20));
        unreachable!("it ends before");
    }
    for how in ["cancelled", "closed"] {
        let child = std::process::Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "it_is_as_by_default_again_when_it_is_cancelled_or_its_loop_is_closed",
                "--nocapture",
            ])
            .env("ASYNCIO_TEST_HOW", how)
            .output()
            .unwrap();
        assert_eq!(child.status.signal(), Some(15), "{how}: {child:?}");
        assert!(String::from_utf8_lossy(&child.stdout).contains("until here"), "{how}: {child:?}");
    }
}

#[test]
fn what_cannot_be_is_refused() {
    let mut runner = Runner::new().unwrap();
    let event_loop = runner.event_loop();
    for number in [9, 19, 11, 0, -1, 1000] {
        assert!(event_loop.add_signal_handler(number, || {}).is_err(), "{number}");
    }
    let other = event_loop.clone();
    let error =
        thread::spawn(move || other.add_signal_handler(1, || {}).map(drop).unwrap_err()).join().unwrap();
    assert!(error.get_ref().unwrap().is::<LoopError>(), "{error}");
    runner.close();
    let error: io::Error = event_loop.add_signal_handler(1, || {}).map(drop).unwrap_err();
    assert!(is_loop_closed(&error), "{error}");
}

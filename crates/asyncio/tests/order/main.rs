//! The order in which things run is asyncio's: the same programs, beside Python 3.13 where it is installed.
//!
//! ORD-8, of locks, comes with the locks.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

use std::cell::RefCell;
use std::io::Write;
use std::process::Command;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use asyncio::net::Readiness;
use asyncio::{EventLoop, Runner, completion, sleep, spawn_local, yield_now};

/// What happened, in order.
#[derive(Clone, Default)]
struct Log(Rc<RefCell<Vec<String>>>);

impl Log {
    fn add(&self, what: impl Into<String>) {
        self.0.borrow_mut().push(what.into());
    }

    fn callback(&self, what: &'static str) -> impl FnOnce() + use<> {
        let log = self.clone();
        move || log.add(what)
    }
}

const MS: Duration = Duration::from_millis(1);

fn ord_1(log: &Log) {
    let mut runner = Runner::new().unwrap();
    let event_loop = runner.event_loop();
    let (inside, inner) = (log.clone(), event_loop.clone());
    event_loop
        .call_soon(move || {
            inside.add("a");
            let stops = inner.clone();
            let c = move || {
                inside.add("c");
                stops.stop();
            };
            inner.call_soon(c).unwrap();
        })
        .unwrap();
    event_loop.call_soon(log.callback("b")).unwrap();
    runner.run_forever();
}

async fn ord_2(log: &Log) {
    let task = |name: &'static str| {
        let log = log.clone();
        spawn_local(async move {
            for _ in 0..3 {
                log.add(name);
                yield_now().await;
            }
        })
    };
    let (one, two) = (task("T1"), task("T2"));
    one.await.unwrap();
    two.await.unwrap();
}

async fn ord_3(log: &Log) {
    // A callback of a completion may be called on any thread.
    let called = Arc::new(Mutex::new(Vec::new()));
    let (setter, future) = completion::<u32, String>();
    let callback = |name: &'static str| {
        let called = called.clone();
        future.on_done(move |_| called.lock().unwrap().push(name.to_owned()));
    };
    callback("f1");
    let (waits, inside) = (future.clone(), called.clone());
    let task = spawn_local(async move {
        waits.await.unwrap();
        inside.lock().unwrap().push(String::from("awaiter"));
    });
    yield_now().await;
    callback("f2");
    setter.set(1);
    called.lock().unwrap().push(String::from("set"));
    task.await.unwrap();
    yield_now().await;
    called.lock().unwrap().iter().for_each(|what| log.add(what.as_str()));
}

async fn ord_4(log: &Log) {
    let (setter, future) = completion::<u32, String>();
    setter.set(1);
    EventLoop::current().unwrap().call_soon(log.callback("callback")).unwrap();
    future.await.unwrap();
    log.add("awaited");
    yield_now().await;
}

async fn ord_5(log: &Log) {
    EventLoop::current().unwrap().call_soon(log.callback("callback")).unwrap();
    async { log.add("inner") }.await;
    log.add("awaited");
    yield_now().await;
}

async fn ord_6(log: &Log) {
    let (inside, beside) = (log.clone(), log.clone());
    let task = spawn_local(async move { inside.add("task") });
    let other = spawn_local(async move {
        for n in 0..3 {
            beside.add(format!("round {n}"));
            yield_now().await;
        }
    });
    task.await.unwrap();
    log.add("awaited");
    other.await.unwrap();
}

async fn ord_7(log: &Log) {
    let event_loop = EventLoop::current().unwrap();
    let (one, mut two) = std::os::unix::net::UnixStream::pair().unwrap();
    let inside = log.clone();
    spawn_local(async move {
        Readiness::new(one).unwrap().readable().await.unwrap();
        inside.add("io");
    });
    event_loop.call_later(2 * MS, log.callback("second timer")).unwrap();
    event_loop.call_later(MS, log.callback("first timer")).unwrap();
    yield_now().await;
    two.write_all(b"x").unwrap();
    // As the program in Python does: the loop is held until both timers are over.
    std::thread::sleep(5 * MS);
    event_loop.call_soon(log.callback("ready")).unwrap();
    sleep(10 * MS).await;
}

fn ord_9(log: &Log) {
    let mut runner = Runner::new().unwrap();
    let event_loop = runner.event_loop();
    let (inside, inner) = (log.clone(), event_loop.clone());
    event_loop
        .call_soon(move || {
            inner.call_soon(inside.callback("new")).unwrap();
            inner.stop();
            inside.add("stop");
        })
        .unwrap();
    event_loop.call_soon(log.callback("behind")).unwrap();
    runner.run_forever();
    log.add("stopped");
    // What is left is dropped with the runner.
    drop(runner);
}

async fn ord_10(log: &Log) {
    struct Finally(Log);
    impl Drop for Finally {
        fn drop(&mut self) {
            self.0.add("finally");
        }
    }
    let inside = log.clone();
    let task = spawn_local(async move {
        let _finally = Finally(inside.clone());
        inside.add("body");
    });
    task.cancel();
    if task.await.unwrap_err().is_cancelled() {
        log.add("cancelled");
    }
}

async fn ord_11(log: &Log) {
    let inside = log.clone();
    let task = asyncio::task::Builder::new().eager(true).spawn_local(async move { inside.add("eager") });
    log.add("after");
    task.await.unwrap();
}

fn trace() -> Vec<String> {
    let mut lines = Vec::new();
    let mut program = |name: &str, run: &dyn Fn(&Log)| {
        let log = Log::default();
        run(&log);
        lines.push(format!("{name}: {}", log.0.take().join(", ")));
    };
    program("ORD-1", &ord_1);
    program("ORD-2", &|log| asyncio::run(ord_2(log)));
    program("ORD-3", &|log| asyncio::run(ord_3(log)));
    program("ORD-4", &|log| asyncio::run(ord_4(log)));
    program("ORD-5", &|log| asyncio::run(ord_5(log)));
    program("ORD-6", &|log| asyncio::run(ord_6(log)));
    program("ORD-7", &|log| asyncio::run(ord_7(log)));
    program("ORD-9", &ord_9);
    program("ORD-10", &|log| asyncio::run(ord_10(log)));
    program("ORD-11", &|log| asyncio::run(ord_11(log)));
    lines
}

/// What Python 3.13 prints.
const EXPECTED: [&str; 10] = [
    "ORD-1: a, b, c",
    "ORD-2: T1, T2, T1, T2, T1, T2",
    "ORD-3: set, f1, awaiter, f2",
    "ORD-4: awaited, callback",
    "ORD-5: inner, awaited, callback",
    "ORD-6: task, round 0, awaited, round 1, round 2",
    "ORD-7: ready, io, first timer, second timer",
    "ORD-9: stop, behind, stopped",
    "ORD-10: cancelled",
    "ORD-11: eager, after",
];

#[test]
fn the_order_is_that_of_asyncio() {
    assert_eq!(trace(), EXPECTED);
}

#[test]
fn python_prints_the_same() {
    let program = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/order/order.py");
    let output = Command::new("python3.13").arg(program).output();
    let Some(output) = output.ok().filter(|output| output.status.success()) else {
        eprintln!("python3.13 is not installed: its lines were compared when they were written down");
        return;
    };
    let lines: Vec<String> = String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect();
    assert_eq!(lines, EXPECTED);
}

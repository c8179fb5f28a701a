//! The pool of processes: its workers are this test program, started once more, up to the first test.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

use std::collections::BTreeSet;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::time::{Duration, Instant};

use asyncio_process::{CallError, Functions, ProcessPool, ProcessPoolBuilder};
use asyncio_runtime::{Runner, run};
use asyncio_tasks::{gather_all, timeout};
use static_assertions::assert_impl_all;

assert_impl_all!(ProcessPool: Send, Sync);
assert_impl_all!(CallError: Send, Sync, std::error::Error);

fn add((a, b): (u32, u32)) -> u32 {
    a + b
}

fn id(_: ()) -> u32 {
    std::process::id()
}

fn echo(bytes: Vec<u8>) -> Vec<u8> {
    bytes
}

fn fails(what: String) -> Result<u8, String> {
    match &*what {
        "panic" => panic!("a bug"),
        "exit" => std::process::exit(3),
        "abort" => std::process::abort(),
        _ => Err(what),
    }
}

fn sleeps(milliseconds: u64) -> u64 {
    // It is what it is for: its worker is busy for so long.
    std::thread::sleep(Duration::from_millis(milliseconds));
    milliseconds
}

fn takes(bytes: u64) -> usize {
    std::hint::black_box(vec![1_u8; usize::try_from(bytes).unwrap()]).len()
}

fn reads_and_runs(_: ()) -> (usize, String) {
    let read = std::io::Read::read(&mut std::io::stdin(), &mut [0; 8]).unwrap();
    // A program that it starts is no worker.
    let output = std::process::Command::new("sh").args(["-c", "echo child"]).output().unwrap();
    (read, String::from_utf8(output.stdout).unwrap())
}

fn functions() -> Functions {
    Functions::new().with(add).with(id).with(echo).with(fails).with(sleeps).with(takes).with(reads_and_runs)
}

/// Where a worker goes no further.
#[test]
fn a_worker_enters_here() {
    let functions = functions().enter();
    assert!(format!("{functions:?}").contains("add"), "this process is none");
}

fn builder() -> ProcessPoolBuilder {
    let args = ["--exact", "a_worker_enters_here", "--nocapture", "--test-threads=1"];
    ProcessPool::builder(functions().enter()).workers_max(2).worker_args(args)
}

fn is_there(id: u32) -> bool {
    Path::new(&format!("/proc/{id}")).exists()
}

#[test]
fn calls_run_elsewhere_and_come_back() {
    run(async {
        let pool = builder().build();
        assert_eq!(pool.run(add, (40, 2)).await.unwrap(), 42);
        assert_ne!(pool.run(id, ()).await.unwrap(), std::process::id());
        for length in [0, 1, 4088, 4096, 100_000, 10 << 20] {
            let bytes: Vec<u8> = (0..length).map(|n| n as u8).collect();
            assert!(pool.run(echo, bytes.clone()).await.unwrap() == bytes, "{length}");
        }
        assert_eq!(pool.run(fails, "an error".into()).await.unwrap(), Err("an error".into()));
        assert_eq!(pool.run(reads_and_runs, ()).await.unwrap(), (0, "child\n".into()));
        let ids = pool.idle_workers();
        assert_eq!(ids.len(), 1, "one call at a time needs no second");
        pool.close().await;
        assert!(!ids.into_iter().any(is_there));
    });
}

/// No process is made for a call.
#[test]
fn workers_are_kept_and_no_more_than_so_many() {
    run(async {
        let pool = builder().build();
        let ids = gather_all((0..200).map(|_| pool.run(id, ()))).await;
        let ids: BTreeSet<u32> = ids.into_iter().map(|id| id.unwrap()).collect();
        assert!(ids.len() <= 2, "{ids:?}");
        let start = Instant::now();
        let slept = gather_all((0..4).map(|_| pool.run(sleeps, 50))).await;
        assert!(slept.into_iter().all(|slept| slept.unwrap() == 50));
        assert!(start.elapsed() >= Duration::from_millis(100), "two at a time");
    });
}

#[test]
fn a_call_that_fails_is_an_error_of_that_call_alone() {
    run(async {
        let pool = builder().build();
        let first = pool.run(id, ()).await.unwrap();
        match pool.run(fails, "panic".into()).await.unwrap_err() {
            CallError::Panicked(message) => assert_eq!(message, "a bug"),
            other => panic!("{other}"),
        }
        assert_eq!(pool.run(id, ()).await.unwrap(), first, "a panic ends no worker");
        match pool.run(fails, "exit".into()).await.unwrap_err() {
            CallError::Crashed(status) => assert_eq!(status.code(), Some(3)),
            other => panic!("{other}"),
        }
        match pool.run(fails, "abort".into()).await.unwrap_err() {
            CallError::Crashed(status) => assert_eq!(status.signal(), Some(6)),
            other => panic!("{other}"),
        }
        assert_ne!(pool.run(id, ()).await.unwrap(), first, "it is replaced");
        assert!(!is_there(first));
        let error = pool.run(|n: u8| n, 1).await.unwrap_err();
        assert!(
            matches!(error, CallError::Unknown(_)) && error.to_string().contains("Functions::with"),
            "{error}"
        );
    });
}

#[test]
fn a_call_that_is_killed_or_dropped_or_takes_too_long() {
    run(async {
        let pool = builder().workers_max(1).time_max(Duration::from_millis(300)).build();
        let worker = pool.run(id, ()).await.unwrap();
        let pid = rustix::process::Pid::from_raw(worker.try_into().unwrap()).unwrap();
        let (killed, ()) = futures_lite::future::zip(pool.run(sleeps, 250), async {
            asyncio_timers::sleep(Duration::from_millis(30)).await;
            rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
        })
        .await;
        assert!(matches!(killed.unwrap_err(), CallError::Crashed(status) if status.signal() == Some(9)));
        // One that has nothing to do is replaced without anybody's noticing.
        let worker = pool.run(id, ()).await.unwrap();
        let pid = rustix::process::Pid::from_raw(worker.try_into().unwrap()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
        // Its first thread may be a zombie before the process is one.
        let is_zombie = || {
            let stat = std::fs::read_to_string(format!("/proc/{worker}/stat")).unwrap_or_default();
            let threads = std::fs::read_dir(format!("/proc/{worker}/task")).map_or(0, Iterator::count);
            stat.contains(") Z ") && threads == 1
        };
        while !is_zombie() {
            asyncio_timers::sleep(Duration::from_millis(1)).await;
        }
        let worker = pool.run(id, ()).await.unwrap();
        let error = pool.run(sleeps, 60_000).await.unwrap_err();
        assert!(
            matches!(error, CallError::TimedOut(limit) if limit == Duration::from_millis(300)),
            "{error}"
        );
        let next = pool.run(id, ()).await.unwrap();
        assert_ne!(next, worker);
        assert!(timeout(Duration::from_millis(30), pool.run(sleeps, 250)).await.is_err());
        assert_ne!(pool.run(id, ()).await.unwrap(), next);
        for id in [worker, next] {
            while is_there(id) {
                asyncio_timers::sleep(Duration::from_millis(1)).await;
            }
        }
    });
}

#[test]
fn workers_are_replaced_after_so_many_calls() {
    run(async {
        let pool = builder().workers_max(1).calls_max(3).build();
        let mut ids = Vec::new();
        for _ in 0..9 {
            ids.push(pool.run(id, ()).await.unwrap());
        }
        assert!(ids.chunks(3).all(|chunk| chunk[0] == chunk[1] && chunk[1] == chunk[2]), "{ids:?}");
        assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), 3);
    });
}

#[cfg(target_os = "linux")]
#[test]
fn a_call_has_no_more_memory_than_it_may() {
    run(async {
        let pool = builder().memory_max(64 << 20).build();
        assert_eq!(pool.run(takes, 16 << 20).await.unwrap(), 16 << 20);
        let error = pool.run(takes, 256 << 20).await.unwrap_err();
        assert!(matches!(error, CallError::Crashed(status) if status.signal() == Some(6)), "{error}");
        // Each has as much.
        for _ in 0..5 {
            assert_eq!(pool.run(takes, 16 << 20).await.unwrap(), 16 << 20);
        }
    });
}

#[test]
fn a_pool_outlives_a_loop() {
    let pool = builder().build();
    for workers in [1, 2, 1] {
        let mut runner = Runner::builder().workers(workers).build().unwrap();
        assert_eq!(runner.run(pool.run(add, (1, 2))).unwrap(), 3);
        assert_eq!(runner.run(pool.run(add, (3, 4))).unwrap(), 7);
    }
    assert_eq!(asyncio_executor::block_on(pool.run(add, (5, 6))).unwrap(), 11);
}

#[test]
#[should_panic(expected = "captures something")]
fn what_captures_something_is_refused() {
    let number = std::hint::black_box(3_u32);
    let _ = Functions::new().with(move |n: u32| n + number);
}

/// All closures of one function have the same name.
#[test]
fn a_function_that_is_not_of_the_pool_is_unknown_whatever_its_name_is() {
    let functions = Functions::new().with(|n: u32| n + 1).enter();
    let pool = ProcessPool::new(functions);
    // Here, and not within the block, which is another function.
    let other = |n: u32| n + 100;
    run(async {
        let error = pool.run(other, 1).await.unwrap_err();
        assert!(
            matches!(error, CallError::Unknown(_)) && error.to_string().contains("Functions::with"),
            "{error}"
        );
        let more = std::hint::black_box(1);
        assert!(matches!(pool.run(move |n: u32| n + more, 1).await.unwrap_err(), CallError::Unknown(_)));
    });
}

/// One loop stands still while the pool is used on another.
#[test]
fn a_pool_is_used_on_two_loops_in_turn() {
    let pool = builder().workers_max(1).build();
    let (mut first, mut second) = (Runner::new().unwrap(), Runner::new().unwrap());
    for n in 0..3 {
        assert_eq!(first.run(pool.run(add, (n, 1))).unwrap(), n + 1);
        assert_eq!(second.run(pool.run(add, (n, 2))).unwrap(), n + 2);
    }
}

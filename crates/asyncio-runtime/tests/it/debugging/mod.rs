//! Debug mode: what it tells, and what it does not.

mod dumps;
mod metrics;

use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use asyncio_runtime::{Runner, Unhandled};
use asyncio_tasks::{Builder, GroupError, spawn, spawn_local, spawn_pinned, task_group, yield_now};

const LONG: Duration = Duration::from_secs(20);

/// A runtime in debug mode, and what it reports. Nothing is slow by itself: only what a test makes so.
fn debugged(workers: usize, threshold: Duration) -> (Runner, Receiver<Unhandled>) {
    let (sender, reports) = channel();
    let runner = Runner::builder()
        .workers(workers)
        .debug(true)
        .slow_poll_threshold(threshold)
        .on_unhandled(move |what| sender.send(what.clone()).unwrap())
        .build()
        .unwrap();
    (runner, reports)
}

/// Holds its thread until that is told of, by a report with this in it. On a busy machine other polls may be slow, too.
#[inline(never)]
fn hold_until_told(reports: &Receiver<Unhandled>, what: &str) -> Unhandled {
    loop {
        let told = reports.recv_timeout(LONG).expect("it is told while it holds the loop");
        if told.message().contains("has held worker") && told.message().contains(what) {
            return told;
        }
    }
}

#[test]
fn a_poll_that_holds_its_loop_is_told_of_while_it_does() {
    for workers in [1, 2] {
        let (mut runner, reports) = debugged(workers, Duration::from_millis(20));
        let (told, reports) = runner.run(async move {
            let holds = async move {
                yield_now().await;
                (hold_until_told(&reports, "\"holds\""), reports)
            };
            Builder::new().name("holds").spawn(holds).await.unwrap()
        });
        let text = told.to_string();
        assert!(text.contains("\"holds\"") && text.contains("has held worker"), "{text}");
        assert!(told.spawned_at().unwrap().file().ends_with("debugging/mod.rs"), "{text}");
        if cfg!(all(target_os = "linux", target_env = "gnu")) {
            assert!(text.contains("hold_until_told"), "it says where the thread is: {text}");
            assert!(!text.contains("signal_hook") && !text.contains("run_up_to"), "{text}");
        }
        // And once more when it is over, with how long it took; and that is all.
        let of_it = |other: &Unhandled| other.task() == told.task();
        let over = reports.iter().find(of_it).unwrap();
        assert!(over.message().contains("held its loop meanwhile"), "{over}");
        drop(runner);
        assert!(!reports.try_iter().any(|other| of_it(&other)));
    }
}

#[test]
fn a_poll_of_main_is_told_of_too() {
    let (mut runner, reports) = debugged(1, Duration::from_millis(20));
    let told = runner.run(async { hold_until_told(&reports, "main (") });
    let text = told.to_string();
    assert!(text.contains("main (") && text.contains("debugging/mod.rs") && told.task().is_none(), "{text}");
    let is_over = |over: Unhandled| over.message().contains("a poll of main");
    assert!(reports.iter().any(is_over));
}

#[test]
fn several_polls_of_several_workers_are_told_of_each_once() {
    let (mut runner, reports) = debugged(3, Duration::from_millis(20));
    let texts: Vec<String> = runner.run(async {
        let (stop, stopped) = channel::<()>();
        let stopped = std::sync::Arc::new(std::sync::Mutex::new(stopped));
        let holding: Vec<_> = (1..3)
            .map(|worker| {
                let stopped = stopped.clone();
                spawn_pinned(worker, || async move {
                    // Both end when the sender is gone.
                    while stopped.lock().unwrap().recv_timeout(Duration::from_millis(1))
                        != Err(RecvTimeoutError::Disconnected)
                    {}
                })
                .unwrap()
            })
            .collect();
        let mut told: Vec<String> = Vec::new();
        let is_told = |told: &[String], worker: u32| {
            told.iter().any(|text| text.contains(&format!("held worker {worker} ")))
        };
        while !is_told(&told, 1) || !is_told(&told, 2) {
            told.push(reports.recv_timeout(LONG).unwrap().to_string());
        }
        drop(stop);
        for task in holding {
            task.await.unwrap();
        }
        told
    });
    drop(runner);
    let rest: Vec<String> = reports.try_iter().map(|told| told.to_string()).collect();
    let all: Vec<&String> =
        texts.iter().chain(&rest).filter(|text| text.contains("has held worker")).collect();
    for worker in 0..3 {
        let of_worker = all.iter().filter(|text| text.contains(&format!("worker {worker} "))).count();
        // Main, on worker 0, may or may not be told of by then.
        assert!(worker == 0 || of_worker == 1, "{all:#?}");
    }
}

fn panics(what: &'static str) -> String {
    panic!("{what}")
}

#[test]
fn a_panic_that_nobody_reads_is_told_of() {
    for workers in [1, 2] {
        let (mut runner, reports) = debugged(workers, LONG);
        runner.run(async {
            spawn(async { panic!("nobody looks") }).detach();
            spawn_local(async { panic!("nor here") }).detach();
            let late = spawn(async { panic!("too late") });
            while !late.is_finished() {
                yield_now().await;
            }
            drop(late);
            let local = spawn_local(async { panic!("too late, too") });
            while !local.is_finished() {
                yield_now().await;
            }
            drop(local);
            // These are read, or somebody else has them.
            assert!(spawn(async { panic!("read") }).await.unwrap_err().is_panic());
            let value: u32 = spawn(async { 7 }).await.unwrap();
            assert_eq!(value, 7);
            spawn_local(async { spawn(async {}).cancel() }).detach();
            let group = spawn_local(async {
                let _: Result<(), GroupError<String>> = task_group(async |group| {
                    group.spawn(async { Err::<(), _>(panics("the group's")) });
                    group.spawn_local(async { Err::<(), _>(panics("the group's")) });
                    Ok(())
                })
                .await;
            });
            assert!(group.await.unwrap_err().is_panic());
        });
        drop(runner);
        let told: Vec<Unhandled> = reports.try_iter().collect();
        let mut texts: Vec<&str> = told.iter().map(Unhandled::message).collect();
        texts.sort_by_key(|text| text.rsplit(": ").next().map(str::to_owned));
        assert_eq!(texts.len(), 4, "{texts:#?}");
        for (text, panic) in texts.iter().zip(["nobody looks", "nor here", "too late", "too late, too"]) {
            assert!(text.ends_with(&format!("nobody has read it: {panic}")), "{text}");
        }
        assert!(told.iter().all(|told| told.is_panic() && told.spawned_at().is_some()));
    }
}

#[test]
fn a_call_from_another_thread_is_told_of_besides_its_error() {
    let (runner, reports) = debugged(1, LONG);
    let event_loop = runner.event_loop();
    assert!(event_loop.is_debugged());
    std::thread::spawn(move || {
        assert!(event_loop.call_soon(|| ()).is_err());
        assert!(event_loop.call_later(Duration::MAX, || ()).is_err());
    })
    .join()
    .unwrap();
    let told: Vec<String> = reports.try_iter().map(|told| told.to_string()).collect();
    assert_eq!(told.len(), 2, "{told:#?}");
    assert!(
        told.iter().all(|told| told.contains("call_soon_threadsafe") && told.contains("debugging/mod.rs"))
    );
}

#[test]
fn a_loop_that_is_not_in_debug_mode_tells_nothing_though_another_one_is() {
    let (debugged, reports) = debugged(1, LONG);
    let (sender, others) = channel();
    let mut runner = Runner::builder()
        .debug(false)
        .on_unhandled(move |what| sender.send(what.clone()).unwrap())
        .build()
        .unwrap();
    runner.run(async {
        spawn_local(async { panic!("nobody looks") }).detach();
        yield_now().await;
    });
    let event_loop = runner.event_loop();
    assert!(!event_loop.is_debugged());
    std::thread::spawn(move || event_loop.call_soon(|| ()).map(drop)).join().unwrap().unwrap_err();
    drop((runner, debugged));
    assert!(reports.try_iter().next().is_none() && others.try_iter().next().is_none());
}

#[test]
fn a_watchdog_ends_with_its_runner() {
    let threads = || {
        std::fs::read_dir("/proc/self/task").map_or(0, |tasks| {
            let names =
                tasks.flatten().filter_map(|task| std::fs::read_to_string(task.path().join("comm")).ok());
            names.filter(|name| name.starts_with("asyncio-watchdo")).count()
        })
    };
    // Other tests have theirs: no more are left than there were at most at one time.
    for _ in 0..50 {
        drop(debugged(2, LONG));
    }
    assert!(threads() < 20, "{} watchdogs are left", threads());
}

#[test]
fn what_is_done_between_two_runs_is_nobodys_poll() {
    // Shorter than the pauses, and longer than any poll here, if the machine is not held up itself.
    let (mut runner, reports) = debugged(1, Duration::from_millis(150));
    // Time passes on the thread of the loop, and not in it: twice what would be too long.
    let pause = || std::thread::sleep(Duration::from_millis(300));
    for _ in 0..2 {
        runner.run(async { spawn_local(async {}).await.unwrap() });
        pause();
        runner.turn(Some(Duration::ZERO)).unwrap();
        pause();
    }
    // Something is left for the end.
    runner.run(async { spawn_local(std::future::pending::<()>()).detach() });
    pause();
    drop(runner);
    let told: Vec<String> = reports.try_iter().map(|told| told.to_string()).collect();
    assert!(told.is_empty(), "{told:#?}");
}

#[test]
fn a_handler_that_is_told_by_the_watchdog_may_wait_for_the_end() {
    let (sender, receiver) = channel::<()>();
    let receiver = std::sync::Mutex::new(receiver);
    let (told, was_told) = channel();
    let mut runner = Runner::builder()
        .debug(true)
        .slow_poll_threshold(Duration::from_millis(20))
        .on_unhandled(move |what| {
            if what.message().contains("has held worker") {
                told.send(()).unwrap();
                // Until the runner is closed, and what its owner has is dropped.
                receiver.lock().unwrap().recv().unwrap_err();
            }
        })
        .build()
        .unwrap();
    runner.run(async { was_told.recv_timeout(LONG).unwrap() });
    runner.close();
    drop(sender);
}

#[test]
fn a_panic_that_a_callback_was_told_of_is_read() {
    let (mut runner, reports) = debugged(1, LONG);
    runner.run(async {
        let (told, was_told) = channel();
        let task = spawn_local(async { panic!("the callback hears of it") });
        task.on_done(move |result: Result<&(), _>| told.send(result.is_err()).unwrap());
        task.detach();
        yield_now().await;
        assert!(was_told.recv().unwrap());
    });
    drop(runner);
    assert!(reports.try_iter().next().is_none());
}

#[test]
fn slow_polls_are_told_of_also_while_the_watchdog_is_busy_with_another_one() {
    // From 50 ms on the clock is not read at each poll.
    let threshold = Duration::from_millis(60);
    let (told, reports) = channel();
    let (go_on, may_go_on) = channel::<()>();
    let may_go_on = std::sync::Mutex::new(may_go_on);
    let mut runner = Runner::builder()
        .workers(2)
        .debug(true)
        .slow_poll_threshold(threshold)
        .on_unhandled(move |what| {
            told.send(what.clone()).unwrap();
            if what.message().contains("has held worker 1") {
                // The watchdog's thread is here.
                may_go_on.lock().unwrap().recv_timeout(LONG).unwrap();
            }
        })
        .build()
        .unwrap();
    runner.run(async {
        let held = Builder::new()
            .name("held")
            .spawn_pinned(1, || async move { (hold_until_told(&reports, "held worker 1"), reports) });
        let (_, reports) = held.unwrap().await.unwrap();
        // The slow poll itself.
        let slow = spawn_local(async move { std::thread::sleep(3 * threshold) });
        let id = slow.id().get();
        slow.await.unwrap();
        let is_told =
            |told: Unhandled| told.task() == Some(id) && told.message().contains("held its loop meanwhile");
        assert!(reports.try_iter().any(is_told), "though nobody ticks");
        go_on.send(()).unwrap();
    });
}

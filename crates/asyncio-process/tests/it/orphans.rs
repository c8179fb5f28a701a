//! Children that nobody waits for.

use std::pin::pin;
use std::thread;
use std::time::Duration;

use asyncio_process::{Command, Stdio};
use asyncio_runtime::{Runner, run};
use asyncio_tasks::{race, spawn, yield_now};
use asyncio_timers::sleep;

use crate::{is_pending, is_there, until};

fn sleeper(seconds: &str) -> Command {
    let mut command = Command::new("sleep");
    command.arg(seconds);
    command
}

#[test]
fn one_that_is_dropped_goes_on_and_is_reaped_by_the_loop() {
    run(async {
        let id = sleeper("0.1").spawn().unwrap().id();
        assert!(is_there(id), "it goes on");
        while is_there(id) {
            sleep(Duration::from_millis(1)).await;
        }
    });
}

#[test]
fn one_that_was_waited_for_is_reaped_too() {
    run(async {
        let child = sleeper("0.1").spawn().unwrap();
        assert!(is_pending(pin!(child.wait())));
        let id = child.id();
        drop(child);
        while is_there(id) {
            yield_now().await;
        }
    });
}

#[test]
fn kill_on_drop_kills_and_reaps() {
    run(async {
        let id = sleeper("3600").kill_on_drop(true).spawn().unwrap().id();
        while is_there(id) {
            sleep(Duration::from_millis(1)).await;
        }
        // Also that of an output that is given up.
        let file = std::env::temp_dir().join(format!("asyncio-given-up-{}", std::process::id()));
        let output = async {
            let mut command = Command::shell("echo $$ > \"$1\"; exec sleep 3600");
            command.arg("sh").arg(&file).kill_on_drop(true).output().await
        };
        let written = async {
            loop {
                let id = std::fs::read_to_string(&file).unwrap_or_default();
                if let Ok(id) = id.trim().parse::<u32>() {
                    return id;
                }
                sleep(Duration::from_millis(1)).await;
            }
        };
        let id = race!(async { output.await.map(|_| 0).unwrap_or(0) }, written);
        std::fs::remove_file(&file).unwrap();
        assert_ne!(id, 0);
        while is_there(id) {
            sleep(Duration::from_millis(1)).await;
        }
    });
}

#[test]
fn the_loop_may_be_closed_before_a_child_ends() {
    let mut runner = Runner::new().unwrap();
    let ids = runner.run(async {
        let dropped = sleeper("0.2").spawn().unwrap().id();
        // One of a task that is cancelled by the end of the loop while it waits.
        let child = sleeper("0.2").spawn().unwrap();
        let waited = child.id();
        spawn(async move { child.wait().await });
        yield_now().await;
        [dropped, waited]
    });
    drop(runner);
    assert!(ids.into_iter().all(is_there), "they outlive it");
    until("both are reaped", || !ids.into_iter().any(is_there));
}

#[test]
fn a_child_may_be_dropped_where_no_loop_is() {
    let child = run(async { sleeper("0.1").spawn().unwrap() });
    let id = child.id();
    thread::spawn(move || drop(child)).join().unwrap();
    until("it is reaped", || !is_there(id));
}

#[test]
fn a_child_that_is_left_may_outlive_its_loop() {
    let child = run(async {
        let child = sleeper("0.1").spawn().unwrap();
        assert!(is_pending(pin!(child.wait())));
        child
    });
    let id = child.id();
    drop(child);
    until("it is reaped", || !is_there(id));
}

/// The end of one that waited for it there is not heard of any more; it can be looked at, and is reaped.
#[test]
fn a_child_belongs_to_the_loop_where_it_was_waited_for() {
    let child = run(async {
        let child = sleeper("0.05").spawn().unwrap();
        assert!(is_pending(pin!(child.wait())));
        child
    });
    let error = asyncio_executor::block_on(child.wait()).unwrap_err();
    assert!(asyncio_base::is_loop_closed(&error), "{error}");
    until("it has ended", || child.try_wait().unwrap().is_some());
    assert!(asyncio_executor::block_on(child.wait()).unwrap().success());
}

/// A loop that is not turned hears of nothing: whoever makes or leaves a child looks after those that there are.
#[test]
fn a_loop_that_stands_still_holds_no_zombie_for_long() {
    let mut standing = Runner::new().unwrap();
    let id = standing.run(async { sleeper("0.01").spawn().unwrap().id() });
    until("it is reaped", || {
        run(async { Command::new("true").status().await.unwrap() });
        !is_there(id)
    });
    drop(standing);
}

/// Neither a process nor a descriptor is left of those that were dropped.
#[test]
fn orphans_leave_no_descriptor() {
    let descriptors = || {
        let fds = std::fs::read_dir("/proc/self/fd").unwrap().flatten();
        fds.filter(|fd| {
            std::fs::read_link(fd.path()).is_ok_and(|link| link.to_string_lossy().contains("pidfd"))
        })
        .count()
    };
    run(async {
        for _ in 0..200 {
            drop(sleeper("0.05").spawn().unwrap());
        }
        // Other tests have some, but not as many.
        while descriptors() > 100 {
            sleep(Duration::from_millis(1)).await;
        }
    });
}

#[test]
fn thousands_that_are_dropped_leave_no_zombie() {
    let ids: Vec<u32> = run(async {
        let mut ids = Vec::new();
        for n in 0..1000 {
            let mut command = Command::new("true");
            let child = command.stdin(Stdio::piped()).kill_on_drop(n % 3 == 0).spawn().unwrap();
            ids.push(child.id());
            if n % 2 == 0 {
                assert!(child.try_wait().is_ok());
            }
            if n % 64 == 0 {
                yield_now().await;
            }
        }
        ids
    });
    until("all are reaped", || !ids.iter().any(|&id| is_zombie_of_ours(id)));
}

/// A number may be another process's by now.
fn is_zombie_of_ours(id: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    let Some((_, rest)) = stat.rsplit_once(") ") else { return false };
    let mut fields = rest.split(' ');
    let (state, parent) = (fields.next(), fields.next().and_then(|id| id.parse().ok()));
    state == Some("Z") && parent == Some(std::process::id())
}

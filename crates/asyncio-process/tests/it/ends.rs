//! How a child ends, and who hears of it.

use std::io::ErrorKind;
use std::os::unix::process::ExitStatusExt;
use std::pin::pin;
use std::time::{Duration, Instant};

use asyncio_executor::block_on;
use asyncio_process::{Child, Command, Stdio};
use asyncio_runtime::{Runner, run};
use asyncio_signal::unix::SignalKind;
use asyncio_tasks::{gather_all, spawn, timeout};
use asyncio_timers::sleep;
use futures_lite::{AsyncReadExt, AsyncWriteExt};

use crate::{is_pending, is_there};

fn sleeper() -> Child {
    Command::new("sleep").arg("3600").kill_on_drop(true).spawn().unwrap()
}

#[test]
fn any_number_waits_and_all_hear_the_same() {
    run(async {
        let child = std::sync::Arc::new(Command::new("sleep").arg("0.05").spawn().unwrap());
        let waits = (0..100).map(|_| {
            let child = child.clone();
            spawn(async move { child.wait().await.unwrap() })
        });
        let together = gather_all((0..10).map(|_| child.wait()));
        let statuses = gather_all(waits.collect::<Vec<_>>()).await;
        assert!(statuses.into_iter().all(|status| status.unwrap().success()));
        assert!(together.await.into_iter().all(|status| status.unwrap().success()));
        assert!(child.wait().await.unwrap().success());
        assert!(child.try_wait().unwrap().unwrap().success());
        assert!(!is_there(child.id()));
    });
}

#[test]
fn on_every_kind_of_loop_and_without_one() {
    let exits = async |code: u8| Command::shell(format!("exit {code}")).status().await.unwrap().code();
    for workers in [1, 2] {
        let mut runner = Runner::builder().workers(workers).build().unwrap();
        assert_eq!(runner.run(exits(3)), Some(3));
        let codes = (0..64_u8).map(|n| spawn_exit(n % 7));
        let codes = runner.run(async { gather_all(codes.collect::<Vec<_>>()).await });
        assert_eq!(codes, (0..64).map(|n| Some(n % 7)).collect::<Vec<_>>());
    }
    assert_eq!(block_on(exits(4)), Some(4));
    assert_eq!(futures_lite::future::block_on(exits(5)), Some(5));
}

async fn spawn_exit(code: u8) -> Option<i32> {
    spawn(async move { Command::shell(format!("exit {code}")).status().await.unwrap().code() }).await.unwrap()
}

#[test]
fn a_wait_may_be_dropped_at_every_poll() {
    run(async {
        let child = sleeper();
        for _ in 0..10 {
            let mut wait = pin!(child.wait());
            for _ in 0..3 {
                assert!(is_pending(wait.as_mut()));
            }
        }
        // Those that are left are not disturbed by one that goes.
        let kept = spawn({
            let other = Command::new("sleep").arg("0.05").spawn().unwrap();
            async move { other.wait().await.unwrap().success() }
        });
        child.kill().unwrap();
        assert_eq!(child.wait().await.unwrap().signal(), Some(9));
        assert!(kept.await.unwrap());
    });
}

#[test]
fn a_wait_closes_what_the_child_reads() {
    run(async {
        let child = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        assert!(child.try_wait().unwrap().is_none());
        assert!(child.wait().await.unwrap().success());
        // What was taken is its owner's.
        let mut child = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let (status, ()) = futures_lite::future::zip(child.wait(), async {
            stdin.write_all(b"still here").await.unwrap();
            stdin.close().await.unwrap();
            let error = stdin.write(b"too late").await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::BrokenPipe);
        })
        .await;
        assert!(status.unwrap().success());
        let mut text = String::new();
        child.stdout.take().unwrap().read_to_string(&mut text).await.unwrap();
        assert_eq!(text, "still here");
    });
}

#[test]
fn signals_reach_a_child_and_never_one_that_has_been_waited_for() {
    run(async {
        for (signal, number) in [(SignalKind::hangup(), 1), (SignalKind::interrupt(), 2), (10.into(), 10)] {
            let child = sleeper();
            child.send_signal(signal).unwrap();
            let status = child.wait().await.unwrap();
            assert_eq!((status.signal(), status.code()), (Some(number), None));
        }
        let child = sleeper();
        let error = child.send_signal(12_345).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
        child.terminate().unwrap();
        // A zombie may be sent some, as kill(2) has it.
        assert_eq!(child.wait().await.unwrap().signal(), Some(15));
        assert_eq!(child.send_signal(15).unwrap_err().kind(), ErrorKind::NotFound);
        // What was to be is so already.
        child.terminate().unwrap();
        child.kill().unwrap();
    });
}

#[test]
fn stop_asks_and_then_insists() {
    run(async {
        let start = Instant::now();
        let status = sleeper().stop(Duration::from_secs(20)).await.unwrap();
        assert_eq!(status.signal(), Some(15));
        let mut deaf = Command::shell("trap '' TERM; echo ready; while :; do sleep 0.01; done");
        let mut deaf = deaf.stdout(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
        deaf.stdout.as_mut().unwrap().read_exact(&mut [0; 6]).await.unwrap();
        let status = deaf.stop(Duration::from_millis(30)).await.unwrap();
        assert_eq!(status.signal(), Some(9));
        assert!(start.elapsed() < Duration::from_secs(20));
    });
}

#[test]
fn a_group_is_ended_whole() {
    run(async {
        let mut command = Command::shell("sleep 3600 & echo $!; wait");
        let mut child = command.signal_group(true).stdout(Stdio::piped()).spawn().unwrap();
        let mut reader = child.stdout.take().unwrap().into_stream();
        let line = reader.read_line().await.unwrap().unwrap();
        let grandchild: u32 = String::from_utf8(line).unwrap().trim().parse().unwrap();
        child.terminate().unwrap();
        assert_eq!(child.wait().await.unwrap().signal(), Some(15));
        // The pipe was the grandchild's, too: its end is the end of both.
        assert_eq!(reader.read_line().await.unwrap(), None);
        crate::until("the grandchild has ended", || !is_running(grandchild));
    });
}

/// Also where the child itself has ended, and nobody has waited for it yet.
#[test]
fn a_group_is_ended_whose_leader_has_ended() {
    run(async {
        for how in ["kill", "drop"] {
            let mut command = Command::shell("sleep 3600 & echo $!");
            command.signal_group(true).kill_on_drop(true).stdout(Stdio::piped());
            let mut child = command.spawn().unwrap();
            let mut reader = child.stdout.take().unwrap().into_stream();
            let line = reader.read_line().await.unwrap().unwrap();
            let grandchild: u32 = String::from_utf8(line).unwrap().trim().parse().unwrap();
            while is_running(child.id()) {
                sleep(Duration::from_millis(1)).await;
            }
            assert!(is_running(grandchild));
            if how == "kill" {
                child.kill().unwrap();
            }
            drop(child);
            assert_eq!(reader.read_line().await.unwrap(), None, "the grandchild had the pipe, too");
        }
    });
}

/// Says whether a process is there and no zombie: who reaps a grandchild is not ours to say.
fn is_running(id: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    !matches!(stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next()), None | Some('Z' | 'X'))
}

#[test]
fn a_wait_can_be_given_up_for_a_time() {
    run(async {
        let child = sleeper();
        assert!(timeout(Duration::from_millis(10), child.wait()).await.is_err());
        assert!(child.try_wait().unwrap().is_none());
    });
}

/// A pipe that somebody else holds has nothing to do with the end of the child.
#[test]
fn a_grandchild_that_holds_the_pipe_does_not_hold_the_wait() {
    run(async {
        let mut command = Command::shell("sleep 3600 & echo started");
        let mut child = command.signal_group(true).stdout(Stdio::piped()).spawn().unwrap();
        let mut stdout = child.stdout.take().unwrap();
        stdout.read_exact(&mut [0; 8]).await.unwrap();
        assert!(child.wait().await.unwrap().success());
        assert!(timeout(Duration::from_millis(20), stdout.read(&mut [0; 1])).await.is_err());
        rustix::process::kill_process_group(
            rustix::process::Pid::from_raw(child.id().try_into().unwrap()).unwrap(),
            rustix::process::Signal::KILL,
        )
        .unwrap();
        assert_eq!(stdout.read(&mut [0; 1]).await.unwrap(), 0);
    });
}

#[test]
fn a_child_that_is_dropped_while_it_runs_is_told_of_in_debug_mode() {
    for is_debugged in [true, false] {
        let (sender, reports) = std::sync::mpsc::channel();
        let mut runner = Runner::builder()
            .debug(is_debugged)
            .slow_poll_threshold(Duration::MAX)
            .on_unhandled(move |what| sender.send(what.to_string()).unwrap())
            .build()
            .unwrap();
        runner.run(async {
            // Waited for, or to be killed, or at its end.
            let child = Command::new("true").spawn().unwrap();
            child.wait().await.unwrap();
            drop((child, sleeper()));
            let ended = Command::new("true").stdout(Stdio::piped()).spawn().unwrap();
            let id = ended.id();
            while is_there(id) && !matches!(ended.try_wait(), Ok(Some(_))) {
                sleep(Duration::from_millis(1)).await;
            }
            drop(ended);
            assert!(reports.try_recv().is_err());
            let mut runs = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
            let (id, stdin) = (runs.id(), runs.stdin.take());
            drop(runs);
            let told = reports.try_recv().ok();
            assert_eq!(told.is_some(), is_debugged);
            assert!(
                told.is_none_or(
                    |told| told.contains(&format!("child process {id} was dropped while it runs"))
                )
            );
            // It goes on until its input ends.
            assert!(is_there(id));
            drop(stdin);
            while is_there(id) {
                sleep(Duration::from_millis(1)).await;
            }
        });
    }
}

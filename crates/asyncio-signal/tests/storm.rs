//! Many signals at once, from others. Alone in its process, whose signals these are.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

use std::process::Command;
use std::time::Duration;

use asyncio_runtime::run;
use asyncio_signal::unix::{SignalKind, signal};
use asyncio_tasks::{spawn, timeout};
use rustix::process::{Pid, Signal, getpid, kill_process};

/// Says to a process that is started whom it is to send signals to.
const TO: &str = "ASYNCIO_SEND_TO";
const SENDERS: u64 = 4;
const EACH: u64 = 25_000;

/// Sends half of each kind, in turn.
fn send_all(to: Pid) {
    for n in 0..EACH {
        kill_process(to, if n % 2 == 0 { Signal::USR1 } else { Signal::USR2 }).unwrap();
    }
}

#[test]
fn a_hundred_thousand_signals_of_four_processes() {
    if let Ok(to) = std::env::var(TO) {
        return send_all(Pid::from_raw(to.parse().unwrap()).unwrap());
    }
    run(async {
        let mut kinds =
            [SignalKind::user_defined1(), SignalKind::user_defined2()].map(|kind| signal(kind).unwrap());
        let senders: Vec<_> = (0..SENDERS)
            .map(|_| {
                let mut command = Command::new(std::env::current_exe().unwrap());
                command.args(["--exact", "a_hundred_thousand_signals_of_four_processes"]);
                command.env(TO, getpid().as_raw_nonzero().to_string()).spawn().unwrap()
            })
            .collect();
        let waits = std::thread::spawn(move || {
            for mut sender in senders {
                assert!(sender.wait().unwrap().success());
            }
        });
        let counts = kinds.each_mut().map(|_| 0_u64);
        let counts = {
            let mut counts = counts;
            while !waits.is_finished() {
                for (kind, count) in kinds.iter_mut().zip(&mut counts) {
                    if let Ok(received) = timeout(Duration::from_millis(5), kind.recv()).await {
                        received.unwrap();
                        *count += 1;
                    }
                }
            }
            counts
        };
        waits.join().unwrap();
        for count in counts {
            assert!((1..=SENDERS * EACH / 2).contains(&count), "{counts:?}");
        }
        // The last one of each is heard of; what came before may have been one with it.
        for kind in &mut kinds {
            while timeout(Duration::from_millis(50), kind.recv()).await.is_ok() {}
        }
        for (kind, sent) in kinds.iter_mut().zip([Signal::USR1, Signal::USR2]) {
            kill_process(getpid(), sent).unwrap();
            timeout(Duration::from_secs(20), kind.recv()).await.unwrap().unwrap();
        }
        // Of those that come while nobody receives, however many, one is.
        for _ in 0..10_000 {
            kill_process(getpid(), Signal::USR1).unwrap();
        }
        let [mut first, _] = kinds;
        let task = spawn(async move {
            first.recv().await.unwrap();
            let mut more = 0;
            while timeout(Duration::from_millis(20), first.recv()).await.is_ok() {
                more += 1;
            }
            more
        });
        assert!(task.await.unwrap() <= 1);
    });
}

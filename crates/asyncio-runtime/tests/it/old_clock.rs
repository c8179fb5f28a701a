//! A program that starts under a monotonic clock 12.4 days old (2^30 ms), 24.8 days old (2^31 ms), and 10 years old: tokio #8334, mio #1948.

#![cfg(target_os = "linux")]

use asyncio_runtime::run;
use asyncio_tasks::{spawn_local, timeout};
use asyncio_timers::sleep;
use std::process::Command;
use std::time::{Duration, Instant};

const CHILD: &str = "ASYNCIO_TEST_OLD_CLOCK";

fn program() {
    run(async {
        let far = spawn_local(sleep(Duration::from_secs(86_400 * 365 * 100)));
        let never = spawn_local(sleep(Duration::MAX));
        for _ in 0..20 {
            let start = Instant::now();
            sleep(Duration::from_millis(3)).await;
            assert!(start.elapsed() >= Duration::from_millis(3));
            assert!(timeout(Duration::from_millis(2), std::future::pending::<()>()).await.is_err());
        }
        assert!(!far.is_finished() && !never.is_finished());
    });
}

#[test]
fn timers_fire_at_every_age_of_the_machine() {
    if std::env::var_os(CHILD).is_some() {
        return program();
    }
    for seconds in [1_073_741, 2_147_483, 86_400 * 3650] {
        let age = seconds.to_string();
        // A time namespace of its own; a user namespace too, where we are not root.
        let output = Command::new("unshare")
            .args(["-U", "-r", "-T", "--monotonic", &age, "--boottime", &age])
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", "old_clock::timers_fire_at_every_age_of_the_machine"])
            .env(CHILD, "1")
            .output();
        match output {
            Ok(output) if output.status.success() => {}
            Ok(output) if String::from_utf8_lossy(&output.stderr).contains("unshare") => {
                eprintln!(
                    "left out: no time namespace is to be had: {}",
                    String::from_utf8_lossy(&output.stderr)
                );
            }
            Ok(output) => panic!("under a clock {age} s old: {}", String::from_utf8_lossy(&output.stdout)),
            Err(error) => eprintln!("left out: no unshare(1): {error}"),
        }
    }
}

//! All pipes of a child at once.

use std::io::ErrorKind;
use std::pin::pin;
use std::time::Duration;

use asyncio_process::{Child, Command, Stdio};
use asyncio_runtime::run;
use asyncio_tasks::timeout;

use crate::is_pending;

fn piped(line: &str) -> Child {
    let mut command = Command::shell(line);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap()
}

#[test]
fn a_hundred_mebibytes_both_ways_and_on_both_pipes() {
    const BYTES: usize = 100 << 20;
    run(async {
        // Each waits for the other if one side is left out: what is written is read while there is something to send.
        let input: Vec<u8> = (0..BYTES).map(|n| (n / 1000) as u8).collect();
        let output = piped("tee /dev/stderr").communicate(&input).await.unwrap();
        assert!(output.status.success());
        assert!(output.stdout == input && output.stderr == input);
    });
}

#[test]
fn a_child_that_does_not_read_all_is_fine() {
    run(async {
        let output = piped("head -c 10; echo done >&2").communicate(vec![b'x'; 10 << 20]).await.unwrap();
        assert_eq!((output.stdout, output.stderr), (vec![b'x'; 10], b"done\n".to_vec()));
        let output = piped("exec <&-; exit 7").communicate(vec![0; 10 << 20]).await.unwrap();
        assert_eq!(output.status.code(), Some(7));
        // It closes what it writes, and goes on.
        let output = piped("exec >&- 2>&-; cat >/dev/null; exit 5").communicate("text").await.unwrap();
        assert_eq!(output.status.code(), Some(5));
    });
}

#[test]
fn what_was_collected_is_kept_when_it_is_dropped() {
    run(async {
        // Large, so that it cannot all be sent before the child has read some.
        let input = [b"word\n".as_slice(), &vec![b'.'; 1 << 20]].concat();
        // It goes on when there is such a file.
        let gate = std::env::temp_dir().join(format!("asyncio-gate-{}", std::process::id()));
        let wait = format!("while [ ! -e {} ]; do sleep 0.01; done", gate.display());
        let mut child =
            piped(&format!("echo first; echo oops >&2; {wait}; read line; cat; echo \"last $line\""));
        assert!(timeout(Duration::from_millis(30), child.communicate(&input)).await.is_err());
        // A second input would come behind an unknown part of the first.
        let error = child.communicate("more").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
        for _ in 0..100 {
            if timeout(Duration::from_micros(50), child.communicate([]))
                .await
                .is_ok_and(|output| output.is_ok())
            {
                panic!("it waits");
            }
        }
        std::fs::write(&gate, "").unwrap();
        let output = child.communicate([]).await.unwrap();
        std::fs::remove_file(&gate).unwrap();
        assert_eq!(output.stderr, b"oops\n");
        let expected = [b"first\n".as_slice(), &vec![b'.'; 1 << 20], b"last word\n"].concat();
        assert!(output.stdout == expected);
    });
}

/// By hand, since how often it is polled is not in a clock's hand.
#[test]
fn it_may_be_dropped_at_every_poll() {
    run(async {
        let mut child = piped("cat; cat /dev/zero | head -c 300000 >&2");
        let input: Vec<u8> = (0..300_000).map(|n| n as u8).collect();
        {
            assert!(is_pending(pin!(child.communicate(&input))));
        }
        let output = loop {
            {
                let mut talk = pin!(child.communicate([]));
                if let std::task::Poll::Ready(output) = std::future::poll_fn(|cx| {
                    std::task::Poll::Ready(std::future::Future::poll(talk.as_mut(), cx))
                })
                .await
                {
                    break output.unwrap();
                }
            }
            asyncio_tasks::yield_now().await;
        };
        assert!(output.stdout == input);
        assert_eq!(output.stderr.len(), 300_000);
    });
}

#[test]
fn what_has_come_can_be_taken_while_a_grandchild_holds_the_pipe() {
    run(async {
        let mut child = piped("sleep 3600 & echo $!; echo oops >&2");
        assert!(timeout(Duration::from_millis(200), child.communicate([])).await.is_err());
        assert!(child.wait().await.unwrap().success());
        let (stdout, stderr) = child.take_collected();
        assert_eq!(stderr, b"oops\n");
        let grandchild: i32 = String::from_utf8(stdout).unwrap().trim().parse().unwrap();
        let grandchild = rustix::process::Pid::from_raw(grandchild).unwrap();
        rustix::process::kill_process(grandchild, rustix::process::Signal::KILL).unwrap();
        let output = child.communicate([]).await.unwrap();
        assert!(output.stdout.is_empty() && output.status.success());
    });
}

#[test]
fn something_to_send_needs_a_pipe() {
    run(async {
        let mut child = Command::new("true").spawn().unwrap();
        let error = child.communicate("text").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.to_string().contains("Stdio::piped()"), "{error}");
        assert!(child.communicate("").await.unwrap().status.success());
        // A wait has closed what the child reads, and what is sent later would be lost in silence.
        let mut child = piped("cat");
        assert!(is_pending(pin!(child.wait())));
        assert_eq!(child.communicate("text").await.unwrap_err().kind(), ErrorKind::InvalidInput);
        assert!(child.communicate([]).await.unwrap().status.success());
        let output = Command::new("echo").arg("x").stdout(Stdio::piped()).spawn().unwrap().wait_with_output();
        assert_eq!(output.await.unwrap().stdout, b"x\n");
    });
}

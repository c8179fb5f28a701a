//! Waits that are interrupted, and a kernel without `epoll_pwait2`: the same program under strace's fault injection.

#![cfg(target_os = "linux")]

use asyncio_reactor::{Domain, Type, socket};
use asyncio_runtime::run;
use asyncio_tasks::spawn_local;
use asyncio_timers::sleep;
use std::net::SocketAddr;
use std::process::Command;
use std::time::{Duration, Instant};

const CHILD: &str = "ASYNCIO_TEST_INJECTED";

fn program() {
    run(async {
        let listener = socket(Domain::IPV4, Type::STREAM, None).unwrap();
        listener.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        listener.listen(1).unwrap();
        let addr = listener.local_addr().unwrap();
        let server = spawn_local(async move {
            let (peer, _) = listener.accept().await.unwrap();
            let mut buf = [0; 8];
            while let n @ 1.. = peer.recv(&mut buf).await.unwrap() {
                peer.send(&buf[..n]).await.unwrap();
            }
        });
        let client = socket(Domain::IPV4, Type::STREAM, None).unwrap();
        client.connect(&addr).await.unwrap();
        for n in 0..50_u8 {
            client.send(&[n]).await.unwrap();
            let start = Instant::now();
            sleep(Duration::from_micros(1500)).await;
            assert!(
                start.elapsed() >= Duration::from_micros(1500),
                "an interrupted wait ended a sleep early"
            );
            let mut buf = [0; 8];
            assert_eq!(client.recv(&mut buf).await.unwrap(), 1);
            assert_eq!(buf[0], n);
        }
        drop(client);
        server.await.unwrap();
    });
}

#[test]
fn interrupted_waits_and_an_old_kernel_change_nothing() {
    if std::env::var_os(CHILD).is_some() {
        return program();
    }
    for fault in ["error=EINTR:when=1+2", "error=ENOSYS", "error=EPERM"] {
        let output = Command::new("strace")
            .args(["-f", "-qq", "-o", "/dev/null", "-e", "trace=epoll_pwait2"])
            .args(["-e", &format!("inject=epoll_pwait2:{fault}")])
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", "injected::interrupted_waits_and_an_old_kernel_change_nothing"])
            .env(CHILD, "1")
            // The leak check of an AddressSanitizer build cannot work under strace, and fails.
            .env("ASAN_OPTIONS", "detect_leaks=0")
            .output();
        match output {
            Ok(output) => {
                assert!(output.status.success(), "{fault}: {}", String::from_utf8_lossy(&output.stdout))
            }
            Err(error) => eprintln!("left out: no strace(1): {error}"),
        }
    }
}

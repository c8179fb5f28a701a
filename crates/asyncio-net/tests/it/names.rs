//! Names and addresses: what is refused, what is looked up, and where.

use std::io::ErrorKind;

use asyncio_net::{TcpStream, lookup_host};
use asyncio_runtime::run;

fn threads_for_names() -> usize {
    let Ok(threads) = std::fs::read_dir("/proc/self/task") else { return 0 };
    threads
        .filter_map(|thread| std::fs::read_to_string(thread.ok()?.path().join("comm")).ok())
        .filter(|name| name.trim() == "asyncio-names")
        .count()
}

#[test]
fn addresses_start_no_thread_and_names_do() {
    run(async {
        for text in ["127.0.0.1:80", "[::1]:80"] {
            assert_eq!(lookup_host(text).await.unwrap(), [text.parse().unwrap()]);
        }
        assert_eq!(lookup_host(("::1", 9)).await.unwrap()[0].port(), 9);
        // Other tests of this process may look names up at the same time; so only "some" can be checked here.
        let addrs = lookup_host("localhost:81").await.unwrap();
        assert!(addrs.iter().all(|addr| addr.ip().is_loopback() && addr.port() == 81), "{addrs:?}");
        #[cfg(target_os = "linux")]
        assert!(threads_for_names() > 0, "it was looked up on the loop's own thread");
    });
}

#[test]
fn what_cannot_be_a_name_is_refused_before_anybody_is_asked() {
    let label = "a".repeat(64);
    let long = format!("{}.com", ["abcdefgh"; 30].join("."));
    assert!(long.len() > 253);
    let names = ["", ".", "a..b", "nul\0.com", "white space", &label, &long];
    asyncio_executor::block_on(async {
        for name in names {
            let error = lookup_host((name, 80)).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{name:?}: {error}");
        }
        for text in ["host", "host:port", "host:65536", "::1:80", "a:b:c"] {
            let error = lookup_host(text).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{text:?}: {error}");
        }
    });
}

#[test]
fn an_unknown_host_is_named() {
    run(async {
        let error = TcpStream::connect("no-such-host.invalid:80").await.unwrap_err();
        assert!(error.to_string().contains("no-such-host.invalid"), "{error}");
    });
}

#[test]
fn more_questions_than_threads_are_all_answered() {
    run(async {
        let tasks: Vec<_> = (0..200).map(|_| asyncio_tasks::spawn(lookup_host("localhost:1"))).collect();
        for task in tasks {
            assert!(!task.await.unwrap().unwrap().is_empty());
        }
        #[cfg(target_os = "linux")]
        assert!(threads_for_names() <= 4);
    });
}

#[test]
fn panicking_wakers_do_not_use_the_threads_up() {
    use std::pin::pin;
    use std::sync::Arc;
    use std::task::{Context, Wake, Waker};
    struct Panics;
    impl Wake for Panics {
        fn wake(self: Arc<Self>) {
            panic!("a waker panics on purpose");
        }
    }
    for _ in 0..20 {
        let mut asked = pin!(lookup_host("localhost:1"));
        let panics = Waker::from(Arc::new(Panics));
        let _ = asked.as_mut().poll(&mut Context::from_waker(&panics));
        // Kept until its answer is there, so that the waker is woken.
        std::thread::park_timeout(std::time::Duration::from_millis(2));
    }
    assert!(!asyncio_executor::block_on(lookup_host("localhost:1")).unwrap().is_empty());
}

//! Debug mode and locks: one that is waited for too long names its holder. A program of its own, since one registry listens in a process.

use std::sync::mpsc;
use std::time::Duration;

use asyncio::sync::{Mutex, RwLock};

#[test]
fn a_lock_that_is_waited_for_too_long_names_its_holder() {
    let (sender, reports) = mpsc::channel();
    let mut runner = asyncio::Runner::builder()
        .debug(true)
        .slow_poll_threshold(Duration::from_millis(30))
        .on_unhandled(move |what| sender.send(what.to_string()).unwrap())
        .build()
        .unwrap();
    static LOCK: Mutex<u32> = Mutex::new(0);
    static SHARED: RwLock<u32> = RwLock::new(0);
    runner.run(async {
        let holder = asyncio::task::Builder::new().name("holder").spawn(async {
            let _guards = (LOCK.lock().await, SHARED.read().await);
            std::future::pending::<()>().await;
        });
        asyncio::yield_now().await;
        // A deadlock: nothing else happens on this loop, and yet it is told while it lasts.
        let waiting = asyncio::spawn(async { *LOCK.lock().await += 1 });
        let report = asyncio::to_thread(move || {
            let report = reports.recv_timeout(Duration::from_secs(10)).unwrap();
            (report, reports)
        });
        let (report, reports) = report.await.unwrap();
        for part in ["lock_watch.rs", "has been waited for since", "\"holder\"", "which took it at"] {
            assert!(report.contains(part), "{part} is not in {report}");
        }
        waiting.cancel();
        let writing = asyncio::spawn(async { *SHARED.write().await += 1 });
        let (report, reports) = asyncio::to_thread(move || {
            let report = reports.recv_timeout(Duration::from_secs(10)).unwrap();
            (report, reports)
        })
        .await
        .unwrap();
        assert!(report.contains("\"holder\""), "{report}");
        holder.cancel();
        writing.await.unwrap();
        assert_eq!((LOCK.try_lock().is_ok(), *SHARED.read().await), (true, 1));
        assert!(reports.try_recv().is_err(), "each is reported once");
        // One who waits on a thread of its own, when this loop sleeps already and has no timer to wake it.
        let guard = LOCK.lock().await;
        let (report, blocked) = asyncio::to_thread(move || {
            let blocked = std::thread::spawn(|| *LOCK.lock_blocking() += 1);
            (reports.recv_timeout(Duration::from_secs(10)).unwrap(), blocked)
        })
        .await
        .unwrap();
        assert!(report.contains("it is held outside of any task"), "{report}");
        drop(guard);
        blocked.join().unwrap();
    });
    drop(runner);
    assert!(!asyncio::base::lock_watch::is_on(), "it listens no longer than its runner lives");
}

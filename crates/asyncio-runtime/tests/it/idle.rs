//! An idle program makes no wake-ups, and one that spins overhears nothing: what the loop asks of its selector is counted.

#![cfg(unix)]

use asyncio_reactor::{Domain, SelectorReactor, Type, socket};
use asyncio_runtime::{EventLoop, Runner};
use asyncio_tasks::{spawn, spawn_local, spawn_pinned, yield_now};
use asyncio_timers::{ManualClock, sleep};
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use crate::watched::Watched;

fn counting(waits: &Arc<AtomicUsize>) -> impl Fn(usize) -> io::Result<SelectorReactor<Watched>> + use<> {
    let counted = waits.clone();
    move |_| {
        let counted = counted.clone();
        Watched::reactor(move || {
            counted.fetch_add(1, Ordering::Relaxed);
            Ok(())
        })
    }
}

#[test]
fn nothing_happens_while_nothing_happens() {
    let waits = Arc::new(AtomicUsize::new(0));
    let mut runner = Runner::builder().reactor(counting(&waits)).build().unwrap();
    let idle = runner.run(async {
        let listener = socket(Domain::IPV4, Type::STREAM, None).unwrap();
        listener.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        listener.listen(1).unwrap();
        spawn_local(async move { listener.accept().await.map(drop) }).detach();
        for _ in 0..100 {
            // Timers that were made and dropped leave nothing to wake up for.
            let dropped = asyncio_tasks::timeout(Duration::from_millis(5), asyncio_tasks::yield_now());
            dropped.await.unwrap();
        }
        sleep(Duration::from_millis(10)).await;
        let before = waits.load(Ordering::Relaxed);
        sleep(Duration::from_millis(300)).await;
        waits.load(Ordering::Relaxed) - before
    });
    // One wait to the deadline, a few for its way down the wheel.
    assert!(idle <= 5, "{idle} wake-ups in an idle third of a second");
}

#[test]
fn eight_workers_with_nothing_to_do_do_nothing() {
    let waits = Arc::new(AtomicUsize::new(0));
    let mut runner = Runner::builder().workers(8).reactor(counting(&waits)).build().unwrap();
    let idle = runner.run(async {
        let tasks: Vec<_> = (0..1_000).map(|_| spawn(async { yield_now().await })).collect();
        for task in tasks {
            task.await.unwrap();
        }
        sleep(Duration::from_millis(20)).await;
        let before = waits.load(Ordering::Relaxed);
        sleep(Duration::from_millis(300)).await;
        waits.load(Ordering::Relaxed) - before
    });
    // One wait of worker 0 to the deadline, a few for its way down the wheel; none of the others.
    assert!(idle <= 5, "{idle} wake-ups in an idle third of a second");
}

#[test]
fn a_loop_that_spins_looks_before_it_waits_and_still_sleeps() {
    let looks = |spin: Duration| {
        let waits = Arc::new(AtomicUsize::new(0));
        let mut runner = Runner::builder().spin(spin).reactor(counting(&waits)).build().unwrap();
        runner.run(async {
            sleep(Duration::from_millis(1)).await;
            let before = waits.load(Ordering::Relaxed);
            sleep(Duration::from_millis(50)).await;
            waits.load(Ordering::Relaxed) - before
        })
    };
    let (never, shortly, always) =
        (looks(Duration::ZERO), looks(Duration::from_micros(500)), looks(Duration::from_secs(60)));
    assert!(never <= 5, "{never}");
    assert!(always > 50, "{always}");
    assert!(shortly < always / 2, "{shortly} and {always}");
}

/// Whatever ends a wait ends a spin: a wake, a timer of another thread, work at the other worker, closing.
#[test]
fn a_spin_overhears_nothing() {
    for round in 0..20_u64 {
        // A worker that overhears the end is not to be left behind after a while.
        let builder =
            Runner::builder().workers(2).spin(Duration::from_micros(200)).cleanup_grace(Duration::MAX);
        let mut runner = builder.build().unwrap();
        let there = runner.event_loops()[1].clone();
        runner.run(async {
            spawn_pinned(1, || async {}).unwrap().await.unwrap();
            sleep(Duration::from_micros(round * 20)).await;
            let nap = there.spawn(sleep(Duration::from_micros(100))).unwrap();
            nap.await.unwrap();
            let (told, hears) = mpsc::channel();
            spawn(async move { told.send(EventLoop::current().unwrap().worker()).unwrap() }).detach();
            assert_eq!(hears.recv_timeout(Duration::from_secs(20)), Ok(1), "this worker is held up");
        });
        // Closing comes while the other one spins, or when it does not any more: each round another moment.
        thread::sleep(Duration::from_micros(round * 20));
        runner.close();
    }
}

#[test]
fn a_clock_that_is_moved_ends_a_spin() {
    let clock = ManualClock::new();
    let mut runner = Runner::builder().spin(Duration::from_millis(5)).clock(clock.clone()).build().unwrap();
    for n in 0..20_u64 {
        let clock = clock.clone();
        runner.run(async move {
            let nap = sleep(Duration::from_secs(60));
            let mover = thread::spawn(move || {
                // Within the spin or after it: each round another moment.
                thread::sleep(Duration::from_micros(n * 500));
                clock.advance(Duration::from_secs(60));
            });
            nap.await;
            mover.join().unwrap();
        });
    }
}

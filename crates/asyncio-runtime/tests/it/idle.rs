//! An idle program makes no wake-ups: what the loop asks of its selector is counted.

#![cfg(unix)]

use asyncio_reactor::{
    BorrowedDescriptor, DefaultSelector, Domain, Event, Interest, Mode, Selector, SelectorReactor, Type,
    socket,
};
use asyncio_runtime::Runner;
use asyncio_tasks::spawn_local;
use asyncio_timers::sleep;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Counts the waits of the selector that it hands everything on to.
#[derive(Debug)]
struct Counting(DefaultSelector, Arc<AtomicUsize>);

impl Selector for Counting {
    fn mode(&self) -> Mode {
        self.0.mode()
    }

    fn add(&self, source: BorrowedDescriptor<'_>, key: usize, interest: Interest) -> io::Result<()> {
        self.0.add(source, key, interest)
    }

    fn modify(&self, source: BorrowedDescriptor<'_>, key: usize, interest: Interest) -> io::Result<()> {
        self.0.modify(source, key, interest)
    }

    fn delete(&self, source: BorrowedDescriptor<'_>) -> io::Result<()> {
        self.0.delete(source)
    }

    fn wait(&self, events: &mut Vec<Event>, timeout: Option<Duration>) -> io::Result<()> {
        self.1.fetch_add(1, Ordering::Relaxed);
        self.0.wait(events, timeout)
    }

    fn notify(&self) -> io::Result<()> {
        self.0.notify()
    }
}

#[test]
fn nothing_happens_while_nothing_happens() {
    let waits = Arc::new(AtomicUsize::new(0));
    let counted = waits.clone();
    let make = move |_| SelectorReactor::new(Counting(DefaultSelector::new()?, counted.clone()));
    let mut runner = Runner::builder().reactor(make).build().unwrap();
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

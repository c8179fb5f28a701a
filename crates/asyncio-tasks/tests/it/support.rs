//! A log that many write, futures that wait in known ways, and a small loop whose clock is moved by hand.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use asyncio_base::report;
use asyncio_executor::LocalExecutor;
use asyncio_tasks::{Cleanup, DEFAULT_GRACE, yield_now};
use asyncio_timers::{DEFAULT_TICK, ManualClock, Timers};

/// What happened, in order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    pub(crate) fn add(&self, what: impl Into<String>) {
        self.0.lock().unwrap().push(what.into());
    }

    pub(crate) fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }

    /// Says when it begins and when it has ended; yields in between.
    pub(crate) fn closer(&self, name: &'static str) -> impl Future<Output = ()> + Send + use<> {
        let log = self.clone();
        async move {
            log.add(format!("{name} begins"));
            yield_now().await;
            log.add(format!("{name} ends"));
        }
    }

    /// Says when it is dropped.
    pub(crate) fn on_drop(&self, name: &'static str) -> OnDrop {
        OnDrop { log: self.clone(), name }
    }
}

pub(crate) struct OnDrop {
    log: Log,
    name: &'static str,
}

impl Drop for OnDrop {
    fn drop(&mut self) {
        self.log.add(format!("{} is dropped", self.name));
    }
}

/// Pending so many times, without waking; then ready.
pub(crate) struct ReadyAt(pub(crate) u32);

impl Future for ReadyAt {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        if self.0 == 0 {
            return Poll::Ready(());
        }
        self.0 -= 1;
        Poll::Pending
    }
}

pub(crate) struct World {
    pub(crate) executor: LocalExecutor,
    pub(crate) cleanup: Cleanup,
    pub(crate) clock: ManualClock,
    pub(crate) timers: Timers,
}

impl World {
    /// Polls what is ready until nothing is.
    pub(crate) fn settle(&self) {
        while self.executor.run_round() > 0 {}
    }

    pub(crate) fn advance(&self, by: Duration) {
        self.settle();
        self.clock.advance(by + DEFAULT_TICK);
        self.timers.fire_due();
        self.settle();
    }
}

/// Runs a test on a loop of its own, and returns what was reported meanwhile.
pub(crate) fn in_world(test: impl FnOnce(&World)) -> Vec<String> {
    let mut test = Some(test);
    run_in_world(&mut |world| test.take().expect("it is run once")(world))
}

/// Compiled once, and not for each test.
fn run_in_world(test: &mut dyn FnMut(&World)) -> Vec<String> {
    let reports = std::rc::Rc::new(RefCell::new(Vec::new()));
    let seen = reports.clone();
    let handler = std::rc::Rc::new(move |report: &report::Report<'_>| {
        seen.borrow_mut().push(report.message.to_string());
    });
    report::with_handler(handler, || {
        let clock = ManualClock::new();
        let world = World {
            executor: LocalExecutor::new(Waker::noop().clone()),
            cleanup: Cleanup::new(DEFAULT_GRACE),
            timers: Timers::new(clock.clone(), Waker::noop().clone()),
            clock,
        };
        let _executor = world.executor.enter();
        let _cleanup = world.cleanup.enter();
        let _timers = world.timers.enter();
        test(&world);
    });
    reports.take()
}

/// Counts how often it is polled.
pub(crate) struct Polls<'a, F>(pub(crate) &'a Cell<u32>, pub(crate) F);

impl<F: Future + Unpin> Future for Polls<'_, F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        self.0.set(self.0.get() + 1);
        Pin::new(&mut self.1).poll(cx)
    }
}

/// Polls a future once, and forgets it: what it held is never released.
pub(crate) async fn poll_and_leak(future: impl Future) {
    let mut leaked = Box::pin(future);
    std::future::poll_fn(|cx| {
        assert!(leaked.as_mut().poll(cx).is_pending());
        Poll::Ready(())
    })
    .await;
    std::mem::forget(leaked);
}

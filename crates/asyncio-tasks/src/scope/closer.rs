//! [`Closer`]: clean-up that is to be done, and [`Batch`]: several, one after the other.

use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll};

use asyncio_base::panic::{catch_and_store, discard, message};
use asyncio_base::report;

/// Clean-up that was registered and has not ended.
pub(crate) struct Closer {
    /// The number of its registration: who came last is first.
    pub(crate) number: u64,
    /// Where it was registered.
    place: &'static Location<'static>,
    /// `None` once it has ended.
    future: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

/// The number of a registration, taken when it is made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Registration {
    number: u64,
    place: &'static Location<'static>,
}

impl Registration {
    pub(crate) fn new(place: &'static Location<'static>) -> Self {
        use std::sync::atomic::{AtomicU64, Ordering};
        // Of the process, since a task may register here and there. Nothing but the order of one task's own depends on it.
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self { number: NEXT.fetch_add(1, Ordering::Relaxed), place }
    }

    pub(crate) fn closer(self, future: impl Future<Output = ()> + Send + 'static) -> Closer {
        Closer { number: self.number, place: self.place, future: Some(Box::pin(future)) }
    }

    pub(crate) fn place(self) -> &'static Location<'static> {
        self.place
    }
}

impl Closer {
    /// Polls it. A panic ends it, and is reported, since what it closes for may be gone.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(future) = &mut self.future else { return Poll::Ready(()) };
        let mut panic = None;
        let poll = catch_and_store(&mut panic, || future.as_mut().poll(cx));
        if let Some(panic) = panic {
            self.report(format_args!("panicked: {}", message(&*panic)));
            discard(panic);
        }
        if poll == Some(Poll::Pending) {
            return Poll::Pending;
        }
        self.drop_future();
        Poll::Ready(())
    }

    /// Polls it as a part of what somebody awaits: its panic is theirs.
    pub(crate) fn poll_for_caller(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.future {
            Some(future) => future.as_mut().poll(cx),
            None => Poll::Ready(()),
        }
    }

    /// Ends it where it stands, and says so.
    pub(crate) fn cut(mut self, why: &str) {
        if self.future.is_some() {
            self.report(format_args!("{why}"));
            self.drop_future();
        }
    }

    fn drop_future(&mut self) {
        let mut panic = None;
        let future = self.future.take();
        catch_and_store(&mut panic, || drop(future));
        if let Some(panic) = panic {
            self.report(format_args!("panicked in its drop: {}", message(&*panic)));
            discard(panic);
        }
    }

    fn report(&self, what: fmt::Arguments<'_>) {
        report::report("tasks", format_args!("the clean-up that was registered at {} {what}", self.place));
    }
}

/// Closers that were queued together: they run one after the other, who was registered last first.
pub(crate) struct Batch {
    /// In the order of their registration.
    closers: Vec<Closer>,
    has_begun: bool,
}

impl Batch {
    pub(crate) fn of(mut closers: Vec<Closer>) -> Self {
        closers.sort_by_key(|closer| closer.number);
        Self { closers, has_begun: false }
    }

    /// Gives back the closers of one that has not begun.
    pub(crate) fn into_closers(self) -> Result<Vec<Closer>, Self> {
        if self.has_begun { Err(self) } else { Ok(self.closers) }
    }

    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.has_begun = true;
        while let Some(closer) = self.closers.last_mut() {
            if closer.poll(cx).is_pending() {
                return Poll::Pending;
            }
            self.closers.pop();
        }
        Poll::Ready(())
    }

    /// Drops them unrun, and tells nobody.
    pub(crate) fn forgo(self) {
        self.closers.into_iter().rev().for_each(|mut closer| closer.drop_future());
    }

    pub(crate) fn cut(self, why: &str) {
        self.closers.into_iter().rev().for_each(|closer| closer.cut(why));
    }
}

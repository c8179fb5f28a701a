//! [`Watched`]: the system's selector, with something done after each wait.

#![cfg(unix)]

use std::fmt;
use std::io;
use std::time::Duration;

use asyncio_reactor::{
    BorrowedDescriptor, DefaultSelector, Event, Interest, Mode, Selector, SelectorReactor,
};

type AfterWait = Box<dyn Fn() -> io::Result<()> + Send + Sync>;

/// Hands everything on; after each wait it does what it was made with, whose error is the wait's.
pub(crate) struct Watched {
    selector: DefaultSelector,
    after_wait: AfterWait,
}

impl Watched {
    pub(crate) fn reactor(
        after_wait: impl Fn() -> io::Result<()> + Send + Sync + 'static,
    ) -> io::Result<SelectorReactor<Self>> {
        let selector = DefaultSelector::new()?;
        SelectorReactor::new(Self { selector, after_wait: Box::new(after_wait) })
    }
}

impl Selector for Watched {
    fn mode(&self) -> Mode {
        self.selector.mode()
    }

    fn add(&self, source: BorrowedDescriptor<'_>, key: usize, interest: Interest) -> io::Result<()> {
        self.selector.add(source, key, interest)
    }

    fn modify(&self, source: BorrowedDescriptor<'_>, key: usize, interest: Interest) -> io::Result<()> {
        self.selector.modify(source, key, interest)
    }

    fn delete(&self, source: BorrowedDescriptor<'_>) -> io::Result<()> {
        self.selector.delete(source)
    }

    fn wait(&self, events: &mut Vec<Event>, timeout: Option<Duration>) -> io::Result<()> {
        self.selector.wait(events, timeout)?;
        (self.after_wait)()
    }

    fn notify(&self) -> io::Result<()> {
        self.selector.notify()
    }
}

impl fmt::Debug for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Watched").field(&self.selector).finish()
    }
}

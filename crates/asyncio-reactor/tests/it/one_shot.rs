//! The re-arming of platforms without edge mode, on `polling`'s one-shot mode, which Linux has too.

use asyncio_reactor::{
    BorrowedDescriptor, Event, Interest, Mode, Ready, Selector, SelectorReactor, conformance,
};
use std::io;
use std::sync::Mutex;
use std::time::Duration;

#[derive(Debug)]
struct OneShot {
    poller: polling::Poller,
    events: Mutex<polling::Events>,
}

impl OneShot {
    fn new() -> io::Result<Self> {
        Ok(Self { poller: polling::Poller::new()?, events: Mutex::new(polling::Events::new()) })
    }
}

fn to_polling(key: usize, interest: Interest) -> polling::Event {
    polling::Event::new(key, interest.readable, interest.writable)
}

impl Selector for OneShot {
    fn mode(&self) -> Mode {
        Mode::OneShot
    }

    fn add(&self, source: BorrowedDescriptor<'_>, key: usize, interest: Interest) -> io::Result<()> {
        // SAFETY: the reactor deletes the source before it is closed.
        unsafe { self.poller.add(&source, to_polling(key, interest)) }
    }

    fn modify(&self, source: BorrowedDescriptor<'_>, key: usize, interest: Interest) -> io::Result<()> {
        self.poller.modify(source, to_polling(key, interest))
    }

    fn delete(&self, source: BorrowedDescriptor<'_>) -> io::Result<()> {
        self.poller.delete(source)
    }

    fn wait(&self, events: &mut Vec<Event>, timeout: Option<Duration>) -> io::Result<()> {
        let mut polled = self.events.lock().unwrap();
        polled.clear();
        self.poller.wait(&mut polled, timeout)?;
        for event in polled.iter() {
            let readable = if event.readable { Ready::READABLE | Ready::READ_CLOSED } else { Ready::NONE };
            let writable = if event.writable { Ready::WRITABLE } else { Ready::NONE };
            events.push(Event { key: event.key, ready: readable | writable });
        }
        Ok(())
    }

    fn notify(&self) -> io::Result<()> {
        self.poller.notify()
    }
}

#[test]
fn selector() {
    conformance::selector(OneShot::new);
}

#[test]
fn reactor() {
    conformance::reactor(|| SelectorReactor::new(OneShot::new()?));
}

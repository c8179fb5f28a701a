//! [`PollingSelector`]: the `polling` crate as a selector, on every platform.
//!
//! Edge mode where the platform has it (epoll, kqueue), one-shot elsewhere. `polling` does not tell a closed peer from bytes,
//! so every readable event says "may be closed": one more call a message, nothing lost.
#![expect(
    unsafe_code,
    reason = "`Poller::add` is unsafe: the descriptor must be deleted before it is closed"
)]

use std::fmt;
use std::io;
use std::time::Duration;

use asyncio_base::shim::Mutex;
use polling::{PollMode, Poller};

use crate::readiness::Ready;
use crate::selector::{Event, Interest, Mode, Selector};
use crate::sys::BorrowedDescriptor;

/// The `polling` crate as a selector: epoll, kqueue, event ports, `poll`, or IOCP.
///
/// On Linux [`EpollSelector`](crate::EpollSelector) is the default and this is the second implementation, on which every suite runs.
///
/// # Examples
///
/// ```
/// use asyncio_reactor::{PollingSelector, Selector};
///
/// # fn main() -> std::io::Result<()> {
/// let selector = PollingSelector::new()?;
/// selector.notify()?;
/// let mut events = Vec::new();
/// selector.wait(&mut events, None)?;
/// assert!(events.is_empty());
/// # Ok(())
/// # }
/// ```
pub struct PollingSelector {
    poller: Poller,
    events: Mutex<polling::Events>,
}

impl PollingSelector {
    /// Makes a selector.
    ///
    /// # Errors
    ///
    /// Fails where the process or the system is out of descriptors.
    pub fn new() -> io::Result<Self> {
        Ok(Self { poller: Poller::new()?, events: Mutex::new(polling::Events::new()) })
    }

    fn poll_mode(&self) -> PollMode {
        match self.mode() {
            Mode::Edge => PollMode::Edge,
            Mode::OneShot => PollMode::Oneshot,
        }
    }
}

impl Selector for PollingSelector {
    fn mode(&self) -> Mode {
        if self.poller.supports_edge() { Mode::Edge } else { Mode::OneShot }
    }

    fn add(&self, source: BorrowedDescriptor<'_>, key: usize, interest: Interest) -> io::Result<()> {
        // SAFETY: `Poller::add` asks that the source be deleted from the poller before it is closed. `OsSocket` keeps that (S3). Whoever
        // calls this trait without keeping it gets events for a key that nobody knows, or none: no memory depends on it.
        unsafe { self.poller.add_with_mode(&source, to_polling(key, interest), self.poll_mode()) }
    }

    fn modify(&self, source: BorrowedDescriptor<'_>, key: usize, interest: Interest) -> io::Result<()> {
        self.poller.modify_with_mode(source, to_polling(key, interest), self.poll_mode())
    }

    fn delete(&self, source: BorrowedDescriptor<'_>) -> io::Result<()> {
        self.poller.delete(source)
    }

    fn wait(&self, events: &mut Vec<Event>, timeout: Option<Duration>) -> io::Result<()> {
        let mut polled = self.events.lock();
        polled.clear();
        match self.poller.wait(&mut polled, timeout) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
            _ => events.extend(polled.iter().map(from_polling)),
        }
        Ok(())
    }

    fn notify(&self) -> io::Result<()> {
        self.poller.notify()
    }

    #[cfg(unix)]
    fn descriptor(&self) -> Option<BorrowedDescriptor<'_>> {
        Some(std::os::fd::AsFd::as_fd(&self.poller))
    }
}

fn to_polling(key: usize, interest: Interest) -> polling::Event {
    polling::Event::new(key, interest.readable, interest.writable)
}

fn from_polling(event: polling::Event) -> Event {
    let mut ready = Ready::NONE;
    if event.readable {
        ready |= Ready::READABLE | Ready::READ_CLOSED;
    }
    if event.writable {
        ready |= Ready::WRITABLE;
    }
    if event.is_interrupt() || event.is_err().unwrap_or(false) {
        ready |= Ready::ERROR;
    }
    Event { key: event.key, ready }
}

impl fmt::Debug for PollingSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PollingSelector").field("mode", &self.mode()).finish_non_exhaustive()
    }
}

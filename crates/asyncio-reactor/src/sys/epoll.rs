//! [`EpollSelector`]: epoll with one registration a descriptor, for good.
//!
//! Each descriptor is registered once with `IN | OUT | RDHUP | PRI | ET` and never modified; a turn is one system call. `PRI` is
//! there because a read stops at urgent data, so that a short read then does not mean "empty". An edge-triggered eventfd, which is
//! never read, wakes a waiting turn: each write is an edge (eventfd(2), epoll(7)).

use std::fmt;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use asyncio_base::shim::Mutex;
use rustix::event::{EventfdFlags, epoll, eventfd};

use crate::readiness::Ready;
use crate::selector::{Event, Interest, Mode, Selector};
use crate::sys::BorrowedDescriptor;
use crate::sys::epoll_wait::{EpollEvent, Waiting};

/// epoll, edge-triggered, with nanosecond timeouts where the kernel has `epoll_pwait2` (Linux 5.11).
///
/// # Examples
///
/// ```
/// use asyncio_reactor::{EpollSelector, Selector};
///
/// # fn main() -> std::io::Result<()> {
/// let selector = EpollSelector::new()?;
/// selector.notify()?;
/// let mut events = Vec::new();
/// selector.wait(&mut events, None)?;
/// assert!(events.is_empty());
/// # Ok(())
/// # }
/// ```
pub struct EpollSelector {
    epoll: OwnedFd,
    wake: OwnedFd,
    waiting: Mutex<Waiting>,
}

/// What every descriptor is watched for.
const WATCHED: epoll::EventFlags = epoll::EventFlags::IN
    .union(epoll::EventFlags::OUT)
    .union(epoll::EventFlags::RDHUP)
    .union(epoll::EventFlags::PRI)
    .union(epoll::EventFlags::ET);

/// The eventfd's key: no registry gives it out.
const WAKE: u64 = u64::MAX;

impl EpollSelector {
    /// Makes a selector: two descriptors, both closed on exec.
    ///
    /// # Errors
    ///
    /// Fails where the process or the system is out of descriptors.
    pub fn new() -> io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let wake = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let flags = epoll::EventFlags::IN | epoll::EventFlags::ET;
        epoll::add(&epoll, &wake, epoll::EventData::new_u64(WAKE), flags)?;
        Ok(Self { epoll, wake, waiting: Mutex::new(Waiting::new()) })
    }
}

impl Selector for EpollSelector {
    fn mode(&self) -> Mode {
        Mode::Edge
    }

    fn add(&self, source: BorrowedDescriptor<'_>, key: usize, _interest: Interest) -> io::Result<()> {
        epoll::add(&self.epoll, source, epoll::EventData::new_u64(key as u64), WATCHED)?;
        Ok(())
    }

    fn modify(&self, source: BorrowedDescriptor<'_>, key: usize, _interest: Interest) -> io::Result<()> {
        // Registered for everything already; asked for all the same, so that a descriptor that is not watched is an error.
        epoll::modify(&self.epoll, source, epoll::EventData::new_u64(key as u64), WATCHED)?;
        Ok(())
    }

    fn delete(&self, source: BorrowedDescriptor<'_>) -> io::Result<()> {
        epoll::delete(&self.epoll, source)?;
        Ok(())
    }

    #[inline]
    fn wait(&self, events: &mut Vec<Event>, timeout: Option<Duration>) -> io::Result<()> {
        let mut waiting = self.waiting.lock();
        let reported = waiting.wait(self.epoll.as_fd(), timeout)?;
        events.extend(reported.filter(|event| event.data() != WAKE).map(to_event));
        Ok(())
    }

    fn notify(&self) -> io::Result<()> {
        match rustix::io::write(&self.wake, &1_u64.to_ne_bytes()) {
            // The counter is full: then the eventfd is readable, and was since a write that nobody has missed.
            Ok(_) | Err(rustix::io::Errno::AGAIN) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn descriptor(&self) -> Option<BorrowedDescriptor<'_>> {
        Some(self.epoll.as_fd())
    }
}

#[inline]
fn to_event(event: EpollEvent) -> Event {
    const TABLE: [(u32, Ready); 6] = [
        (libc::EPOLLIN as u32, Ready::READABLE),
        (libc::EPOLLOUT as u32, Ready::WRITABLE),
        (libc::EPOLLRDHUP as u32, Ready::READ_CLOSED),
        (libc::EPOLLPRI as u32, Ready::URGENT),
        (libc::EPOLLHUP as u32, Ready::ERROR),
        (libc::EPOLLERR as u32, Ready::ERROR),
    ];
    let flags = event.flags();
    let mut ready = Ready::NONE;
    for (flag, means) in TABLE {
        if flags & flag != 0 {
            ready |= means;
        }
    }
    Event { key: event.data() as usize, ready }
}

impl fmt::Debug for EpollSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EpollSelector").field("epoll", &self.epoll).finish_non_exhaustive()
    }
}

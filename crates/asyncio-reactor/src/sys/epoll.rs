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
use crate::sys::epoll_wait::{EpollEvent, Waiting};
use crate::sys::{BorrowedDescriptor, called};

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
        called(epoll::add(&self.epoll, source, epoll::EventData::new_u64(key as u64), WATCHED))?;
        Ok(())
    }

    fn modify(&self, source: BorrowedDescriptor<'_>, key: usize, _interest: Interest) -> io::Result<()> {
        // Registered for everything already; asked for all the same, so that a descriptor that is not watched is an error.
        called(epoll::modify(&self.epoll, source, epoll::EventData::new_u64(key as u64), WATCHED))?;
        Ok(())
    }

    fn delete(&self, source: BorrowedDescriptor<'_>) -> io::Result<()> {
        called(epoll::delete(&self.epoll, source))?;
        Ok(())
    }

    #[inline]
    fn wait(&self, events: &mut Vec<Event>, timeout: Option<Duration>) -> io::Result<()> {
        let mut waiting = self.waiting.lock();
        let reported = waiting.wait(self.epoll.as_fd(), timeout)?;
        let (first, mut is_notified) = (events.len(), false);
        // As many as are reported, so there is one look whether they fit; of a filter nobody knows how many there are.
        events.extend(reported.map(|event| {
            is_notified |= event.data() == WAKE;
            to_event(event)
        }));
        if is_notified {
            leave_out_the_wake(events, first);
        }
        Ok(())
    }

    fn notify(&self) -> io::Result<()> {
        match called(rustix::io::write(&self.wake, &1_u64.to_ne_bytes())) {
            // The counter is full: then the eventfd is readable, and was since a write that nobody has missed.
            Ok(_) | Err(rustix::io::Errno::AGAIN) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn descriptor(&self) -> Option<BorrowedDescriptor<'_>> {
        Some(self.epoll.as_fd())
    }
}

#[cold]
fn leave_out_the_wake(events: &mut Vec<Event>, first: usize) {
    let mut reported = events.split_off(first);
    reported.retain(|event| event.key != WAKE as usize);
    events.append(&mut reported);
}

/// So far down is `EPOLLRDHUP` moved.
const RDHUP_DOWN: u32 = 9;
/// Those whose place in [`Ready`] is that of epoll.
const SAME: u32 = (libc::EPOLLIN | libc::EPOLLPRI | libc::EPOLLOUT) as u32;

const _: () = {
    assert!(libc::EPOLLIN as u32 == Ready::READABLE.bits() as u32);
    assert!(libc::EPOLLPRI as u32 == Ready::URGENT.bits() as u32);
    assert!(libc::EPOLLOUT as u32 == Ready::WRITABLE.bits() as u32);
    assert!(libc::EPOLLRDHUP as u32 >> RDHUP_DOWN == Ready::READ_CLOSED.bits() as u32);
};

#[inline]
fn to_event(event: EpollEvent) -> Event {
    let flags = event.flags();
    let read_closed = (flags >> RDHUP_DOWN) & u32::from(Ready::READ_CLOSED.bits());
    let mut ready = Ready::from_bits(((flags & SAME) | read_closed) as u8);
    if flags & (libc::EPOLLHUP | libc::EPOLLERR) as u32 != 0 {
        ready |= Ready::ERROR;
    }
    Event { key: event.data() as usize, ready }
}

impl fmt::Debug for EpollSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EpollSelector").field("epoll", &self.epoll).finish_non_exhaustive()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    /// Every set of them that epoll may report, beside what each of them means.
    #[test]
    fn flags_of_epoll_are_conditions() {
        let means = [
            (libc::EPOLLIN, Ready::READABLE),
            (libc::EPOLLOUT, Ready::WRITABLE),
            (libc::EPOLLRDHUP, Ready::READ_CLOSED),
            (libc::EPOLLPRI, Ready::URGENT),
            (libc::EPOLLHUP, Ready::ERROR),
            (libc::EPOLLERR, Ready::ERROR),
            // Not asked for, and nothing to us.
            (libc::EPOLLRDNORM, Ready::NONE),
            (libc::EPOLLMSG, Ready::NONE),
        ];
        for set in 0..1_u32 << means.len() {
            let (mut flags, mut expected) = (0, Ready::NONE);
            for (at, (flag, ready)) in means.into_iter().enumerate() {
                if set & 1 << at != 0 {
                    flags |= flag as u32;
                    expected |= ready;
                }
            }
            let event = to_event(EpollEvent::new(flags, 7));
            assert_eq!((event.key, event.ready), (7, expected), "{flags:#x}");
        }
    }

    #[test]
    fn a_wake_among_events_is_none_of_them() {
        let selector = EpollSelector::new().unwrap();
        let (one, _other) = std::os::unix::net::UnixStream::pair().unwrap();
        selector.notify().unwrap();
        selector.add(one.as_fd(), 3, Interest::BOTH).unwrap();
        selector.notify().unwrap();
        let mut events = Vec::new();
        selector.wait(&mut events, Some(Duration::ZERO)).unwrap();
        assert_eq!(events.iter().map(|event| event.key).collect::<Vec<_>>(), [3]);
    }
}

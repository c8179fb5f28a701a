//! `epoll_pwait2(2)`, and `epoll_wait(2)` where the kernel or a sandbox refuses it.
//!
//! rustix has the former only behind its feature `linux_5_11`, which would change other crates in a user's program; so the call is
//! made by its number. It is probed once, by being used: on `ENOSYS` or `EPERM` milliseconds are used from then on, rounded up, so that a
//! short wait never becomes a busy loop.
#![expect(unsafe_code, reason = "the two system calls that rustix does not offer as we need them")]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::Duration;

use crate::sys::syscall;

/// How many events one call may bring: at 1,000 ready connections one call is enough.
const EVENTS_MAX: usize = 1024;

/// One event as the kernel writes it.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub(super) struct EpollEvent(libc::epoll_event);

impl EpollEvent {
    #[cfg(all(test, not(loom)))]
    pub(super) fn new(flags: u32, data: u64) -> Self {
        Self(libc::epoll_event { events: flags, u64: data })
    }

    #[inline]
    pub(super) fn flags(&self) -> u32 {
        self.0.events
    }

    #[inline]
    pub(super) fn data(&self) -> u64 {
        self.0.u64
    }
}

/// The buffer of a wait, and which call works here.
pub(super) struct Waiting {
    events: Box<[libc::epoll_event]>,
    has_pwait2: bool,
}

impl Waiting {
    pub(super) fn new() -> Self {
        let empty = libc::epoll_event { events: 0, u64: 0 };
        Self { events: vec![empty; EVENTS_MAX].into_boxed_slice(), has_pwait2: true }
    }

    /// Waits for events. An interrupted wait brings none.
    #[inline]
    pub(super) fn wait(
        &mut self,
        epoll: BorrowedFd<'_>,
        timeout: Option<Duration>,
    ) -> io::Result<impl ExactSizeIterator<Item = EpollEvent> + '_> {
        let n = match self.call(epoll, timeout) {
            Ok(n) => n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => 0,
            Err(error) => return Err(error),
        };
        Ok(self.events[..n].iter().map(|&event| EpollEvent(event)))
    }

    #[inline]
    fn call(&mut self, epoll: BorrowedFd<'_>, timeout: Option<Duration>) -> io::Result<usize> {
        if self.has_pwait2 {
            match epoll_pwait2(epoll, &mut self.events, timeout) {
                Err(error) if matches!(error.raw_os_error(), Some(libc::ENOSYS | libc::EPERM)) => {
                    self.has_pwait2 = false;
                }
                result => return result,
            }
        }
        epoll_wait_ms(epoll, &mut self.events, timeout)
    }
}

/// The kernel's `__kernel_timespec`: 64 bits each on every architecture, which glibc's `timespec` is not.
#[repr(C)]
struct KernelTimespec {
    seconds: i64,
    nanoseconds: i64,
}

#[inline]
fn epoll_pwait2(
    epoll: BorrowedFd<'_>,
    events: &mut [libc::epoll_event],
    timeout: Option<Duration>,
) -> io::Result<usize> {
    let timeout = timeout.map(|timeout| KernelTimespec {
        seconds: i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX),
        nanoseconds: timeout.subsec_nanos().into(),
    });
    let timeout = timeout.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
    // SAFETY: epoll_pwait2(2) asks for
    // - an open epoll descriptor: `epoll` borrows it;
    // - room for `maxevents` events: pointer and length are those of one exclusive slice;
    // - a timespec or null, which lives until the call returns: `timeout` stands on this frame;
    // - a signal mask or null: null, whose size is ignored.
    unsafe {
        syscall::six(
            libc::SYS_epoll_pwait2,
            [
                epoll.as_raw_fd() as usize,
                events.as_mut_ptr() as usize,
                events.len(),
                timeout as usize,
                std::ptr::null::<libc::sigset_t>() as usize,
                0,
            ],
        )
    }
}

fn epoll_wait_ms(
    epoll: BorrowedFd<'_>,
    events: &mut [libc::epoll_event],
    timeout: Option<Duration>,
) -> io::Result<usize> {
    // SAFETY: epoll_wait(2) asks for an open epoll descriptor, which `epoll` borrows, and for room for `maxevents` events:
    // pointer and length are those of one exclusive slice.
    let n = unsafe {
        libc::epoll_wait(
            epoll.as_raw_fd(),
            events.as_mut_ptr(),
            events.len() as libc::c_int,
            milliseconds_up(timeout),
        )
    };
    usize::try_from(n).map_err(|_| io::Error::last_os_error())
}

/// Rounds up, so that a wait of 1 ns is not a busy loop; caps at what an `int` holds, after which the caller waits again.
fn milliseconds_up(timeout: Option<Duration>) -> libc::c_int {
    match timeout {
        None => -1,
        Some(timeout) => {
            let ms = timeout.as_nanos().div_ceil(1_000_000);
            libc::c_int::try_from(ms).unwrap_or(libc::c_int::MAX)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::event::epoll;
    use std::os::fd::AsFd;
    use std::time::Instant;

    #[test]
    fn milliseconds_are_rounded_up_and_capped() {
        let ms = |nanos| milliseconds_up(Some(Duration::from_nanos(nanos)));
        assert_eq!([ms(0), ms(1), ms(1_000_000), ms(1_000_001)], [0, 1, 1, 2]);
        assert_eq!(milliseconds_up(Some(Duration::from_secs(25 * 86_400))), libc::c_int::MAX);
        assert_eq!(milliseconds_up(Some(Duration::MAX)), libc::c_int::MAX);
        assert_eq!(milliseconds_up(None), -1);
    }

    #[test]
    fn both_calls_wait_at_least_as_long_as_asked() {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).unwrap();
        for has_pwait2 in [true, false] {
            let mut waiting = Waiting { has_pwait2, ..Waiting::new() };
            let start = Instant::now();
            let wait = Duration::from_micros(1500);
            assert_eq!(waiting.wait(epoll.as_fd(), Some(wait)).unwrap().len(), 0);
            assert!(start.elapsed() >= wait, "has_pwait2: {has_pwait2}");
            assert_eq!(waiting.wait(epoll.as_fd(), Some(Duration::ZERO)).unwrap().len(), 0);
        }
    }
    #[test]
    fn both_calls_say_what_the_system_says() {
        let other = rustix::event::eventfd(0, rustix::event::EventfdFlags::CLOEXEC).unwrap();
        for has_pwait2 in [true, false] {
            let mut waiting = Waiting { has_pwait2, ..Waiting::new() };
            let said = waiting.wait(other.as_fd(), Some(Duration::ZERO)).map(|events| events.len());
            assert_eq!(said.unwrap_err().raw_os_error(), Some(libc::EINVAL), "has_pwait2: {has_pwait2}");
        }
    }
}

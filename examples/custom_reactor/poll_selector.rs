//! A selector on poll(2), in safe code. It is one-shot: what has been reported is not watched until it is asked for again.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use asyncio::reactor::{Direction, Event, Interest, Mode, Ready, Selector};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::pipe::{PipeFlags, pipe_with};

#[derive(Debug)]
pub struct PollSelector {
    watched: Mutex<HashMap<RawFd, Watched>>,
    wake: (OwnedFd, OwnedFd),
}

/// A copy of the descriptor, so that nobody can close it while poll(2) looks at it.
#[derive(Clone, Debug)]
struct Watched {
    copy: Arc<OwnedFd>,
    key: usize,
    interest: Interest,
}

impl PollSelector {
    pub fn new() -> io::Result<Self> {
        let wake = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        Ok(Self { watched: Mutex::default(), wake })
    }

    /// Changes what is watched, and lets a wait that is going on see it.
    pub fn update(&self, fd: BorrowedFd<'_>, change: impl FnOnce(&mut Interest)) -> io::Result<()> {
        let mut watched = self.watched.lock().expect("no panic under this lock");
        let entry = watched.get_mut(&fd.as_raw_fd()).ok_or(io::ErrorKind::NotFound)?;
        change(&mut entry.interest);
        drop(watched);
        self.notify()
    }

    /// Also watches this direction.
    pub fn arm(&self, fd: BorrowedFd<'_>, direction: Direction) -> io::Result<()> {
        self.update(fd, |interest| match direction {
            Direction::Read => interest.readable = true,
            Direction::Write => interest.writable = true,
        })
    }
}

impl Selector for PollSelector {
    fn mode(&self) -> Mode {
        Mode::OneShot
    }

    fn add(&self, fd: BorrowedFd<'_>, key: usize, interest: Interest) -> io::Result<()> {
        let copy = Arc::new(fd.try_clone_to_owned()?);
        let mut watched = self.watched.lock().expect("no panic under this lock");
        if let Some(entry) = watched.get(&fd.as_raw_fd()) {
            // The same number may by now be another file, if the first was closed without a word.
            if rustix::fs::fstat(&entry.copy)?.st_ino == rustix::fs::fstat(fd)?.st_ino {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
        }
        watched.insert(fd.as_raw_fd(), Watched { copy, key, interest });
        drop(watched);
        self.notify()
    }

    fn modify(&self, fd: BorrowedFd<'_>, _key: usize, interest: Interest) -> io::Result<()> {
        self.update(fd, |watched| *watched = interest)
    }

    fn delete(&self, fd: BorrowedFd<'_>) -> io::Result<()> {
        let removed = self.watched.lock().expect("no panic under this lock").remove(&fd.as_raw_fd());
        removed.map(drop).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn wait(&self, events: &mut Vec<Event>, timeout: Option<Duration>) -> io::Result<()> {
        let watched: Vec<Watched> =
            self.watched.lock().expect("no panic under this lock").values().cloned().collect();
        let watched: Vec<Watched> =
            watched.into_iter().filter(|entry| entry.interest != Interest::NONE).collect();
        let flags = |interest: Interest| {
            let read = if interest.readable { PollFlags::IN | PollFlags::RDHUP } else { PollFlags::empty() };
            read | if interest.writable { PollFlags::OUT } else { PollFlags::empty() }
        };
        let mut fds: Vec<_> = watched
            .iter()
            .map(|entry| PollFd::from_borrowed_fd(entry.copy.as_fd(), flags(entry.interest)))
            .collect();
        fds.push(PollFd::new(&self.wake.0, PollFlags::IN));
        // A timeout beyond what the system takes is as good as for ever: the caller comes back.
        let timeout = timeout.map(|timeout| Timespec::try_from(timeout.min(Duration::from_secs(1 << 30))));
        match poll(&mut fds, timeout.transpose().map_err(io::Error::other)?.as_ref()) {
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
        while rustix::io::read(&self.wake.0, &mut [0; 64]).is_ok_and(|n| n == 64) {}
        let mut present = self.watched.lock().expect("no panic under this lock");
        for (entry, fd) in watched.iter().zip(&fds).filter(|(_, fd)| !fd.revents().is_empty()) {
            // Reported once, and only if it is still the same registration.
            let Some(entry) = present.values_mut().find(|now| now.key == entry.key) else { continue };
            entry.interest = Interest::NONE;
            events.push(Event { key: entry.key, ready: ready(fd.revents()) });
        }
        Ok(())
    }

    fn notify(&self) -> io::Result<()> {
        match rustix::io::write(&self.wake.1, &[1]) {
            Ok(_) | Err(rustix::io::Errno::AGAIN) => Ok(()), // full: it is readable anyway
            Err(error) => Err(error.into()),
        }
    }
}

fn ready(flags: PollFlags) -> Ready {
    if flags.intersects(PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL) {
        return Ready::ERROR;
    }
    let read = if flags.intersects(PollFlags::IN | PollFlags::RDHUP) {
        Ready::READABLE | Ready::READ_CLOSED
    } else {
        Ready::NONE
    };
    read | if flags.contains(PollFlags::OUT) { Ready::WRITABLE } else { Ready::NONE }
}

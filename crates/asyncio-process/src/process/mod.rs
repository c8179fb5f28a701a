//! [`Process`]: a child process as the system has it, which is reaped once.
//!
//! - P1: a process that has ended is a zombie until it is reaped. Whoever looks first reaps it, under the lock, and keeps how it ended for all others.
//! - P2: its number is its own until it is reaped: signals are sent under the same lock, so none reaches a stranger.
//! - P3: what nobody waits for any more is an orphan, and reaped all the same.

mod notice;
#[cfg(unix)]
mod orphan;
mod sys;

use std::fmt;
use std::io;
use std::process::ExitStatus;
use std::task::{Context, Poll};

use asyncio_base::shim::{Arc, Mutex};
use asyncio_base::wait_point;

use notice::Notice;
pub(crate) use notice::Waits;
#[cfg(unix)]
pub(crate) use sys::close_fds;

/// A child process, which is reaped once.
pub(crate) struct Process {
    id: u32,
    /// Signals are for all of its group.
    is_group: bool,
    state: Mutex<State>,
    notice: Notice,
}

enum State {
    /// Not reaped yet.
    Running(std::process::Child),
    Ended(ExitStatus),
    /// Somebody else has reaped it.
    Lost,
}

impl Process {
    /// Takes over what was started a moment ago. If it cannot be waited for, it is killed and reaped: nobody would know of it.
    pub(crate) fn new(mut child: std::process::Child, is_group: bool) -> io::Result<Arc<Self>> {
        match Notice::new(&child) {
            Ok(notice) => {
                let (id, state) = (child.id(), Mutex::new(State::Running(child)));
                Ok(Arc::new(Self { id, is_group, state, notice }))
            }
            Err(error) => {
                abandon(&mut child);
                Err(error)
            }
        }
    }

    pub(crate) fn id(&self) -> u32 {
        self.id
    }

    /// Looks whether it has ended, and reaps it then (P1).
    pub(crate) fn try_wait(&self) -> io::Result<Option<ExitStatus>> {
        let mut state = self.state.lock();
        match &mut *state {
            State::Running(child) => match child.try_wait() {
                Ok(None) => Ok(None),
                Ok(Some(status)) => {
                    *state = State::Ended(status);
                    Ok(Some(status))
                }
                Err(error) if sys::is_no_child(&error) => {
                    *state = State::Lost;
                    Err(lost(self.id))
                }
                Err(error) => Err(error),
            },
            State::Ended(status) => Ok(Some(*status)),
            State::Lost => Err(lost(self.id)),
        }
    }

    /// Waits until it has ended. Any number may, each with waits of its own.
    pub(crate) fn poll_wait(&self, cx: &mut Context<'_>, waits: &mut Waits) -> Poll<io::Result<ExitStatus>> {
        // What is known needs no loop.
        if let State::Ended(status) = *self.state.lock() {
            return Poll::Ready(Ok(status));
        }
        let poll = self.notice.poll(cx, waits, || self.try_wait());
        if poll.is_pending() {
            wait_point::here("child process");
        }
        poll
    }

    /// Sends a signal (P2); says whether there was anybody to send it to.
    pub(crate) fn send_signal(&self, signal: i32) -> io::Result<bool> {
        let mut state = self.state.lock();
        match &mut *state {
            // Where somebody else has reaped it, its number may be another's.
            State::Running(child) if !sys::is_ours(child) => Ok(false),
            State::Running(child) => {
                let by_descriptor = if self.is_group { None } else { self.notice.send_signal(signal) };
                match by_descriptor.unwrap_or_else(|| sys::send_signal(child, self.is_group, signal)) {
                    // Somebody else has reaped it, as the next look will tell.
                    Err(error) if sys::is_no_process(&error) => Ok(false),
                    sent => sent.map(|()| true),
                }
            }
            State::Ended(_) | State::Lost => Ok(false),
        }
    }

    /// Asks it to end; it may be deaf to that.
    pub(crate) fn terminate(&self) -> io::Result<()> {
        self.send_signal(sys::TERMINATE).map(drop)
    }

    /// Ends it at once.
    pub(crate) fn kill(&self) -> io::Result<()> {
        self.send_signal(sys::KILL).map(drop)
    }

    /// Has it reaped when it ends (P3): nobody waits for it any more.
    pub(crate) fn leave(self: Arc<Self>) {
        #[cfg(unix)]
        orphan::adopt(self);
    }
}

/// Reaps some of those that nobody waits for, if they have ended.
pub(crate) fn reap_some() {
    #[cfg(unix)]
    orphan::reap_some();
}

/// Ends what is not to be, and reaps it.
pub(crate) fn abandon(child: &mut std::process::Child) {
    // One that has ended has a number that may be another's.
    if !matches!(child.try_wait(), Ok(None)) {
        return;
    }
    // It ends soon, since nothing withstands that; but one that has become another user may not be ended by us, and goes on.
    if child.kill().is_ok() {
        let _ = child.wait();
    }
}

fn lost(id: u32) -> io::Error {
    io::Error::other(format!(
        "how process {id} has ended is lost (ECHILD): somebody else in this process has waited for it, or SIGCHLD is ignored"
    ))
}

impl fmt::Debug for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &*self.state.lock() {
            State::Running(_) => String::from("running"),
            State::Ended(status) => status.to_string(),
            State::Lost => String::from("lost"),
        };
        f.debug_struct("Process").field("id", &self.id).field("state", &state).finish_non_exhaustive()
    }
}

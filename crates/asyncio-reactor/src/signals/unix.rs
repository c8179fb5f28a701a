//! Where a handler writes into a pipe: signal-safety(7).

#![expect(
    unsafe_code,
    reason = "what a signal's handler does is signal-safe; and what there is of one is asked for"
)]

use std::io::{self, Read};
use std::mem::MaybeUninit;
use std::os::unix::net::UnixStream;
use std::task::{Context, Poll, ready};

use asyncio_base::budget;
use asyncio_base::shim::{Arc, AtomicBool, AtomicUsize, Ordering};
use signal_hook::SigId;

use super::SecondTime;
use crate::reactor::Reactor;
use crate::readiness::Direction;
use crate::waiter::Waiter;
use crate::watched::Watched;

pub(super) struct Source {
    /// What the handler writes into the other end of.
    pipe: Watched<UnixStream>,
    id: SigId,
    /// How often it has come since it was received.
    count: Arc<AtomicUsize>,
    waiter: Waiter,
}

/// Says whether a signal does now what it does where nobody has said anything about it: sigaction(2).
pub(super) fn is_by_default(signal: i32) -> bool {
    let mut action = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: the pointer is to a structure of that type, which is only written to.
    if unsafe { libc::sigaction(signal, std::ptr::null(), action.as_mut_ptr()) } != 0 {
        // A number that is none: whoever registers a handler of it is told.
        return true;
    }
    // SAFETY: it was zeroed, which is a value of it, and then written to by the system.
    unsafe { action.assume_init() }.sa_sigaction == libc::SIG_DFL
}

/// Has a signal do what it does by default for as long as the flag says so.
pub(super) fn register_default(
    signal: i32,
    flag: std::sync::Arc<std::sync::atomic::AtomicBool>,
) -> io::Result<()> {
    if signal_hook::low_level::signal_name(signal).is_some() {
        return signal_hook::flag::register_conditional_default(signal, flag).map(drop);
    }
    let handler = move || {
        if flag.load(std::sync::atomic::Ordering::SeqCst) {
            by_default(signal);
        }
    };
    // SAFETY: `register` asks that the handler be signal-safe: it does nothing but atomics, and what signal-safety(7) has in its list.
    unsafe { signal_hook::low_level::register(signal, handler) }.map(drop)
}

/// What a signal that signal-hook does not know does by default, such as one of real time: once this handler has returned, it ends the process.
fn by_default(signal: i32) {
    // SAFETY: it takes a number and what is to be done.
    unsafe { libc::signal(signal, libc::SIG_DFL) };
    // SAFETY: it takes a number.
    unsafe { libc::raise(signal) };
}

impl Source {
    pub(super) fn new(signal: i32, second: SecondTime) -> io::Result<Self> {
        let (pipe, write) = UnixStream::pair()?;
        pipe.set_nonblocking(true)?;
        write.set_nonblocking(true)?;
        let count = Arc::new(AtomicUsize::new(0));
        let (counter, is_second) = (count.clone(), AtomicBool::new(false));
        let handler = move || {
            counter.fetch_add(1, Ordering::SeqCst);
            if is_second.swap(true, Ordering::SeqCst) && second == SecondTime::Kills {
                // It says by its result that there is no default to be emulated.
                let _ = signal_hook::low_level::emulate_default_handler(signal);
            }
            // Full, it is readable already.
            let _ = rustix::io::write(&write, &[1]);
        };
        // SAFETY: `register` asks that the handler be signal-safe: it does nothing but atomics, `write` and what signal-hook calls safe for that.
        // Rustix allocates nothing and takes no lock for a write.
        let id = unsafe { signal_hook::low_level::register(signal, handler) }?;
        Ok(Self { pipe: Watched::new(pipe), id, count, waiter: Waiter::new() })
    }

    pub(super) fn bind(&self, reactor: &dyn Reactor) -> io::Result<()> {
        self.pipe.bind(reactor)
    }

    pub(super) fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(budget::poll_proceed(cx));
        loop {
            if self.count.swap(0, Ordering::SeqCst) > 0 {
                budget::spend();
                return Poll::Ready(Ok(()));
            }
            let mut buf = [0; 64];
            let read =
                self.pipe.poll_io(cx, &mut self.waiter, Direction::Read, |mut pipe| pipe.read(&mut buf));
            // It came, and may have been counted by an earlier look already. At the end somebody has taken the handler away, and with it the other end.
            if ready!(read)? == 0 {
                return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
            }
        }
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        signal_hook::low_level::unregister(self.id);
    }
}

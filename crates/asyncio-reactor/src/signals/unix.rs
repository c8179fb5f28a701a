//! Where a handler writes into a pipe: signal-safety(7).

#![expect(unsafe_code, reason = "what a signal's handler does is signal-safe")]

use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::task::{Context, Poll, ready};

use asyncio_base::shim::{Arc, AtomicBool, AtomicUsize, Ordering};
use signal_hook::SigId;

use super::SecondTime;
use crate::reactor::current;
use crate::readiness::{Direction, Readiness};
use crate::waiter::Waiter;

pub(super) struct Source {
    /// What the handler writes into the other end of.
    pipe: UnixStream,
    id: SigId,
    /// How often it has come since it was received.
    count: Arc<AtomicUsize>,
    /// There once it has waited.
    registration: Option<Readiness>,
    waiter: Waiter,
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
        Ok(Self { pipe, id, count, registration: None, waiter: Waiter::new() })
    }

    pub(super) fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            if self.count.swap(0, Ordering::SeqCst) > 0 {
                return Poll::Ready(Ok(()));
            }
            let registration = match &mut self.registration {
                Some(registration) => registration,
                place => place.insert(current()?.readiness(self.pipe.as_fd())?),
            };
            let seen =
                ready!(registration.poll_ready(cx, &mut self.waiter, self.pipe.as_fd(), Direction::Read))?;
            let mut buf = [0; 64];
            match self.pipe.read(&mut buf) {
                // Somebody has taken the handler away, and with it the other end.
                Ok(0) => return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
                // It came, and may have been counted by an earlier look already.
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    registration.clear(Direction::Read, seen)
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        signal_hook::low_level::unregister(self.id);
        if let Some(registration) = self.registration.take() {
            // It is not watched any more in any case.
            let _ = registration.deregister(self.pipe.as_fd());
        }
    }
}

//! Accepting, and what a listener does when it fails.
//!
//! - A1: a connection that was gone before it could be accepted (`ECONNABORTED`, and the network errors that accept(2) says to treat
//!   alike) is passed over.
//! - A2: where descriptors or memory have run out (`EMFILE`, `ENFILE`, `ENOBUFS`, `ENOMEM`) accepting pauses, 10 ms at first and 1 s at
//!   last, says so once, and goes on. It neither spins nor gives up: the connections wait in the kernel's queue.
//! - A3: anything else is the listener's own fault, and the caller's to know.
//! - A4: a listener that closes in an orderly way takes those along who are in its queue, for they think they are connected.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use asyncio_base::budget;
use asyncio_base::report;
use asyncio_base::shim::Arc;
use asyncio_reactor::{SockAddr, Socket, Waiter, adopt};
use asyncio_timers::{Sleep, sleep};

/// The first pause is about what it takes a busy server to close something.
const PAUSE_MIN: Duration = Duration::from_millis(10);
/// The last is short enough for a client's patience.
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// After so many passing errors in a row it pauses: some systems give them for ever (a seccomp filter's `EPERM`).
const PASSED_OVER_MAX: u32 = 100;

/// What a queue holds at most where somebody else has said how long it may be: `somaxconn` is 4,096 since Linux 5.4.
const QUEUE_MAX: u32 = 4096;

/// One party's place at a listener, with the pause it makes.
#[derive(Debug, Default)]
pub(crate) struct Accepting {
    waiter: Waiter,
    pause: Option<Sleep>,
    next_pause: Duration,
    /// How many errors in a row were passed over.
    passed_over: u32,
}

/// What an error of `accept` means.
#[derive(Debug, PartialEq, Eq)]
enum Failure {
    Passing,
    Exhausted,
    Fatal,
}

impl Accepting {
    pub(crate) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        socket: &Arc<dyn Socket>,
    ) -> Poll<io::Result<(Arc<dyn Socket>, SockAddr)>> {
        loop {
            if let Some(pause) = &mut self.pause {
                ready!(Pin::new(pause).poll(cx));
                self.pause = None;
            }
            match ready!(socket.poll_accept(cx, &mut self.waiter)) {
                Ok(accepted) => {
                    self.next_pause = Duration::ZERO;
                    self.passed_over = 0;
                    return Poll::Ready(Ok(accepted));
                }
                Err(error) => match failure(&error) {
                    Failure::Passing if self.passed_over < PASSED_OVER_MAX => self.passed_over += 1,
                    Failure::Passing | Failure::Exhausted => self.begin_pause(&error),
                    Failure::Fatal => return Poll::Ready(Err(error)),
                },
            }
        }
    }

    fn begin_pause(&mut self, error: &io::Error) {
        if self.next_pause.is_zero() {
            report::report("net", format_args!("accepting pauses, and will be tried again: {error}"));
        }
        self.next_pause = (self.next_pause * 2).clamp(PAUSE_MIN, PAUSE_MAX);
        self.pause = Some(sleep(self.next_pause));
    }
}

/// Closes a listener, and gives the connections that were in its queue (A4). New ones are held off first, as far as the system does that.
pub(crate) fn take_queue(
    listener: Arc<dyn Socket>,
    backlog: u32,
) -> io::Result<Vec<(Arc<dyn Socket>, SockAddr)>> {
    let queue_max = u64::from(backlog.max(QUEUE_MAX)) * 2;
    // Whoever has it too may go on to listen; and one of another world than the system's has nothing to take out.
    let is_shared = Arc::strong_count(&listener) > 1;
    if is_shared || listener.descriptor().is_none() {
        if !is_shared {
            // Where it fails there is a moment in which one may come too late.
            let _ = listener.listen(0);
        }
        let (mut cx, mut accepting) = (Context::from_waker(Waker::noop()), Accepting::default());
        let mut accept = || match budget::unlimited(|| accepting.poll(&mut cx, &listener)) {
            Poll::Ready(accepted) => accepted.ok(),
            Poll::Pending => None,
        };
        return Ok((0..queue_max).map_while(|_| accept()).collect());
    }
    // Not by what is known of its readiness, which may be older than the connections.
    let listener = socket2::Socket::from(listener.into_descriptor()?);
    // Where it fails there is a moment in which one may come too late.
    let _ = listener.listen(0);
    let mut queue = Vec::new();
    // A bound, for systems that hold nobody off.
    for _ in 0..queue_max {
        match listener.accept().and_then(|(socket, addr)| Ok((adopt(socket)?, addr))) {
            Ok(accepted) => queue.push(accepted),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if failure(&error) == Failure::Passing => {}
            Err(error) => {
                // What has been accepted is the caller's all the same.
                report::report(
                    "net",
                    format_args!("a listener that closes turns away who is left in its queue: {error}"),
                );
                break;
            }
        }
    }
    Ok(queue)
}

/// Says whether descriptors or memory have run out.
pub(crate) fn is_exhaustion(error: &io::Error) -> bool {
    failure(error) == Failure::Exhausted
}

fn failure(error: &io::Error) -> Failure {
    use io::ErrorKind::{
        ConnectionAborted, HostUnreachable, NetworkDown, NetworkUnreachable, OutOfMemory, QuotaExceeded,
    };
    match error.raw_os_error() {
        Some(code) if codes::PASSING.contains(&code) => Failure::Passing,
        Some(code) if codes::EXHAUSTED.contains(&code) => Failure::Exhausted,
        Some(_) => Failure::Fatal,
        // Of a reactor that is not the system's.
        None => match error.kind() {
            ConnectionAborted | HostUnreachable | NetworkDown | NetworkUnreachable => Failure::Passing,
            OutOfMemory | QuotaExceeded => Failure::Exhausted,
            _ => Failure::Fatal,
        },
    }
}

/// The numbers of the errors, from the headers of each system.
#[cfg(any(target_os = "linux", target_os = "android"))]
mod codes {
    /// `EPROTO`, `ENOPROTOOPT`, `EOPNOTSUPP`, `ENETDOWN`, `ENETUNREACH`, `ECONNABORTED`, `EHOSTDOWN`, `EHOSTUNREACH`, `ENONET`, `EPERM`.
    pub(super) const PASSING: &[i32] = &[71, 92, 95, 100, 101, 103, 112, 113, 64, 1];
    /// `ENOMEM`, `ENFILE`, `EMFILE`, `ENOBUFS`.
    pub(super) const EXHAUSTED: &[i32] = &[12, 23, 24, 105];
}

#[cfg(all(unix, not(any(target_os = "linux", target_os = "android"))))]
mod codes {
    /// `ECONNABORTED` on the BSDs and on macOS.
    pub(super) const PASSING: &[i32] = &[53];
    /// `ENOMEM`, `ENFILE`, `EMFILE`, `ENOBUFS` on the BSDs and on macOS.
    pub(super) const EXHAUSTED: &[i32] = &[12, 23, 24, 55];
}

#[cfg(windows)]
mod codes {
    /// `WSAECONNABORTED`, `WSAECONNRESET`.
    pub(super) const PASSING: &[i32] = &[10053, 10054];
    /// `WSAEMFILE`, `WSAENOBUFS`, `WSA_NOT_ENOUGH_MEMORY`.
    pub(super) const EXHAUSTED: &[i32] = &[10024, 10055, 8];
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_without_a_number_is_known_by_its_kind() {
        let of = |kind: io::ErrorKind| failure(&kind.into());
        assert_eq!(of(io::ErrorKind::ConnectionAborted), Failure::Passing);
        assert_eq!(of(io::ErrorKind::HostUnreachable), Failure::Passing);
        assert_eq!(of(io::ErrorKind::OutOfMemory), Failure::Exhausted);
        assert_eq!(of(io::ErrorKind::InvalidInput), Failure::Fatal);
    }
}

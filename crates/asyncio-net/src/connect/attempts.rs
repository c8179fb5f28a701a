//! [`Attempts`]: the addresses that are still to be tried, and those that are being tried.

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use asyncio_base::budget;
use asyncio_base::shim::Arc;
use asyncio_reactor::{Domain, SockAddr, Socket, SocketOption, Type, Waiter, socket};
use asyncio_timers::{Sleep, sleep};

use super::failed::ConnectFailed;
use crate::about::about;
use crate::accept::is_exhaustion;

/// H4. A name has a handful of addresses; one that has thousands is not to take all descriptors.
pub(super) const RUNNING_MAX: usize = 8;

/// A future of the first connection that is made. The other attempts end with it (H2).
pub(super) struct Attempts<'a> {
    waiting: VecDeque<SocketAddr>,
    /// In the order in which they began.
    running: Vec<Attempt>,
    failures: Vec<(SocketAddr, io::Error)>,
    delay: Duration,
    /// Until the next address need not wait any longer; there while it has to.
    pause: Option<Sleep>,
    local_addrs: &'a [SocketAddr],
}

struct Attempt {
    socket: Arc<dyn Socket>,
    waiter: Waiter,
    addr: SocketAddr,
    system_addr: SockAddr,
}

impl<'a> Attempts<'a> {
    pub(super) fn new(addrs: Vec<SocketAddr>, delay: Duration, local_addrs: &'a [SocketAddr]) -> Self {
        let has_local = |addr: &SocketAddr| local_addrs.is_empty() || local_of(local_addrs, *addr).is_some();
        let (addrs, without): (Vec<_>, Vec<_>) = addrs.into_iter().partition(has_local);
        let failed = |addr| {
            let why = "there is no local address of its family to connect from";
            (addr, io::Error::new(io::ErrorKind::AddrNotAvailable, why))
        };
        // H5.
        let is_port_fixed = local_addrs.iter().any(|local| local.port() != 0);
        Self {
            waiting: interleave(addrs),
            running: Vec::new(),
            failures: without.into_iter().map(failed).collect(),
            delay: if is_port_fixed { Duration::MAX } else { delay },
            pause: None,
            local_addrs,
        }
    }

    /// Begins with the next address; the one behind it waits.
    fn begin(&mut self, addr: SocketAddr) {
        match Attempt::new(addr, self.local_addrs) {
            Ok(attempt) => self.running.push(attempt),
            // It is no fault of the address: it comes again when those that run have given something back, or after the delay.
            Err(error) if is_exhaustion(&error) && !self.running.is_empty() => self.waiting.push_front(addr),
            Err(error) => {
                budget::spend();
                return self.failures.push((addr, error));
            }
        }
        self.pause = (!self.waiting.is_empty()).then(|| sleep(self.delay));
    }

    /// Looks at those that run.
    fn poll_running(&mut self, cx: &mut Context<'_>) -> Option<Arc<dyn Socket>> {
        let mut n = 0;
        while let Some(attempt) = self.running.get_mut(n) {
            match attempt.socket.poll_connect(cx, &mut attempt.waiter, &attempt.system_addr) {
                Poll::Pending => n += 1,
                Poll::Ready(Ok(())) => return Some(self.running.remove(n).socket),
                Poll::Ready(Err(error)) => {
                    let addr = self.running.remove(n).addr;
                    self.failures.push((addr, error));
                    if n == self.running.len() {
                        // H1: it was the last one that began.
                        self.pause = None;
                    }
                }
            }
        }
        None
    }

    /// Takes the next address, if it need not wait.
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<SocketAddr>> {
        if self.running.len() == RUNNING_MAX {
            return Poll::Pending;
        }
        if let Some(pause) = &mut self.pause {
            ready!(Pin::new(pause).poll(cx));
            self.pause = None;
        }
        match self.waiting.pop_front() {
            None if !self.running.is_empty() => Poll::Pending,
            next => Poll::Ready(next),
        }
    }
}

impl Future for Attempts<'_> {
    type Output = io::Result<Arc<dyn Socket>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        loop {
            if let Some(socket) = this.poll_running(cx) {
                return Poll::Ready(Ok(socket));
            }
            match ready!(this.poll_next(cx)) {
                Some(addr) => this.begin(addr),
                None => return Poll::Ready(Err(ConnectFailed::of(std::mem::take(&mut this.failures)))),
            }
        }
    }
}

impl Attempt {
    fn new(addr: SocketAddr, local_addrs: &[SocketAddr]) -> io::Result<Self> {
        let socket = socket(Domain::for_address(addr), Type::STREAM, None)?;
        if let Some(local) = local_of(local_addrs, addr) {
            if cfg!(not(windows)) && local.port() != 0 {
                // An old connection may linger on the port.
                socket.set_option(SocketOption::ReuseAddr(true))?;
            }
            let what = |error| about(format_args!("binding to the local address {local}"), error);
            socket.bind(&local.into()).map_err(what)?;
        }
        Ok(Self { socket, waiter: Waiter::new(), addr, system_addr: addr.into() })
    }
}

/// The local address of the same family.
fn local_of(local_addrs: &[SocketAddr], addr: SocketAddr) -> Option<SocketAddr> {
    local_addrs.iter().copied().find(|local| local.is_ipv4() == addr.is_ipv4())
}

/// Alternates the families, the first one's first (RFC 8305, section 4).
fn interleave(addrs: Vec<SocketAddr>) -> VecDeque<SocketAddr> {
    let is_ipv4_first = addrs.first().is_some_and(SocketAddr::is_ipv4);
    let (first, second): (Vec<_>, Vec<_>) =
        addrs.into_iter().partition(|addr| addr.is_ipv4() == is_ipv4_first);
    let (mut first, mut second) = (first.into_iter(), second.into_iter());
    let mut mixed = VecDeque::new();
    loop {
        let former = mixed.len();
        mixed.extend(first.next());
        mixed.extend(second.next());
        if mixed.len() == former {
            return mixed;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_alternate_and_nothing_is_lost() {
        let order = |text: &str| {
            let addr = |name| format!("{}:1", if name == 'a' { "[::1]" } else { "1.1.1.1" }).parse().unwrap();
            let mixed = interleave(text.chars().map(addr).collect());
            mixed.iter().map(|addr| if addr.is_ipv6() { 'a' } else { 'b' }).collect::<String>()
        };
        assert_eq!(order("aaabb"), "ababa");
        assert_eq!(order("bbbaa"), "babab");
        assert_eq!(order("aaa"), "aaa");
        assert_eq!(order("abbbb"), "abbbb");
        assert_eq!(order(""), "");
    }
}

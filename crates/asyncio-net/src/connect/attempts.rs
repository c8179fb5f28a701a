//! [`Attempts`]: the addresses that are still to be tried, and those that are being tried.

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use asyncio_base::shim::Arc;
use asyncio_reactor::{Domain, SockAddr, Socket, SocketOption, Type, Waiter, socket};
use asyncio_timers::{Sleep, sleep};

use super::failed::ConnectFailed;

/// A future of the first connection that is made.
pub(super) struct Attempts<'a> {
    waiting: VecDeque<SocketAddr>,
    running: Vec<Attempt>,
    failures: Vec<(SocketAddr, io::Error)>,
    delay: Duration,
    /// Until the next address need not wait any longer.
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
        Self {
            waiting: interleave(addrs),
            running: Vec::new(),
            failures: Vec::new(),
            delay,
            pause: None,
            local_addrs,
        }
    }

    /// Begins with the next address; the one behind it waits.
    fn begin(&mut self, addr: SocketAddr) {
        match Attempt::new(addr, self.local_addrs) {
            Ok(attempt) => {
                self.running.push(attempt);
                self.pause = (!self.waiting.is_empty()).then(|| sleep(self.delay));
            }
            Err(error) => self.failures.push((addr, error)),
        }
    }

    /// Looks at those that run. Failures make room for the next one.
    fn poll_running(&mut self, cx: &mut Context<'_>) -> Option<Arc<dyn Socket>> {
        let mut n = 0;
        while let Some(attempt) = self.running.get_mut(n) {
            match attempt.socket.poll_connect(cx, &mut attempt.waiter, &attempt.system_addr) {
                Poll::Pending => n += 1,
                Poll::Ready(Ok(())) => return Some(self.running.swap_remove(n).socket),
                Poll::Ready(Err(error)) => {
                    let addr = self.running.remove(n).addr;
                    self.failures.push((addr, error));
                    // H1: the next one need not wait any longer.
                    self.pause = None;
                }
            }
        }
        None
    }

    /// Takes the next address, if it need not wait.
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<SocketAddr>> {
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
                // H2.
                this.running.clear();
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
        if !local_addrs.is_empty() {
            let local =
                local_addrs.iter().find(|local| local.is_ipv4() == addr.is_ipv4()).ok_or_else(|| {
                    io::Error::new(
                        io::ErrorKind::AddrNotAvailable,
                        "there is no local address of its family to connect from",
                    )
                })?;
            if cfg!(not(windows)) && local.port() != 0 {
                // A port that is asked for may have been used a moment ago.
                socket.set_option(SocketOption::ReuseAddr(true))?;
            }
            socket.bind(&(*local).into()).map_err(|error| {
                crate::about::about(format_args!("binding to the local address {local}"), error)
            })?;
        }
        Ok(Self { socket, waiter: Waiter::new(), addr, system_addr: addr.into() })
    }
}

/// Alternates the families, the first one's first (RFC 8305, section 4).
fn interleave(addrs: Vec<SocketAddr>) -> VecDeque<SocketAddr> {
    let is_first = addrs.first().is_some_and(SocketAddr::is_ipv4);
    let (first, second): (Vec<_>, Vec<_>) = addrs.into_iter().partition(|addr| addr.is_ipv4() == is_first);
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

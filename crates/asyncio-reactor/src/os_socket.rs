//! [`OsSocket`]: a socket of the operating system, on any reactor that can watch descriptors.
//!
//! - S1: the call is tried first; only one that would block registers the descriptor, once.
//! - S2: `EAGAIN` clears a direction. A *short read* clears it only on a TCP stream, where no urgent data and no end was seen:
//!   anywhere else there may be more behind it (two descriptor-passing messages on a Unix socket are two reads).
//! - S3: the registration is taken back before the descriptor is closed or given away.

use std::fmt;
use std::io;
use std::net::Shutdown;
use std::sync::OnceLock;
use std::task::{Context, Poll, ready};
use std::thread;
use std::time::Duration;

use asyncio_base::budget;
use asyncio_base::shim::{Arc, AtomicBool, Ordering};
use socket2::{Domain, Protocol, SockAddr, Type};

use crate::credentials::UCred;
use crate::reactor;
use crate::readiness::{Direction, Readiness, Ready, Seen};
#[cfg(target_os = "linux")]
use crate::socket;
use crate::socket::{OptionName, Received, RecvMsg, SendMsg, Socket, SocketOption};
use crate::sys::{self, BorrowedDescriptor, OwnedDescriptor};
use crate::waiter::Waiter;

/// A non-blocking socket of the operating system.
///
/// Made by [`socket`](crate::socket) and [`adopt`](crate::adopt), and by reactors that have no sockets of their own.
pub struct OsSocket {
    /// Set at the first operation that has to wait, on the thread that polls it (S1).
    registration: OnceLock<Readiness>,
    /// Held while registering: one descriptor cannot be added to one selector twice.
    is_registering: AtomicBool,
    /// `None` only after `into_descriptor`.
    socket: Option<socket2::Socket>,
    kind: Kind,
    /// `connect` has been called and has not ended.
    is_connecting: AtomicBool,
}

/// What matters of the kind of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Bytes of a TCP stream: the one kind of socket on which a short read means "empty" (S2).
    TcpStream,
    /// UDP, by which no descriptors come along.
    Udp,
    Other,
}

impl Kind {
    /// No protocol is the default of the type.
    fn new(is_ip: bool, ty: Type, protocol: Option<Protocol>) -> Self {
        match (ty, protocol) {
            _ if !is_ip => Self::Other,
            // Not SCTP, which gives one message a call.
            (Type::STREAM, None | Some(Protocol::TCP)) => Self::TcpStream,
            // Not ICMP.
            (Type::DGRAM, None | Some(Protocol::UDP)) => Self::Udp,
            _ => Self::Other,
        }
    }
}

impl OsSocket {
    /// Makes a socket that is non-blocking and closed on exec.
    ///
    /// # Errors
    ///
    /// Fails with what the system says.
    pub fn new(domain: Domain, ty: Type, protocol: Option<Protocol>) -> io::Result<Self> {
        let socket = sys::new_socket(domain, ty, protocol)?;
        let is_ip = domain == Domain::IPV4 || domain == Domain::IPV6;
        let kind = Kind::new(is_ip, ty, protocol);
        Ok(Self::from_parts(socket, kind))
    }

    /// Takes over a socket, and makes it non-blocking.
    ///
    /// # Errors
    ///
    /// Fails where it cannot be made non-blocking.
    pub fn adopt(socket: socket2::Socket) -> io::Result<Self> {
        sys::prepare(&socket)?;
        let is_ip = socket.local_addr().is_ok_and(|addr| addr.is_ipv4() || addr.is_ipv6());
        let kind = match (socket.r#type(), sys::protocol(&socket)) {
            (Ok(ty), Ok(protocol)) => Kind::new(is_ip, ty, protocol),
            _ => Kind::Other,
        };
        Ok(Self::from_parts(socket, kind))
    }

    fn from_parts(socket: socket2::Socket, kind: Kind) -> Self {
        Self {
            registration: OnceLock::new(),
            is_registering: AtomicBool::new(false),
            socket: Some(socket),
            kind,
            is_connecting: AtomicBool::new(false),
        }
    }

    #[inline]
    fn socket(&self) -> &socket2::Socket {
        self.socket.as_ref().expect("taken out only by `into_descriptor`, which takes this by value")
    }

    /// Tries `operation` until it does not block any more.
    #[inline]
    fn poll_io<T>(
        &self,
        cx: &mut Context<'_>,
        waiter: &mut Waiter,
        direction: Direction,
        mut operation: impl FnMut(Option<Seen>) -> io::Result<T>,
    ) -> Poll<io::Result<T>> {
        ready!(budget::poll_proceed(cx));
        loop {
            let seen = match self.registration.get() {
                Some(readiness) => {
                    Some(ready!(readiness.poll_ready(cx, waiter, sys::borrow(self.socket()), direction))?)
                }
                None => None,
            };
            match operation(seen) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.would_block(direction, seen)?
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => {
                    budget::spend();
                    return Poll::Ready(result);
                }
            }
        }
    }

    /// The same for nobody: it does not wait, and the budget is neither asked nor spent. What the system says is noted all the same (S2), so that
    /// whoever waits afterwards need not ask it again.
    #[inline]
    fn try_io<T>(
        &self,
        direction: Direction,
        mut operation: impl FnMut(Option<Seen>) -> io::Result<T>,
    ) -> io::Result<T> {
        loop {
            let seen = match self.registration.get() {
                Some(readiness) => match readiness.try_ready(sys::borrow(self.socket()), direction)? {
                    None => return Err(io::ErrorKind::WouldBlock.into()),
                    seen => seen,
                },
                None => None,
            };
            match operation(seen) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.would_block(direction, seen)?
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => return result,
            }
        }
    }

    fn would_block(&self, direction: Direction, seen: Option<Seen>) -> io::Result<()> {
        match (self.registration.get(), seen) {
            (Some(readiness), Some(seen)) => readiness.clear(direction, seen),
            // Registered by another task since we looked: look again.
            (Some(_), None) => {}
            (None, _) => self.register()?,
        }
        Ok(())
    }

    /// Binds to the reactor of this thread. Where two threads come here at once, the first one's stands.
    #[cold]
    fn register(&self) -> io::Result<()> {
        let _registering = Registering::begin(&self.is_registering);
        if self.registration.get().is_none() {
            let readiness = reactor::current()?.readiness(sys::borrow(self.socket()))?;
            // OK because nobody else sets it while the lock is held.
            self.registration.set(readiness).expect("registered once, under the lock");
        }
        Ok(())
    }

    /// Takes the registration back (S3).
    fn deregister(&mut self) -> io::Result<()> {
        match self.registration.take() {
            Some(readiness) => readiness.deregister(sys::borrow(self.socket())),
            None => Ok(()),
        }
    }

    /// After a read of `n` bytes into room for `room`: S2. Says whether there was nothing more.
    #[inline]
    fn after_read(&self, n: usize, room: usize, seen: Option<Seen>) -> bool {
        if n < room && n > 0 && self.kind == Kind::TcpStream {
            if let (Some(seen), Some(readiness)) = (seen, self.registration.get()) {
                if !seen.ready().intersects(Ready::READ_CLOSED | Ready::URGENT) {
                    readiness.clear(Direction::Read, seen);
                    return true;
                }
            }
        }
        false
    }

    #[inline]
    fn recv_plain(&self, buf: &mut [u8], seen: Option<Seen>) -> io::Result<Received> {
        let mut received = sys::recv_plain(self.socket(), buf)?;
        received.is_drained = self.after_read(received.n, buf.len(), seen);
        Ok(received)
    }

    /// Sends to the address of a Unix socket. No event tells when there is room in its queue (unix(7)), and what is known of our own
    /// socket says nothing about it: so it is tried at once, and a full queue is an error.
    fn poll_send_by_name(&self, cx: &mut Context<'_>, message: &SendMsg<'_, '_>) -> Poll<io::Result<usize>> {
        ready!(budget::poll_proceed(cx));
        loop {
            match sys::send(self.socket(), message) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let busy = "the receiver's queue of datagrams is full";
                    return Poll::Ready(Err(io::Error::new(io::ErrorKind::ResourceBusy, busy)));
                }
                result => {
                    budget::spend();
                    return Poll::Ready(result);
                }
            }
        }
    }

    fn connect_step(&self, addr: &SockAddr) -> io::Result<()> {
        // Relaxed: it says only which of two system calls is next.
        if !self.is_connecting.load(Ordering::Relaxed) {
            return match sys::connect(self.socket(), addr) {
                Err(error) if sys::is_connect_pending(&error) => {
                    self.is_connecting.store(true, Ordering::Relaxed);
                    Err(io::ErrorKind::WouldBlock.into())
                }
                // A Unix socket whose peer's backlog is full: nothing is pending, and no event will come.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(io::Error::new(
                    io::ErrorKind::ResourceBusy,
                    "the peer's queue of connections is full",
                )),
                result => result,
            };
        }
        if let Some(error) = self.socket().take_error()? {
            return Err(error);
        }
        match self.socket().peer_addr() {
            Ok(_) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotConnected => {
                Err(io::ErrorKind::WouldBlock.into())
            }
            Err(error) => Err(error),
        }
    }
}

impl Socket for OsSocket {
    fn bind(&self, addr: &SockAddr) -> io::Result<()> {
        self.socket().bind(addr)
    }

    fn listen(&self, backlog: u32) -> io::Result<()> {
        self.socket().listen(i32::try_from(backlog).unwrap_or(i32::MAX))
    }

    fn poll_accept(
        &self,
        cx: &mut Context<'_>,
        waiter: &mut Waiter,
    ) -> Poll<io::Result<(Arc<dyn Socket>, SockAddr)>> {
        let accepted = ready!(self.poll_io(cx, waiter, Direction::Read, |_| sys::accept(self.socket())));
        Poll::Ready(accepted.map(|(socket, addr)| {
            let accepted = Self::from_parts(socket, self.kind);
            (Arc::new(accepted) as Arc<dyn Socket>, addr)
        }))
    }

    fn poll_connect(
        &self,
        cx: &mut Context<'_>,
        waiter: &mut Waiter,
        addr: &SockAddr,
    ) -> Poll<io::Result<()>> {
        let result = ready!(self.poll_io(cx, waiter, Direction::Write, |_| self.connect_step(addr)));
        self.is_connecting.store(false, Ordering::Relaxed);
        Poll::Ready(result)
    }

    #[inline]
    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        waiter: &mut Waiter,
        message: &mut RecvMsg<'_, '_>,
    ) -> Poll<io::Result<Received>> {
        self.poll_io(cx, waiter, Direction::Read, |seen| {
            let mut received = sys::recv(self.socket(), message, self.kind == Kind::Udp)?;
            if !message.peek {
                // Of those that one call fills.
                let room = message.bufs.iter().take(sys::SLICES_MAX).map(|buf| buf.len()).sum();
                received.is_drained = self.after_read(received.n, room, seen);
            }
            Ok(received)
        })
    }

    #[inline]
    fn poll_recv_one(
        &self,
        cx: &mut Context<'_>,
        waiter: &mut Waiter,
        buf: &mut [u8],
    ) -> Poll<io::Result<Received>> {
        self.poll_io(cx, waiter, Direction::Read, |seen| self.recv_plain(buf, seen))
    }

    #[inline]
    fn try_recv(&self, buf: &mut [u8]) -> io::Result<Received> {
        self.try_io(Direction::Read, |seen| self.recv_plain(buf, seen))
    }

    #[inline]
    fn poll_send(
        &self,
        cx: &mut Context<'_>,
        waiter: &mut Waiter,
        message: &SendMsg<'_, '_>,
    ) -> Poll<io::Result<usize>> {
        if message.addr.is_some_and(SockAddr::is_unix) {
            return self.poll_send_by_name(cx, message);
        }
        self.poll_io(cx, waiter, Direction::Write, |_| sys::send(self.socket(), message))
    }

    #[inline]
    fn poll_send_one(
        &self,
        cx: &mut Context<'_>,
        waiter: &mut Waiter,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_io(cx, waiter, Direction::Write, |_| sys::send_plain(self.socket(), bytes))
    }

    #[inline]
    fn try_send(&self, bytes: &[u8]) -> io::Result<usize> {
        self.try_io(Direction::Write, |_| sys::send_plain(self.socket(), bytes))
    }

    #[cfg(target_os = "linux")]
    fn poll_recv_many(
        &self,
        cx: &mut Context<'_>,
        waiter: &mut Waiter,
        messages: &mut [RecvMsg<'_, '_>],
        received: &mut [Received],
    ) -> Poll<io::Result<usize>> {
        let is_plain = |message: &RecvMsg<'_, '_>| !message.peek && message.ancillary.is_none();
        if self.kind != Kind::Udp
            || messages.is_empty()
            || received.is_empty()
            || !messages.iter().all(is_plain)
        {
            return socket::recv_one_by_one(self, cx, waiter, messages, received);
        }
        self.poll_io(cx, waiter, Direction::Read, |_| sys::recv_many(self.socket(), messages, received))
    }

    #[cfg(target_os = "linux")]
    fn poll_send_many(
        &self,
        cx: &mut Context<'_>,
        waiter: &mut Waiter,
        messages: &[SendMsg<'_, '_>],
    ) -> Poll<io::Result<usize>> {
        let is_plain = |message: &SendMsg<'_, '_>| message.rights.is_empty();
        if self.kind != Kind::Udp || messages.is_empty() || !messages.iter().all(is_plain) {
            return socket::send_one_by_one(self, cx, waiter, messages);
        }
        self.poll_io(cx, waiter, Direction::Write, |_| sys::send_many(self.socket(), messages))
    }

    #[cfg(any(target_os = "linux", target_os = "android"))]
    fn poll_send_file(
        &self,
        cx: &mut Context<'_>,
        waiter: &mut Waiter,
        file: BorrowedDescriptor<'_>,
        offset: &mut u64,
        count: usize,
    ) -> Poll<io::Result<usize>> {
        let sent = self
            .poll_io(cx, waiter, Direction::Write, |_| sys::send_file(self.socket(), file, offset, count));
        after_moving(sent)
    }

    #[cfg(any(target_os = "linux", target_os = "android"))]
    fn poll_recv_to_pipe(
        &self,
        cx: &mut Context<'_>,
        waiter: &mut Waiter,
        pipe: BorrowedDescriptor<'_>,
        count: usize,
    ) -> Poll<io::Result<usize>> {
        let moved =
            self.poll_io(cx, waiter, Direction::Read, |_| sys::recv_to_pipe(self.socket(), pipe, count));
        after_moving(moved)
    }

    #[cfg(any(target_os = "linux", target_os = "android"))]
    fn poll_send_from_pipe(
        &self,
        cx: &mut Context<'_>,
        waiter: &mut Waiter,
        pipe: BorrowedDescriptor<'_>,
        count: usize,
    ) -> Poll<io::Result<usize>> {
        let moved =
            self.poll_io(cx, waiter, Direction::Write, |_| sys::send_from_pipe(self.socket(), pipe, count));
        after_moving(moved)
    }

    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        sys::shutdown(self.socket(), how)
    }

    fn reset(&self) -> io::Result<()> {
        sys::reset(self.socket())
    }

    fn local_addr(&self) -> io::Result<SockAddr> {
        self.socket().local_addr()
    }

    fn peer_addr(&self) -> io::Result<SockAddr> {
        self.socket().peer_addr()
    }

    fn peer_cred(&self) -> io::Result<UCred> {
        sys::peer_cred(self.socket())
    }

    fn set_option(&self, option: SocketOption) -> io::Result<()> {
        sys::set_option(self.socket(), option)
    }

    fn option(&self, name: OptionName) -> io::Result<SocketOption> {
        sys::option(self.socket(), name)
    }

    fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.socket().take_error()
    }

    fn descriptor(&self) -> Option<BorrowedDescriptor<'_>> {
        Some(sys::borrow(self.socket()))
    }

    fn into_descriptor(self: Arc<Self>) -> io::Result<OwnedDescriptor> {
        let mut this = Arc::into_inner(self).ok_or_else(|| {
            io::Error::other("the socket is still shared: drop or reunite its halves first")
        })?;
        this.deregister()?;
        this.socket.take().map(OwnedDescriptor::from).ok_or_else(|| io::ErrorKind::NotConnected.into())
    }
}

/// Counts what the kernel has moved by its size: one call may move as much as many do.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn after_moving(moved: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
    /// About what an operation that is counted as one moves at most.
    const BYTES_PER_UNIT: usize = 64 * 1024;
    if let Poll::Ready(Ok(n)) = &moved {
        // The first is counted already.
        (0..n / BYTES_PER_UNIT).for_each(|_| budget::spend());
    }
    moved
}

/// A lock that is taken once in the life of a socket, where hardly ever two want it at once: so it has one byte, and nobody to be woken.
struct Registering<'a>(&'a AtomicBool);

impl<'a> Registering<'a> {
    fn begin(flag: &'a AtomicBool) -> Self {
        // Acquire: pairs with the Release below, so the second sees the registration of the first.
        while flag.swap(true, Ordering::Acquire) {
            // Not a turn of one with a lower priority, for which it would wait for ever.
            thread::sleep(Duration::from_micros(50));
        }
        Self(flag)
    }
}

impl Drop for Registering<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

impl Drop for OsSocket {
    fn drop(&mut self) {
        // The descriptor may have been closed behind our back; it is not watched any more in any case.
        let _ = self.deregister();
    }
}

impl fmt::Debug for OsSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OsSocket")
            .field("socket", self.socket())
            .field("readiness", &self.registration.get())
            .finish_non_exhaustive()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    /// A call that suits one kind throws bytes of another away: a stream that is not TCP's, a ping that is no datagram of UDP's.
    #[test]
    fn the_kind_of_a_socket_is_that_of_its_protocol() {
        let (tcp, udp, icmp, mptcp) = (Protocol::TCP, Protocol::UDP, Protocol::ICMPV4, Protocol::from(262));
        for (ty, protocol, kind) in [
            (Type::STREAM, None, Kind::TcpStream),
            (Type::STREAM, Some(tcp), Kind::TcpStream),
            (Type::STREAM, Some(mptcp), Kind::Other),
            (Type::DGRAM, None, Kind::Udp),
            (Type::DGRAM, Some(udp), Kind::Udp),
            (Type::DGRAM, Some(icmp), Kind::Other),
            (Type::RAW, Some(udp), Kind::Other),
        ] {
            assert_eq!(Kind::new(true, ty, protocol), kind, "{ty:?} {protocol:?}");
            assert_eq!(Kind::new(false, ty, protocol), Kind::Other, "a Unix socket");
        }
        let adopted = OsSocket::adopt(std::net::UdpSocket::bind("127.0.0.1:0").unwrap().into()).unwrap();
        assert_eq!(adopted.kind, Kind::Udp);
        let adopted = OsSocket::adopt(std::net::TcpListener::bind("127.0.0.1:0").unwrap().into()).unwrap();
        assert_eq!(adopted.kind, Kind::TcpStream);
    }
}

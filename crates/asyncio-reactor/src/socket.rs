//! [`Socket`]: the non-blocking BSD socket as an object-safe trait.

use std::any::Any;
use std::fmt::Debug;
use std::future::poll_fn;
use std::io::{self, IoSlice, IoSliceMut};
use std::net::{Ipv4Addr, Ipv6Addr, Shutdown};
use std::num::NonZeroU16;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use asyncio_base::budget;
use asyncio_base::shim::Arc;
use socket2::SockAddr;

use crate::credentials::UCred;
use crate::sys::{BorrowedDescriptor, OwnedDescriptor};
use crate::waiter::Waiter;

/// A socket: what it is, its reactor decides.
///
/// [`OsSocket`](crate::OsSocket) is the operating system's. Whatever stands on this trait (streams, listeners, protocols) runs unchanged
/// on every reactor. asyncio's `sock_*` calls are its async methods.
///
/// Laws, checked by `conformance::reactor`:
/// 1. A poll call tries the operation first and takes a [`Waiter`]; any number of tasks may wait for one direction.
/// 2. It binds to a reactor at its first operation that has to wait, on the thread that polls it, and stays there.
/// 3. A send may be buffered by the reactor; then its error surfaces at the next send, flush or close, and a dropped socket still
///    sends the rest.
/// 4. Signals that interrupt a call are invisible.
/// 5. After its reactor is closed, an operation that would have to wait gives [`LoopClosed`](asyncio_base::LoopClosed).
///
/// # Cancel safety
///
/// The async methods lose nothing when dropped: bytes and connections that were not returned are still in the socket. A
/// dropped [`connect`](#method.connect) leaves a socket that is still connecting.
pub trait Socket: Debug + Send + Sync {
    /// Gives the socket its own address.
    ///
    /// # Errors
    ///
    /// Fails with what the system says, as in "address in use".
    fn bind(&self, addr: &SockAddr) -> io::Result<()>;

    /// Starts to take connections; up to `backlog` may wait to be accepted.
    ///
    /// # Errors
    ///
    /// Fails with what the system says.
    fn listen(&self, backlog: u32) -> io::Result<()>;

    /// Accepts a connection and says where it came from.
    fn poll_accept(
        &self,
        cx: &mut Context<'_>,
        waiter: &mut Waiter,
    ) -> Poll<io::Result<(Arc<dyn Socket>, SockAddr)>>;

    /// Connects; call it with the same address until it is ready.
    fn poll_connect(
        &self,
        cx: &mut Context<'_>,
        waiter: &mut Waiter,
        addr: &SockAddr,
    ) -> Poll<io::Result<()>>;

    /// Receives, in the shape of `recvmsg`.
    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        waiter: &mut Waiter,
        message: &mut RecvMsg<'_, '_>,
    ) -> Poll<io::Result<Received>>;

    /// Sends, in the shape of `sendmsg`. A closed peer is an error, never a signal.
    ///
    /// A datagram for the *address* of a Unix socket whose queue is full is refused with `ResourceBusy`, for no event would tell
    /// when there is room; whoever sends tries again later.
    fn poll_send(
        &self,
        cx: &mut Context<'_>,
        waiter: &mut Waiter,
        message: &SendMsg<'_, '_>,
    ) -> Poll<io::Result<usize>>;

    /// Receives bytes alone, as [`poll_recv`](Self::poll_recv) does into one buffer: the shape of nearly every call, for which a socket may have
    /// a shorter way. The default is that call.
    fn poll_recv_one(
        &self,
        cx: &mut Context<'_>,
        waiter: &mut Waiter,
        buf: &mut [u8],
    ) -> Poll<io::Result<Received>> {
        self.poll_recv(cx, waiter, &mut RecvMsg::new(&mut [IoSliceMut::new(buf)]))
    }

    /// Receives what is there; 0 bytes are the end. Nobody waits afterwards, as with [`try_send`](Self::try_send).
    ///
    /// The default is [`poll_recv_one`](Self::poll_recv_one), with a waker and a waiter that are nobody's.
    ///
    /// # Errors
    ///
    /// Fails with `WouldBlock` where nothing is there at present, and as [`poll_recv`](Self::poll_recv).
    fn try_recv(&self, buf: &mut [u8]) -> io::Result<Received> {
        for_nobody(|cx, waiter| self.poll_recv_one(cx, waiter, buf))
    }

    /// Sends bytes alone, as [`poll_send`](Self::poll_send) does with one buffer: the shape of nearly every call, for which a socket may have a
    /// shorter way. The default is that call.
    fn poll_send_one(
        &self,
        cx: &mut Context<'_>,
        waiter: &mut Waiter,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_send(cx, waiter, &SendMsg::new(&[IoSlice::new(bytes)]))
    }

    /// Sends what is taken at once, and returns how much. Nobody waits afterwards, and nobody's place among those that wait is touched; the
    /// [budget](asyncio_base::budget) is neither asked nor spent.
    ///
    /// Once the socket takes more, and its reactor has seen that, a later try succeeds, whether somebody waits or not. The default is
    /// [`poll_send_one`](Self::poll_send_one), with a waker and a waiter that are nobody's.
    ///
    /// # Errors
    ///
    /// Fails with `WouldBlock` where nothing is taken at present, and as [`poll_send`](Self::poll_send).
    fn try_send(&self, bytes: &[u8]) -> io::Result<usize> {
        for_nobody(|cx, waiter| self.poll_send_one(cx, waiter, bytes))
    }

    /// Receives several datagrams; returns how many, at least one.
    fn poll_recv_many(
        &self,
        cx: &mut Context<'_>,
        waiter: &mut Waiter,
        messages: &mut [RecvMsg<'_, '_>],
        received: &mut [Received],
    ) -> Poll<io::Result<usize>> {
        recv_one_by_one(self, cx, waiter, messages, received)
    }

    /// Sends several datagrams; returns how many messages it has taken, at least one.
    fn poll_send_many(
        &self,
        cx: &mut Context<'_>,
        waiter: &mut Waiter,
        messages: &[SendMsg<'_, '_>],
    ) -> Poll<io::Result<usize>> {
        send_one_by_one(self, cx, waiter, messages)
    }

    /// Sends a part of a file from `offset` on, which is moved by what was sent.
    ///
    /// The default gives `Unsupported`; then the caller copies.
    fn poll_send_file(
        &self,
        cx: &mut Context<'_>,
        waiter: &mut Waiter,
        file: BorrowedDescriptor<'_>,
        offset: &mut u64,
        count: usize,
    ) -> Poll<io::Result<usize>> {
        let _ = (cx, waiter, file, offset, count);
        Poll::Ready(Err(io::ErrorKind::Unsupported.into()))
    }

    /// Moves up to `count` bytes into a pipe, which must be empty, without a copy through this process (splice(2)); 0 is the end.
    ///
    /// The default gives `Unsupported`; then the caller copies.
    fn poll_recv_to_pipe(
        &self,
        cx: &mut Context<'_>,
        waiter: &mut Waiter,
        pipe: BorrowedDescriptor<'_>,
        count: usize,
    ) -> Poll<io::Result<usize>> {
        let _ = (cx, waiter, pipe, count);
        Poll::Ready(Err(io::ErrorKind::Unsupported.into()))
    }

    /// Sends up to `count` bytes out of a pipe, which must have as many.
    ///
    /// The default gives `Unsupported`.
    fn poll_send_from_pipe(
        &self,
        cx: &mut Context<'_>,
        waiter: &mut Waiter,
        pipe: BorrowedDescriptor<'_>,
        count: usize,
    ) -> Poll<io::Result<usize>> {
        let _ = (cx, waiter, pipe, count);
        Poll::Ready(Err(io::ErrorKind::Unsupported.into()))
    }

    /// Waits until everything that was buffered has been handed to the system.
    fn poll_flush(&self, cx: &mut Context<'_>, waiter: &mut Waiter) -> Poll<io::Result<()>> {
        let _ = (cx, waiter);
        Poll::Ready(Ok(()))
    }

    /// Flushes, then shuts the sending side down. A socket that is not connected any more is closed already.
    fn poll_close(&self, cx: &mut Context<'_>, waiter: &mut Waiter) -> Poll<io::Result<()>> {
        ready!(self.poll_flush(cx, waiter))?;
        Poll::Ready(match self.shutdown(Shutdown::Write) {
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(()),
            result => result,
        })
    }

    /// Waits until the connection can be used: one of TLS shakes hands. Any other call waits for that too; this is for whoever wants to know before.
    ///
    /// The default has nothing to wait for.
    fn poll_handshake(&self, cx: &mut Context<'_>, waiter: &mut Waiter) -> Poll<io::Result<()>> {
        let _ = (cx, waiter);
        Poll::Ready(Ok(()))
    }

    /// Flushes, and takes leave of the peer as the protocol of this socket has it, before both directions are [shut down](Self::shutdown): TLS
    /// sends its close_notify and waits for the peer's. What the peer has sent before that is lost.
    ///
    /// The default flushes.
    fn poll_end(&self, cx: &mut Context<'_>, waiter: &mut Waiter) -> Poll<io::Result<()>> {
        self.poll_flush(cx, waiter)
    }

    /// Shuts one direction down, or both.
    ///
    /// # Errors
    ///
    /// Fails with what the system says, as in "not connected".
    fn shutdown(&self, how: Shutdown) -> io::Result<()>;

    /// Ends the connection at once, in both directions: bytes on their way are dropped, whoever waits for the socket is woken, and a TCP peer sees a reset; where
    /// the system can do that only to a descriptor that is closed (elsewhere than on Linux), it sees it then.
    ///
    /// The default has the end wait for no bytes, and shuts both directions down.
    ///
    /// # Errors
    ///
    /// Fails with what the system says, as in "not connected".
    fn reset(&self) -> io::Result<()> {
        // A Unix socket does not know it.
        let _ = self.set_option(SocketOption::Linger(Some(Duration::ZERO)));
        self.shutdown(Shutdown::Both)
    }

    /// Returns the socket's own address.
    ///
    /// # Errors
    ///
    /// Fails with what the system says.
    fn local_addr(&self) -> io::Result<SockAddr>;

    /// Returns the peer's address.
    ///
    /// # Errors
    ///
    /// Fails with what the system says, as in "not connected".
    fn peer_addr(&self) -> io::Result<SockAddr>;

    /// Says who the peer of a Unix socket is. The default gives `Unsupported`.
    ///
    /// # Errors
    ///
    /// Fails where there is no peer, and where the system does not tell.
    fn peer_cred(&self) -> io::Result<UCred> {
        Err(io::Error::new(io::ErrorKind::Unsupported, "this socket does not tell who its peer is"))
    }

    /// Sets an option.
    ///
    /// # Errors
    ///
    /// Fails with what the system says, and with `Unsupported` where the socket has no such option.
    fn set_option(&self, option: SocketOption) -> io::Result<()>;

    /// Reads an option.
    ///
    /// # Errors
    ///
    /// Fails with what the system says, and with `Unsupported` where the socket has no such option.
    fn option(&self, name: OptionName) -> io::Result<SocketOption>;

    /// Takes the pending error of the socket (`SO_ERROR`).
    ///
    /// # Errors
    ///
    /// Fails where the error cannot be asked for.
    fn take_error(&self) -> io::Result<Option<io::Error>>;

    /// Returns the descriptor, where the socket is the operating system's. It must not be closed, nor made blocking.
    fn descriptor(&self) -> Option<BorrowedDescriptor<'_>> {
        None
    }

    /// Takes the descriptor out, no longer watched, still non-blocking.
    ///
    /// # Errors
    ///
    /// Fails where others still hold the socket, where bytes wait in the reactor's buffer, and with `Unsupported` where there is none.
    fn into_descriptor(self: Arc<Self>) -> io::Result<OwnedDescriptor> {
        Err(io::Error::new(io::ErrorKind::Unsupported, "this socket is not the operating system's"))
    }

    /// Returns what only this reactor's sockets can do.
    fn extension(&self) -> Option<&dyn Any> {
        None
    }
}

/// Polls once, with a waker and a waiter that are nobody's, and without a limit; `WouldBlock` where it would have to wait.
fn for_nobody<T>(poll: impl FnOnce(&mut Context<'_>, &mut Waiter) -> Poll<io::Result<T>>) -> io::Result<T> {
    let (mut cx, mut waiter) = (Context::from_waker(Waker::noop()), Waiter::nobodys());
    match budget::unlimited(|| poll(&mut cx, &mut waiter)) {
        Poll::Ready(result) => result,
        Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
    }
}

/// Receives several datagrams, by a call for each.
pub(crate) fn recv_one_by_one<S: Socket + ?Sized>(
    socket: &S,
    cx: &mut Context<'_>,
    waiter: &mut Waiter,
    messages: &mut [RecvMsg<'_, '_>],
    received: &mut [Received],
) -> Poll<io::Result<usize>> {
    let mut done = 0;
    for (message, received) in messages.iter_mut().zip(received) {
        match socket.poll_recv(cx, waiter, message) {
            Poll::Ready(Ok(one)) => *received = one,
            // What has come is handed on; the error, if it lasts, comes with the next call.
            _ if done > 0 => break,
            Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
            Poll::Pending => return Poll::Pending,
        }
        done += 1;
    }
    Poll::Ready(Ok(done))
}

/// Sends several datagrams, by a call for each.
pub(crate) fn send_one_by_one<S: Socket + ?Sized>(
    socket: &S,
    cx: &mut Context<'_>,
    waiter: &mut Waiter,
    messages: &[SendMsg<'_, '_>],
) -> Poll<io::Result<usize>> {
    if messages.iter().any(|message| message.segment_size.is_some()) {
        // A socket that does not know of it would send one datagram.
        return Poll::Ready(Err(io::ErrorKind::Unsupported.into()));
    }
    let mut done = 0;
    for message in messages {
        match socket.poll_send(cx, waiter, message) {
            Poll::Ready(Ok(_)) => done += 1,
            _ if done > 0 => break,
            Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
            Poll::Pending => return Poll::Pending,
        }
    }
    Poll::Ready(Ok(done))
}

/// What to receive, and where to.
#[derive(Debug)]
#[expect(clippy::exhaustive_structs, reason = "built by callers; a new field is a new version")]
pub struct RecvMsg<'a, 'b> {
    /// Where the bytes go, in order.
    pub bufs: &'a mut [IoSliceMut<'b>],
    /// Leave the bytes in the socket (`MSG_PEEK`).
    pub peek: bool,
    /// Where the sender's address goes, if it is wanted.
    pub addr: Option<&'a mut Option<SockAddr>>,
    /// Where descriptors that came along go, if they are wanted; otherwise they are closed.
    pub ancillary: Option<&'a mut Ancillary>,
}

impl<'a, 'b> RecvMsg<'a, 'b> {
    /// Receives bytes alone.
    #[inline]
    pub fn new(bufs: &'a mut [IoSliceMut<'b>]) -> Self {
        Self { bufs, peek: false, addr: None, ancillary: None }
    }
}

/// What has been received.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Received {
    /// How many bytes.
    pub n: usize,
    /// The datagram was longer than the buffers, and its rest is lost.
    pub is_truncated: bool,
    /// More descriptors came than there was room for, and the rest is closed.
    pub is_ancillary_truncated: bool,
    /// These are several datagrams of so many bytes each, the last perhaps of fewer, which the system has put together (see [`SocketOption::Gro`]).
    pub segment_size: Option<NonZeroU16>,
    /// Nothing more was there when this was received: what comes later makes an event. A socket around another one that keeps bytes itself must
    /// not say so while it has any.
    pub is_drained: bool,
}

impl Received {
    /// Says that `n` bytes have been received whole.
    #[inline]
    pub const fn new(n: usize) -> Self {
        Self { n, is_truncated: false, is_ancillary_truncated: false, segment_size: None, is_drained: false }
    }
}

/// What to send, and where to.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::exhaustive_structs, reason = "built by callers; a new field is a new version")]
pub struct SendMsg<'a, 'b> {
    /// The bytes, in order.
    pub bufs: &'a [IoSlice<'b>],
    /// Where to, if the socket is not connected.
    pub addr: Option<&'a SockAddr>,
    /// Descriptors to pass along, on a Unix socket. They go with the first byte, once.
    pub rights: &'a [BorrowedDescriptor<'b>],
    /// The bytes are several datagrams of so many bytes each, the last perhaps of fewer, which the system takes apart (`UDP_SEGMENT`, Linux). By
    /// [`poll_send_many`](Socket::poll_send_many) alone; it says `Unsupported` where that cannot be done.
    pub segment_size: Option<NonZeroU16>,
}

impl<'a, 'b> SendMsg<'a, 'b> {
    /// Sends bytes alone.
    #[inline]
    pub fn new(bufs: &'a [IoSlice<'b>]) -> Self {
        Self { bufs, addr: None, rights: &[], segment_size: None }
    }
}

/// What came along with a message.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Ancillary {
    /// Descriptors that the peer passed; each is closed on exec.
    pub rights: Vec<OwnedDescriptor>,
}

/// An option of a socket, with its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SocketOption {
    /// Send small segments at once (`TCP_NODELAY`).
    NoDelay(bool),
    /// Probe an idle connection (`SO_KEEPALIVE`).
    KeepAlive(bool),
    /// Bind although an old connection lingers on the address (`SO_REUSEADDR`).
    ReuseAddr(bool),
    /// Share the address with other sockets that set this too (`SO_REUSEPORT`).
    ReusePort(bool),
    /// Take IPv6 alone (`IPV6_V6ONLY`).
    OnlyV6(bool),
    /// The kernel's buffer for receiving, in bytes (`SO_RCVBUF`).
    RecvBufferSize(usize),
    /// The kernel's buffer for sending, in bytes (`SO_SNDBUF`).
    SendBufferSize(usize),
    /// How long a close waits for unsent bytes (`SO_LINGER`).
    Linger(Option<Duration>),
    /// How many hops a packet may take (`IP_TTL`; on an IPv6 socket `IPV6_UNICAST_HOPS`).
    Ttl(u32),
    /// Send to broadcast addresses (`SO_BROADCAST`).
    Broadcast(bool),
    /// Put datagrams that come from one sender at once together (`UDP_GRO`, Linux). Then receive by [`poll_recv_many`](Socket::poll_recv_many) alone, which says what they were.
    Gro(bool),
    /// Receive what is sent to a group, by the interface that has this address, or any (`IP_ADD_MEMBERSHIP`). It cannot be read.
    JoinMulticastV4(Ipv4Addr, Ipv4Addr),
    /// Receive that no more (`IP_DROP_MEMBERSHIP`). It cannot be read.
    LeaveMulticastV4(Ipv4Addr, Ipv4Addr),
    /// Receive what is sent to a group, by the interface of this number, or any if it is 0 (`IPV6_ADD_MEMBERSHIP`). It cannot be read.
    JoinMulticastV6(Ipv6Addr, u32),
    /// Receive that no more (`IPV6_DROP_MEMBERSHIP`). It cannot be read.
    LeaveMulticastV6(Ipv6Addr, u32),
    /// What is sent to a group comes back to this machine (`IP_MULTICAST_LOOP`; on an IPv6 socket `IPV6_MULTICAST_LOOP`).
    MulticastLoop(bool),
    /// How many hops a datagram to a group may take (`IP_MULTICAST_TTL`; on an IPv6 socket `IPV6_MULTICAST_HOPS`).
    MulticastTtl(u32),
}

/// Names an option of a socket, to read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[expect(missing_docs, reason = "each is described at the option of that name")]
pub enum OptionName {
    NoDelay,
    KeepAlive,
    ReuseAddr,
    ReusePort,
    OnlyV6,
    RecvBufferSize,
    SendBufferSize,
    Linger,
    Ttl,
    Broadcast,
    Gro,
    MulticastLoop,
    MulticastTtl,
}

/// asyncio's `sock_*` calls.
impl dyn Socket + '_ {
    /// Accepts a connection: asyncio's `sock_accept`.
    ///
    /// # Errors
    ///
    /// Fails with what the system says.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost by dropping it: a connection that was not returned is still in the queue.
    pub async fn accept(&self) -> io::Result<(Arc<dyn Socket>, SockAddr)> {
        let mut waiter = Waiter::new();
        poll_fn(|cx| self.poll_accept(cx, &mut waiter)).await
    }

    /// Connects: asyncio's `sock_connect`.
    ///
    /// # Errors
    ///
    /// Fails with what the system says.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it leaves a socket that is still connecting; drop that too.
    pub async fn connect(&self, addr: &SockAddr) -> io::Result<()> {
        let mut waiter = Waiter::new();
        poll_fn(|cx| self.poll_connect(cx, &mut waiter, addr)).await
    }

    /// Receives bytes; 0 is the end: asyncio's `sock_recv_into`.
    ///
    /// # Errors
    ///
    /// Fails with what the system says.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost by dropping it: bytes that were not returned are still in the socket.
    pub async fn recv(&self, buf: &mut [u8]) -> io::Result<usize> {
        let mut waiter = Waiter::new();
        poll_fn(|cx| self.poll_recv_one(cx, &mut waiter, buf)).await.map(|received| received.n)
    }

    /// Sends some of the bytes and returns how many.
    ///
    /// # Errors
    ///
    /// Fails with what the system says.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost by dropping it: what was sent was returned.
    pub async fn send(&self, buf: &[u8]) -> io::Result<usize> {
        let mut waiter = Waiter::new();
        poll_fn(|cx| self.poll_send_one(cx, &mut waiter, buf)).await
    }
}

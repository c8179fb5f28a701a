//! [`Transport`] and [`ProtocolHandle`]: what one holds of a connection of a protocol.

use std::fmt::{self, Debug};
#[cfg(feature = "tls")]
use std::future::Future;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::rc::Rc;

use asyncio_base::shim::Arc;
use asyncio_reactor::Socket;
#[cfg(feature = "tls")]
use asyncio_reactor::Waiter;

use crate::protocol::Flags;
use crate::protocol::driven::AnyProtocol;
use crate::protocol::head::Head;
use crate::protocol::link::Link;
use crate::tcp::to_ip;

/// The connection of a protocol, to write to: asyncio's `Transport`.
///
/// It is given to [`connection_made`](super::Protocol::connection_made), may be cloned and kept, and stays on the loop's thread. Once the connection is lost, what is
/// called on it does nothing. Dropping it closes nothing: the connection is the loop's.
#[derive(Clone)]
pub struct Transport {
    head: Rc<Head>,
}

impl Transport {
    pub(super) fn of(head: &Rc<Head>) -> Self {
        Self { head: head.clone() }
    }

    /// Does something with the connection, unless it is lost.
    #[inline]
    fn with<R>(&self, f: impl FnOnce(&Head) -> R) -> Option<R> {
        (!self.head.has(Flags::LOST)).then(|| f(&self.head))
    }

    /// Writes all of `bytes`, without waiting: what the system does not take is kept, and sent as soon as it does.
    ///
    /// Where more than the high [limit](Self::set_write_buffer_limits) is kept, the protocol is told to [pause](super::Protocol::pause_writing). Bytes for a
    /// connection that is closed or lost are dropped; if this write finds that it is lost, the protocol will be told.
    ///
    /// # Panics
    ///
    /// Panics after [`write_eof`](Self::write_eof).
    #[inline]
    pub fn write(&self, bytes: &[u8]) {
        self.with(|head| head.write(bytes));
    }

    /// Writes the bytes of several buffers, one after the other, in one call of the system: asyncio's `writelines`.
    ///
    /// # Panics
    ///
    /// As [`write`](Self::write).
    pub fn writev(&self, bufs: &[IoSlice<'_>]) {
        self.with(|head| head.writev(bufs));
    }

    /// Ends this direction after what is unsent: the peer sees the end, and may still send.
    pub fn write_eof(&self) {
        self.with(Head::write_eof);
    }

    /// Closes the connection after what is unsent. Nothing is received any more; the protocol is told soon that the connection is lost, without an error.
    ///
    /// Where the peer has sent what was not received, the system makes a reset of it (RFC 2525, section 2.17), by which the peer may lose what it has not read
    /// itself. A protocol that cannot have that waits for the peer's end first.
    pub fn close(&self) {
        self.with(Head::close);
    }

    /// Closes the connection at once: what is unsent is dropped, and the peer sees a reset (on a Unix socket, the end). The protocol is told soon that the
    /// connection is lost, without an error.
    pub fn abort(&self) {
        self.with(Head::abort);
    }

    /// Says whether the connection is being closed, or is lost.
    pub fn is_closing(&self) -> bool {
        self.with(|head| head.has(Flags::CLOSING)).unwrap_or(true)
    }

    /// Stops receiving: the system keeps what comes, until it is full and the peer has to wait. A second call does nothing.
    pub fn pause_reading(&self) {
        self.with(Head::pause_reading);
    }

    /// Receives again. A second call does nothing.
    pub fn resume_reading(&self) {
        self.with(Head::resume_reading);
    }

    /// Says whether it receives: not while that is paused, and not once the connection is being closed.
    pub fn is_reading(&self) -> bool {
        let is_paused = |head: &Head| head.has(Flags::READING_PAUSED) || head.has(Flags::CLOSING);
        self.with(is_paused).is_some_and(|is_paused| !is_paused)
    }

    /// Sets above how many unsent bytes the protocol is told to pause, and down to how many it is told to go on. The defaults are 64 KiB and 16 KiB, asyncio's.
    ///
    /// # Panics
    ///
    /// Panics if `low` is more than `high`.
    pub fn set_write_buffer_limits(&self, high: usize, low: usize) {
        assert!(low <= high, "the low limit of a write buffer, {low}, is above the high one, {high}");
        self.with(|head| head.set_limits(high, low));
    }

    /// Returns the high and the low limit.
    pub fn write_buffer_limits(&self) -> (usize, usize) {
        self.with(Head::limits).unwrap_or_default()
    }

    /// Returns how many bytes are unsent.
    pub fn write_buffer_size(&self) -> usize {
        self.with(Head::unsent).unwrap_or_default()
    }

    /// Returns this side's address.
    ///
    /// # Errors
    ///
    /// Fails with what the system says, where it is not an IP address, and where the connection is lost.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        to_ip(&self.connected()?.local_addr()?)
    }

    /// Returns the peer's address.
    ///
    /// # Errors
    ///
    /// Fails with what the system says, where it is not an IP address, and where the connection is lost.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        to_ip(&self.connected()?.peer_addr()?)
    }

    /// Returns the socket below, for its options, until the connection is lost.
    pub fn socket(&self) -> Option<Arc<dyn Socket>> {
        self.head.socket()
    }

    /// Begins TLS on the connection, as both sides have agreed to (`STARTTLS`): asyncio's `loop.start_tls`. A callback may call it, and give what it returns to a task.
    ///
    /// Everything that was written is sent before, and what is written from this call on is encrypted. The protocol is told of no bytes from this call until the handshake is over, and then of those under TLS; bytes that it was told of together with
    /// the agreement, and behind it, are no TLS of the peer's, and may be anybody's: it has to refuse them.
    ///
    /// # Errors
    ///
    /// Fails as [`TlsConnector::connect`](crate::tls::TlsConnector::connect) and [`TlsAcceptor::accept`](crate::tls::TlsAcceptor::accept), and where the connection is lost. It is
    /// aborted then.
    ///
    /// # Cancel safety
    ///
    /// The connection is aborted if it is dropped.
    #[cfg(feature = "tls")]
    pub fn start_tls(
        &self,
        upgrade: crate::tls::Upgrade,
    ) -> impl Future<Output = io::Result<()>> + 'static + use<> {
        /// Aborts a connection whose handshake came to nothing.
        struct Shaking(Rc<Head>);
        impl Drop for Shaking {
            fn drop(&mut self) {
                if self.0.has(Flags::SHAKING) {
                    self.0.abort();
                }
            }
        }
        let head = Some(&self.head).filter(|head| !head.has(Flags::LOST));
        let begun = match head {
            None => Err(io::ErrorKind::NotConnected.into()),
            Some(head) if head.has(Flags::SHAKING) => {
                Err(io::Error::new(io::ErrorKind::AlreadyExists, "TLS begins already"))
            }
            Some(head) => upgrade.check().map(|()| {
                let around = Box::new(move |socket| Ok(upgrade.socket(socket)? as Arc<dyn Socket>));
                (head.begin_shaking(around), Shaking(head.clone()))
            }),
        };
        async move {
            let (begun, shaking) = begun?;
            begun?;
            let head = &shaking.0;
            let socket = std::future::poll_fn(|cx| head.poll_changed(cx)).await?;
            let mut waiter = Waiter::new();
            std::future::poll_fn(|cx| socket.poll_handshake(cx, &mut waiter)).await?;
            head.shaken();
            Ok(())
        }
    }

    fn connected(&self) -> io::Result<Arc<dyn Socket>> {
        self.socket().ok_or_else(|| io::Error::new(io::ErrorKind::NotConnected, "the connection is lost"))
    }
}

impl Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.with(|head| if head.has(Flags::CLOSING) { "closing" } else { "open" });
        f.debug_struct("Transport").field("state", &state.unwrap_or("lost")).finish_non_exhaustive()
    }
}

/// A protocol that the loop has, to look at from outside, also after its connection is lost. Clones are of the same one.
pub struct ProtocolHandle<P: AnyProtocol<Kind>, Kind> {
    link: Rc<Link<P::Driven>>,
}

impl<P: AnyProtocol<Kind>, Kind> ProtocolHandle<P, Kind> {
    pub(super) fn new(link: Rc<Link<P::Driven>>) -> Self {
        Self { link }
    }

    /// Does something with the protocol, between two of its callbacks.
    ///
    /// # Panics
    ///
    /// Panics inside of a callback of this protocol, and inside of another call of this.
    pub fn with<R>(&self, f: impl FnOnce(&mut P) -> R) -> R {
        let result = self.link.with(|driven| f(driven.as_mut()));
        result.expect(
            "`ProtocolHandle::with` was called inside of a callback of its own protocol, or of itself",
        )
    }
}

impl<P: AnyProtocol<Kind>, Kind> Clone for ProtocolHandle<P, Kind> {
    fn clone(&self) -> Self {
        Self { link: self.link.clone() }
    }
}

impl<P: AnyProtocol<Kind>, Kind> Debug for ProtocolHandle<P, Kind> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProtocolHandle").finish_non_exhaustive()
    }
}

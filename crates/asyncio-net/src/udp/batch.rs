//! [`DatagramBatch`]: room for several datagrams, filled by one call.

use std::fmt;
use std::future::poll_fn;
use std::io::{self, IoSliceMut};
use std::net::SocketAddr;

use asyncio_reactor::{Received, RecvMsg, SockAddr, Socket, Waiter};

use crate::tcp::to_ip;
#[cfg(doc)]
use crate::udp::UdpSocket;

/// Room for several datagrams, used again and again.
///
/// # Examples
///
/// ```
/// use asyncio_net::{DatagramBatch, UdpSocket};
///
/// # fn main() -> std::io::Result<()> {
/// asyncio_executor::block_on(async {
///     let (one, other) = (UdpSocket::bind("127.0.0.1:0").await?, UdpSocket::bind("127.0.0.1:0").await?);
///     let to = other.local_addr()?;
///     assert_eq!(one.send_many_to(&[("one", to), ("two", to), ("three", to)]).await?, 3);
///     let mut batch = DatagramBatch::new(16, 1500);
///     let mut came = Vec::new();
///     while came.len() < 3 {
///         other.recv_many(&mut batch).await?;
///         came.extend(batch.iter().map(|datagram| datagram.bytes.to_vec()));
///     }
///     assert_eq!(came, [&b"one"[..], b"two", b"three"]);
///     Ok(())
/// })
/// # }
/// ```
pub struct DatagramBatch {
    /// As many places of `size` bytes.
    memory: Box<[u8]>,
    size: usize,
    received: Vec<Received>,
    from: Vec<Option<SockAddr>>,
    /// How many of the places were filled last.
    filled: usize,
}

/// One datagram.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Datagram<'a> {
    /// What is in it.
    pub bytes: &'a [u8],
    /// Who sent it.
    pub from: SocketAddr,
    /// There was no room for all of it, and the rest is lost. Of several that were put together ([`set_gro`](UdpSocket::set_gro)) this is the last there was room for, and what was
    /// behind it is lost too.
    pub is_truncated: bool,
}

impl DatagramBatch {
    /// Makes room for `count` datagrams of up to `size` bytes. One call of the system fills 64 at most (Linux; elsewhere one).
    ///
    /// From a socket with [`set_gro`](UdpSocket::set_gro) each place takes several of them: 65,535 bytes leave none out.
    ///
    /// # Panics
    ///
    /// Panics if there is room for none.
    pub fn new(count: usize, size: usize) -> Self {
        assert!(count > 0, "a batch of no datagrams");
        let received = vec![Received::default(); count];
        let from = std::iter::repeat_with(|| None).take(count).collect();
        Self { memory: vec![0; count * size].into_boxed_slice(), size, received, from, filled: 0 }
    }

    /// How many came last.
    pub fn len(&self) -> usize {
        self.iter().count()
    }

    /// Whether none came yet.
    pub fn is_empty(&self) -> bool {
        self.filled == 0
    }

    /// Those that came last, in order.
    pub fn iter(&self) -> impl Iterator<Item = Datagram<'_>> {
        let places = (0..self.filled).map(|n| &self.memory[n * self.size..][..self.size]);
        // One whose sender is no IP address has been an error.
        let addrs = self.from.iter().map(|from| from.as_ref().and_then(SockAddr::as_socket));
        places
            .zip(&self.received)
            .zip(addrs)
            .filter_map(|((place, received), from)| {
                Some(datagrams(&place[..received.n.min(place.len())], *received, from?))
            })
            .flatten()
    }

    /// Receives as many as there are, and there is room for.
    pub(super) async fn fill(&mut self, socket: &dyn Socket) -> io::Result<usize> {
        let mut waiter = Waiter::new();
        let Self { memory, size, received, from, filled } = self;
        *filled = 0;
        let mut bufs: Vec<[IoSliceMut<'_>; 1]> =
            memory.chunks_exact_mut((*size).max(1)).map(|place| [IoSliceMut::new(place)]).collect();
        if *size == 0 {
            bufs = from.iter().map(|_| [IoSliceMut::new(&mut [])]).collect();
        }
        let mut messages: Vec<RecvMsg<'_, '_>> = bufs
            .iter_mut()
            .zip(from)
            .map(|(bufs, from)| RecvMsg { addr: Some(from), ..RecvMsg::new(bufs) })
            .collect();
        *filled = poll_fn(|cx| socket.poll_recv_many(cx, &mut waiter, &mut messages, received)).await?;
        for from in &self.from[..self.filled] {
            if let Err(error) = from.as_ref().ok_or_else(no_sender).and_then(to_ip) {
                self.filled = 0;
                return Err(error);
            }
        }
        Ok(self.len())
    }
}

/// Without the bytes, which are nobody's who looks at a program.
impl fmt::Debug for DatagramBatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DatagramBatch")
            .field("len", &self.len())
            .field("size", &self.size)
            .finish_non_exhaustive()
    }
}

/// How many datagrams there are in what was received.
fn count(received: &Received) -> usize {
    received.segment_size.map_or(1, |size| received.n.div_ceil(size.get().into()).max(1))
}

/// Takes apart what the system has put together.
fn datagrams(bytes: &[u8], received: Received, from: SocketAddr) -> impl Iterator<Item = Datagram<'_>> {
    let size = received.segment_size.map_or(bytes.len(), |size| size.get().into());
    let count = count(&received);
    (0..count).map(move |n| {
        let bytes = &bytes[(n * size).min(bytes.len())..((n + 1) * size).min(bytes.len())];
        Datagram { bytes, from, is_truncated: received.is_truncated && n + 1 == count }
    })
}

/// Receives one, and says whether it was cut.
pub(super) async fn recv<'a>(socket: &dyn Socket, buf: &'a mut [u8]) -> io::Result<Datagram<'a>> {
    let (mut waiter, mut from) = (Waiter::new(), None);
    let received = {
        let mut bufs = [IoSliceMut::new(buf)];
        let mut message = RecvMsg { addr: Some(&mut from), ..RecvMsg::new(&mut bufs) };
        poll_fn(|cx| socket.poll_recv(cx, &mut waiter, &mut message)).await?
    };
    let from = from.ok_or_else(no_sender)?;
    Ok(Datagram { bytes: &buf[..received.n], from: to_ip(&from)?, is_truncated: received.is_truncated })
}

pub(super) fn no_sender() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the system did not say where the datagram came from")
}

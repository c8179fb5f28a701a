//! [`DatagramBatch`]: room for several datagrams, filled by one call.

use std::fmt;
use std::future::poll_fn;
use std::io::{self, IoSlice, IoSliceMut};
use std::net::SocketAddr;

use asyncio_reactor::{Received, RecvMsg, SendMsg, SockAddr, Socket, Waiter};

use crate::tcp::to_ip;

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
    /// How many came last.
    len: usize,
}

/// One datagram.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Datagram<'a> {
    /// What is in it.
    pub bytes: &'a [u8],
    /// Who sent it.
    pub from: SocketAddr,
    /// It was longer than there was room for, and its rest is lost.
    pub is_truncated: bool,
}

impl DatagramBatch {
    /// Makes room for `count` datagrams of up to `size` bytes. One call of the system brings 64 at most (Linux; elsewhere one).
    ///
    /// # Panics
    ///
    /// Panics if there is room for none.
    pub fn new(count: usize, size: usize) -> Self {
        assert!(count > 0, "a batch of no datagrams");
        let received = vec![Received::default(); count];
        let from = std::iter::repeat_with(|| None).take(count).collect();
        Self { memory: vec![0; count * size].into_boxed_slice(), size, received, from, len: 0 }
    }

    /// How many came last.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether none came yet.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Those that came last, in order.
    pub fn iter(&self) -> impl Iterator<Item = Datagram<'_>> {
        let places = (0..self.len).map(|n| &self.memory[n * self.size..][..self.size]);
        places.zip(&self.received).zip(&self.from).filter_map(|((place, received), from)| {
            // One whose sender is no IP address cannot have come.
            let from = from.as_ref()?.as_socket()?;
            Some(Datagram {
                bytes: &place[..received.n.min(place.len())],
                from,
                is_truncated: received.is_truncated,
            })
        })
    }

    /// Receives as many as there are, and there is room for.
    pub(super) async fn fill(&mut self, socket: &dyn Socket) -> io::Result<usize> {
        let mut waiter = Waiter::new();
        let Self { memory, size, received, from, len } = self;
        *len = 0;
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
        *len = poll_fn(|cx| socket.poll_recv_many(cx, &mut waiter, &mut messages, received)).await?;
        Ok(*len)
    }
}

/// Without the bytes, which are nobody's who looks at a program.
impl fmt::Debug for DatagramBatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DatagramBatch")
            .field("len", &self.len)
            .field("size", &self.size)
            .finish_non_exhaustive()
    }
}

/// Sends several; says how many the system has taken, at least one.
pub(super) async fn send(
    socket: &dyn Socket,
    datagrams: &[(&[u8], Option<SocketAddr>)],
) -> io::Result<usize> {
    if datagrams.is_empty() {
        return Ok(0);
    }
    let mut waiter = Waiter::new();
    let addrs: Vec<Option<SockAddr>> = datagrams.iter().map(|(_, to)| to.map(SockAddr::from)).collect();
    let bufs: Vec<[IoSlice<'_>; 1]> = datagrams.iter().map(|(bytes, _)| [IoSlice::new(bytes)]).collect();
    let messages: Vec<SendMsg<'_, '_>> = bufs
        .iter()
        .zip(&addrs)
        .map(|(bufs, addr)| SendMsg { addr: addr.as_ref(), ..SendMsg::new(bufs) })
        .collect();
    poll_fn(|cx| socket.poll_send_many(cx, &mut waiter, &messages)).await
}

/// Receives one, and says whether it was cut.
pub(super) async fn recv<'a>(socket: &dyn Socket, buf: &'a mut [u8]) -> io::Result<Datagram<'a>> {
    let (mut waiter, mut from) = (Waiter::new(), None);
    let received = {
        let mut bufs = [IoSliceMut::new(buf)];
        let mut message = RecvMsg { addr: Some(&mut from), ..RecvMsg::new(&mut bufs) };
        poll_fn(|cx| socket.poll_recv(cx, &mut waiter, &mut message)).await?
    };
    let from = from.ok_or_else(|| {
        io::Error::new(io::ErrorKind::InvalidData, "the system did not say where the datagram came from")
    })?;
    Ok(Datagram { bytes: &buf[..received.n], from: to_ip(&from)?, is_truncated: received.is_truncated })
}

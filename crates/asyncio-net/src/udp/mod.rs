//! [`UdpSocket`]: datagrams over IP.

mod batch;
mod send_many;

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use asyncio_base::shim::{Arc, AtomicBool};
use asyncio_reactor::{Domain, OptionName, Socket, SocketOption, Type, adopt, socket};

use crate::about::about;
use crate::addr::ToSocketAddrs;
use crate::datagram::{self, Taking};
use crate::tcp::to_ip;

pub use batch::{Datagram, DatagramBatch};

use self::send_many::send_many;

/// A UDP socket. Any number of tasks may send and receive on it at the same time, by `&self`.
///
/// A datagram arrives whole, twice, later than others, or not at all. One that is longer than the buffer loses its rest, of which
/// [`recv_datagram`](Self::recv_datagram) and [`recv_many`](Self::recv_many) tell. On a
/// [connected](Self::connect) socket the peer's "nobody listens there" is an error of a later call, once.
///
/// # Cancel safety
///
/// Nothing is lost by dropping any of its futures: a datagram that was not returned is still in the socket, and one that was not sent was
/// not sent in part either.
///
/// # Examples
///
/// ```
/// use asyncio_net::UdpSocket;
///
/// # fn main() -> std::io::Result<()> {
/// asyncio_executor::block_on(async {
///     let one = UdpSocket::bind("127.0.0.1:0").await?;
///     let other = UdpSocket::bind("127.0.0.1:0").await?;
///     one.send_to(b"ping", other.local_addr()?).await?;
///     let mut buf = [0; 16];
///     let (n, from) = other.recv_from(&mut buf).await?;
///     assert_eq!((&buf[..n], from), (&b"ping"[..], one.local_addr()?));
///     Ok(())
/// })
/// # }
/// ```
#[derive(Debug)]
pub struct UdpSocket {
    socket: Arc<dyn Socket>,
    /// The system takes messages apart, as far as we know.
    may_join: AtomicBool,
}

impl UdpSocket {
    /// Makes a socket at the first of the addresses that can be had. Port 0 lets the system choose.
    ///
    /// # Errors
    ///
    /// Fails with the last address's error, which names the address; or where the name cannot be resolved.
    pub async fn bind(addrs: impl ToSocketAddrs) -> io::Result<Self> {
        let mut last = io::Error::new(io::ErrorKind::InvalidInput, "there is no address to bind to");
        for addr in addrs.to_socket_addrs().await? {
            match Self::bind_to(addr) {
                Ok(bound) => return Ok(bound),
                Err(error) => last = about(format_args!("binding to {addr}"), error),
            }
        }
        Err(last)
    }

    fn bind_to(addr: SocketAddr) -> io::Result<Self> {
        let socket = socket(Domain::for_address(addr), Type::DGRAM, None)?;
        socket.bind(&addr.into())?;
        Ok(Self::from_socket(socket))
    }

    /// Takes over a socket of std's.
    ///
    /// # Errors
    ///
    /// Fails where it cannot be made non-blocking.
    pub fn from_std(socket: std::net::UdpSocket) -> io::Result<Self> {
        adopt(socket.into()).map(Self::from_socket)
    }

    /// Gives the socket to std, still non-blocking.
    ///
    /// # Errors
    ///
    /// Fails where the socket is not the operating system's.
    pub fn into_std(self) -> io::Result<std::net::UdpSocket> {
        self.socket.into_descriptor().map(std::net::UdpSocket::from)
    }

    /// Makes one of a datagram socket of any reactor.
    pub fn from_socket(socket: Arc<dyn Socket>) -> Self {
        Self { socket, may_join: AtomicBool::new(true) }
    }

    /// Returns the socket below.
    pub fn socket(&self) -> &Arc<dyn Socket> {
        &self.socket
    }

    /// Sets the peer: [`send`](Self::send) sends there, and only what comes from there is received.
    ///
    /// # Errors
    ///
    /// Fails with the last address's error, or where the name cannot be resolved.
    pub async fn connect(&self, addrs: impl ToSocketAddrs) -> io::Result<()> {
        let mut last = io::Error::new(io::ErrorKind::InvalidInput, "there is no address to connect to");
        for addr in addrs.to_socket_addrs().await? {
            match self.socket.connect(&addr.into()).await {
                Ok(()) => return Ok(()),
                Err(error) => last = about(format_args!("connecting to {addr}"), error),
            }
        }
        Err(last)
    }

    /// Sends a datagram to the [connected](Self::connect) peer, and returns its length.
    ///
    /// # Errors
    ///
    /// Fails where there is no peer, where the datagram is too long, and with what the network said of an earlier one.
    pub async fn send(&self, buf: &[u8]) -> io::Result<usize> {
        datagram::send(&*self.socket, buf, None).await
    }

    /// Sends a datagram to the first of the addresses, and returns its length.
    ///
    /// # Errors
    ///
    /// Fails where the name cannot be resolved, where the datagram is too long, and with what the system says.
    pub async fn send_to(&self, buf: &[u8], to: impl ToSocketAddrs) -> io::Result<usize> {
        let to = to.to_socket_addrs().await?;
        let Some(&to) = to.first() else {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "there is no address to send to"));
        };
        datagram::send(&*self.socket, buf, Some(&to.into())).await
    }

    /// Receives a datagram from the [connected](Self::connect) peer, or from anybody where there is none, and returns its length.
    ///
    /// # Errors
    ///
    /// Fails with what the system says, as in "connection refused" for a datagram that was sent before.
    pub async fn recv(&self, buf: &mut [u8]) -> io::Result<usize> {
        datagram::recv(&*self.socket, buf, Taking::Take).await
    }

    /// Receives a datagram, and says where it came from.
    ///
    /// # Errors
    ///
    /// Fails with what the system says.
    pub async fn recv_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.receive_from(buf, Taking::Take).await
    }

    /// Receives a datagram, and says where it came from and whether it was longer than `buf`.
    ///
    /// # Errors
    ///
    /// Fails with what the system says.
    pub async fn recv_datagram<'a>(&self, buf: &'a mut [u8]) -> io::Result<Datagram<'a>> {
        batch::recv(&*self.socket, buf).await
    }

    /// Receives as many datagrams as there are and the batch has room for, at least one, in one call of the system where it can do that (Linux: recvmmsg(2)). Returns how many;
    /// they are in the batch, whose former ones are gone.
    ///
    /// # Errors
    ///
    /// Fails with what the system says.
    pub async fn recv_many(&self, batch: &mut DatagramBatch) -> io::Result<usize> {
        batch.fill(&*self.socket).await
    }

    /// Lets the system put datagrams together that come from one sender at once (Linux: `UDP_GRO`): they pass through it as one, and [`recv_many`](Self::recv_many) takes them apart. The
    /// other ways to receive do not, so they are not for such a socket. The default is that they come as they were sent.
    ///
    /// # Errors
    ///
    /// Fails with what the system says, and with `Unsupported` where it cannot do that.
    pub fn set_gro(&self, on: bool) -> io::Result<()> {
        self.socket.set_option(SocketOption::Gro(on))
    }

    /// Sends several datagrams to the [connected](Self::connect) peer, in one call of the system where it can do that (Linux: sendmmsg(2)). Returns how many it has taken, at least the
    /// first: the others are to be sent again.
    ///
    /// Such as follow each other, are equally long and go to one place pass through the system as one (Linux: `UDP_SEGMENT`, "GSO"), up to 64 of them, and leave it as they are.
    ///
    /// # Errors
    ///
    /// Fails as [`send`](Self::send) of the first; what is wrong with another one is told when that is the first.
    pub async fn send_many(&self, datagrams: &[&[u8]]) -> io::Result<usize> {
        let datagrams: Vec<_> = datagrams.iter().map(|bytes| (*bytes, None)).collect();
        send_many(&*self.socket, &self.may_join, &datagrams).await
    }

    /// Sends several datagrams, each to its address, as [`send_many`](Self::send_many) does.
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn send_many_to<B: AsRef<[u8]>>(&self, datagrams: &[(B, SocketAddr)]) -> io::Result<usize> {
        let datagrams: Vec<_> = datagrams.iter().map(|(bytes, to)| (bytes.as_ref(), Some(*to))).collect();
        send_many(&*self.socket, &self.may_join, &datagrams).await
    }

    /// Receives a datagram without taking it out.
    ///
    /// # Errors
    ///
    /// Fails with what the system says.
    pub async fn peek(&self, buf: &mut [u8]) -> io::Result<usize> {
        datagram::recv(&*self.socket, buf, Taking::Peek).await
    }

    /// Receives a datagram without taking it out, and says where it came from.
    ///
    /// # Errors
    ///
    /// Fails with what the system says.
    pub async fn peek_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.receive_from(buf, Taking::Peek).await
    }

    async fn receive_from(&self, buf: &mut [u8], taking: Taking) -> io::Result<(usize, SocketAddr)> {
        let (n, from) = datagram::recv_from(&*self.socket, buf, taking).await?;
        let from = from.ok_or_else(batch::no_sender)?;
        Ok((n, to_ip(&from)?))
    }

    /// Returns this side's address.
    ///
    /// # Errors
    ///
    /// Fails with what the system says.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        to_ip(&self.socket.local_addr()?)
    }

    /// Returns the connected peer's address.
    ///
    /// # Errors
    ///
    /// Fails where there is no peer.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        to_ip(&self.socket.peer_addr()?)
    }

    /// Allows sending to broadcast addresses, which is forbidden by default.
    ///
    /// # Errors
    ///
    /// Fails with what the system says.
    pub fn set_broadcast(&self, allowed: bool) -> io::Result<()> {
        self.socket.set_option(SocketOption::Broadcast(allowed))
    }

    /// Says whether sending to broadcast addresses is allowed.
    ///
    /// # Errors
    ///
    /// Fails with what the system says.
    pub fn broadcast(&self) -> io::Result<bool> {
        Ok(self.socket.option(OptionName::Broadcast)? == SocketOption::Broadcast(true))
    }

    /// Sets how many hops a datagram may take.
    ///
    /// # Errors
    ///
    /// Fails with what the system says.
    pub fn set_ttl(&self, ttl: u32) -> io::Result<()> {
        self.socket.set_option(SocketOption::Ttl(ttl))
    }

    /// Receives what is sent to a group, by the interface that has this address, or by the one that the system chooses (`UNSPECIFIED`).
    ///
    /// # Errors
    ///
    /// Fails with what the system says.
    pub fn join_multicast_v4(&self, group: Ipv4Addr, interface: Ipv4Addr) -> io::Result<()> {
        self.socket.set_option(SocketOption::JoinMulticastV4(group, interface))
    }

    /// Receives that no more.
    ///
    /// # Errors
    ///
    /// Fails with what the system says.
    pub fn leave_multicast_v4(&self, group: Ipv4Addr, interface: Ipv4Addr) -> io::Result<()> {
        self.socket.set_option(SocketOption::LeaveMulticastV4(group, interface))
    }

    /// Receives what is sent to a group, by the interface of this number, or by the one that the system chooses (0).
    ///
    /// # Errors
    ///
    /// Fails with what the system says.
    pub fn join_multicast_v6(&self, group: Ipv6Addr, interface: u32) -> io::Result<()> {
        self.socket.set_option(SocketOption::JoinMulticastV6(group, interface))
    }

    /// Receives that no more.
    ///
    /// # Errors
    ///
    /// Fails with what the system says.
    pub fn leave_multicast_v6(&self, group: Ipv6Addr, interface: u32) -> io::Result<()> {
        self.socket.set_option(SocketOption::LeaveMulticastV6(group, interface))
    }

    /// Says whether what is sent to a group comes back to this machine, as it does by default.
    ///
    /// # Errors
    ///
    /// Fails with what the system says.
    pub fn set_multicast_loop(&self, is_on: bool) -> io::Result<()> {
        self.socket.set_option(SocketOption::MulticastLoop(is_on))
    }

    /// Sets how many hops a datagram to a group may take; 1 by default, which is this network.
    ///
    /// # Errors
    ///
    /// Fails with what the system says.
    pub fn set_multicast_ttl(&self, hops: u32) -> io::Result<()> {
        self.socket.set_option(SocketOption::MulticastTtl(hops))
    }

    /// Takes the pending error of the socket.
    ///
    /// # Errors
    ///
    /// Fails where the error cannot be asked for.
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.socket.take_error()
    }
}

#[cfg(unix)]
impl std::os::fd::AsFd for UdpSocket {
    /// # Panics
    ///
    /// Panics on a reactor whose sockets are not the operating system's.
    #[track_caller]
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.socket.descriptor().expect("this reactor's sockets have no descriptors")
    }
}

//! [`UnixDatagram`]: datagrams between processes of one machine.

use std::io;
use std::net::Shutdown;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::net::SocketAddr;
use std::path::Path;

use asyncio_base::shim::Arc;
use asyncio_reactor::{Domain, SockAddr, Socket, Type, adopt, socket, socket_pair};

use crate::datagram::{self, Taking};
use crate::unix::{at, bind_with_mode, busy, path_address, rights, std_address, system_address};

/// A datagram socket of one machine: datagrams arrive whole, in order, and are not lost; whoever sends too fast waits. Any number of tasks
/// may send and receive on it at the same time, by `&self`.
///
/// A datagram that is longer than the buffer loses its rest. The file of a path stays when the socket is dropped.
///
/// # Cancel safety
///
/// Nothing is lost by dropping any of its futures.
///
/// # Examples
///
/// ```
/// use asyncio_net::UnixDatagram;
///
/// # fn main() -> std::io::Result<()> {
/// asyncio_executor::block_on(async {
///     let (one, other) = UnixDatagram::pair()?;
///     one.send(b"first").await?;
///     one.send(b"second").await?;
///     let mut buf = [0; 16];
///     assert_eq!(other.recv(&mut buf).await?, 5);
///     assert_eq!(other.recv(&mut buf).await?, 6);
///     Ok(())
/// })
/// # }
/// ```
#[derive(Debug)]
pub struct UnixDatagram {
    socket: Arc<dyn Socket>,
}

impl UnixDatagram {
    /// Makes a socket at a path, which must not exist yet.
    ///
    /// # Errors
    ///
    /// Fails with what the system says, as in "address in use"; the error names the path.
    pub fn bind(path: impl AsRef<Path>) -> io::Result<Self> {
        let path = path.as_ref();
        let addr = path_address(path)?;
        Self::bind_to(&addr).map_err(|error| at(path, "binding to", error))
    }

    /// Makes a socket at a path, whose file has this mode (0o600: its owner alone may send to it) from its birth, whatever the umask is.
    ///
    /// # Errors
    ///
    /// As [`bind`](Self::bind), and with `Unsupported` elsewhere than on Linux: there only a directory of mode 0700 keeps others out.
    pub fn bind_with_mode(path: impl AsRef<Path>, mode: u32) -> io::Result<Self> {
        let path = path.as_ref();
        let (addr, this) = (path_address(path)?, Self::unbound()?);
        bind_with_mode(&*this.socket, &addr, path, mode).map_err(|error| at(path, "binding to", error))?;
        Ok(this)
    }

    /// Makes a socket at an address, which may be an abstract name.
    ///
    /// # Errors
    ///
    /// Fails with what the system says, and where the address is without a name.
    pub fn bind_addr(addr: &SocketAddr) -> io::Result<Self> {
        Self::bind_to(&system_address(addr)?)
    }

    fn bind_to(addr: &SockAddr) -> io::Result<Self> {
        let this = Self::unbound()?;
        this.socket.bind(addr)?;
        Ok(this)
    }

    /// Makes a socket without a name: nobody can send to it, unless it is connected.
    ///
    /// # Errors
    ///
    /// Fails where the process is out of descriptors.
    pub fn unbound() -> io::Result<Self> {
        Ok(Self { socket: socket(Domain::UNIX, Type::DGRAM, None)? })
    }

    /// Makes two sockets that are connected with each other.
    ///
    /// # Errors
    ///
    /// Fails where the process is out of descriptors.
    pub fn pair() -> io::Result<(Self, Self)> {
        let (one, other) = socket_pair(Type::DGRAM)?;
        Ok((Self::from_socket(one), Self::from_socket(other)))
    }

    /// Takes over a socket of std's.
    ///
    /// # Errors
    ///
    /// Fails where it cannot be made non-blocking.
    pub fn from_std(socket: std::os::unix::net::UnixDatagram) -> io::Result<Self> {
        adopt(socket.into()).map(Self::from_socket)
    }

    /// Gives the socket to std, still non-blocking.
    ///
    /// # Errors
    ///
    /// Fails where the socket is not the operating system's.
    pub fn into_std(self) -> io::Result<std::os::unix::net::UnixDatagram> {
        self.socket.into_descriptor().map(std::os::unix::net::UnixDatagram::from)
    }

    /// Makes one of a datagram socket of any reactor.
    pub fn from_socket(socket: Arc<dyn Socket>) -> Self {
        Self { socket }
    }

    /// Returns the socket below.
    pub fn socket(&self) -> &Arc<dyn Socket> {
        &self.socket
    }

    /// Sets the peer: [`send`](Self::send) sends there, and only what comes from there is received. It does not wait.
    ///
    /// # Errors
    ///
    /// Fails with what the system says, as in "not found"; the error names the path.
    pub async fn connect(&self, path: impl AsRef<Path>) -> io::Result<()> {
        let path = path.as_ref();
        let addr = path_address(path)?;
        self.socket.connect(&addr).await.map_err(|error| at(path, "connecting to", error))
    }

    /// Sets the peer by its address, which may be an abstract name.
    ///
    /// # Errors
    ///
    /// Fails with what the system says, and where the address is without a name.
    pub async fn connect_addr(&self, addr: &SocketAddr) -> io::Result<()> {
        self.socket.connect(&system_address(addr)?).await
    }

    /// Sends a datagram to the connected peer, and returns its length. Waits while the peer's queue is full.
    ///
    /// # Errors
    ///
    /// Fails where there is no peer, or none any more, and where the datagram is too long.
    pub async fn send(&self, buf: &[u8]) -> io::Result<usize> {
        datagram::send(&*self.socket, buf, None).await
    }

    /// Sends a datagram to a path, and returns its length. Where the receiver's queue is full it waits, and tries again.
    ///
    /// # Errors
    ///
    /// Fails with what the system says, as in "not found".
    pub async fn send_to(&self, buf: &[u8], path: impl AsRef<Path>) -> io::Result<usize> {
        let addr = path_address(path.as_ref())?;
        busy::send_to(&*self.socket, buf, &addr).await
    }

    /// Sends a datagram to an address, which may be an abstract name, as [`send_to`](Self::send_to) does.
    ///
    /// # Errors
    ///
    /// Fails with what the system says, and where the address is without a name.
    pub async fn send_to_addr(&self, buf: &[u8], addr: &SocketAddr) -> io::Result<usize> {
        busy::send_to(&*self.socket, buf, &system_address(addr)?).await
    }

    /// Receives a datagram, and returns its length.
    ///
    /// # Errors
    ///
    /// Fails with what the system says.
    pub async fn recv(&self, buf: &mut [u8]) -> io::Result<usize> {
        datagram::recv(&*self.socket, buf, Taking::Take).await
    }

    /// Receives a datagram, and says where it came from: an address without a name, if the sender has none.
    ///
    /// # Errors
    ///
    /// Fails with what the system says.
    pub async fn recv_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.receive_from(buf, Taking::Take).await
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
        let from = match from {
            Some(from) => std_address(&from)?,
            None => SocketAddr::from_pathname("")?,
        };
        Ok((n, from))
    }

    /// Sends a datagram to the [connected](Self::connect) peer with descriptors, as [`UnixStream`](crate::UnixStream::send_with_fds) does.
    ///
    /// # Errors
    ///
    /// Fails with what the system says, and with `InvalidInput` for more than 253 descriptors, and for descriptors without a byte.
    pub async fn send_with_fds(&self, buf: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<usize> {
        rights::send(&*self.socket, buf, fds).await
    }

    /// Receives a datagram and the descriptors in it, closed on exec. One that is received by another call loses them.
    ///
    /// # Errors
    ///
    /// Fails with what the system says, and where descriptors were lost because this process can have no more of them; then the datagram is gone.
    pub async fn recv_with_fds(&self, buf: &mut [u8]) -> io::Result<(usize, Vec<OwnedFd>)> {
        rights::recv(&*self.socket, buf).await
    }

    /// Shuts one direction down, or both.
    ///
    /// On Linux a datagram socket that is shut down for reading has neither datagrams nor an end: whoever receives waits for ever.
    ///
    /// # Errors
    ///
    /// Fails with what the system says, as in "not connected".
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.socket.shutdown(how)
    }

    /// Returns this side's address.
    ///
    /// # Errors
    ///
    /// Fails with what the system says.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        std_address(&self.socket.local_addr()?)
    }

    /// Returns the connected peer's address.
    ///
    /// # Errors
    ///
    /// Fails where there is no peer.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        std_address(&self.socket.peer_addr()?)
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

impl std::os::fd::AsFd for UnixDatagram {
    /// # Panics
    ///
    /// Panics on a reactor whose sockets are not the operating system's.
    #[track_caller]
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.socket.descriptor().expect("this reactor's sockets have no descriptors")
    }
}

//! The system's two calls with all that they can do: [`getaddrinfo`] and [`getnameinfo`].

use std::io;
use std::net::{IpAddr, SocketAddr};

use asyncio_reactor::{Domain, Protocol, Type};

use crate::names::host::{is_zoned, validate};
use crate::names::resolve::failed;
use crate::names::{flags, pool};

/// What to ask [`getaddrinfo`] for, beside the name.
///
/// # Examples
///
/// ```
/// use asyncio_net::AddrInfoHints;
/// use asyncio_reactor::{Domain, Type};
///
/// let hints = AddrInfoHints::new().domain(Domain::IPV4).socket_type(Type::STREAM).canonical_name(true);
/// ```
#[derive(Clone, Copy, Debug, Default)]
#[must_use = "hints do nothing until they are asked with"]
pub struct AddrInfoHints {
    domain: Option<Domain>,
    socket_type: Option<Type>,
    protocol: Option<Protocol>,
    flags: i32,
}

impl AddrInfoHints {
    /// Asks for everything.
    pub const fn new() -> Self {
        Self { domain: None, socket_type: None, protocol: None, flags: 0 }
    }

    /// Asks for one family.
    pub const fn domain(self, domain: Domain) -> Self {
        Self { domain: Some(domain), ..self }
    }

    /// Asks for one type of socket. Otherwise each address comes once for each type.
    pub const fn socket_type(self, ty: Type) -> Self {
        Self { socket_type: Some(ty), ..self }
    }

    /// Asks for one protocol.
    pub const fn protocol(self, protocol: Protocol) -> Self {
        Self { protocol: Some(protocol), ..self }
    }

    /// Whether no host means all addresses of this machine, to listen at, and not its loopback (`AI_PASSIVE`). The default is no.
    pub const fn passive(self, is_passive: bool) -> Self {
        self.with(flags::AI_PASSIVE, is_passive)
    }

    /// Whether the name that the host has at last is wanted too (`AI_CANONNAME`). The default is no.
    pub const fn canonical_name(self, is_wanted: bool) -> Self {
        self.with(flags::AI_CANONNAME, is_wanted)
    }

    /// Whether the host is an address, and nobody is to be asked (`AI_NUMERICHOST`). The default is no.
    pub const fn numeric_host(self, is_numeric: bool) -> Self {
        self.with(flags::AI_NUMERICHOST, is_numeric)
    }

    const fn with(self, flag: i32, is_set: bool) -> Self {
        let flags = if is_set { self.flags | flag } else { self.flags & !flag };
        Self { flags, ..self }
    }
}

/// One answer of [`getaddrinfo`]: what to make a socket with, and where to connect it to.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AddrInfo {
    /// The family.
    pub domain: Domain,
    /// The type of socket.
    pub socket_type: Type,
    /// The protocol.
    pub protocol: Protocol,
    /// The name that the host has at last, with the first answer, if it was wanted.
    pub canonical_name: Option<String>,
    /// The address.
    pub addr: SocketAddr,
}

/// Asks the system for a host and a service, by `getaddrinfo(3)` on a thread for such: asyncio's `getaddrinfo`.
///
/// The host is a name or an address, the service the name of one ("http") or a number; one of them may be left out. It is the system's answer,
/// whatever [resolver](super::set_resolver) is set. To connect there is [`TcpStream::connect`](crate::TcpStream::connect), which takes names.
///
/// # Errors
///
/// Fails where the host cannot be a name, with kind `InvalidInput`; and with what the system says. Both name the host, if there is one.
///
/// # Cancel safety
///
/// Dropping it forgets the answer. A look-up that has begun goes on, on its own thread, which never holds the exit of the process.
///
/// # Examples
///
/// ```
/// use asyncio_net::{AddrInfoHints, getaddrinfo};
/// use asyncio_reactor::Type;
///
/// # fn main() -> std::io::Result<()> {
/// asyncio_executor::block_on(async {
///     let hints = AddrInfoHints::new().socket_type(Type::STREAM);
///     let infos = getaddrinfo(Some("127.0.0.1"), Some("80"), hints).await?;
///     assert_eq!(infos[0].addr, "127.0.0.1:80".parse().unwrap());
///     Ok(())
/// })
/// # }
/// ```
pub async fn getaddrinfo(
    host: Option<&str>,
    service: Option<&str>,
    hints: AddrInfoHints,
) -> io::Result<Vec<AddrInfo>> {
    if host.is_none() && service.is_none() {
        let why = "neither a host nor a service was asked for";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
    }
    if service.is_some_and(|service| service.contains('\0')) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the name of a service contains a NUL"));
    }
    if let Some(host) = host {
        if host.parse::<IpAddr>().is_err() && !is_zoned(host) {
            validate(host)?;
        }
    }
    let (name, service) = (host.map(str::to_owned), service.map(str::to_owned));
    let answer = pool::run(move || {
        let hints = dns_lookup::AddrInfoHints {
            flags: hints.flags,
            address: hints.domain.map_or(0, i32::from),
            socktype: hints.socket_type.map_or(0, i32::from),
            protocol: hints.protocol.map_or(0, i32::from),
        };
        let infos = dns_lookup::getaddrinfo(name.as_deref(), service.as_deref(), Some(hints))?;
        infos.map(|info| info.map(AddrInfo::from)).collect()
    });
    answer.await.map_err(|error| failed(host.unwrap_or_default(), &error))
}

impl From<dns_lookup::AddrInfo> for AddrInfo {
    fn from(info: dns_lookup::AddrInfo) -> Self {
        Self {
            domain: info.address.into(),
            socket_type: info.socktype.into(),
            protocol: info.protocol.into(),
            canonical_name: info.canonname,
            addr: info.sockaddr,
        }
    }
}

/// What to ask [`getnameinfo`] for, beside the address.
#[derive(Clone, Copy, Debug, Default)]
#[must_use = "options do nothing until they are asked with"]
pub struct NameInfoOptions {
    flags: i32,
}

impl NameInfoOptions {
    /// Asks for names, and takes numbers where there are none.
    pub const fn new() -> Self {
        Self { flags: 0 }
    }

    /// Whether the host is to be an address (`NI_NUMERICHOST`), for which nobody is asked. The default is no.
    pub const fn numeric_host(self, is_numeric: bool) -> Self {
        self.with(flags::NI_NUMERICHOST, is_numeric)
    }

    /// Whether the service is to be a number (`NI_NUMERICSERV`). The default is no.
    pub const fn numeric_service(self, is_numeric: bool) -> Self {
        self.with(flags::NI_NUMERICSERV, is_numeric)
    }

    /// Whether it is an error that the host has no name (`NI_NAMEREQD`). The default is no.
    pub const fn name_required(self, is_required: bool) -> Self {
        self.with(flags::NI_NAMEREQD, is_required)
    }

    /// Whether the service is one of datagrams (`NI_DGRAM`). The default is no.
    pub const fn datagram(self, is_datagram: bool) -> Self {
        self.with(flags::NI_DGRAM, is_datagram)
    }

    const fn with(self, flag: i32, is_set: bool) -> Self {
        Self { flags: if is_set { self.flags | flag } else { self.flags & !flag } }
    }
}

/// Asks the system for the names of an address and its port, by `getnameinfo(3)` on a thread for such: asyncio's `getnameinfo`.
///
/// # Errors
///
/// Fails with what the system says; the error names the address.
///
/// # Cancel safety
///
/// Dropping it forgets the answer, as with [`getaddrinfo`].
///
/// # Examples
///
/// ```
/// use asyncio_net::{NameInfoOptions, getnameinfo};
///
/// # fn main() -> std::io::Result<()> {
/// asyncio_executor::block_on(async {
///     let numbers = NameInfoOptions::new().numeric_host(true).numeric_service(true);
///     let (host, service) = getnameinfo("127.0.0.1:80".parse().unwrap(), numbers).await?;
///     assert_eq!((&*host, &*service), ("127.0.0.1", "80"));
///     Ok(())
/// })
/// # }
/// ```
pub async fn getnameinfo(addr: SocketAddr, options: NameInfoOptions) -> io::Result<(String, String)> {
    let answer = pool::run(move || dns_lookup::getnameinfo(&addr, options.flags).map_err(io::Error::from));
    answer.await.map_err(|error| failed(&addr.to_string(), &error))
}

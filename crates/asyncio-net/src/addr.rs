//! [`ToSocketAddrs`]: what a connection may be made to, or a listener bound to.

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};

use crate::names;

/// What stands for one or more socket addresses: an address, a pair of host and port, or text such as `"localhost:80"`.
///
/// An IP address is never looked up and starts no thread; a name is, by [`lookup_host`](crate::lookup_host).
pub trait ToSocketAddrs {
    /// Returns the addresses, at least one.
    ///
    /// # Errors
    ///
    /// Fails where the text is not an address, and where the name cannot be resolved; the message says which.
    fn to_socket_addrs(&self) -> impl Future<Output = io::Result<Vec<SocketAddr>>> + Send;
}

impl ToSocketAddrs for SocketAddr {
    async fn to_socket_addrs(&self) -> io::Result<Vec<SocketAddr>> {
        Ok(vec![*self])
    }
}

impl ToSocketAddrs for (IpAddr, u16) {
    async fn to_socket_addrs(&self) -> io::Result<Vec<SocketAddr>> {
        Ok(vec![SocketAddr::from(*self)])
    }
}

impl ToSocketAddrs for [SocketAddr] {
    async fn to_socket_addrs(&self) -> io::Result<Vec<SocketAddr>> {
        if self.is_empty() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "an empty list of addresses"));
        }
        Ok(self.to_vec())
    }
}

impl ToSocketAddrs for (&str, u16) {
    async fn to_socket_addrs(&self) -> io::Result<Vec<SocketAddr>> {
        names::resolve(self.0, self.1).await
    }
}

impl ToSocketAddrs for (String, u16) {
    async fn to_socket_addrs(&self) -> io::Result<Vec<SocketAddr>> {
        names::resolve(&self.0, self.1).await
    }
}

impl ToSocketAddrs for str {
    async fn to_socket_addrs(&self) -> io::Result<Vec<SocketAddr>> {
        if let Ok(addr) = self.parse() {
            return Ok(vec![addr]);
        }
        let (host, port) = split_host_and_port(self)?;
        names::resolve(host, port).await
    }
}

impl ToSocketAddrs for String {
    async fn to_socket_addrs(&self) -> io::Result<Vec<SocketAddr>> {
        self.as_str().to_socket_addrs().await
    }
}

impl<A: ToSocketAddrs + ?Sized + Sync> ToSocketAddrs for &A {
    async fn to_socket_addrs(&self) -> io::Result<Vec<SocketAddr>> {
        (**self).to_socket_addrs().await
    }
}

fn split_host_and_port(text: &str) -> io::Result<(&str, u16)> {
    let wrong = |why: &str| io::Error::new(io::ErrorKind::InvalidInput, format!("{text:?} {why}"));
    let (host, port) = text.rsplit_once(':').ok_or_else(|| wrong("has no port: write \"host:port\""))?;
    if host.contains(':') && !(host.starts_with('[') && host.ends_with(']')) {
        return Err(wrong("is ambiguous: write an IPv6 address in brackets, as in \"[::1]:80\""));
    }
    // `parse` would take a sign for a part of the number.
    let digits = Some(port).filter(|port| port.bytes().all(|byte| byte.is_ascii_digit()));
    let port = digits
        .and_then(|digits| digits.parse().ok())
        .ok_or_else(|| wrong("has a port that is not a number from 0 to 65535"))?;
    let within = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    match within {
        // Brackets are for what has colons; others are no part of a name, and are refused as such.
        Some(ip) if ip.contains(':') => Ok((ip, port)),
        _ => Ok((host, port)),
    }
}

//! Names → addresses, by the system's `getaddrinfo`, on threads of their own.
//!
//! `getaddrinfo` blocks for as long as a name server is silent, so it never runs on a loop's thread, and not in a pool that other
//! blocking work shares. What cannot be a name is refused before anybody is asked (CVE-2024-24806 was a name cut short).

mod pool;

use std::io;
use std::net::{IpAddr, SocketAddr};

use crate::addr::ToSocketAddrs;

/// Looks a host up: asyncio's `getaddrinfo`, for `"host:port"` or a pair of both.
///
/// The order of the addresses is the system's (RFC 6724).
///
/// # Errors
///
/// Fails where the name cannot be a name (empty, longer than 253 octets, with a label longer than 63, with a NUL), with kind
/// `InvalidInput`; and where it cannot be resolved, with what the system says. Both name the host.
///
/// # Cancel safety
///
/// Dropping it forgets the answer. The look-up itself goes on, on its own thread, which never holds the exit of the process.
///
/// # Examples
///
/// ```
/// # fn main() -> std::io::Result<()> {
/// asyncio_executor::block_on(async {
///     let addrs = asyncio_net::lookup_host("127.0.0.1:80").await?;
///     assert_eq!(addrs, ["127.0.0.1:80".parse().unwrap()]);
///     Ok(())
/// })
/// # }
/// ```
pub async fn lookup_host(host: impl ToSocketAddrs) -> io::Result<Vec<SocketAddr>> {
    host.to_socket_addrs().await
}

pub(crate) async fn resolve(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    if let Ok(ip) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(ip, port)]);
    }
    validate(host)?;
    let question = (host.to_owned(), port);
    let answer =
        pool::run(move || std::net::ToSocketAddrs::to_socket_addrs(&question).map(Vec::from_iter)).await;
    let addrs = answer.map_err(|error| failed(host, &error))?;
    if addrs.is_empty() {
        return Err(failed(host, &io::Error::new(io::ErrorKind::NotFound, "it has no address")));
    }
    Ok(addrs)
}

fn failed(host: &str, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("looking up {host:?}: {error}"))
}

/// The limits of RFC 1035, section 2.3.4, and what `getaddrinfo` would cut short.
fn validate(host: &str) -> io::Result<()> {
    let name = host.strip_suffix('.').unwrap_or(host);
    let why = if name.is_empty() {
        "is empty"
    } else if name.contains('\0') {
        "contains a NUL"
    } else if name.len() > 253 {
        "is longer than 253 octets"
    } else if name.split('.').any(|label| label.is_empty() || label.len() > 63) {
        "has a label that is empty or longer than 63 octets"
    } else if name.contains(|c: char| c.is_whitespace() || c.is_control()) {
        "contains white space"
    } else {
        return Ok(());
    };
    Err(io::Error::new(io::ErrorKind::InvalidInput, format!("the host name {host:?} {why}")))
}

//! Names → addresses, by the system's `getaddrinfo` on threads of their own, or by whatever else [`Resolve`]s them.
//!
//! `getaddrinfo` blocks for as long as a name server is silent, so it never runs on a loop's thread, and not in a pool that other
//! blocking work shares. What cannot be a name is refused before anybody is asked (CVE-2024-24806 was a name cut short).

mod host;
mod pool;

#[cfg(feature = "hickory")]
mod hickory;
mod info;
mod resolve;
mod table;

#[cfg(unix)]
#[path = "flags/unix.rs"]
mod flags;
#[cfg(windows)]
#[path = "flags/windows.rs"]
mod flags;

use std::io;
use std::net::SocketAddr;

use crate::addr::ToSocketAddrs;

pub(crate) use resolve::resolve;

#[cfg(feature = "hickory")]
pub use hickory::HickoryResolver;
pub use info::{AddrInfo, AddrInfoHints, NameInfoOptions, getaddrinfo, getnameinfo};
pub use resolve::{Resolve, Resolving, SystemResolver, set_resolver, with_resolver};
pub use table::StaticResolver;

/// Looks a host up, `"host:port"` or a pair of both, by the [resolver](set_resolver) of this task.
///
/// The order of the addresses is the resolver's; the system's follows RFC 6724.
///
/// # Errors
///
/// Fails where the name cannot be a name (empty, longer than 253 octets, with a label longer than 63, with a NUL, not in ASCII, or a number
/// that is no address), with kind `InvalidInput`; and where it cannot be resolved, with what the resolver says. Both name the host.
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

//! [`StaticResolver`]: names that mean what a table says.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};

use asyncio_base::shim::Arc;

use crate::names::resolve::{Resolve, Resolving};

/// A table of names, as `/etc/hosts` is one; names are the same in capitals (RFC 4343), and with a dot at the end.
///
/// What is not in it is not found, or is asked of [another](Self::or_else).
///
/// # Examples
///
/// ```
/// use asyncio_net::{StaticResolver, SystemResolver, lookup_host, with_resolver};
///
/// # fn main() -> std::io::Result<()> {
/// asyncio_executor::block_on(async {
///     let table = StaticResolver::new().with("Api.Test", ["192.0.2.1".parse().unwrap(), "2001:db8::1".parse().unwrap()]);
///     let addrs = with_resolver(table.clone(), lookup_host("api.test.:80")).await?;
///     assert_eq!(addrs, ["192.0.2.1:80".parse().unwrap(), "[2001:db8::1]:80".parse().unwrap()]);
///
///     let error = with_resolver(table, lookup_host("other.test:80")).await.unwrap_err();
///     assert_eq!(error.kind(), std::io::ErrorKind::NotFound);
///     Ok(())
/// })
/// # }
/// ```
#[derive(Clone, Debug, Default)]
pub struct StaticResolver {
    table: HashMap<String, Vec<IpAddr>>,
    other: Option<Arc<dyn Resolve>>,
}

impl StaticResolver {
    /// Makes an empty table.
    pub fn new() -> Self {
        Self::default()
    }

    /// Has a name mean these addresses, in this order, instead of what it meant before.
    #[must_use]
    pub fn with(mut self, host: &str, addrs: impl IntoIterator<Item = IpAddr>) -> Self {
        self.table.insert(key(host), addrs.into_iter().collect());
        self
    }

    /// Has what is not in the table asked of another resolver.
    #[must_use]
    pub fn or_else(mut self, other: impl Resolve) -> Self {
        self.other = Some(Arc::new(other));
        self
    }
}

impl Resolve for StaticResolver {
    fn resolve<'a>(&'a self, host: &'a str, port: u16) -> Resolving<'a> {
        Box::pin(async move {
            match (self.table.get(&key(host)), &self.other) {
                (Some(addrs), _) => Ok(addrs.iter().map(|ip| SocketAddr::new(*ip, port)).collect()),
                (None, Some(other)) => other.resolve(host, port).await,
                (None, None) => Err(io::Error::new(io::ErrorKind::NotFound, "it is not in the table")),
            }
        })
    }
}

fn key(host: &str) -> String {
    host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase()
}

//! [`SimResolver`]: names are those of the simulated hosts.

use std::io;
use std::net::SocketAddr;

use asyncio_base::shim::Arc;
use asyncio_net::{Resolve, Resolving};

use crate::net::{HostId, Net};

/// Says where the hosts of a simulation are; `localhost` is the asking one.
#[derive(Clone, Debug)]
pub(crate) struct SimResolver {
    net: Arc<Net>,
    host: HostId,
}

impl SimResolver {
    pub(crate) fn new(net: Arc<Net>, host: HostId) -> Self {
        Self { net, host }
    }
}

impl Resolve for SimResolver {
    fn resolve<'a>(&'a self, host: &'a str, port: u16) -> Resolving<'a> {
        let addrs = if host.eq_ignore_ascii_case("localhost") {
            vec![[127, 0, 0, 1].into()]
        } else {
            self.net.with(|world| {
                world.event(self.host, crate::trace::Kind::Open, [u64::MAX, u64::from(port)]);
                world.find(host.trim_end_matches('.')).map_or_else(Vec::new, |host| host.addrs.clone())
            })
        };
        let answer = if addrs.is_empty() {
            Err(io::Error::new(io::ErrorKind::NotFound, "no simulated host has that name"))
        } else {
            Ok(addrs.into_iter().map(|addr| SocketAddr::new(addr, port)).collect())
        };
        Box::pin(std::future::ready(answer))
    }
}

//! Listening at every address of a name.

use std::io;
use std::net::SocketAddr;

use asyncio_base::shim::Arc;
use asyncio_reactor::{Domain, Socket, SocketOption, Type, socket};

use crate::about::about;
use crate::addr::ToSocketAddrs;
use crate::server::ServerOptions;
use crate::tcp::to_ip;

/// A listening socket, and where it listens.
pub(super) type Listener = (Arc<dyn Socket>, SocketAddr);

impl ServerOptions {
    /// Listens at all of the addresses; one that this machine does not have is passed over if it has another.
    ///
    /// An IPv6 address is for IPv6 alone (`IPV6_V6ONLY`), so that a name of both families can be listened at. But `[::]` on its own takes both.
    pub(super) async fn listen(&self, addrs: impl ToSocketAddrs) -> io::Result<Vec<Listener>> {
        let addrs = addrs.to_socket_addrs().await?;
        let mut listeners = Vec::new();
        let mut missing = None;
        for (index, addr) in addrs.iter().enumerate() {
            if addrs[..index].contains(addr) {
                continue;
            }
            let only_v6 = addr.is_ipv6() && !(addr.ip().is_unspecified() && addrs.len() == 1);
            match self.listen_at(*addr, only_v6) {
                Ok(listener) => listeners.push(listener),
                Err(error) => {
                    let is_missing = error.kind() == io::ErrorKind::AddrNotAvailable;
                    let error = about(format_args!("listening at {addr}"), error);
                    if !is_missing {
                        return Err(error);
                    }
                    missing = Some(error);
                }
            }
        }
        match missing {
            Some(error) if listeners.is_empty() => Err(error),
            _ => Ok(listeners),
        }
    }

    fn listen_at(&self, addr: SocketAddr, only_v6: bool) -> io::Result<Listener> {
        let socket = socket(Domain::for_address(addr), Type::STREAM, None)?;
        // On Windows the same name means something else: taking an address from another program.
        if cfg!(not(windows)) {
            socket.set_option(SocketOption::ReuseAddr(true))?;
        }
        if self.reuse_port {
            socket.set_option(SocketOption::ReusePort(true))?;
        }
        if addr.is_ipv6() {
            socket.set_option(SocketOption::OnlyV6(only_v6))?;
        }
        // For those who will be accepted: they inherit it, and need no call of their own.
        socket.set_option(SocketOption::NoDelay(true))?;
        socket.bind(&addr.into())?;
        socket.listen(self.backlog)?;
        let addr = to_ip(&socket.local_addr()?)?;
        Ok((socket, addr))
    }

    /// Listens once more at an address where [`listen`](Self::listen) does, with `reuse_port`.
    pub(super) fn listen_again(&self, listener: &Listener) -> io::Result<Listener> {
        let (socket, addr) = listener;
        let only_v6 = addr.is_ipv6()
            && socket.option(asyncio_reactor::OptionName::OnlyV6)? == SocketOption::OnlyV6(true);
        self.listen_at(*addr, only_v6).map_err(|error| about(format_args!("listening at {addr}"), error))
    }
}

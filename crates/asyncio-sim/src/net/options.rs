//! [`Options`]: what was set of a socket. Most have no effect here; all are kept.

use std::io;
use std::time::Duration;

use asyncio_reactor::{OptionName, SocketOption};

use super::tcp::Sizes;
use super::{Body, Key, Sock, World};

#[derive(Clone, Copy, Debug)]
pub(super) struct Options {
    pub(super) is_v6: bool,
    pub(super) no_delay: bool,
    pub(super) keep_alive: bool,
    pub(super) reuse_addr: bool,
    pub(super) reuse_port: bool,
    pub(super) only_v6: bool,
    pub(super) recv: usize,
    pub(super) send: usize,
    pub(super) linger: Option<Duration>,
    pub(super) ttl: u32,
    pub(super) broadcast: bool,
    pub(super) multicast_loop: bool,
    pub(super) multicast_ttl: u32,
}

/// As a server of today has it after it has tuned itself, by and large.
const BUFFER: usize = 256 * 1024;

impl Options {
    pub(super) fn new(is_v6: bool) -> Self {
        Self {
            is_v6,
            no_delay: false,
            keep_alive: false,
            reuse_addr: false,
            reuse_port: false,
            only_v6: false,
            recv: BUFFER,
            send: BUFFER,
            linger: None,
            ttl: 64,
            broadcast: false,
            multicast_loop: true,
            multicast_ttl: 1,
        }
    }

    pub(super) fn sizes(&self, segment: usize) -> Sizes {
        Sizes { send: self.send, recv: self.recv, segment }
    }
}

impl World {
    pub(crate) fn set_option(&mut self, key: Key, option: SocketOption) -> io::Result<()> {
        let sock = self.sock(key)?;
        let options = &mut sock.options;
        match option {
            SocketOption::NoDelay(is_on) => options.no_delay = is_on,
            SocketOption::KeepAlive(is_on) => options.keep_alive = is_on,
            SocketOption::ReuseAddr(is_on) => options.reuse_addr = is_on,
            SocketOption::ReusePort(is_on) => options.reuse_port = is_on,
            SocketOption::OnlyV6(is_on) => options.only_v6 = is_on,
            // Linux doubles what is asked for, and has a least.
            SocketOption::RecvBufferSize(size) => options.recv = size.saturating_mul(2).clamp(2304, 1 << 26),
            SocketOption::SendBufferSize(size) => options.send = size.saturating_mul(2).clamp(4608, 1 << 26),
            SocketOption::Linger(linger) => options.linger = linger,
            SocketOption::Ttl(ttl) => options.ttl = ttl,
            SocketOption::Broadcast(is_on) => options.broadcast = is_on,
            SocketOption::MulticastLoop(is_on) => options.multicast_loop = is_on,
            SocketOption::MulticastTtl(ttl) => options.multicast_ttl = ttl,
            SocketOption::JoinMulticastV4(group, _) => {
                return sock.groups(|groups| groups.join(group.into()));
            }
            SocketOption::LeaveMulticastV4(group, _) => {
                return sock.groups(|groups| groups.leave(group.into()));
            }
            SocketOption::JoinMulticastV6(group, _) => {
                return sock.groups(|groups| groups.join(group.into()));
            }
            SocketOption::LeaveMulticastV6(group, _) => {
                return sock.groups(|groups| groups.leave(group.into()));
            }
            _ => return Err(unsupported()),
        }
        let (send, recv) = (options.send, options.recv);
        if let Body::Stream(stream) = &mut sock.body {
            stream.set_sizes(send, recv);
        }
        Ok(())
    }

    pub(crate) fn option(&mut self, key: Key, name: OptionName) -> io::Result<SocketOption> {
        let options = &self.sock(key)?.options;
        Ok(match name {
            OptionName::NoDelay => SocketOption::NoDelay(options.no_delay),
            OptionName::KeepAlive => SocketOption::KeepAlive(options.keep_alive),
            OptionName::ReuseAddr => SocketOption::ReuseAddr(options.reuse_addr),
            OptionName::ReusePort => SocketOption::ReusePort(options.reuse_port),
            OptionName::OnlyV6 => SocketOption::OnlyV6(options.only_v6),
            OptionName::RecvBufferSize => SocketOption::RecvBufferSize(options.recv),
            OptionName::SendBufferSize => SocketOption::SendBufferSize(options.send),
            OptionName::Linger => SocketOption::Linger(options.linger),
            OptionName::Ttl => SocketOption::Ttl(options.ttl),
            OptionName::Broadcast => SocketOption::Broadcast(options.broadcast),
            OptionName::MulticastLoop => SocketOption::MulticastLoop(options.multicast_loop),
            OptionName::MulticastTtl => SocketOption::MulticastTtl(options.multicast_ttl),
            _ => return Err(unsupported()),
        })
    }
}

fn unsupported() -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, "a simulated socket has no such option")
}

impl Sock {
    fn groups(
        &mut self,
        change: impl FnOnce(&mut super::datagram::Groups) -> io::Result<()>,
    ) -> io::Result<()> {
        match &mut self.body {
            Body::Datagram(datagram) => change(&mut datagram.groups),
            _ => Err(unsupported()),
        }
    }
}

//! UDP: datagrams that come whole, or not at all (RFC 768).

use std::collections::VecDeque;
use std::io::{self, IoSlice, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use asyncio_reactor::{Ready, SockAddr};

use super::stream::{bound, unmapped};
use super::{Body, HostId, Key, Load, NOWHERE, Packet, Slot, World, ip_addr};
use crate::trace::Kind;

/// What fits into a packet of IP.
const LONGEST: usize = 65_507;
/// What the queue of a socket counts for a datagram beside its bytes.
const OVERHEAD: usize = 256;

#[derive(Debug, Default)]
pub(super) struct Datagram {
    pub(super) local: Option<SocketAddr>,
    pub(super) peer: Option<SocketAddr>,
    pub(super) error: Option<io::ErrorKind>,
    pub(super) groups: Groups,
    inbox: VecDeque<(SocketAddr, Vec<u8>)>,
    bytes: usize,
}

/// The multicast groups that a socket has joined.
#[derive(Debug, Default)]
pub(super) struct Groups(Vec<IpAddr>);

impl Groups {
    pub(super) fn join(&mut self, group: IpAddr) -> io::Result<()> {
        if !group.is_multicast() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        if self.0.contains(&group) {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        self.0.push(group);
        Ok(())
    }

    pub(super) fn leave(&mut self, group: IpAddr) -> io::Result<()> {
        let place = self.0.iter().position(|joined| *joined == group);
        self.0.swap_remove(place.ok_or(io::ErrorKind::AddrNotAvailable)?);
        Ok(())
    }
}

/// What was received: how many bytes, whether more were there, and from whom.
pub(crate) struct Came {
    pub(crate) n: usize,
    pub(crate) is_truncated: bool,
    pub(crate) from: Option<SockAddr>,
}

impl World {
    fn datagram(&mut self, key: Key) -> io::Result<&mut Datagram> {
        match &mut self.sock(key)?.body {
            Body::Datagram(datagram) => Ok(datagram),
            _ => Err(io::ErrorKind::InvalidInput.into()),
        }
    }

    fn bind_if_need_be(&mut self, key: Key) -> io::Result<SocketAddr> {
        if let Some(local) = self.datagram(key)?.local {
            return Ok(local);
        }
        let is_v6 = self.sock(key)?.options.is_v6;
        let any: IpAddr = if is_v6 { Ipv6Addr::UNSPECIFIED.into() } else { Ipv4Addr::UNSPECIFIED.into() };
        self.bind(key, &SocketAddr::new(any, 0).into())?;
        self.datagram(key)?.local.ok_or_else(|| io::ErrorKind::AddrNotAvailable.into())
    }

    pub(super) fn connect_datagram(&mut self, key: Key, addr: &SockAddr) -> io::Result<()> {
        let peer = ip_addr(addr)?;
        let mut local = self.bind_if_need_be(key)?;
        if local.ip().is_unspecified() {
            local.set_ip(self.hosts[key.host].source_for(unmapped(peer).ip())?);
            let options = self.sock(key)?.options;
            let now = self.now;
            let ports = &mut self.hosts[key.host].udp;
            ports.unbind(local.port(), key.slot);
            ports.bind(local.port(), bound(key.slot, local, &options, true), now)?;
        }
        let datagram = self.datagram(key)?;
        (datagram.local, datagram.peer) = (Some(local), Some(peer));
        Ok(())
    }

    pub(crate) fn send_datagram(
        &mut self,
        key: Key,
        bufs: &[IoSlice<'_>],
        to: Option<&SockAddr>,
    ) -> io::Result<usize> {
        if matches!(self.sock(key)?.body, Body::Local(_)) {
            return self.send_local_datagram(key, bufs, to);
        }
        let datagram = self.datagram(key)?;
        if let Some(error) = datagram.error.take() {
            return Err(error.into());
        }
        let peer = datagram.peer;
        let dst = match to {
            Some(to) => unmapped(ip_addr(to)?),
            None => unmapped(peer.ok_or(io::ErrorKind::NotConnected)?),
        };
        let bytes: Vec<u8> = bufs.iter().flat_map(|buf| buf.iter().copied()).collect();
        if bytes.len() > LONGEST {
            return Err(too_long());
        }
        let n = bytes.len();
        let local = self.bind_if_need_be(key)?;
        let options = self.sock(key)?.options;
        let is_broadcast = dst.ip() == IpAddr::from(Ipv4Addr::BROADCAST);
        if is_broadcast && !options.broadcast {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        let (now, args) = (self.now, [key.slot as u64, n as u64]);
        self.trace.event_with(now, key.host, Kind::Send, args, &bytes);
        let src_ip = if local.ip().is_unspecified() || dst.ip().is_loopback() {
            match self.hosts[key.host].source_for(dst.ip()) {
                Err(_) if is_broadcast => local.ip(),
                source => source?,
            }
        } else {
            unmapped(local).ip()
        };
        let src = SocketAddr::new(src_ip, local.port());
        let all = is_broadcast || dst.ip().is_multicast();
        let to: Vec<HostId> = if all {
            let others = (0..self.hosts.len()).filter(|host| *host != key.host);
            // A host that has loopback alone hears itself.
            let own = (is_broadcast || options.multicast_loop).then_some(key.host);
            own.into_iter().chain(others).collect()
        } else {
            self.host_at(key.host, dst.ip()).into_iter().collect()
        };
        for to in to {
            let load = Load::Udp(bytes.clone());
            self.transmit(Packet {
                from: key.host,
                to,
                src,
                dst,
                from_slot: key.slot,
                to_slot: NOWHERE,
                load,
            });
        }
        Ok(n)
    }

    pub(crate) fn recv_datagram(
        &mut self,
        key: Key,
        bufs: &mut [IoSliceMut<'_>],
        is_peek: bool,
    ) -> io::Result<Came> {
        if matches!(self.sock(key)?.body, Body::Local(_)) {
            return self.recv_local_datagram(key, bufs, is_peek);
        }
        let is_v6 = self.sock(key)?.options.is_v6;
        let datagram = self.datagram(key)?;
        if let Some(error) = datagram.error.take() {
            return Err(error.into());
        }
        let Some((from, bytes)) = datagram.inbox.front() else {
            return Err(io::ErrorKind::WouldBlock.into());
        };
        let n = scatter(bytes, bufs);
        let from = match from {
            SocketAddr::V4(v4) if is_v6 => SocketAddr::from((v4.ip().to_ipv6_mapped(), v4.port())),
            from => *from,
        };
        let came = Came { n, is_truncated: n < bytes.len(), from: Some(from.into()) };
        if !is_peek {
            datagram.bytes -= bytes.len() + OVERHEAD;
            datagram.inbox.pop_front();
        }
        self.event(key.host, Kind::Recv, [key.slot as u64, n as u64]);
        Ok(came)
    }

    pub(super) fn datagram_arrives(&mut self, packet: Packet) {
        let Packet { from, to: host, src, dst, from_slot, load, .. } = packet;
        let Load::Udp(bytes) = load else { return };
        let (is_broadcast, is_multicast) =
            (dst.ip() == IpAddr::from(Ipv4Addr::BROADCAST), dst.ip().is_multicast());
        if is_broadcast || is_multicast {
            for slot in self.hosts[host].udp.with_port(dst.port()) {
                self.put(host, slot, src, &bytes, is_multicast.then_some(dst.ip()));
            }
            return;
        }
        let slots = self.hosts[host].udp.at(dst, false);
        let connected = slots.iter().copied().find(|slot| {
            matches!(self.hosts[host].socks.get(*slot).map(|sock| &sock.body),
                Some(Body::Datagram(datagram)) if datagram.peer.map(unmapped) == Some(src))
        });
        let nth = self.choices.choose(self.ways[from][host].stream, slots.len() as u64) as usize;
        match connected.or(slots.get(nth).copied()) {
            Some(slot) => self.put(host, slot, src, &bytes, None),
            None => {
                self.counts.refused += 1;
                self.reply(host, from, (src, dst), from_slot, Load::Unreachable);
            }
        }
    }

    fn put(&mut self, host: HostId, slot: Slot, src: SocketAddr, bytes: &[u8], group: Option<IpAddr>) {
        let Some(sock) = self.hosts[host].socks.get_mut(slot) else { return };
        let capacity = sock.options.recv;
        let Body::Datagram(datagram) = &mut sock.body else { return };
        if group.is_some_and(|group| !datagram.groups.0.contains(&group))
            || datagram.peer.is_some_and(|peer| unmapped(peer) != src)
        {
            return;
        }
        if datagram.bytes + bytes.len() + OVERHEAD > capacity {
            self.counts.datagrams_dropped += 1;
            return;
        }
        datagram.bytes += bytes.len() + OVERHEAD;
        datagram.inbox.push_back((src, bytes.to_vec()));
        self.ready(host, slot, Ready::READABLE);
    }

    /// Nobody has the port that something was sent to: one that is connected is told (RFC 1122, section 4.1.3.3).
    pub(super) fn datagram_refused(&mut self, packet: &Packet) {
        let Some(sock) = self.hosts[packet.to].socks.get_mut(packet.to_slot) else { return };
        let Body::Datagram(datagram) = &mut sock.body else { return };
        if datagram.peer.map(unmapped) == Some(packet.src) {
            datagram.error = Some(io::ErrorKind::ConnectionRefused);
            self.ready(packet.to, packet.to_slot, Ready::ERROR);
        }
    }

    pub(super) fn close_datagram(&mut self, key: Key) {
        let host = &mut self.hosts[key.host];
        if let Body::Datagram(datagram) = host.socks.remove(key.slot).body {
            datagram.local.into_iter().for_each(|local| host.udp.unbind(local.port(), key.slot));
        }
    }
}

/// Fills the buffers in order, and says with how much.
pub(super) fn scatter(bytes: &[u8], bufs: &mut [IoSliceMut<'_>]) -> usize {
    let mut done = 0;
    for buf in bufs {
        let n = buf.len().min(bytes.len() - done);
        buf[..n].copy_from_slice(&bytes[done..done + n]);
        done += n;
    }
    done
}

/// What the system says of a datagram that is too long.
pub(super) fn too_long() -> io::Error {
    #[cfg(unix)]
    return io::Error::from_raw_os_error(libc::EMSGSIZE);
    #[cfg(not(unix))]
    return io::Error::new(io::ErrorKind::InvalidInput, "the datagram is too long");
}

//! [`HostNet`]: a host as the network knows it.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::RangeInclusive;

use asyncio_reactor::Ready;
use slab::Slab;

use super::local::Name;
use super::ports::Ports;
use super::{HostId, Link, Slot, Sock, Way, World};
use crate::trace::Kind;

#[derive(Debug)]
pub(crate) struct HostNet {
    pub(crate) name: String,
    pub(crate) addrs: Vec<IpAddr>,
    /// It runs, and the network reaches it.
    pub(crate) is_up: bool,
    /// Its reactor is closed: nobody waits any more.
    pub(crate) is_closed: bool,
    /// How often it has crashed.
    pub(crate) epoch: u32,
    pub(crate) socks: Slab<Sock>,
    pub(super) tcp: Ports,
    pub(super) udp: Ports,
    /// Connections by their numbers.
    pub(super) by_conn: BTreeMap<u64, Slot>,
    pub(super) local: BTreeMap<Name, Slot>,
}

impl HostNet {
    fn new(name: String, addrs: Vec<IpAddr>) -> Self {
        Self {
            name,
            addrs,
            is_up: true,
            is_closed: false,
            epoch: 0,
            socks: Slab::new(),
            tcp: Ports::new(),
            udp: Ports::new(),
            by_conn: BTreeMap::new(),
            local: BTreeMap::new(),
        }
    }

    /// Says whether this is one of its addresses, or any of them.
    pub(super) fn has(&self, ip: IpAddr) -> bool {
        ip.is_unspecified() || ip.is_loopback() || self.addrs.contains(&ip)
    }

    /// Returns the address from which it speaks to `peer`.
    pub(super) fn source_for(&self, peer: IpAddr) -> io::Result<IpAddr> {
        if peer.is_loopback() {
            return Ok(match peer {
                IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
                IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
            });
        }
        if self.addrs.contains(&peer) {
            return Ok(peer);
        }
        let own = self.addrs.iter().find(|own| own.is_ipv4() == peer.is_ipv4()).copied();
        // A machine that has loopback alone, as that of a reactor that stands alone.
        let own = own.or_else(|| peer.is_multicast().then_some(Ipv4Addr::LOCALHOST.into()));
        own.ok_or_else(|| io::ErrorKind::NetworkUnreachable.into())
    }
}

impl World {
    /// Adds a host; each pair gets the default link.
    pub(crate) fn add_host(&mut self, name: String, addrs: Vec<IpAddr>) -> io::Result<HostId> {
        if let Some(taken) = addrs.iter().find(|addr| self.addrs.contains_key(addr)) {
            let other = &self.hosts[self.addrs[taken]].name;
            return Err(io::Error::new(
                io::ErrorKind::AddrInUse,
                format!("adding host {name:?}: {taken} is the address of {other:?}"),
            ));
        }
        if self.find(&name).is_some() {
            return Err(io::Error::new(
                io::ErrorKind::AlreadyExists,
                format!("there is a host {name:?} already"),
            ));
        }
        let id = self.hosts.len();
        self.addrs.extend(addrs.iter().map(|addr| (*addr, id)));
        self.hosts.push(HostNet::new(name, addrs));
        // The way from a host to another, and its number, do not depend on who comes later.
        let first = (id * id) as u32;
        for (nth, ways) in self.ways.iter_mut().enumerate() {
            ways.push(Way::new(self.default_link, first + nth as u32));
        }
        let back = first + id as u32;
        let mut ways: Vec<Way> = (0..id).map(|nth| Way::new(self.default_link, back + nth as u32)).collect();
        ways.push(Way::new(Link::loopback(), back + id as u32));
        self.ways.push(ways);
        self.event(id, Kind::Host, [0, 0]);
        Ok(id)
    }

    /// Finds a host by its name.
    pub(crate) fn find(&self, name: &str) -> Option<&HostNet> {
        self.hosts.iter().find(|host| host.name.eq_ignore_ascii_case(name))
    }

    /// The machine is off: nothing of it is left, and nobody is told.
    pub(crate) fn crash(&mut self, host: HostId) {
        self.counts.crashes += 1;
        self.event(host, Kind::Host, [1, 0]);
        self.silence(host);
        let host = &mut self.hosts[host];
        host.is_up = false;
        host.epoch += 1;
        host.socks = Slab::new();
        (host.tcp, host.udp) = (host.tcp.emptied(), host.udp.emptied());
        host.by_conn.clear();
        host.local.clear();
    }

    /// Everything is whole again: nothing is cut off, and links are good.
    pub(crate) fn calm(&mut self) {
        self.partial = 0;
        let good = Link::new();
        self.default_link = Link { latency: self.default_link.latency, ..good };
        for (from, ways) in self.ways.iter_mut().enumerate() {
            for (to, way) in ways.iter_mut().enumerate() {
                way.heal();
                if from != to {
                    way.set(Link { latency: way.link.latency, ..good });
                }
            }
        }
    }

    pub(crate) fn boot(&mut self, host: HostId) {
        self.event(host, Kind::Host, [2, 0]);
        let host = &mut self.hosts[host];
        (host.is_up, host.is_closed) = (true, false);
    }

    /// The reactor of a host is closed: whoever waits is told.
    pub(crate) fn silence(&mut self, host: HostId) {
        let host = &mut self.hosts[host];
        host.is_closed = true;
        for (_, sock) in &host.socks {
            sock.state.close();
            self.woken.push((sock.state.clone(), Ready::ERROR));
        }
    }

    /// Names the sockets that somebody still holds.
    pub(crate) fn open_sockets(&self, host: HostId) -> Vec<String> {
        let held = self.hosts[host].socks.iter().filter(|(_, sock)| !sock.is_the_systems());
        held.map(|(_, sock)| sock.describe()).collect()
    }

    pub(crate) fn set_ephemeral_ports(&mut self, host: HostId, range: &RangeInclusive<u16>) {
        self.hosts[host].tcp.set_range(range.clone());
        self.hosts[host].udp.set_range(range.clone());
    }
}

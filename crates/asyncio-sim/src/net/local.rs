//! Unix sockets: they stay on their host, and what is sent is there at once (unix(7)). Names are of the host, not of a file system.

use std::collections::VecDeque;
use std::io::{self, IoSlice, IoSliceMut};
use std::path::PathBuf;

use asyncio_reactor::{Ready, SockAddr};

use super::datagram::{Came, scatter, too_long};
use super::options::Options;
use super::tcp::copy_out;
use super::{Body, HostId, Key, Slot, World};
use crate::trace::Kind;

/// A path, or the name in the abstract space of Linux.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Name {
    #[cfg_attr(not(unix), expect(dead_code, reason = "no address of this system has one"))]
    Path(PathBuf),
    #[cfg_attr(
        not(any(target_os = "linux", target_os = "android")),
        expect(dead_code, reason = "no address of this system has one")
    )]
    Abstract(Vec<u8>),
}

impl Name {
    fn of(addr: &SockAddr) -> Option<Self> {
        #[cfg(unix)]
        if let Some(path) = addr.as_pathname() {
            return Some(Self::Path(path.to_path_buf()));
        }
        #[cfg(any(target_os = "linux", target_os = "android"))]
        if let Some(name) = addr.as_abstract_namespace() {
            return Some(Self::Abstract(name.to_vec()));
        }
        let _ = addr;
        None
    }
}

/// How many datagrams wait in a queue: `net.unix.max_dgram_qlen`.
const DATAGRAMS_MAX: usize = 10;

#[derive(Debug)]
pub(super) struct Local {
    is_datagram: bool,
    name: Option<(Name, SockAddr)>,
    role: Role,
    /// Bytes of a stream.
    bytes: VecDeque<u8>,
    /// Datagrams, with the names of their senders.
    messages: VecDeque<(Option<SockAddr>, Vec<u8>)>,
    /// Nothing more comes.
    has_ended: bool,
    /// Nothing more may be sent.
    is_shut: bool,
    error: Option<io::ErrorKind>,
}

#[derive(Debug)]
enum Role {
    None,
    Listener { backlog: usize, queue: VecDeque<Slot> },
    Connected { peer: Option<Slot>, peer_name: Option<SockAddr> },
}

impl Local {
    pub(super) fn fresh(is_datagram: bool) -> Self {
        Self {
            is_datagram,
            name: None,
            role: Role::None,
            bytes: VecDeque::new(),
            messages: VecDeque::new(),
            has_ended: false,
            is_shut: false,
            error: None,
        }
    }

    fn connected(peer: Slot, peer_name: Option<SockAddr>, is_datagram: bool) -> Self {
        Self { role: Role::Connected { peer: Some(peer), peer_name }, ..Self::fresh(is_datagram) }
    }

    fn peer(&self) -> Option<Slot> {
        match self.role {
            Role::Connected { peer, .. } => peer,
            _ => None,
        }
    }
}

impl World {
    fn local(&mut self, key: Key) -> io::Result<&mut Local> {
        match &mut self.sock(key)?.body {
            Body::Local(local) => Ok(local),
            _ => Err(io::ErrorKind::InvalidInput.into()),
        }
    }

    fn local_at(&mut self, host: HostId, slot: Slot) -> Option<&mut Local> {
        match &mut self.hosts[host].socks.get_mut(slot)?.body {
            Body::Local(local) => Some(local),
            _ => None,
        }
    }

    /// Makes two sockets that are connected with each other.
    pub(crate) fn local_pair(&mut self, host: HostId, is_datagram: bool) -> (Key, Key) {
        let options = Options::new(false);
        let one = self.add(host, options, Body::Local(Box::new(Local::fresh(is_datagram))));
        let other =
            self.add(host, options, Body::Local(Box::new(Local::connected(one.slot, None, is_datagram))));
        if let Some(local) = self.local_at(host, one.slot) {
            local.role = Role::Connected { peer: Some(other.slot), peer_name: None };
        }
        self.event(host, Kind::Open, [one.slot as u64, other.slot as u64]);
        (one, other)
    }

    pub(super) fn bind_local(&mut self, key: Key, addr: &SockAddr) -> io::Result<()> {
        if self.local(key)?.name.is_some() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let Some(name) = Name::of(addr) else {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "a Unix socket is bound to a path or a name",
            ));
        };
        let names = &mut self.hosts[key.host].local;
        if names.contains_key(&name) {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        names.insert(name.clone(), key.slot);
        self.local(key)?.name = Some((name, addr.clone()));
        self.event(key.host, Kind::Bind, [key.slot as u64, 0]);
        Ok(())
    }

    pub(super) fn listen_local(&mut self, key: Key, new: usize) -> io::Result<()> {
        let local = self.local(key)?;
        match &mut local.role {
            Role::None if local.name.is_some() => {
                local.role = Role::Listener { backlog: new, queue: VecDeque::new() };
            }
            Role::Listener { backlog, .. } => *backlog = new,
            _ => return Err(io::ErrorKind::InvalidInput.into()),
        }
        self.event(key.host, Kind::Listen, [key.slot as u64, new as u64]);
        Ok(())
    }

    pub(super) fn accept_local(&mut self, key: Key) -> io::Result<(Slot, SockAddr)> {
        let Role::Listener { queue, .. } = &mut self.local(key)?.role else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        let slot = queue.pop_front().ok_or(io::ErrorKind::WouldBlock)?;
        let from = self.local_at(key.host, slot).and_then(|local| match &local.role {
            Role::Connected { peer_name, .. } => peer_name.clone(),
            _ => None,
        });
        Ok((slot, from.map_or_else(unnamed, Ok)?))
    }

    pub(super) fn connect_local(&mut self, key: Key, addr: &SockAddr) -> io::Result<()> {
        let local = self.local(key)?;
        let (is_datagram, own) = (local.is_datagram, local.name.clone().map(|(_, addr)| addr));
        match local.role {
            Role::None => {}
            Role::Connected { .. } if is_datagram => {}
            Role::Connected { .. } => return Err(io::Error::other("the socket is connected already")),
            Role::Listener { .. } => return Err(io::ErrorKind::InvalidInput.into()),
        }
        let target = self.named(key.host, addr)?;
        let Some(there) = self.local_at(key.host, target) else {
            return Err(io::ErrorKind::ConnectionRefused.into());
        };
        if there.is_datagram != is_datagram {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "the socket there is of another type"));
        }
        let peer_name = there.name.clone().map(|(_, addr)| addr);
        if is_datagram {
            self.local(key)?.role = Role::Connected { peer: Some(target), peer_name };
            return Ok(());
        }
        match &there.role {
            Role::Listener { backlog, queue } if queue.len() > *backlog => {
                return Err(io::ErrorKind::ResourceBusy.into());
            }
            Role::Listener { .. } => {}
            _ => return Err(io::ErrorKind::ConnectionRefused.into()),
        }
        let name = there.name.clone();
        let accepted = Local { name: name.clone(), ..Local::connected(key.slot, own, false) };
        let accepted = self.add(key.host, Options::new(false), Body::Local(Box::new(accepted)));
        self.local(key)?.role = Role::Connected { peer: Some(accepted.slot), peer_name };
        if let Some(Local { role: Role::Listener { queue, .. }, .. }) = self.local_at(key.host, target) {
            queue.push_back(accepted.slot);
        }
        self.event(key.host, Kind::Connect, [key.slot as u64, accepted.slot as u64]);
        self.ready(key.host, target, Ready::READABLE);
        self.ready(key.host, key.slot, Ready::WRITABLE);
        Ok(())
    }

    fn named(&self, host: HostId, addr: &SockAddr) -> io::Result<Slot> {
        let name = Name::of(addr).ok_or(io::ErrorKind::InvalidInput)?;
        let missing = match name {
            Name::Path(_) => io::ErrorKind::NotFound,
            Name::Abstract(_) => io::ErrorKind::ConnectionRefused,
        };
        self.hosts[host].local.get(&name).copied().ok_or_else(|| missing.into())
    }

    pub(crate) fn send_local(&mut self, key: Key, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        let limit = self.limit(key.host, bufs.iter().map(|buf| buf.len()).sum());
        let local = self.local(key)?;
        if let Some(error) = local.error.take() {
            return Err(error.into());
        }
        let Role::Connected { peer, .. } = local.role else { return Err(io::ErrorKind::NotConnected.into()) };
        let is_shut = local.is_shut;
        let Some(peer) = peer.filter(|_| !is_shut) else { return Err(io::ErrorKind::BrokenPipe.into()) };
        let capacity = self.sock(key)?.options.send;
        let there = self.local_at(key.host, peer).ok_or(io::ErrorKind::BrokenPipe)?;
        if there.has_ended {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let mut room = capacity.saturating_sub(there.bytes.len()).min(limit);
        if bufs.iter().all(|buf| buf.is_empty()) {
            return Ok(0);
        }
        if room == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let before = there.bytes.len();
        for buf in bufs {
            let n = buf.len().min(room);
            there.bytes.extend(&buf[..n]);
            room -= n;
        }
        let n = there.bytes.len() - before;
        self.counts.partial_writes += u64::from(n == limit);
        self.sent(key, bufs, n);
        self.ready(key.host, peer, Ready::READABLE);
        Ok(n)
    }

    pub(crate) fn recv_local(
        &mut self,
        key: Key,
        bufs: &mut [IoSliceMut<'_>],
        is_peek: bool,
    ) -> io::Result<usize> {
        let limit = self.limit(key.host, bufs.iter().map(|buf| buf.len()).sum());
        let local = self.local(key)?;
        if let Role::None | Role::Listener { .. } = local.role {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        if bufs.iter().all(|buf| buf.is_empty()) {
            return Ok(0);
        }
        if local.bytes.is_empty() {
            return match local.error.take() {
                Some(error) => Err(error.into()),
                None if local.has_ended => Ok(0),
                None => Err(io::ErrorKind::WouldBlock.into()),
            };
        }
        let n = copy_out(&local.bytes, bufs, limit);
        let peer = local.peer();
        if !is_peek {
            local.bytes.drain(..n);
            peer.into_iter().for_each(|peer| self.ready(key.host, peer, Ready::WRITABLE));
        }
        self.counts.partial_reads += u64::from(n == limit);
        self.event(key.host, Kind::Recv, [key.slot as u64, n as u64]);
        Ok(n)
    }

    pub(super) fn send_local_datagram(
        &mut self,
        key: Key,
        bufs: &[IoSlice<'_>],
        to: Option<&SockAddr>,
    ) -> io::Result<usize> {
        let local = self.local(key)?;
        let (own, connected) = (local.name.clone().map(|(_, addr)| addr), local.peer());
        let (is_lost, is_shut) = (matches!(local.role, Role::Connected { peer: None, .. }), local.is_shut);
        if is_shut {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let target = match to {
            Some(to) => self.named(key.host, to)?,
            None if is_lost => return Err(io::ErrorKind::ConnectionRefused.into()),
            None => connected.ok_or(io::ErrorKind::NotConnected)?,
        };
        let bytes: Vec<u8> = bufs.iter().flat_map(|buf| buf.iter().copied()).collect();
        let capacity = self.sock(key)?.options.send;
        if bytes.len() > capacity {
            return Err(too_long());
        }
        let there = self.local_at(key.host, target).ok_or(io::ErrorKind::ConnectionRefused)?;
        if there.has_ended {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        if there.messages.len() >= DATAGRAMS_MAX {
            // No event tells of room in the queue of one that is not connected.
            let error = if to.is_some() { io::ErrorKind::ResourceBusy } else { io::ErrorKind::WouldBlock };
            return Err(error.into());
        }
        let n = bytes.len();
        there.messages.push_back((own, bytes.clone()));
        let (now, args) = (self.now, [key.slot as u64, n as u64]);
        self.trace.event_with(now, key.host, Kind::Send, args, &bytes);
        self.ready(key.host, target, Ready::READABLE);
        Ok(n)
    }

    pub(super) fn recv_local_datagram(
        &mut self,
        key: Key,
        bufs: &mut [IoSliceMut<'_>],
        is_peek: bool,
    ) -> io::Result<Came> {
        let local = self.local(key)?;
        let Some((from, bytes)) = local.messages.front() else {
            return match local.error.take() {
                Some(error) => Err(error.into()),
                None if local.has_ended => Ok(Came { n: 0, is_truncated: false, from: None }),
                None => Err(io::ErrorKind::WouldBlock.into()),
            };
        };
        let n = scatter(bytes, bufs);
        let from = from.clone().map_or_else(unnamed, Ok)?;
        let came = Came { n, is_truncated: n < bytes.len(), from: Some(from) };
        if !is_peek {
            local.messages.pop_front();
            self.tell_senders_to(key);
        }
        self.event(key.host, Kind::Recv, [key.slot as u64, n as u64]);
        Ok(came)
    }

    /// Those that are connected to this one may send again.
    fn tell_senders_to(&mut self, key: Key) {
        let senders: Vec<Slot> = self.hosts[key.host]
            .socks
            .iter()
            .filter(|(_, sock)| matches!(&sock.body, Body::Local(local) if local.peer() == Some(key.slot)))
            .map(|(slot, _)| slot)
            .collect();
        senders.into_iter().for_each(|slot| self.ready(key.host, slot, Ready::WRITABLE));
    }

    pub(super) fn shut_down_local(&mut self, key: Key, read: bool, write: bool) -> io::Result<()> {
        let local = self.local(key)?;
        let Role::Connected { peer, .. } = local.role else { return Err(io::ErrorKind::NotConnected.into()) };
        local.has_ended |= read;
        local.is_shut |= write;
        let is_datagram = local.is_datagram;
        if let Some(there) = peer.filter(|_| !is_datagram).and_then(|peer| self.local_at(key.host, peer)) {
            there.has_ended |= write;
            there.is_shut |= read;
        }
        let ready = Ready::ERROR;
        self.ready(key.host, key.slot, ready);
        peer.into_iter().for_each(|peer| self.ready(key.host, peer, ready));
        Ok(())
    }

    pub(super) fn close_local(&mut self, key: Key) {
        let host = &mut self.hosts[key.host];
        let Body::Local(local) = host.socks.remove(key.slot).body else { return };
        if let Some((name, _)) = &local.name {
            // The accepted ends of a listener have its name, too.
            if host.local.get(name) == Some(&key.slot) {
                host.local.remove(name);
            }
        }
        if let Role::Listener { queue, .. } = &local.role {
            for slot in queue.clone() {
                let life = self.hosts[key.host].socks[slot].life;
                self.close_local(Key { host: key.host, slot, life });
            }
        }
        let has_unread = !local.bytes.is_empty();
        let peers: Vec<Slot> = self.hosts[key.host]
            .socks
            .iter()
            .filter(|(_, sock)| matches!(&sock.body, Body::Local(other) if other.peer() == Some(key.slot)))
            .map(|(slot, _)| slot)
            .collect();
        for slot in peers {
            let Some(there) = self.local_at(key.host, slot) else { continue };
            if let Role::Connected { peer, .. } = &mut there.role {
                *peer = None;
            }
            if there.is_datagram {
                there.error = (local.peer() == Some(slot)).then_some(io::ErrorKind::ConnectionReset);
            } else {
                there.has_ended = true;
                there.error = has_unread.then_some(io::ErrorKind::ConnectionReset);
            }
            self.ready(key.host, slot, Ready::ERROR);
        }
    }

    pub(super) fn local_name(&mut self, key: Key) -> io::Result<SockAddr> {
        self.local(key)?.name.clone().map_or_else(unnamed, |(_, addr)| Ok(addr))
    }

    pub(super) fn peer_name(&mut self, key: Key) -> io::Result<SockAddr> {
        match &self.local(key)?.role {
            Role::Connected { peer: Some(_), peer_name } => peer_name.clone().map_or_else(unnamed, Ok),
            _ => Err(io::ErrorKind::NotConnected.into()),
        }
    }
}

/// The address of a socket without a name.
fn unnamed() -> io::Result<SockAddr> {
    SockAddr::unix("")
}

//! TCP sockets and listeners: [`Tcp`](super::tcp::Tcp) with addresses, ports and a queue.

use std::io::{self, IoSlice, IoSliceMut};
use std::net::{Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr};

use asyncio_reactor::SockAddr;

use super::options::Options;
use super::ports::Bound;
use super::tcp::{Out, Segment, Sizes, Tcp};
use super::{Body, HostId, Key, Load, NOWHERE, Nanos, Packet, Slot, Sock, What, World, ip_addr};
use crate::trace::Kind;

/// The payload of a packet on Ethernet, and of one that a host sends to itself.
const SEGMENT: usize = 1460;
const SEGMENT_LOOPBACK: usize = 65_483;

/// A stream socket.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) tcp: Tcp,
    pub(super) local: Option<SocketAddr>,
    /// It has a port of its own in the table, and not that of a listener.
    pub(super) is_bound: bool,
    pub(super) peer: Option<SocketAddr>,
    pub(super) peer_host: HostId,
    /// Where the other end is, once it has said so.
    pub(super) peer_slot: Slot,
    /// When the network looks after it next.
    pub(super) armed: Option<Nanos>,
    /// The listener that it was made for, as long as it is not accepted.
    pub(super) listener: Option<Slot>,
    /// It is in the table of connections.
    pub(super) is_listed: bool,
    pub(super) has_started: bool,
}

impl Stream {
    pub(super) fn fresh(options: &Options) -> Self {
        Self {
            tcp: Tcp::fresh(options.sizes(SEGMENT)),
            local: None,
            is_bound: false,
            peer: None,
            peer_host: 0,
            peer_slot: NOWHERE,
            armed: None,
            listener: None,
            is_listed: false,
            has_started: false,
        }
    }

    pub(super) fn set_sizes(&mut self, send: usize, recv: usize) {
        self.tcp.set_sizes(Some(send), Some(recv));
    }
}

impl Sock {
    pub(super) fn stream(&mut self) -> io::Result<&mut Stream> {
        match &mut self.body {
            Body::Stream(stream) => Ok(stream),
            // As Linux says: it is not connected, and will not be.
            _ => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    /// Nobody holds it: a connection that is not accepted, or not yet over.
    pub(super) fn is_the_systems(&self) -> bool {
        match &self.body {
            Body::Stream(stream) => stream.listener.is_some() || stream.tcp.is_orphan(),
            _ => false,
        }
    }

    pub(super) fn describe(&self) -> String {
        let what = match &self.body {
            Body::Stream(stream) => format!("a connection from {:?} to {:?}", stream.local, stream.peer),
            Body::Listener(listener) => format!("a listener at {}", listener.local),
            Body::Datagram(datagram) => format!("a datagram socket at {:?}", datagram.local),
            Body::Local(_) => String::from("a Unix socket"),
        };
        match &self.opened_by {
            Some(task) => format!("{what}, opened by {task}"),
            None => what,
        }
    }
}

impl World {
    /// Does something with a connection, and then what follows of it.
    pub(super) fn step<R>(
        &mut self,
        host: HostId,
        slot: Slot,
        f: impl FnOnce(&mut Tcp, Nanos, &mut Out) -> R,
    ) -> io::Result<R> {
        let now = self.now;
        let sock = self.hosts[host].socks.get_mut(slot).ok_or(io::ErrorKind::NotConnected)?;
        let stream = sock.stream()?;
        let mut out = Out::default();
        let result = f(&mut stream.tcp, now, &mut out);
        self.follow(host, slot, out);
        Ok(result)
    }

    /// What follows of a step: packets, wake-ups, timers, and the end.
    pub(super) fn follow(&mut self, host: HostId, slot: Slot, out: Out) {
        let Some(sock) = self.hosts[host].socks.get_mut(slot) else { return };
        let (life, Body::Stream(stream)) = (sock.life, &mut sock.body) else { return };
        let is_over = stream.tcp.is_over();
        let deadline = stream.tcp.deadline();
        let must_arm = deadline.filter(|at| stream.armed.is_none_or(|armed| *at < armed));
        if must_arm.is_some() {
            stream.armed = must_arm;
        }
        let (src, dst, to, to_slot) = (stream.local, stream.peer, stream.peer_host, stream.peer_slot);
        if let (Some(src), Some(dst)) = (src, dst) {
            for segment in out.segments {
                self.counts.resets += u64::from(segment.is_rst);
                self.transmit(Packet {
                    from: host,
                    to,
                    src,
                    dst,
                    from_slot: slot,
                    to_slot,
                    load: Load::Tcp(segment),
                });
            }
        }
        if let Some(at) = must_arm {
            self.push(at, What::Timer(Key { host, slot, life }));
        }
        if !out.ready.is_empty() {
            self.ready(host, slot, out.ready);
        }
        if out.has_opened {
            self.opened(host, slot);
        }
        if is_over {
            self.remove_stream(host, slot);
        }
    }

    pub(super) fn stream_timer(&mut self, key: Key, set_for: Nanos) {
        let now = self.now;
        let Ok(sock) = self.sock(key) else { return };
        let Body::Stream(stream) = &mut sock.body else { return };
        if stream.armed != Some(set_for) {
            // An earlier one has taken its place.
            return;
        }
        stream.armed = None;
        match stream.tcp.deadline() {
            Some(at) if at > now => {
                stream.armed = Some(at);
                self.push(at, What::Timer(key));
            }
            Some(_) => {
                // OK because it is a stream that is there.
                let _ = self.step(key.host, key.slot, Tcp::on_timer);
                self.drop_failed_half(key);
            }
            None => {}
        }
    }

    pub(super) fn body(&mut self, host: HostId, slot: Slot) -> Option<&mut Body> {
        self.hosts[host].socks.get_mut(slot).map(|sock| &mut sock.body)
    }

    pub(super) fn remove_stream(&mut self, host: HostId, slot: Slot) {
        let now = self.now;
        let host = &mut self.hosts[host];
        let Some(sock) = host.socks.try_remove(slot) else { return };
        let Body::Stream(stream) = sock.body else { return };
        host.by_conn.remove(&stream.tcp.conn());
        if let (Some(own), Some(peer), true) = (stream.local, stream.peer, stream.is_listed) {
            host.tcp.disconnected(own, peer, stream.tcp.last_answer(), now);
        }
        if let (Some(own), true) = (stream.local, stream.is_bound) {
            host.tcp.unbind(own.port(), slot);
        }
    }

    /// Gives a socket its own address.
    pub(crate) fn bind(&mut self, key: Key, addr: &SockAddr) -> io::Result<()> {
        if matches!(self.sock(key)?.body, Body::Local(_)) {
            return self.bind_local(key, addr);
        }
        let addr = ip_addr(addr)?;
        let sock = self.sock(key)?;
        let (options, is_udp) = (sock.options, matches!(sock.body, Body::Datagram(_)));
        let is_bound = match &sock.body {
            Body::Stream(stream) => stream.local.is_some(),
            Body::Datagram(datagram) => datagram.local.is_some(),
            _ => true,
        };
        if is_bound || addr.is_ipv6() != options.is_v6 {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let now = self.now;
        let host = &mut self.hosts[key.host];
        if !(host.has(addr.ip()) || is_udp && addr.ip().is_multicast()) {
            return Err(io::ErrorKind::AddrNotAvailable.into());
        }
        let bound = bound(key.slot, addr, &options, is_udp);
        let ports = if is_udp { &mut host.udp } else { &mut host.tcp };
        let port = ports.bind(addr.port(), bound, now)?;
        let addr = SocketAddr::new(addr.ip(), port);
        match &mut self.sock(key)?.body {
            Body::Stream(stream) => (stream.local, stream.is_bound) = (Some(addr), true),
            Body::Datagram(datagram) => datagram.local = Some(addr),
            _ => {}
        }
        self.event(key.host, Kind::Bind, [key.slot as u64, u64::from(port)]);
        Ok(())
    }

    /// Connects; says "would block" until the peer has answered.
    pub(crate) fn connect(&mut self, key: Key, addr: &SockAddr) -> io::Result<()> {
        match &self.sock(key)?.body {
            Body::Local(_) => return self.connect_local(key, addr),
            Body::Datagram(_) => return self.connect_datagram(key, addr),
            Body::Listener(_) => return Err(io::ErrorKind::InvalidInput.into()),
            Body::Stream(_) => {}
        }
        let stream = self.sock(key)?.stream()?;
        if stream.has_started {
            if stream.tcp.is_connecting() {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            if stream.tcp.is_open() {
                // What was asked for has come; said once, as the end of a connect.
                stream.has_started = false;
                return Ok(());
            }
            stream.has_started = false;
            if let Some(error) = stream.tcp.take_error() {
                self.unlist(key);
                return Err(error.into());
            }
        }
        if !self.sock(key)?.stream()?.tcp.is_fresh() {
            return Err(io::Error::other("the socket is connected already"));
        }
        self.start_connect(key, unmapped(ip_addr(addr)?))?;
        Err(io::ErrorKind::WouldBlock.into())
    }

    fn start_connect(&mut self, key: Key, peer: SocketAddr) -> io::Result<()> {
        let mut peer = peer;
        if peer.ip().is_unspecified() {
            // This host, as on Linux.
            let ip = if peer.is_ipv4() { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() };
            peer.set_ip(ip);
        }
        let now = self.now;
        let target = self.host_at(key.host, peer.ip());
        let bound = self.sock(key)?.stream()?.local;
        let host = &mut self.hosts[key.host];
        let ip = match bound {
            Some(bound) if !bound.ip().is_unspecified() => bound.ip(),
            _ => host.source_for(peer.ip())?,
        };
        let port = match bound {
            Some(bound) => bound.port(),
            None => match host.tcp.any_towards(ip, peer, now) {
                Ok(port) => port,
                Err(error) => {
                    self.counts.ports_exhausted += 1;
                    return Err(error);
                }
            },
        };
        let own = SocketAddr::new(ip, port);
        host.tcp.connected(own, peer)?;
        let conn = self.next_conn;
        self.next_conn += 1;
        let host = &mut self.hosts[key.host];
        host.by_conn.insert(conn, key.slot);
        let sock = self.sock(key)?;
        let options = sock.options;
        let stream = sock.stream()?;
        (stream.local, stream.peer, stream.is_listed, stream.has_started) =
            (Some(own), Some(peer), true, true);
        (stream.peer_slot, stream.peer_host) = (NOWHERE, target.unwrap_or(key.host));
        self.event(key.host, Kind::Connect, [key.slot as u64, conn]);
        let sizes = self.sizes(key.host, target.unwrap_or(NOWHERE), &options);
        if target.is_none() {
            // Nobody has that address: what is sent there is never answered.
            let stream = self.sock(key)?.stream()?;
            let mut out = Out::default();
            stream.tcp.connect(conn, sizes, now, &mut out);
            stream.peer_host = usize::MAX;
            out.segments.clear();
            self.follow(key.host, key.slot, out);
            return Ok(());
        }
        self.step(key.host, key.slot, |tcp, now, out| tcp.connect(conn, sizes, now, out))
    }

    pub(super) fn sizes(&self, from: HostId, to: HostId, options: &Options) -> Sizes {
        options.sizes(if from == to { SEGMENT_LOOPBACK } else { SEGMENT })
    }

    /// A connection has come to nothing: its addresses are free.
    fn unlist(&mut self, key: Key) {
        let now = self.now;
        let Ok(sock) = self.sock(key) else { return };
        let Ok(stream) = sock.stream() else { return };
        if !std::mem::take(&mut stream.is_listed) {
            return;
        }
        let (conn, is_bound) = (stream.tcp.conn(), stream.is_bound);
        let (own, peer) = (stream.local, stream.peer.take());
        if !is_bound {
            stream.local = None;
        }
        let host = &mut self.hosts[key.host];
        host.by_conn.remove(&conn);
        if let (Some(own), Some(peer)) = (own, peer) {
            host.tcp.disconnected(own, peer, None, now);
        }
    }

    pub(crate) fn send_stream(&mut self, key: Key, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        let limit = self.limit(key.host, bufs.iter().map(|buf| buf.len()).sum());
        self.sock(key)?.stream()?;
        let n = self.step(key.host, key.slot, |tcp, now, out| tcp.send(now, bufs, limit, out))??;
        self.counts.partial_writes += u64::from(n == limit);
        self.sent(key, bufs, n);
        Ok(n)
    }

    pub(crate) fn recv_stream(
        &mut self,
        key: Key,
        bufs: &mut [IoSliceMut<'_>],
        is_peek: bool,
    ) -> io::Result<usize> {
        let limit = self.limit(key.host, bufs.iter().map(|buf| buf.len()).sum());
        self.sock(key)?.stream()?;
        let n = self.step(key.host, key.slot, |tcp, now, out| tcp.recv(now, bufs, is_peek, limit, out))??;
        self.counts.partial_reads += u64::from(n == limit);
        self.event(key.host, Kind::Recv, [key.slot as u64, n as u64]);
        Ok(n)
    }

    pub(crate) fn shut_down(&mut self, key: Key, how: Shutdown) -> io::Result<()> {
        self.event(key.host, Kind::Shutdown, [key.slot as u64, how as u64]);
        let (read, write) =
            (matches!(how, Shutdown::Read | Shutdown::Both), matches!(how, Shutdown::Write | Shutdown::Both));
        match &self.sock(key)?.body {
            Body::Local(_) => self.shut_down_local(key, read, write),
            Body::Datagram(datagram) if datagram.peer.is_some() => Ok(()),
            Body::Datagram(_) => Err(io::ErrorKind::NotConnected.into()),
            Body::Listener(_) if read => {
                self.shut_down_listener(key);
                Ok(())
            }
            Body::Listener(_) => Err(io::ErrorKind::NotConnected.into()),
            Body::Stream(_) => {
                self.step(key.host, key.slot, |tcp, now, out| tcp.shut_down(read, write, now, out))?
            }
        }
    }

    pub(crate) fn reset(&mut self, key: Key) -> io::Result<()> {
        if matches!(self.sock(key)?.body, Body::Local(_)) {
            return self.shut_down_local(key, true, true);
        }
        if !self.sock(key)?.stream()?.tcp.has_peer() {
            return Err(io::ErrorKind::NotConnected.into());
        }
        self.step(key.host, key.slot, |tcp, _, out| tcp.reset(out))
    }

    pub(super) fn close_stream(&mut self, key: Key, is_hard: bool) {
        // OK because its body is a stream.
        let _ = self.step(key.host, key.slot, |tcp, now, out| tcp.close(now, is_hard, out));
    }

    /// A segment has come to a host.
    pub(super) fn segment_arrives(&mut self, packet: Packet) {
        let Packet { from, to: host, src, dst, from_slot, to_slot, load, .. } = packet;
        let Load::Tcp(segment) = load else { return };
        let is_first = segment.is_syn && !segment.is_ack;
        // Of a connection of a host to itself the number is that of the end that began, which is not who is asked.
        let slot = if is_first && from == host { None } else { self.end_of(host, to_slot, segment.conn) };
        if let Some(slot) = slot {
            let Some(Body::Stream(stream)) = self.body(host, slot) else { return };
            (stream.peer_slot, stream.peer_host) = (from_slot, from);
            // OK because its body is a stream.
            let _ = self.step(host, slot, |tcp, now, out| tcp.on_segment(segment, now, out));
            let life = self.hosts[host].socks.get(slot).map(|sock| sock.life);
            life.into_iter().for_each(|life| self.drop_failed_half(Key { host, slot, life }));
            return;
        }
        if is_first {
            return self.syn_arrives(&segment, host, from, (src, dst), from_slot);
        }
        if segment.is_rst {
            return;
        }
        if let Some(answer) = self.hosts[host].tcp.answer_of_waiting(segment.conn, self.now) {
            if segment.data.is_empty() && !segment.is_fin {
                // A late acknowledgement.
                return;
            }
            self.reply(host, from, (src, dst), from_slot, Load::Tcp(answer));
        } else {
            self.answer_with_reset(host, from, (src, dst), from_slot, segment.conn);
        }
    }

    /// Finds the end of a connection: where it says that it is, or by its number.
    fn end_of(&mut self, host: HostId, slot: Slot, conn: u64) -> Option<Slot> {
        if let Some(Body::Stream(stream)) = self.body(host, slot) {
            if stream.tcp.conn() == conn && stream.peer.is_some() {
                return Some(slot);
            }
        }
        self.hosts[host].by_conn.get(&conn).copied()
    }

    pub(super) fn answer_with_reset(
        &mut self,
        host: HostId,
        to: HostId,
        (src, dst): (SocketAddr, SocketAddr),
        to_slot: Slot,
        conn: u64,
    ) {
        self.counts.refused += 1;
        self.reply(host, to, (src, dst), to_slot, Load::Tcp(Segment::reset(conn)));
    }

    pub(crate) fn local_addr(&mut self, key: Key) -> io::Result<SockAddr> {
        let sock = self.sock(key)?;
        let is_v6 = sock.options.is_v6;
        let local = match &sock.body {
            Body::Stream(stream) => stream.local,
            Body::Listener(listener) => Some(listener.local),
            Body::Datagram(datagram) => datagram.local,
            Body::Local(_) => return self.local_name(key),
        };
        let any =
            if is_v6 { Ipv6Addr::UNSPECIFIED.into() } else { std::net::IpAddr::V4(Ipv4Addr::UNSPECIFIED) };
        Ok(local.unwrap_or(SocketAddr::new(any, 0)).into())
    }

    pub(crate) fn peer_addr(&mut self, key: Key) -> io::Result<SockAddr> {
        let peer = match &self.sock(key)?.body {
            Body::Stream(stream) if stream.tcp.has_peer() || stream.tcp.is_open() => stream.peer,
            Body::Datagram(datagram) => datagram.peer,
            Body::Local(_) => return self.peer_name(key),
            _ => None,
        };
        peer.map(SockAddr::from).ok_or_else(|| io::ErrorKind::NotConnected.into())
    }

    pub(crate) fn take_error(&mut self, key: Key) -> io::Result<Option<io::Error>> {
        Ok(match &mut self.sock(key)?.body {
            Body::Stream(stream) => stream.tcp.take_error(),
            Body::Datagram(datagram) => datagram.error.take(),
            Body::Listener(_) | Body::Local(_) => None,
        }
        .map(io::Error::from))
    }
}

pub(super) fn bound(slot: Slot, addr: SocketAddr, options: &Options, is_udp: bool) -> Bound {
    Bound {
        slot,
        ip: addr.ip(),
        only_v6: options.only_v6,
        reuse_addr: options.reuse_addr,
        reuse_port: options.reuse_port,
        is_listening: false,
        is_udp,
    }
}

/// An IPv4 address as an IPv6 socket sees it (RFC 4291, section 2.5.5.2).
pub(super) fn mapped(addr: SocketAddr) -> SocketAddr {
    match addr {
        SocketAddr::V4(v4) => SocketAddr::from((v4.ip().to_ipv6_mapped(), v4.port())),
        SocketAddr::V6(_) => addr,
    }
}

/// And back.
pub(super) fn unmapped(addr: SocketAddr) -> SocketAddr {
    SocketAddr::new(addr.ip().to_canonical(), addr.port())
}

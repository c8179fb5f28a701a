//! [`Ports`]: which address is whose, on one host and for one protocol.
//!
//! - R1: two sockets may have one port if their addresses do not overlap; if both said `SO_REUSEPORT`; or if both said `SO_REUSEADDR` and neither listens (of
//!   UDP, in any case).
//! - R2: a connection is known by both of its addresses. One that was closed from this side first is remembered for a minute, and what comes again, the end or
//!   what was before it, is acknowledged again (RFC 9293, TIME-WAIT).
//! - R3: ports that nobody asked for come from a range, in turn. When all are taken towards a peer, there is none.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;

use super::tcp::Segment;
use super::{Nanos, Slot};

/// As on Linux.
pub(super) const EPHEMERAL: RangeInclusive<u16> = 32_768..=60_999;
const TIME_WAIT: Nanos = 60_000_000_000;

/// A socket that has an address.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bound {
    pub(super) slot: Slot,
    pub(super) ip: IpAddr,
    pub(super) only_v6: bool,
    pub(super) reuse_addr: bool,
    pub(super) reuse_port: bool,
    pub(super) is_listening: bool,
    pub(super) is_udp: bool,
}

impl Bound {
    fn overlaps(&self, other: &Self) -> bool {
        match (self.ip, other.ip) {
            (IpAddr::V4(_), IpAddr::V4(_)) | (IpAddr::V6(_), IpAddr::V6(_)) => {
                self.ip == other.ip || self.ip.is_unspecified() || other.ip.is_unspecified()
            }
            (IpAddr::V6(ip), _) => ip.is_unspecified() && !self.only_v6,
            (_, IpAddr::V6(ip)) => ip.is_unspecified() && !other.only_v6,
        }
    }

    /// R1.
    fn conflicts(&self, other: &Self) -> bool {
        let share_port = self.reuse_port && other.reuse_port;
        let listens = !self.is_udp && (self.is_listening || other.is_listening);
        let share_addr = self.reuse_addr && other.reuse_addr && !listens;
        self.overlaps(other) && !share_port && !share_addr
    }

    /// Takes what is sent to `ip`, and how well it fits.
    fn fit(&self, ip: IpAddr) -> Option<u8> {
        match (self.ip, ip) {
            _ if self.ip == ip => Some(2),
            (IpAddr::V4(own), IpAddr::V4(_)) if own.is_unspecified() => Some(1),
            (IpAddr::V6(own), IpAddr::V6(_)) if own.is_unspecified() => Some(1),
            (IpAddr::V6(own), IpAddr::V4(_)) if own.is_unspecified() && !self.only_v6 => Some(0),
            _ => None,
        }
    }
}

/// A connection of R2 that is over.
#[derive(Debug)]
struct Waiting {
    until: Nanos,
    own: SocketAddr,
    peer: SocketAddr,
    /// What is answered if the peer says its last words again, since it has not heard that they were heard.
    answer: Segment,
}

#[derive(Debug)]
pub(super) struct Ports {
    bound: BTreeMap<u16, Vec<Bound>>,
    /// R2: own port first, so that those of a port stand together.
    connections: BTreeSet<(u16, SocketAddr, SocketAddr)>,
    waiting: VecDeque<Waiting>,
    range: RangeInclusive<u16>,
    next: u16,
}

impl Ports {
    pub(super) fn new() -> Self {
        Self {
            bound: BTreeMap::new(),
            connections: BTreeSet::new(),
            waiting: VecDeque::new(),
            next: *EPHEMERAL.start(),
            range: EPHEMERAL,
        }
    }

    /// Of the same range, and with nothing in it.
    pub(super) fn emptied(&self) -> Self {
        Self { next: *self.range.start(), range: self.range.clone(), ..Self::new() }
    }

    pub(super) fn set_range(&mut self, range: RangeInclusive<u16>) {
        self.next = *range.start();
        self.range = range;
    }

    /// Gives a socket a port, that one or any.
    pub(super) fn bind(&mut self, port: u16, bound: Bound, now: Nanos) -> io::Result<u16> {
        self.forget_old(now);
        let port = match port {
            0 => self.any(|ports, port| ports.is_free(port, &bound))?,
            port if self.is_free(port, &bound) => port,
            _ => return Err(io::ErrorKind::AddrInUse.into()),
        };
        self.bound.entry(port).or_default().push(bound);
        Ok(port)
    }

    fn is_free(&self, port: u16, bound: &Bound) -> bool {
        let is_taken =
            self.bound.get(&port).is_some_and(|others| others.iter().any(|other| bound.conflicts(other)));
        let is_used = || {
            // Of a listener that is gone, or one that waits.
            !bound.reuse_addr
                && !bound.is_udp
                && self.of_port(port).any(|(_, own, _)| bound.overlaps(&Bound { ip: own.ip(), ..*bound }))
        };
        !is_taken && !is_used()
    }

    fn of_port(&self, port: u16) -> impl Iterator<Item = &(u16, SocketAddr, SocketAddr)> {
        let least = SocketAddr::from(([0, 0, 0, 0], 0));
        self.connections.range((port, least, least)..).take_while(move |(own, ..)| *own == port)
    }

    /// R3.
    fn any(&mut self, is_good: impl Fn(&Self, u16) -> bool) -> io::Result<u16> {
        let (first, last) = (*self.range.start(), *self.range.end());
        for _ in first..=last {
            let port = self.next;
            self.next = if port == last { first } else { port + 1 };
            if is_good(self, port) {
                return Ok(port);
            }
        }
        Err(io::ErrorKind::AddrNotAvailable.into())
    }

    /// Finds a port for a connection from `ip` to `peer`.
    pub(super) fn any_towards(&mut self, ip: IpAddr, peer: SocketAddr, now: Nanos) -> io::Result<u16> {
        self.forget_old(now);
        self.any(|ports, port| {
            !ports.bound.contains_key(&port)
                && !ports.connections.contains(&(port, SocketAddr::new(ip, port), peer))
        })
    }

    pub(super) fn connected(&mut self, own: SocketAddr, peer: SocketAddr) -> io::Result<()> {
        if self.connections.insert((own.port(), own, peer)) {
            Ok(())
        } else {
            Err(io::ErrorKind::AddrNotAvailable.into())
        }
    }

    /// A connection is over; it waits if it has an answer to an end that comes again.
    pub(super) fn disconnected(
        &mut self,
        own: SocketAddr,
        peer: SocketAddr,
        answer: Option<Segment>,
        now: Nanos,
    ) {
        match answer {
            Some(answer) => self.waiting.push_back(Waiting { until: now + TIME_WAIT, own, peer, answer }),
            None => _ = self.connections.remove(&(own.port(), own, peer)),
        }
    }

    /// What is answered to the last words of a connection that waits (R2).
    pub(super) fn answer_of_waiting(&self, conn: u64, now: Nanos) -> Option<Segment> {
        let mut waiting = self.waiting.iter();
        let found = waiting.find(|waiting| waiting.answer.conn == conn && waiting.until > now)?;
        Some(found.answer.clone())
    }

    fn forget_old(&mut self, now: Nanos) {
        while self.waiting.front().is_some_and(|waiting| waiting.until <= now) {
            let Some(Waiting { own, peer, .. }) = self.waiting.pop_front() else { return };
            self.connections.remove(&(own.port(), own, peer));
        }
    }

    /// Has a connection that waits make room for a new one, which has a number of its own (RFC 6191).
    pub(super) fn reuse_waiting(&mut self, own: SocketAddr, peer: SocketAddr) {
        let place = self.waiting.iter().position(|waiting| (waiting.own, waiting.peer) == (own, peer));
        if let Some(place) = place {
            self.waiting.remove(place);
            self.connections.remove(&(own.port(), own, peer));
        }
    }

    pub(super) fn listens(&mut self, port: u16, slot: Slot) -> io::Result<()> {
        let Some(bound) = self.bound.get_mut(&port) else { return Ok(()) };
        let Some(place) = bound.iter().position(|bound| bound.slot == slot) else { return Ok(()) };
        let listening = Bound { is_listening: true, ..bound[place] };
        let others = bound.iter().enumerate().filter(|(other, _)| *other != place);
        if others.clone().any(|(_, other)| other.is_listening && listening.conflicts(other)) {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        bound[place] = listening;
        Ok(())
    }

    /// It keeps its port, and nobody is let in.
    pub(super) fn listens_no_more(&mut self, port: u16, slot: Slot) {
        let bound = self.bound.get_mut(&port).into_iter().flatten();
        bound.filter(|bound| bound.slot == slot).for_each(|bound| bound.is_listening = false);
    }

    pub(super) fn unbind(&mut self, port: u16, slot: Slot) {
        if let Some(bound) = self.bound.get_mut(&port) {
            bound.retain(|bound| bound.slot != slot);
            if bound.is_empty() {
                self.bound.remove(&port);
            }
        }
    }

    /// Returns the sockets that take what is sent to an address: those that fit best.
    pub(super) fn at(&self, addr: SocketAddr, of_listeners: bool) -> Vec<Slot> {
        let bound = self.bound.get(&addr.port()).into_iter().flatten();
        let fitting = bound
            .filter(|bound| bound.is_udp || bound.is_listening == of_listeners)
            .filter_map(|bound| Some((bound.fit(addr.ip())?, bound.slot)));
        let best = fitting.clone().map(|(fit, _)| fit).max();
        fitting.filter(|(fit, _)| Some(*fit) == best).map(|(_, slot)| slot).collect()
    }

    /// Returns all that have this port.
    pub(super) fn with_port(&self, port: u16) -> Vec<Slot> {
        self.bound.get(&port).into_iter().flatten().map(|bound| bound.slot).collect()
    }
}

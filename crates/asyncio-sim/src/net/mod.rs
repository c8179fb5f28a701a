//! [`Net`]: the simulated network: hosts, the links between them, what is on its way, and the sockets.
//!
//! - N1: one lock around everything. Nothing of a user's runs under it: wakers are collected, and woken after it.
//! - N2: what happens later is in one queue, by time and then by order; nothing depends on an address in memory or on the order of a hash table.
//! - N3: a packet meets the state of the network twice, when it is sent and when it arrives: a cut takes what is on its way, too.

mod datagram;
mod host;
mod link;
mod listener;
mod local;
mod options;
mod ports;
mod stream;
mod tcp;

use std::cmp::Ordering as Order;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::fmt;
use std::io::{self, IoSlice};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Condvar, PoisonError};
use std::time::{Duration, Instant};

use asyncio_base::WakeList;
use asyncio_base::shim::{Arc, AtomicU64, Mutex, Ordering};
use asyncio_reactor::{Domain, IoState, Ready, SockAddr, Type};

use crate::choice::Choices;
use crate::trace::{Kind, Trace};

pub(crate) use self::host::HostNet;
pub use self::link::{Latency, Link};
pub(crate) use self::link::{Way, nanos};
use self::options::Options;
use self::tcp::Segment;

/// Nanoseconds since the beginning.
pub(crate) type Nanos = u64;
pub(crate) type HostId = usize;
/// The place of a socket on its host.
pub(crate) type Slot = usize;
/// No place is known.
const NOWHERE: Slot = usize::MAX;

/// What a socket is known by: after a crash its place may be another's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) host: HostId,
    pub(crate) slot: Slot,
    pub(crate) life: u64,
}

/// A socket as its host's system has it.
#[derive(Debug)]
pub(crate) struct Sock {
    life: u64,
    state: Arc<IoState>,
    options: Options,
    body: Body,
    /// Which task opened it, for a report of what was left open: its number and its place.
    pub(crate) opened_by: Option<String>,
}

#[derive(Debug)]
enum Body {
    Stream(Box<stream::Stream>),
    Listener(listener::Listener),
    Datagram(Box<datagram::Datagram>),
    Local(Box<local::Local>),
}

/// What goes from host to host.
#[derive(Debug)]
pub(crate) struct Packet {
    from: HostId,
    to: HostId,
    src: SocketAddr,
    dst: SocketAddr,
    from_slot: Slot,
    to_slot: Slot,
    load: Load,
}

#[derive(Clone, Debug)]
enum Load {
    Tcp(Segment),
    Udp(Vec<u8>),
    /// Nobody has that port.
    Unreachable,
}

impl Load {
    /// Returns how many bytes are on the wire: those of the headers, too.
    fn size(&self) -> usize {
        match self {
            Self::Tcp(segment) => 40 + segment.data.len(),
            Self::Udp(bytes) => 28 + bytes.len(),
            Self::Unreachable => 56,
        }
    }
}

/// N2.
struct Timed {
    at: Nanos,
    order: u64,
    what: What,
}

enum What {
    /// And the life of the host that it was sent to.
    Packet(Box<Packet>, u32),
    /// Something of this socket is due.
    Timer(Key),
}

impl PartialEq for Timed {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.order) == (other.at, other.order)
    }
}

impl Eq for Timed {}

impl PartialOrd for Timed {
    fn partial_cmp(&self, other: &Self) -> Option<Order> {
        Some(self.cmp(other))
    }
}

impl Ord for Timed {
    fn cmp(&self, other: &Self) -> Order {
        (self.at, self.order).cmp(&(other.at, other.order))
    }
}

/// How often something rare has happened: a fault that never strikes tests nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
#[expect(missing_docs, reason = "each name says it")]
pub struct Counts {
    pub packets: u64,
    pub lost: u64,
    pub reordered: u64,
    pub duplicated: u64,
    pub corrupted: u64,
    pub cut_off: u64,
    pub partial_reads: u64,
    pub partial_writes: u64,
    pub refused: u64,
    pub resets: u64,
    pub accept_queue_overflows: u64,
    pub datagrams_dropped: u64,
    pub ports_exhausted: u64,
    pub partitions: u64,
    pub crashes: u64,
    pub restarts: u64,
    pub pauses: u64,
    pub drifts: u64,
}

pub(crate) struct World {
    pub(crate) now: Nanos,
    queue: BinaryHeap<Reverse<Timed>>,
    next_order: u64,
    next_life: u64,
    next_conn: u64,
    pub(crate) hosts: Vec<HostNet>,
    addrs: BTreeMap<IpAddr, HostId>,
    /// From, to.
    pub(crate) ways: Vec<Vec<Way>>,
    pub(crate) default_link: Link,
    /// In a million: reads and writes that take less than they could.
    pub(crate) partial: u32,
    /// How many polls there were at this moment of time.
    pub(crate) polls: u64,
    /// Which host has its turn.
    pub(crate) running: HostId,
    pub(crate) choices: Choices,
    pub(crate) trace: Trace,
    pub(crate) counts: Counts,
    /// Whom to wake once the lock is released (N1).
    woken: Vec<(Arc<IoState>, Ready)>,
    /// A turn of a reactor that stands alone waits for something to happen.
    has_waiting_turn: bool,
}

/// The simulated network; what its hosts share.
pub(crate) struct Net {
    world: Mutex<World>,
    /// What the first moment is called by all clocks: `Instant` cannot be made of a number.
    pub(crate) epoch: Instant,
    /// A copy of `World::now`, for clocks.
    now: AtomicU64,
    /// For a turn that waits, of a reactor that stands alone: std's, since a condition variable needs it.
    waits: std::sync::Mutex<()>,
    poked: Condvar,
}

impl Net {
    pub(crate) fn new(choices: Choices) -> Arc<Self> {
        let world = World {
            now: 0,
            queue: BinaryHeap::new(),
            next_order: 0,
            next_life: 0,
            next_conn: 1,
            hosts: Vec::new(),
            addrs: BTreeMap::new(),
            ways: Vec::new(),
            default_link: Link::new(),
            partial: 0,
            polls: 0,
            running: 0,
            choices,
            trace: Trace::new(),
            counts: Counts::default(),
            woken: Vec::new(),
            has_waiting_turn: false,
        };
        let (waits, poked) = (std::sync::Mutex::new(()), Condvar::new());
        let epoch = Instant::now();
        Arc::new(Self { world: Mutex::new(world), epoch, now: AtomicU64::new(0), waits, poked })
    }

    #[inline]
    pub(crate) fn now(&self) -> Nanos {
        self.now.load(Ordering::Acquire)
    }

    /// Does something with the world.
    #[inline]
    pub(crate) fn with<R>(&self, f: impl FnOnce(&mut World) -> R) -> R {
        f(&mut self.world.lock())
    }

    /// Does an operation of a socket: what takes no time has happened when it returns, as over the loopback of a real system. Whom that concerns is
    /// woken by the next turn.
    #[inline]
    pub(crate) fn operate<R>(&self, f: impl FnOnce(&mut World) -> R) -> R {
        let mut world = self.world.lock();
        let result = f(&mut world);
        world.deliver_due();
        let must_poke = world.has_waiting_turn && !world.woken.is_empty();
        drop(world);
        if must_poke {
            self.poke();
        }
        result
    }

    /// Moves time on, and has happen what happens then.
    pub(crate) fn advance(&self, to: Nanos) {
        self.with(|world| {
            if to > world.now {
                (world.now, world.polls) = (to, 0);
            }
            self.now.store(world.now, Ordering::Release);
            world.deliver_due();
        });
    }

    /// Wakes whom it concerns what has happened (N1). Returns how many sockets that are.
    pub(crate) fn wake(&self) -> usize {
        let mut world = self.world.lock();
        if world.woken.is_empty() {
            return 0;
        }
        let woken = std::mem::take(&mut world.woken);
        drop(world);
        let mut list = WakeList::new();
        for (state, ready) in &woken {
            while !state.take_wakers(*ready, &mut list) {
                list.wake_all();
            }
        }
        list.wake_all();
        woken.len()
    }

    /// Returns when something happens next.
    pub(crate) fn next_event(&self) -> Option<Nanos> {
        self.world.lock().queue.peek().map(|Reverse(timed)| timed.at)
    }

    /// Has a turn that waits look again.
    pub(crate) fn poke(&self) {
        // Under the lock: it is waiting, or has not looked yet.
        drop(self.waits.lock().unwrap_or_else(PoisonError::into_inner));
        self.poked.notify_all();
    }

    /// Waits for that long, or until somebody pokes and `is_over` says so, or somebody is to be woken.
    pub(crate) fn wait(&self, left: impl Fn() -> Option<Nanos>, is_over: impl Fn() -> bool) {
        let mut waits = self.waits.lock().unwrap_or_else(PoisonError::into_inner);
        self.with(|world| world.has_waiting_turn = true);
        while !is_over() && self.with(|world| world.woken.is_empty()) {
            waits = match left() {
                Some(0) => break,
                Some(left) => {
                    let waited = self.poked.wait_timeout(waits, Duration::from_nanos(left));
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
                None => self.poked.wait(waits).unwrap_or_else(PoisonError::into_inner),
            };
        }
        self.with(|world| world.has_waiting_turn = false);
    }
}

impl fmt::Debug for Net {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Net").field("now", &self.now()).finish_non_exhaustive()
    }
}

impl World {
    pub(crate) fn event(&mut self, host: HostId, kind: Kind, args: [u64; 2]) {
        self.trace.event(self.now, host, kind, args);
    }

    /// Answers a packet from `src` to `dst` that no socket of the host has taken.
    fn reply(
        &mut self,
        host: HostId,
        to: HostId,
        (src, dst): (SocketAddr, SocketAddr),
        to_slot: Slot,
        load: Load,
    ) {
        self.transmit(Packet { from: host, to, src: dst, dst: src, from_slot: NOWHERE, to_slot, load });
    }

    /// So many bytes of these were sent, which belong to the trace.
    fn sent(&mut self, key: Key, bufs: &[IoSlice<'_>], n: usize) {
        let (args, mut left) = ([key.slot as u64, n as u64], n);
        for buf in bufs.iter().filter(|buf| !buf.is_empty()) {
            let part = &buf[..buf.len().min(left)];
            left -= part.len();
            self.trace.event_with(self.now, key.host, Kind::Send, args, part);
            if left == 0 {
                return;
            }
        }
    }

    /// Returns a number that is greater than all before.
    pub(crate) fn order(&mut self) -> u64 {
        self.next_order += 1;
        self.next_order
    }

    fn push(&mut self, at: Nanos, what: What) {
        let order = self.order();
        self.queue.push(Reverse(Timed { at, order, what }));
    }

    fn deliver_due(&mut self) {
        while self.queue.peek().is_some_and(|Reverse(timed)| timed.at <= self.now) {
            let Some(Reverse(timed)) = self.queue.pop() else { break };
            match timed.what {
                What::Packet(packet, epoch) => self.arrive(*packet, epoch),
                What::Timer(key) => self.stream_timer(key, timed.at),
            }
        }
    }

    /// Says whose address that is.
    pub(crate) fn host_at(&self, from: HostId, ip: IpAddr) -> Option<HostId> {
        if ip.is_loopback() { Some(from) } else { self.addrs.get(&ip).copied() }
    }

    /// Sends a packet on its way, and whatever may happen to it there.
    fn transmit(&mut self, packet: Packet) {
        let Packet { from, to, .. } = packet;
        let size = packet.load.size();
        self.counts.packets += 1;
        if to >= self.hosts.len() {
            // Nobody has that address.
            return self.lose(&packet, Loss::Down);
        }
        let way = &mut self.ways[from][to];
        if way.cuts > 0 {
            return self.lose(&packet, Loss::Cut);
        }
        let is_datagram = matches!(packet.load, Load::Udp(_));
        let (link, stream) = (way.link, way.stream);
        if self.choices.happens(stream, link.loss) {
            return self.lose(&packet, Loss::Chance);
        }
        let (at, is_reordered) = way.arrival(self.now, size, &mut self.choices);
        self.counts.reordered += u64::from(is_reordered);
        self.trace.event(self.now, from, Kind::Packet, [to as u64, at]);
        if self.choices.happens(stream, link.duplicate) {
            self.counts.duplicated += 1;
            let (later, _) = self.ways[from][to].arrival(self.now, size, &mut self.choices);
            let Packet { src, dst, from_slot, to_slot, .. } = packet;
            let load = packet.load.clone();
            let copy = Packet { from, to, src, dst, from_slot, to_slot, load };
            self.push(later, What::Packet(Box::new(copy), self.hosts[to].epoch));
        }
        let mut packet = packet;
        if is_datagram && self.choices.happens(stream, link.corrupt) {
            self.corrupt(&mut packet);
        }
        self.push(at, What::Packet(Box::new(packet), self.hosts[to].epoch));
    }

    fn corrupt(&mut self, packet: &mut Packet) {
        let stream = self.ways[packet.from][packet.to].stream;
        if let Load::Udp(bytes) = &mut packet.load {
            if !bytes.is_empty() {
                let bit = self.choices.choose(stream, 8 * bytes.len() as u64);
                bytes[bit as usize / 8] ^= 1 << (bit % 8);
                self.counts.corrupted += 1;
            }
        }
    }

    fn lose(&mut self, packet: &Packet, why: Loss) {
        match why {
            Loss::Cut => self.counts.cut_off += 1,
            Loss::Chance => self.counts.lost += 1,
            Loss::Down => {}
        }
        self.trace.event(self.now, packet.from, Kind::Lost, [packet.to as u64, why as u64]);
    }

    fn arrive(&mut self, packet: Packet, epoch: u32) {
        let host = &self.hosts[packet.to];
        if !host.is_up || host.epoch != epoch {
            return self.lose(&packet, Loss::Down);
        }
        if self.ways[packet.from][packet.to].cuts > 0 {
            // N3.
            return self.lose(&packet, Loss::Cut);
        }
        self.trace.event(self.now, packet.to, Kind::Arrive, [packet.from as u64, packet.load.size() as u64]);
        match packet.load {
            Load::Tcp(_) => self.segment_arrives(packet),
            Load::Udp(_) => self.datagram_arrives(packet),
            Load::Unreachable => self.datagram_refused(&packet),
        }
    }

    /// Notes that a socket has become ready.
    fn ready(&mut self, host: HostId, slot: Slot, ready: Ready) {
        if let Some(sock) = self.hosts[host].socks.get(slot) {
            sock.state.set(ready);
            self.woken.push((sock.state.clone(), ready));
        }
    }

    fn sock(&mut self, key: Key) -> io::Result<&mut Sock> {
        let sock = self.hosts.get_mut(key.host).and_then(|host| host.socks.get_mut(key.slot));
        sock.filter(|sock| sock.life == key.life).ok_or_else(|| {
            // Not of a kind that a listener takes for a passing one.
            io::Error::new(io::ErrorKind::NotConnected, "the host of this socket has crashed")
        })
    }

    fn add(&mut self, host: HostId, options: Options, body: Body) -> Key {
        let life = self.next_life;
        self.next_life += 1;
        let state = Arc::new(IoState::edge_triggered());
        let host_net = &mut self.hosts[host];
        if host_net.is_closed {
            state.close();
        }
        let slot = host_net.socks.insert(Sock { life, state, options, body, opened_by: None });
        Key { host, slot, life }
    }

    /// Opens a socket.
    pub(crate) fn open(&mut self, host: HostId, domain: Domain, ty: Type) -> io::Result<Key> {
        if !self.hosts[host].is_up {
            return Err(io::Error::new(io::ErrorKind::NetworkDown, "this host has crashed"));
        }
        let options = Options::new(domain == Domain::IPV6);
        let body = match (domain, ty) {
            (Domain::IPV4 | Domain::IPV6, Type::STREAM) => {
                Body::Stream(Box::new(stream::Stream::fresh(&options)))
            }
            (Domain::IPV4 | Domain::IPV6, Type::DGRAM) => Body::Datagram(Box::default()),
            (Domain::UNIX, Type::STREAM) => Body::Local(Box::new(local::Local::fresh(false))),
            (Domain::UNIX, Type::DGRAM) => Body::Local(Box::new(local::Local::fresh(true))),
            _ => {
                return Err(io::Error::new(
                    io::ErrorKind::Unsupported,
                    format!("a simulation has no sockets of domain {domain:?} and type {ty:?}"),
                ));
            }
        };
        let key = self.add(host, options, body);
        self.event(host, Kind::Open, [key.slot as u64, u64::from(ty == Type::STREAM)]);
        Ok(key)
    }

    /// Notes who opened a socket.
    pub(crate) fn opened_by(&mut self, key: Key, task: Option<&asyncio_tasks::TaskInfo>) {
        let place = task.map(|task| format!("a task spawned at {}", task.spawned_at()));
        self.hosts[key.host].socks[key.slot].opened_by = place;
    }

    pub(crate) fn state(&mut self, key: Key) -> Arc<IoState> {
        self.hosts[key.host].socks[key.slot].state.clone()
    }

    /// Its owner is gone.
    pub(crate) fn close(&mut self, key: Key) {
        let Ok(sock) = self.sock(key) else { return };
        let is_hard = sock.options.linger == Some(Duration::ZERO);
        let kind = match &sock.body {
            Body::Stream(_) => 0,
            Body::Listener(_) => 1,
            Body::Datagram(_) => 2,
            Body::Local(_) => 3,
        };
        self.event(key.host, Kind::Close, [key.slot as u64, kind]);
        match kind {
            0 => self.close_stream(key, is_hard),
            1 => self.close_listener(key),
            2 => self.close_datagram(key),
            _ => self.close_local(key),
        }
    }

    /// How much a read or a write takes, at most.
    fn limit(&mut self, host: HostId, wanted: usize) -> usize {
        let stream = self.ways[host][host].stream;
        if wanted > 1 && self.choices.happens(stream, self.partial) {
            let kept = self.choices.choose(stream, wanted as u64) as usize;
            return wanted - kept;
        }
        usize::MAX
    }
}

/// Why a packet does not arrive.
#[derive(Clone, Copy)]
enum Loss {
    Chance,
    Cut,
    Down,
}

/// Reads an address of the Internet.
fn ip_addr(addr: &SockAddr) -> io::Result<SocketAddr> {
    addr.as_socket().ok_or_else(|| {
        io::Error::new(io::ErrorKind::InvalidInput, "the address is not one of this socket's family")
    })
}

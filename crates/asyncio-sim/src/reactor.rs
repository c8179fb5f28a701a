//! [`SimReactor`]: a reactor whose sockets are those of a simulated network.

use std::fmt;
use std::io;
use std::time::{Duration, Instant};

use asyncio_base::LoopClosed;
use asyncio_base::shim::{Arc, AtomicBool, Ordering};
use asyncio_reactor::{BorrowedDescriptor, Domain, Protocol, Reactor, Readiness, Socket, Type};

use crate::choice::Choices;
use crate::clock::SimClock;
use crate::net::{HostId, Nanos, Net, nanos};
use crate::socket::{Shape, SimSocket};

/// The reactor of one simulated host.
///
/// In a [`Sim`](crate::Sim) each host has one, and the simulation moves time. [Alone](Self::alone) it is a machine without a network: its sockets reach
/// each other over loopback, and time moves when a loop turns the reactor.
///
/// # Examples
///
/// ```
/// use asyncio_net::{TcpListener, TcpStream};
/// use asyncio_sim::SimReactor;
/// use std::time::Duration;
///
/// # fn main() -> std::io::Result<()> {
/// let (reactor, clock) = SimReactor::alone(7);
/// let reactor = std::sync::Mutex::new(Some(reactor));
/// let mut runner = asyncio_runtime::Runner::builder()
///     .reactor(move |_worker| Ok(reactor.lock().unwrap().take().expect("there is one worker")))
///     .clock(clock)
///     .build()?;
/// runner.run(async {
///     let listener = TcpListener::bind("127.0.0.1:80").await?;
///     TcpStream::connect("127.0.0.1:80").await?;
///     listener.accept().await?;
///     asyncio_timers::sleep(Duration::from_secs(3600)).await; // takes no time
///     Ok(())
/// })
/// # }
/// ```
pub struct SimReactor {
    shared: Arc<Shared>,
}

pub(crate) struct Shared {
    net: Arc<Net>,
    host: HostId,
    pace: Pace,
    is_notified: AtomicBool,
    is_closed: AtomicBool,
}

/// Who moves time.
enum Pace {
    /// The simulation: a turn waits for nothing.
    Driven,
    /// Turns do: they jump to what is next.
    Jumping,
    /// Nobody: it passes.
    Real(Instant),
}

impl SimReactor {
    /// Makes a reactor that stands alone, and the clock that goes with it. Time moves to what is next whenever the reactor waits.
    pub fn alone(seed: u64) -> (Self, SimClock) {
        let (net, host) = one_host(seed);
        let clock = SimClock::new(net.clone());
        (Self::of(net, host, Pace::Jumping), clock)
    }

    /// Makes one that stands alone in real time: for whoever wants a simulated network among real threads.
    pub fn in_real_time(seed: u64) -> Self {
        let (net, host) = one_host(seed);
        Self::of(net, host, Pace::Real(Instant::now()))
    }

    pub(crate) fn driven(net: Arc<Net>, host: HostId) -> Self {
        Self::of(net, host, Pace::Driven)
    }

    fn of(net: Arc<Net>, host: HostId, pace: Pace) -> Self {
        let shared = Shared {
            net,
            host,
            pace,
            is_notified: AtomicBool::new(false),
            is_closed: AtomicBool::new(false),
        };
        Self { shared: Arc::new(shared) }
    }

    pub(crate) fn shared(&self) -> Arc<Shared> {
        self.shared.clone()
    }

    fn make(&self, domain: Domain, ty: Type) -> io::Result<Arc<dyn Socket>> {
        let net = &self.shared.net;
        let task = asyncio_tasks::current_task();
        let key = net.with(|world| {
            let key = world.open(self.shared.host, domain, ty)?;
            world.opened_by(key, task.as_ref());
            io::Result::Ok(key)
        })?;
        let shape = match (domain, ty) {
            (_, Type::DGRAM) => Shape::Datagram,
            (Domain::UNIX, _) => Shape::LocalStream,
            _ => Shape::Stream,
        };
        Ok(Arc::new(SimSocket::new(net.clone(), key, shape)))
    }
}

fn one_host(seed: u64) -> (Arc<Net>, HostId) {
    let net = Net::new(Choices::of_seed(seed));
    // OK because there is no other host.
    let host = net
        .with(|world| world.add_host(String::from("localhost"), Vec::new()))
        .expect("the first host has no rival");
    (net, host)
}

impl Shared {
    /// Says whether somebody has notified since this was last asked.
    #[inline]
    pub(crate) fn take_notified(&self) -> bool {
        self.is_notified.load(Ordering::Acquire) && self.is_notified.swap(false, Ordering::AcqRel)
    }

    /// A turn of one that stands alone.
    fn turn(&self, wait: Option<Duration>) -> usize {
        let until = wait.map(|wait| self.now().saturating_add(nanos(wait)));
        loop {
            self.net.advance(self.now());
            let woken = self.net.wake();
            if self.take_notified() || woken > 0 {
                return woken;
            }
            let now = self.now();
            if until.is_some_and(|until| until <= now) {
                return 0;
            }
            let next = self.net.next_event().into_iter().chain(until).min();
            match (&self.pace, next) {
                (Pace::Jumping, Some(next)) => self.net.advance(next),
                _ => {
                    let left = || next.map(|next| next.saturating_sub(self.now()));
                    self.net.wait(left, || self.is_notified.load(Ordering::Acquire));
                }
            }
        }
    }

    fn now(&self) -> Nanos {
        match self.pace {
            Pace::Driven | Pace::Jumping => self.net.now(),
            Pace::Real(start) => self.net.now().max(nanos(start.elapsed())),
        }
    }
}

impl Reactor for SimReactor {
    fn turn(&self, wait: Option<Duration>) -> io::Result<usize> {
        match self.shared.pace {
            Pace::Driven => Ok(0),
            _ => Ok(self.shared.turn(wait)),
        }
    }

    fn notify(&self) {
        self.shared.is_notified.store(true, Ordering::Release);
        if !matches!(self.shared.pace, Pace::Driven) {
            self.shared.net.poke();
        }
    }

    fn readiness(&self, _source: BorrowedDescriptor<'_>) -> io::Result<Readiness> {
        if self.shared.is_closed.load(Ordering::Acquire) {
            return Err(LoopClosed::new().into());
        }
        Err(closed_world("to watch a descriptor"))
    }

    fn close(&self) {
        self.shared.is_closed.store(true, Ordering::Release);
        self.shared.net.with(|world| world.silence(self.shared.host));
        self.shared.net.wake();
    }

    fn socket(&self, domain: Domain, ty: Type, _protocol: Option<Protocol>) -> io::Result<Arc<dyn Socket>> {
        self.make(domain, ty)
    }

    fn socket_pair(&self, ty: Type) -> io::Result<(Arc<dyn Socket>, Arc<dyn Socket>)> {
        let is_datagram = ty == Type::DGRAM;
        let net = &self.shared.net;
        let (one, other) = net.with(|world| world.local_pair(self.shared.host, is_datagram));
        let shape = if is_datagram { Shape::Datagram } else { Shape::LocalStream };
        let socket = |key| -> Arc<dyn Socket> { Arc::new(SimSocket::new(net.clone(), key, shape)) };
        Ok((socket(one), socket(other)))
    }

    fn adopt(&self, _socket: socket2::Socket) -> io::Result<Arc<dyn Socket>> {
        Err(closed_world("for a socket of the operating system"))
    }
}

fn closed_world(what: &str) -> io::Error {
    let task = asyncio_tasks::current_task();
    let place =
        task.map_or_else(String::new, |task| format!(" (in a task spawned at {})", task.spawned_at()));
    io::Error::new(
        io::ErrorKind::Unsupported,
        format!("a simulated host was asked {what}: it has nothing of the machine that it runs on{place}"),
    )
}

impl fmt::Debug for SimReactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimReactor").field("host", &self.shared.host).finish_non_exhaustive()
    }
}

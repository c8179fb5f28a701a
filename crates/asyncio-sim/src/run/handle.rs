//! [`Handle`]: the simulation, from inside and from outside.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use asyncio_base::shim::Arc;

use super::outcome::Outcome;
use super::process::MakeMain;
use crate::net::{Counts, HostId, Link, Nanos, Net, nanos};
use crate::trace::{Kind, TraceHash};

/// What is done when the present turn has ended.
pub(crate) enum Command {
    Start { name: String, host: HostId, is_client: bool, make: MakeMain },
    Crash(HostId),
    Restart(HostId),
    Pause(HostId),
    Resume(HostId),
    Drift(HostId, i32),
    At(Nanos, Box<dyn FnOnce(&Handle)>),
}

/// The simulation, for those who run in it ([`current`]) and for whoever makes it: adds hosts, cuts links, has machines crash.
///
/// What it does to the network it does at once; what it does to hosts, when the present turn has ended.
#[derive(Clone)]
pub struct Handle {
    pub(crate) net: Arc<Net>,
    pub(crate) commands: Rc<RefCell<VecDeque<Command>>>,
}

thread_local! {
    static CURRENT: RefCell<Option<Handle>> = const { RefCell::new(None) };
}

/// Returns the simulation that runs on this thread.
///
/// # Panics
///
/// Panics where none runs.
#[track_caller]
pub fn current() -> Handle {
    CURRENT.with(|current| current.borrow().clone()).expect("no simulation runs on this thread")
}

/// While it lives, a simulation is the current one of this thread.
pub(crate) struct EnterGuard(Option<Handle>);

impl Drop for EnterGuard {
    fn drop(&mut self) {
        CURRENT.with(|current| *current.borrow_mut() = self.0.take());
    }
}

impl Handle {
    pub(crate) fn enter(&self) -> EnterGuard {
        EnterGuard(CURRENT.with(|current| current.replace(Some(self.clone()))))
    }

    pub(crate) fn command(&self, command: Command) {
        self.commands.borrow_mut().push_back(command);
    }

    /// Adds a host that runs `main`, and runs it anew after each restart. The simulation does not wait for its end.
    ///
    /// `addr` is its address, as in "10.0.0.1"; it has loopback, too. Its name is found by it.
    ///
    /// # Panics
    ///
    /// Panics if the name or the address is taken, or is no address that one host alone may have.
    #[track_caller]
    pub fn host<F>(&self, name: &str, addr: &str, main: impl FnMut() -> F + 'static)
    where
        F: Future + 'static,
        F::Output: Outcome,
    {
        self.add(name, addr, false, main);
    }

    /// Adds a host whose end the simulation waits for.
    ///
    /// # Panics
    ///
    /// As [`host`](Self::host).
    #[track_caller]
    pub fn client<F>(&self, name: &str, addr: &str, main: impl FnMut() -> F + 'static)
    where
        F: Future + 'static,
        F::Output: Outcome,
    {
        self.add(name, addr, true, main);
    }

    #[track_caller]
    fn add<F>(&self, name: &str, addr: &str, is_client: bool, mut main: impl FnMut() -> F + 'static)
    where
        F: Future + 'static,
        F::Output: Outcome,
    {
        let ips: Result<Vec<IpAddr>, _> = addr.split(',').map(|addr| addr.trim().parse()).collect();
        let ips = ips.unwrap_or_else(|error| panic!("{addr:?} is no address of a host: {error}"));
        assert!(!name.eq_ignore_ascii_case("localhost"), "{name:?} is each host's name for itself");
        let is_own = |addr: &IpAddr| !(addr.is_loopback() || addr.is_unspecified() || addr.is_multicast());
        assert!(ips.iter().all(is_own), "{addr:?} is no address that only host {name:?} has");
        let added = self.net.with(|world| world.add_host(name.to_owned(), ips));
        let host = added.unwrap_or_else(|error| panic!("{error}"));
        let make: MakeMain = Box::new(move || {
            let main = main();
            Box::pin(async move { main.await.into_error() })
        });
        self.command(Command::Start { name: name.to_owned(), host, is_client, make });
    }

    /// Switches a host off: nothing of it is left, its clean-up does not run, and nobody is told. What is on its way to it is lost.
    ///
    /// # Panics
    ///
    /// Panics if there is no such host.
    #[track_caller]
    pub fn crash(&self, name: &str) {
        self.command(Command::Crash(self.id(name)));
    }

    /// Switches a host on that has crashed, or has ended: its main runs anew. It has no effect on one that runs or is paused.
    ///
    /// # Panics
    ///
    /// As [`crash`](Self::crash).
    #[track_caller]
    pub fn restart(&self, name: &str) {
        self.command(Command::Restart(self.id(name)));
    }

    /// Gives a host no more turns, as a virtual machine that is suspended; its system still answers for it.
    ///
    /// # Panics
    ///
    /// As [`crash`](Self::crash).
    #[track_caller]
    pub fn pause(&self, name: &str) {
        self.command(Command::Pause(self.id(name)));
    }

    /// Goes on with a host that was paused.
    ///
    /// # Panics
    ///
    /// As [`crash`](Self::crash).
    #[track_caller]
    pub fn resume(&self, name: &str) {
        self.command(Command::Resume(self.id(name)));
    }

    /// Has the clock of a host run so many parts in a million too fast from now on, or too slow: at most 900,000.
    ///
    /// # Panics
    ///
    /// As [`crash`](Self::crash).
    #[track_caller]
    pub fn drift(&self, name: &str, per_million: i32) {
        self.command(Command::Drift(self.id(name), per_million));
    }

    /// Cuts two hosts off from each other. What would arrive while they are is lost.
    ///
    /// # Panics
    ///
    /// As [`crash`](Self::crash).
    #[track_caller]
    pub fn partition(&self, one: &str, other: &str) {
        self.partition_one_way(one, other);
        self.partition_one_way(other, one);
    }

    /// Has nothing more pass from one host to the other; the other way is left open.
    ///
    /// # Panics
    ///
    /// As [`crash`](Self::crash).
    #[track_caller]
    pub fn partition_one_way(&self, from: &str, to: &str) {
        let (from, to) = (self.id(from), self.id(to));
        self.net.with(|world| {
            world.counts.partitions += 1;
            world.event(from, Kind::Fault, [0, to as u64]);
            world.ways[from][to].cuts += 1;
        });
    }

    /// Opens both ways between two hosts.
    ///
    /// # Panics
    ///
    /// As [`crash`](Self::crash).
    #[track_caller]
    pub fn heal(&self, one: &str, other: &str) {
        let (one, other) = (self.id(one), self.id(other));
        self.net.with(|world| {
            world.event(one, Kind::Fault, [1, other as u64]);
            world.ways[one][other].heal();
            world.ways[other][one].heal();
        });
    }

    /// Sets how both ways between two hosts behave.
    ///
    /// # Panics
    ///
    /// As [`crash`](Self::crash).
    #[track_caller]
    pub fn set_link(&self, one: &str, other: &str, link: Link) {
        self.set_link_one_way(one, other, link);
        self.set_link_one_way(other, one, link);
    }

    /// Sets how one way between two hosts behaves.
    ///
    /// # Panics
    ///
    /// As [`crash`](Self::crash).
    #[track_caller]
    pub fn set_link_one_way(&self, from: &str, to: &str, link: Link) {
        let (from, to) = (self.id(from), self.id(to));
        self.net.with(|world| {
            world.ways[from][to].set(link);
        });
    }

    /// Sets from which ports a host chooses those that nobody asks for. The default is 32768 to 60999, as on Linux.
    ///
    /// # Panics
    ///
    /// As [`crash`](Self::crash).
    #[track_caller]
    pub fn set_ephemeral_ports(&self, name: &str, range: std::ops::RangeInclusive<u16>) {
        let host = self.id(name);
        self.net.with(|world| world.set_ephemeral_ports(host, &range));
    }

    /// Has something done when that much time has passed since the beginning: a fault that comes at a known time. It is done outside of all hosts, where a loop's clock is the machine's: ask
    /// [`elapsed`](Self::elapsed).
    pub fn at(&self, time: Duration, action: impl FnOnce(&Self) + 'static) {
        self.command(Command::At(nanos(time), Box::new(action)));
    }

    /// Returns how much time has passed since the beginning, by the simulation's own clock.
    pub fn elapsed(&self) -> Duration {
        Duration::from_nanos(self.net.now())
    }

    /// Returns how many events there have been, and their hash.
    pub fn trace(&self) -> (u64, TraceHash) {
        self.net.with(|world| (world.trace.count(), world.trace.hash()))
    }

    /// Returns how often something rare has happened.
    pub fn counts(&self) -> Counts {
        self.net.with(|world| world.counts.clone())
    }

    #[track_caller]
    fn id(&self, name: &str) -> HostId {
        match self.find(name) {
            Ok(id) => id,
            Err(error) => panic!("{error}"),
        }
    }

    fn find(&self, name: &str) -> io::Result<HostId> {
        let id = self.net.with(|world| world.hosts.iter().position(|host| host.name == name));
        id.ok_or_else(|| {
            io::Error::new(io::ErrorKind::NotFound, format!("there is no simulated host {name:?}"))
        })
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").field("net", &self.net).finish_non_exhaustive()
    }
}

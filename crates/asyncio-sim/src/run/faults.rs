//! [`Faults`]: what goes wrong, how often; and who decides when.

use std::time::Duration;

use crate::choice::Stream;
use crate::net::{HostId, Latency, Nanos, World, nanos};
use crate::trace::Kind;

/// Which faults strike. Of each kind it is said whether it may happen at all; when, and to whom, the choice function says.
///
/// # Examples
///
/// ```
/// use asyncio_sim::Faults;
///
/// let faults = Faults { crashes: false, ..Faults::all() };
/// assert!(faults.partitions && !faults.crashes);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_structs,
    clippy::struct_excessive_bools,
    reason = "a list of switches, set by name"
)]
pub struct Faults {
    /// Packets are lost: one of fifty, on every link.
    pub loss: bool,
    /// Packets are overtaken by others: one of twenty.
    pub reordering: bool,
    /// Packets come twice: one of fifty.
    pub duplication: bool,
    /// A bit of a datagram is changed: of one of a hundred.
    pub corruption: bool,
    /// Latencies have a long tail.
    pub slow_links: bool,
    /// A link has little bandwidth.
    pub narrow_links: bool,
    /// Reads and writes take less than they could: one of four.
    pub partial_io: bool,
    /// Two hosts are cut off from each other for a while, in both directions or in one.
    pub partitions: bool,
    /// A host crashes, and is switched on again later: those that [`host`](crate::Handle::host) added.
    pub crashes: bool,
    /// A host gets no turn for a while.
    pub pauses: bool,
    /// A clock runs too fast, or too slow.
    pub drifts: bool,
    /// How much time is between two chances for a fault of the last four kinds, on average; at least a millisecond.
    pub interval: Duration,
}

impl Faults {
    /// Nothing goes wrong.
    pub const fn none() -> Self {
        Self {
            loss: false,
            reordering: false,
            duplication: false,
            corruption: false,
            slow_links: false,
            narrow_links: false,
            partial_io: false,
            partitions: false,
            crashes: false,
            pauses: false,
            drifts: false,
            interval: Duration::from_secs(1),
        }
    }

    /// Everything may go wrong.
    pub const fn all() -> Self {
        Self {
            loss: true,
            reordering: true,
            duplication: true,
            corruption: true,
            slow_links: true,
            narrow_links: true,
            partial_io: true,
            partitions: true,
            crashes: true,
            pauses: true,
            drifts: true,
            ..Self::none()
        }
    }

    /// Keeps each with even chances: an even mixture of all faults would hide what only some of them find.
    pub(crate) fn swarm(self, world: &mut World) -> Self {
        let mut keep = |is_on: bool| is_on && world.choices.choose(Stream::Fault, 2) == 1;
        Self {
            loss: keep(self.loss),
            reordering: keep(self.reordering),
            duplication: keep(self.duplication),
            corruption: keep(self.corruption),
            slow_links: keep(self.slow_links),
            narrow_links: keep(self.narrow_links),
            partial_io: keep(self.partial_io),
            partitions: keep(self.partitions),
            crashes: keep(self.crashes),
            pauses: keep(self.pauses),
            drifts: keep(self.drifts),
            interval: self.interval,
        }
    }

    /// Makes the default link as bad as is said.
    pub(crate) fn spoil(&self, world: &mut World) {
        let mut link = world.default_link;
        if self.loss {
            link = link.loss(0.02);
        }
        if self.reordering {
            link = link.reorder(0.05);
        }
        if self.duplication {
            link = link.duplicate(0.02);
        }
        if self.corruption {
            link = link.corrupt(0.01);
        }
        if self.slow_links {
            link = link.latency(Latency::with_tail(Duration::from_millis(1), Duration::from_millis(20)));
        }
        if self.narrow_links {
            link = link.bandwidth(100_000);
        }
        world.default_link = link;
        if self.partial_io {
            world.partial = 250_000;
        }
    }

    fn strikes(&self) -> impl Iterator<Item = Strike> {
        [
            (self.partitions, Strike::Partition),
            (self.partitions, Strike::OneWay),
            (self.crashes, Strike::Crash),
            (self.pauses, Strike::Pause),
            (self.drifts, Strike::Drift),
        ]
        .into_iter()
        .filter_map(|(is_on, strike)| is_on.then_some(strike))
    }

    /// At least a millisecond, or nothing else would come to pass.
    fn interval(&self) -> Nanos {
        nanos(self.interval).clamp(1_000_000, u64::MAX / 16)
    }

    /// Says when the next one may strike; never, if none may. The plain answer is the longest time.
    pub(crate) fn next(&self, world: &mut World) -> Option<Nanos> {
        self.strikes().next()?;
        let most = 2 * self.interval();
        Some(world.now + most - world.choices.choose(Stream::Fault, most - most / 10))
    }

    /// Chooses what strikes, whom, and for how long. The plain answer is nothing.
    pub(crate) fn choose(&self, world: &mut World, hosts: usize, may_crash: &[HostId]) -> Option<Struck> {
        let strikes: Vec<Strike> = self.strikes().collect();
        let nth = world.choices.choose(Stream::Fault, strikes.len() as u64 + 1) as usize;
        let strike = *strikes.get(nth.checked_sub(1)?)?;
        let mut among = |count: usize| world.choices.choose(Stream::Fault, count as u64) as usize;
        let struck = match strike {
            Strike::Crash => {
                let host = *may_crash.get(among(may_crash.len()))?;
                Struck { strike, host, other: host, lasts: 0, per_million: 0, healed: [0; 2] }
            }
            Strike::Drift => {
                let host = among(hosts);
                let per_million = [200, -200, 20_000, -20_000][among(4)];
                Struck { strike, host, other: host, lasts: 0, per_million, healed: [0; 2] }
            }
            Strike::Partition | Strike::OneWay | Strike::Pause => {
                let host = among(hosts);
                let other = (host + 1 + among(hosts.saturating_sub(1))) % hosts.max(1);
                Struck { strike, host, other, lasts: 0, per_million: 0, healed: [0; 2] }
            }
        };
        let most = 4 * self.interval();
        let lasts = 1 + world.choices.choose(Stream::Fault, most);
        world.event(struck.host, Kind::Fault, [2 + strike as u64, lasts]);
        Some(Struck { lasts, ..struck })
    }
}

impl Default for Faults {
    fn default() -> Self {
        Self::none()
    }
}

/// What may strike at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Strike {
    Partition,
    OneWay,
    Crash,
    Pause,
    Drift,
}

/// A fault that has struck.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Struck {
    pub(crate) strike: Strike,
    pub(crate) host: HostId,
    pub(crate) other: HostId,
    pub(crate) lasts: Nanos,
    pub(crate) per_million: i32,
    /// How often the ways had been healed when they were cut.
    pub(crate) healed: [u32; 2],
}

impl Struck {
    /// The ways that it cuts.
    pub(crate) fn ways(&self) -> impl Iterator<Item = (HostId, HostId)> + use<> {
        let ways = [(self.host, self.other), (self.other, self.host)];
        ways.into_iter().take(if self.strike == Strike::OneWay { 1 } else { 2 })
    }
}

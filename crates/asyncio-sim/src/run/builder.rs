//! [`Builder`]: how a simulation is to be.

use std::fmt;
use std::time::Duration;

use super::faults::Faults;
use super::sim::Sim;
use crate::choice::{Choices, Script};
use crate::net::{Link, Net};
use crate::trace::Listener;

/// Makes a [`Sim`].
#[must_use = "a builder does nothing until it builds"]
pub struct Builder {
    pub(crate) seed: u64,
    pub(crate) script: Script,
    /// Which kinds of choices follow from the seed; the others are the script's.
    pub(crate) by_seed: [bool; 4],
    pub(crate) link: Link,
    pub(crate) faults: Faults,
    pub(crate) is_swarm: bool,
    pub(crate) calm_after: Option<Duration>,
    pub(crate) time_limit: Duration,
    pub(crate) stall_limit: Duration,
    pub(crate) polls_max: u64,
    pub(crate) is_fifo: bool,
    pub(crate) grace: Duration,
    pub(crate) is_recorded: bool,
    /// After so many events the run is of no use: for whoever makes a failure smaller.
    pub(crate) events_max: u64,
    pub(crate) is_detailed: bool,
    pub(crate) listener: Option<Listener>,
}

impl Builder {
    pub(crate) fn new() -> Self {
        Self {
            seed: 0,
            script: Script::default(),
            by_seed: [true; 4],
            link: Link::new(),
            faults: Faults::none(),
            is_swarm: false,
            calm_after: None,
            time_limit: Duration::from_secs(3600),
            stall_limit: Duration::from_secs(600),
            polls_max: 1_000_000,
            is_fifo: false,
            grace: asyncio_tasks::DEFAULT_GRACE,
            is_recorded: false,
            events_max: u64::MAX,
            is_detailed: true,
            listener: None,
        }
    }

    /// Sets the seed, from which everything follows that is left to chance. The default is 0.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Has everything chosen as is written there, and not by a seed: a run that was [recorded](Self::record) is had again.
    pub fn script(mut self, script: Script) -> Self {
        self.script = script;
        self.by_seed = [false; 4];
        self
    }

    /// Sets how links behave, if nobody says otherwise. The default is a good one.
    pub fn link(mut self, link: Link) -> Self {
        self.link = link;
        self
    }

    /// Sets which faults may strike. The default is none.
    pub fn faults(mut self, faults: Faults) -> Self {
        self.faults = faults;
        self
    }

    /// Has each seed draw which of the [faults](Self::faults) it has, each with even chances. The default is that it has all.
    pub fn swarm(mut self, is_swarm: bool) -> Self {
        self.is_swarm = is_swarm;
        self
    }

    /// Has all faults end for good when so much time has passed: links are healed and good, hosts that have crashed are switched on. What is to be done must
    /// be done then, in the rest of the [time](Self::time_limit). The default is that they go on.
    pub fn calm_after(mut self, time: Duration) -> Self {
        self.calm_after = Some(time);
        self
    }

    /// Sets how much simulated time the clients have. The default is one hour.
    pub fn time_limit(mut self, limit: Duration) -> Self {
        self.time_limit = limit;
        self
    }

    /// Sets how long a client's main may wait, in simulated time, for something that no sleep and no timeout of its own ends, before that is reported as a
    /// [stall](super::FailureKind::Stall). The default is ten minutes.
    pub fn stall_limit(mut self, limit: Duration) -> Self {
        self.stall_limit = limit;
        self
    }

    /// Sets how many polls there may be at one moment of simulated time before that is reported as a [livelock](super::FailureKind::Livelock). The default is
    /// a million.
    pub fn polls_max(mut self, polls: u64) -> Self {
        self.polls_max = polls;
        self
    }

    /// Has ready tasks polled first in, first out, as in production, and not in any order. Which host is next is chosen nevertheless.
    pub fn fifo(mut self, is_fifo: bool) -> Self {
        self.is_fifo = is_fifo;
        self
    }

    /// Sets how long clean-up may take on a host, where no scope says otherwise. The default is that of every loop, 10 s.
    pub fn cleanup_grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// Has all choices written down, so that a failure has its [script](super::Failure::script).
    pub fn record(mut self, is_recorded: bool) -> Self {
        self.is_recorded = is_recorded;
        self
    }

    /// Sets whether a failure tells what each task waits for, which takes a moment of real time. The default is that it does.
    pub fn details(mut self, is_detailed: bool) -> Self {
        self.is_detailed = is_detailed;
        self
    }

    /// Has each event told, as a line with its number. It changes nothing. The listener is called in the middle of what happens: it may write the line down, and must not ask the
    /// simulation for anything.
    pub fn on_event(mut self, listener: impl FnMut(u64, fmt::Arguments<'_>) + Send + 'static) -> Self {
        self.listener = Some(Box::new(listener));
        self
    }

    /// Makes the simulation, which has no hosts yet.
    pub fn build(mut self) -> Sim {
        let mut choices = Choices::mixed(self.seed, std::mem::take(&mut self.script), self.by_seed);
        if self.is_recorded {
            choices.record();
        }
        let net = Net::new(choices);
        net.with(|world| {
            world.default_link = self.link;
            if self.is_swarm {
                self.faults = self.faults.swarm(world);
            }
            self.faults.spoil(world);
            self.listener.take().into_iter().for_each(|listener| world.trace.listen(listener));
        });
        Sim::of(net, self)
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("seed", &self.seed)
            .field("link", &self.link)
            .field("faults", &self.faults)
            .field("is_swarm", &self.is_swarm)
            .field("time_limit", &self.time_limit)
            .finish_non_exhaustive()
    }
}

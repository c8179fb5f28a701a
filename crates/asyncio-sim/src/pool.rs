//! [`SimPool`]: blocking calls of a simulated host run on the simulation's own thread, a while later.

use std::collections::BTreeMap;
use std::fmt;

use asyncio_base::shim::{Arc, Mutex};
use asyncio_blocking::{Job, Pool};

use crate::net::{HostId, Nanos, Net};
use crate::trace::Kind;

/// A call takes up to this long, in nanoseconds, as one that reads a file from a disk of today.
const LONGEST: u64 = 1_000_000;

/// Calls that wait for their time, in order.
#[derive(Clone)]
pub(crate) struct SimPool {
    net: Arc<Net>,
    host: HostId,
    jobs: Arc<Mutex<BTreeMap<(Nanos, u64), Job>>>,
}

impl SimPool {
    pub(crate) fn new(net: Arc<Net>, host: HostId) -> Self {
        Self { net, host, jobs: Arc::default() }
    }

    pub(crate) fn next(&self) -> Option<Nanos> {
        self.jobs.lock().first_key_value().map(|((at, _), _)| *at)
    }

    /// Takes a call whose time has come.
    pub(crate) fn take_due(&self, now: Nanos) -> Option<Job> {
        let mut jobs = self.jobs.lock();
        let due = jobs.first_entry().filter(|entry| entry.key().0 <= now);
        due.map(std::collections::btree_map::OccupiedEntry::remove)
    }

    /// The host is gone, and what it had to do.
    pub(crate) fn clear(&self) {
        let jobs = std::mem::take(&mut *self.jobs.lock());
        drop(jobs);
    }
}

impl Pool for SimPool {
    fn run(&self, job: Job) {
        let key = self.net.with(|world| {
            let at = world.now + world.choices.choose(world.ways[self.host][self.host].stream, LONGEST);
            world.event(self.host, Kind::Job, [at, 0]);
            (at, world.order())
        });
        self.jobs.lock().insert(key, job);
    }
}

impl fmt::Debug for SimPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimPool").field("host", &self.host).finish_non_exhaustive()
    }
}

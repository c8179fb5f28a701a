//! [`SimClock`]: the clock of a simulated host.
//!
//! - C1: it shows the network's time, by a line: at `since` it showed `shown`, and from then on it runs by so many parts in a million too fast or too slow.
//! - C2: those of one network begin together, so that who sees several hosts may compare what they show.
//! - C3: it never goes back: a new line begins where the old one is.

use std::time::{Duration, Instant};

use asyncio_base::shim::{Arc, Mutex};
use asyncio_timers::{Clock, Idle};

use crate::net::{Nanos, Net, nanos};

/// The clock of one simulated host; clones are of the same one. It moves when the simulation does.
#[derive(Clone, Debug)]
pub struct SimClock {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    net: Arc<Net>,
    line: Mutex<Line>,
}

#[derive(Clone, Copy, Debug)]
struct Line {
    since: Nanos,
    shown: Nanos,
    per_million: i32,
}

impl Line {
    /// How much it moves in a million.
    fn rate(self) -> u128 {
        u128::from(1_000_000_u32.saturating_add_signed(self.per_million).max(1))
    }

    fn at(self, now: Nanos) -> Nanos {
        let passed = now.saturating_sub(self.since);
        if self.per_million == 0 {
            return self.shown + passed;
        }
        self.shown + (u128::from(passed) * self.rate() / 1_000_000) as u64
    }

    /// Returns the first moment at which it shows `shown`.
    fn when(self, shown: Nanos) -> Nanos {
        let ahead = shown.saturating_sub(self.shown);
        if self.per_million == 0 {
            return self.since + ahead;
        }
        let takes = (u128::from(ahead) * 1_000_000).div_ceil(self.rate());
        // Never, for a clock that all but stands.
        self.since.saturating_add(u64::try_from(takes).unwrap_or(u64::MAX / 2))
    }
}

impl SimClock {
    pub(crate) fn new(net: Arc<Net>) -> Self {
        let line = Line { since: 0, shown: 0, per_million: 0 };
        Self { shared: Arc::new(Shared { net, line: Mutex::new(line) }) }
    }

    /// Has it run too fast or too slow from now on (C3).
    pub(crate) fn drift(&self, per_million: i32) {
        let now = self.shared.net.now();
        let mut line = self.shared.line.lock();
        *line = Line { since: now, shown: line.at(now), per_million: per_million.max(-900_000) };
    }

    /// Returns when, by the network's time, this one shows that.
    pub(crate) fn when(&self, shown: Instant) -> Nanos {
        self.shared.line.lock().when(nanos(shown.saturating_duration_since(self.shared.net.epoch)))
    }
}

impl Clock for SimClock {
    fn now(&self) -> Instant {
        self.shared.net.epoch + Duration::from_nanos(self.shared.line.lock().at(self.shared.net.now()))
    }

    fn idle(&self, deadline: Option<Instant>) -> Idle {
        // The reactor moves time, so there is nothing to jump over here.
        deadline.map_or(Idle::Forever, |deadline| Idle::For(deadline.saturating_duration_since(self.now())))
    }

    fn tick(&self) -> Option<Duration> {
        Some(Duration::from_nanos(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_and_back() {
        for per_million in [-500_000, -137, 0, 3, 250_000] {
            let line = Line { since: 1000, shown: 5000, per_million };
            for shown in [5000, 5001, 123_457, 9_999_999_999] {
                let when = line.when(shown);
                assert!(line.at(when) >= shown, "{per_million} {shown}");
                assert!(when <= 1000 || line.at(when - 1) < shown || shown == 5000, "{per_million} {shown}");
            }
        }
    }
}

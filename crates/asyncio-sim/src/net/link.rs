//! [`Link`]: one direction between two hosts: how long a packet takes, and what becomes of it on the way.

use std::time::Duration;

use super::Nanos;
use crate::choice::{Choices, Stream};

/// How a link behaves, in one direction.
///
/// # Examples
///
/// ```
/// use asyncio_sim::{Latency, Link};
/// use std::time::Duration;
///
/// let bad_line = Link::new()
///     .latency(Latency::between(Duration::from_millis(20), Duration::from_millis(200)))
///     .loss(0.02)
///     .bandwidth(125_000);
/// assert_ne!(bad_line, Link::new());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    pub(crate) latency: Latency,
    /// In a million, as are those that follow.
    pub(crate) loss: u32,
    pub(crate) reorder: u32,
    pub(crate) duplicate: u32,
    pub(crate) corrupt: u32,
    /// In bytes a second.
    pub(crate) bandwidth: Option<u64>,
}

/// How long a packet is on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Latency {
    min: Nanos,
    spread: Nanos,
    has_tail: bool,
}

impl Latency {
    /// Always the same.
    pub fn fixed(latency: Duration) -> Self {
        Self::between(latency, latency)
    }

    /// Anything between the two, each as likely as the other.
    pub fn between(min: Duration, max: Duration) -> Self {
        let min = nanos(min);
        Self { min, spread: nanos(max).saturating_sub(min), has_tail: false }
    }

    /// At least `min`, and beyond it an exponential distribution with this mean: mostly a little, now and then a lot.
    pub fn with_tail(min: Duration, mean: Duration) -> Self {
        Self { min: nanos(min), spread: nanos(mean), has_tail: true }
    }

    #[inline]
    pub(crate) fn draw(self, stream: Stream, choices: &mut Choices) -> Nanos {
        if self.spread == 0 {
            return self.min;
        }
        if !self.has_tail {
            return self.min + choices.choose(stream, self.spread + 1);
        }
        const STEPS: u64 = 1 << 20;
        let drawn = choices.choose(stream, STEPS);
        // -ln(1 - drawn / STEPS), in whole numbers, since logarithms differ by platform: bits of 1/2^16, the mantissa by a straight line.
        let left = STEPS - drawn;
        let log2 = u64::from(left.ilog2());
        let mantissa = ((left << 16) >> log2) - (1 << 16);
        let bits = (20 << 16) - ((log2 << 16) + mantissa);
        // ln 2 is 45426 / 2^16.
        let scaled = u128::from(self.spread) * u128::from(bits) * 45_426;
        self.min + (scaled >> 32) as u64
    }
}

pub(crate) fn nanos(duration: Duration) -> Nanos {
    // 584 years.
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX / 4).min(u64::MAX / 4)
}

impl Link {
    /// Makes a good link: half a millisecond, a fifth of it by chance; nothing is lost.
    pub fn new() -> Self {
        Self {
            latency: Latency::between(Duration::from_micros(450), Duration::from_micros(550)),
            loss: 0,
            reorder: 0,
            duplicate: 0,
            corrupt: 0,
            bandwidth: None,
        }
    }

    /// What a host sends to itself: it is there at once.
    pub(crate) fn loopback() -> Self {
        Self { latency: Latency::fixed(Duration::ZERO), ..Self::new() }
    }

    /// Sets how long packets take. They come in the order in which they were sent, unless they are [reordered](Self::reorder).
    #[must_use]
    pub fn latency(self, latency: Latency) -> Self {
        Self { latency, ..self }
    }

    /// Sets how many packets are lost: 0.01 is one of a hundred. TCP sends them again.
    #[must_use]
    pub fn loss(self, probability: f64) -> Self {
        Self { loss: per_million(probability), ..self }
    }

    /// Sets how many packets may be overtaken by those behind them.
    #[must_use]
    pub fn reorder(self, probability: f64) -> Self {
        Self { reorder: per_million(probability), ..self }
    }

    /// Sets how many packets come twice. Of TCP nobody notices, but for the time.
    #[must_use]
    pub fn duplicate(self, probability: f64) -> Self {
        Self { duplicate: per_million(probability), ..self }
    }

    /// Sets how many datagrams come with one bit changed. (A real network has checksums, which let through one of 65,536.)
    #[must_use]
    pub fn corrupt(self, probability: f64) -> Self {
        Self { corrupt: per_million(probability), ..self }
    }

    /// Sets how many bytes go through in a second; what is sent faster waits in line.
    #[must_use]
    pub fn bandwidth(self, bytes_per_second: u64) -> Self {
        Self { bandwidth: Some(bytes_per_second.max(1)), ..self }
    }
}

impl Default for Link {
    fn default() -> Self {
        Self::new()
    }
}

fn per_million(probability: f64) -> u32 {
    (probability.clamp(0.0, 1.0) * 1e6).round() as u32
}

/// A link, and what is on it.
#[derive(Clone, Debug)]
pub(crate) struct Way {
    pub(crate) link: Link,
    /// Whose choices are its own.
    pub(crate) stream: Stream,
    /// So many say that nothing passes.
    pub(crate) cuts: u32,
    /// How often it was healed of all of them.
    pub(crate) healed: u32,
    free_at: Nanos,
    last_arrival: Nanos,
}

impl Way {
    pub(crate) fn new(link: Link, number: u32) -> Self {
        Self { link, stream: Stream::Network(number), cuts: 0, healed: 0, free_at: 0, last_arrival: 0 }
    }

    /// It behaves otherwise from now on: what is sent now does not wait behind what was sent before.
    pub(crate) fn set(&mut self, link: Link) {
        (self.link, self.free_at, self.last_arrival) = (link, 0, 0);
    }

    /// It lets everything pass again.
    pub(crate) fn heal(&mut self) {
        self.cuts = 0;
        self.healed += 1;
    }

    /// Says when a packet of so many bytes arrives that is sent now, and whether those behind it may overtake it.
    #[inline]
    pub(crate) fn arrival(&mut self, now: Nanos, bytes: usize, choices: &mut Choices) -> (Nanos, bool) {
        let mut sent = now;
        if let Some(bandwidth) = self.link.bandwidth {
            let takes = u128::from(bytes as u64) * 1_000_000_000 / u128::from(bandwidth);
            self.free_at = self.free_at.max(now) + takes as u64;
            sent = self.free_at;
        }
        let mut at = sent + self.link.latency.draw(self.stream, choices);
        let is_reordered = choices.happens(self.stream, self.link.reorder);
        if is_reordered {
            at += choices.choose(self.stream, 4 * (at - now).max(1));
        } else {
            at = at.max(self.last_arrival);
            self.last_arrival = at;
        }
        (at, is_reordered)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tail_has_the_mean_that_was_asked_for() {
        let mut choices = Choices::of_seed(1);
        let latency = Latency::with_tail(Duration::from_millis(1), Duration::from_millis(10));
        let drawn: Vec<u64> = (0..100_000).map(|_| latency.draw(Stream::Fault, &mut choices)).collect();
        let mean = drawn.iter().sum::<u64>() / drawn.len() as u64;
        assert!((10_500_000..11_500_000).contains(&mean), "{mean}");
        assert!(drawn.iter().all(|&drawn| drawn >= 1_000_000));
        assert!(drawn.iter().any(|&drawn| drawn > 60_000_000));
        assert_eq!(latency.draw(Stream::Fault, &mut Choices::of_script(crate::Script::default())), 1_000_000);
    }

    #[test]
    fn what_is_sent_faster_than_the_line_is_waits() {
        let mut choices = Choices::of_seed(1);
        let link = Link::new().latency(Latency::fixed(Duration::ZERO)).bandwidth(1000);
        let mut way = Way::new(link, 0);
        assert_eq!(way.arrival(0, 500, &mut choices), (500_000_000, false));
        assert_eq!(way.arrival(0, 500, &mut choices), (1_000_000_000, false));
        assert_eq!(way.arrival(5_000_000_000, 1, &mut choices), (5_001_000_000, false));
    }
}

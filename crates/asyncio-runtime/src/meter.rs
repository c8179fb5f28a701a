//! [`Metrics`]: what was measured of a loop; and [`Meter`], where it is counted.
//!
//! Only loops that are asked to are measured ([`Builder::metrics`](crate::Builder::metrics), and debug mode). The loop's thread alone counts, so
//! nothing contends; others read.

use std::cell::Cell;
use std::fmt;
use std::time::{Duration, Instant};

use asyncio_base::shim::{Arc, AtomicU64, AtomicUsize, Ordering};
use asyncio_executor::Watch;

/// What was measured of a loop: a snapshot. Made by [`EventLoop::metrics`](crate::EventLoop::metrics).
///
/// What is counted is counted since the loop was made. What was seen was seen in the last turn.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Metrics {
    /// How often tasks were polled.
    pub polls: u64,
    /// How many of those polls came of a wake: all but the first one of each task. Several wakes before a poll are one.
    pub wakes: u64,
    /// How long the polls took together; in debug mode alone nothing, if its threshold is 50 ms or more.
    pub busy: Duration,
    /// How often the loop has looked for events.
    pub turns: u64,
    /// For how long it has waited for them.
    pub idle: Duration,
    /// How many events there were.
    pub io_events: u64,
    /// How many timers have fired.
    pub timers_fired: u64,
    /// How many timers were set, when the loop last looked.
    pub timers: usize,
    /// How many tasks of this loop's own there were that had not ended, when it last looked. Those that may move are no loop's own.
    pub tasks: usize,
    /// How many tasks were ready, when it last looked for events.
    pub ready: usize,
    /// And how many at most in all its looks.
    pub ready_max: usize,
    /// For how long the loop had polled, each time it came to look for events: so long has a timer or a socket had to wait that was due or ready at
    /// the worst moment.
    pub lag: Histogram,
}

/// How many durations were of which length: in classes of powers of two, so that each is known to a factor of two.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// # fn main() -> std::io::Result<()> {
/// let mut runner = asyncio_runtime::Runner::builder().metrics(true).build()?;
/// runner.run(async {
///     std::thread::sleep(Duration::from_millis(2)); // blocks the loop
///     asyncio_timers::sleep(Duration::from_millis(1)).await;
/// });
/// let lag = runner.event_loop().metrics().lag;
/// assert!(lag.count() > 0);
/// assert!(lag.max() >= Duration::from_millis(2));
/// assert!(lag.quantile(0.0) <= lag.quantile(1.0));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Histogram {
    /// The `n`th counts durations of `2^n` nanoseconds and more, and less than twice that; the first also those of none.
    classes: [u64; CLASSES],
}

/// Up to nine minutes; the last class has what is longer.
const CLASSES: usize = 40;

impl Histogram {
    /// Returns how many durations there are.
    pub fn count(&self) -> u64 {
        self.classes.iter().sum()
    }

    /// Returns a duration below which this part of all lie, rounded up to a power of two of nanoseconds; zero if there are none. A half is the median.
    pub fn quantile(&self, part: f64) -> Duration {
        let rank = (part.clamp(0.0, 1.0) * self.count() as f64).ceil().max(1.0) as u64;
        let mut seen = 0;
        let class = self.classes.iter().position(|count| {
            seen += count;
            seen >= rank
        });
        class.map_or(Duration::ZERO, end_of)
    }

    /// Returns the longest duration, rounded up to a power of two of nanoseconds.
    pub fn max(&self) -> Duration {
        self.classes.iter().rposition(|&count| count > 0).map_or(Duration::ZERO, end_of)
    }

    /// Returns the classes that are not empty: the duration below which its members are, and how many those are.
    pub fn classes(&self) -> impl Iterator<Item = (Duration, u64)> {
        self.classes
            .iter()
            .enumerate()
            .filter(|(_, count)| **count > 0)
            .map(|(class, &count)| (end_of(class), count))
    }
}

impl Default for Histogram {
    fn default() -> Self {
        Self { classes: [0; CLASSES] }
    }
}

impl fmt::Debug for Histogram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.classes()).finish()
    }
}

impl fmt::Display for Histogram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [half, most] = [0.5, 0.99].map(|part| self.quantile(part));
        write!(
            f,
            "{} times, half of them below {half:?}, 99 % below {most:?}, all below {:?}",
            self.count(),
            self.max()
        )
    }
}

fn end_of(class: usize) -> Duration {
    Duration::from_nanos(2 << class)
}

fn class_of(duration: Duration) -> usize {
    let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX).max(1);
    (nanos.ilog2() as usize).min(CLASSES - 1)
}

/// Where a loop's thread counts.
#[derive(Debug)]
pub(crate) struct Meter {
    watch: Arc<Watch>,
    turns: AtomicU64,
    idle_ns: AtomicU64,
    io_events: AtomicU64,
    timers_fired: AtomicU64,
    timers: AtomicUsize,
    tasks: AtomicUsize,
    ready: AtomicUsize,
    ready_max: AtomicUsize,
    lag: [AtomicU64; CLASSES],
}

/// What a loop has at the end of its look for events.
pub(crate) struct Seen {
    pub(crate) io_events: usize,
    pub(crate) timers_fired: usize,
    pub(crate) timers: usize,
    pub(crate) tasks: usize,
    pub(crate) ready: usize,
}

impl Meter {
    pub(crate) fn new(watch: Arc<Watch>) -> Self {
        Self {
            watch,
            turns: AtomicU64::new(0),
            idle_ns: AtomicU64::new(0),
            io_events: AtomicU64::new(0),
            timers_fired: AtomicU64::new(0),
            timers: AtomicUsize::new(0),
            tasks: AtomicUsize::new(0),
            ready: AtomicUsize::new(0),
            ready_max: AtomicUsize::new(0),
            lag: std::array::from_fn(|_| AtomicU64::new(0)),
        }
    }

    pub(crate) fn watch(&self) -> &Arc<Watch> {
        &self.watch
    }

    fn note_lag(&self, lag: Duration) {
        self.lag[class_of(lag)].fetch_add(1, Ordering::Relaxed);
    }

    fn note_turn(&self, idle: Duration, seen: &Seen) {
        let add = |to: &AtomicU64, n: usize| to.fetch_add(n as u64, Ordering::Relaxed);
        add(&self.turns, 1);
        self.idle_ns.fetch_add(u64::try_from(idle.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
        add(&self.io_events, seen.io_events);
        add(&self.timers_fired, seen.timers_fired);
        self.timers.store(seen.timers, Ordering::Relaxed);
        self.tasks.store(seen.tasks, Ordering::Relaxed);
        self.ready.store(seen.ready, Ordering::Relaxed);
        self.ready_max.fetch_max(seen.ready, Ordering::Relaxed);
    }

    pub(crate) fn snapshot(&self) -> Metrics {
        let read = |of: &AtomicU64| of.load(Ordering::Relaxed);
        let now = |of: &AtomicUsize| of.load(Ordering::Relaxed);
        Metrics {
            polls: self.watch.polls(),
            wakes: self.watch.wakes(),
            busy: self.watch.busy(),
            turns: read(&self.turns),
            idle: Duration::from_nanos(read(&self.idle_ns)),
            io_events: read(&self.io_events),
            timers_fired: read(&self.timers_fired),
            timers: now(&self.timers),
            tasks: now(&self.tasks),
            ready: now(&self.ready),
            ready_max: now(&self.ready_max),
            lag: Histogram { classes: std::array::from_fn(|class| read(&self.lag[class])) },
        }
    }
}

/// The loop's own side: when it last looked.
pub(crate) struct Measuring {
    meter: Arc<Meter>,
    /// The end of the last look. A loop that is left in between does not lag.
    looked: Cell<Option<Instant>>,
    /// How many polls there had been by then.
    polls: Cell<u64>,
}

impl Measuring {
    pub(crate) fn new(meter: Arc<Meter>) -> Self {
        Self { meter, looked: Cell::new(None), polls: Cell::new(0) }
    }

    /// The loop goes on, after something else was done on its thread.
    pub(crate) fn go_on(&self) {
        self.looked.set(Some(Instant::now()));
        self.polls.set(self.meter.watch.polls());
    }

    /// The loop is left. What it has polled since it last looked would have kept events waiting as well.
    pub(crate) fn leave(&self) {
        let polls = self.meter.watch.polls();
        if let Some(looked) = self.looked.take().filter(|_| polls != self.polls.get()) {
            self.meter.note_lag(looked.elapsed());
        }
    }

    /// The loop looks for events.
    pub(crate) fn look<R>(&self, look: impl FnOnce() -> R, seen: impl FnOnce(&R) -> Seen) -> R {
        let begin = Instant::now();
        if let Some(looked) = self.looked.get() {
            self.meter.note_lag(begin.duration_since(looked));
        }
        let result = look();
        let end = Instant::now();
        self.looked.set(Some(end));
        self.polls.set(self.meter.watch.polls());
        self.meter.note_turn(end.duration_since(begin), &seen(&result));
        result
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn each_duration_is_in_the_class_below_whose_end_it_is() {
        for nanos in [0, 1, 2, 3, 4, 1023, 1024, 1_000_000, u64::MAX] {
            let (duration, class) = (Duration::from_nanos(nanos), class_of(Duration::from_nanos(nanos)));
            assert!(duration < end_of(class) || class == CLASSES - 1, "{duration:?}");
            assert!(class == 0 || duration >= end_of(class - 1), "{duration:?}");
        }
    }

    #[test]
    fn quantiles_are_those_of_a_sorted_list() {
        let mut histogram = Histogram::default();
        assert_eq!(
            (histogram.count(), histogram.quantile(0.5), histogram.max()),
            (0, Duration::ZERO, Duration::ZERO)
        );
        let mut list: Vec<Duration> = (0..1000_u64).map(|n| Duration::from_nanos(n * n * 7)).collect();
        list.iter().for_each(|&duration| histogram.classes[class_of(duration)] += 1);
        list.sort();
        for (part, index) in [(0.001, 0), (0.25, 249), (0.5, 499), (0.99, 989), (1.0, 999)] {
            let (found, exact) = (histogram.quantile(part), list[index]);
            assert!(
                found > exact && found <= 2 * exact.max(Duration::from_nanos(1)),
                "{part}: {found:?} for {exact:?}"
            );
        }
        assert_eq!(histogram.classes().map(|(_, count)| count).sum::<u64>(), 1000);
    }
}

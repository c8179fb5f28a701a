//! [`Builder`]: a loop to measure.

use std::fmt;
use std::io;
use std::time::Duration;

use asyncio_base::budget;
use asyncio_base::shim::Arc;
use asyncio_executor::{LocalExecutor, Schedule};
use asyncio_reactor::{DefaultSelector, Reactor, SelectorReactor};
use asyncio_timers::{Clock, DEFAULT_TICK, MonotonicClock, Timers};

use crate::core::Core;
use crate::event_loop::{EventLoop, unpark};
use crate::runner::Runner;

type ReactorFactory = Box<dyn Fn(usize) -> io::Result<Arc<dyn Reactor>>>;

/// Makes a [`Runner`] with a reactor, a clock or a schedule of your choice.
///
/// # Examples
///
/// ```
/// use asyncio_executor::SeededRandom;
/// use asyncio_reactor::{PollingSelector, SelectorReactor};
/// use asyncio_timers::ManualClock;
/// use std::time::Duration;
///
/// # fn main() -> std::io::Result<()> {
/// let mut runner = asyncio_runtime::Runner::builder()
///     .reactor(|_worker| SelectorReactor::new(PollingSelector::new()?))
///     .clock(ManualClock::jumping())
///     .schedule(SeededRandom::new(42))
///     .build()?;
/// runner.run(asyncio_timers::sleep(Duration::from_secs(3600))); // takes no time
/// assert!(runner.next_deadline().is_none());
/// # Ok(())
/// # }
/// ```
#[must_use = "a builder does nothing until it builds"]
pub struct Builder {
    reactor: ReactorFactory,
    clock: Arc<dyn Clock>,
    schedule: Option<Box<dyn FnOnce(std::task::Waker) -> LocalExecutor>>,
    tick: Duration,
    budget: u32,
}

impl Builder {
    pub(crate) fn new() -> Self {
        Self {
            reactor: Box::new(|_worker| Ok(Arc::new(SelectorReactor::new(DefaultSelector::new()?)?))),
            clock: Arc::new(MonotonicClock),
            schedule: None,
            tick: DEFAULT_TICK,
            budget: budget::DEFAULT,
        }
    }

    /// Sets how a reactor is made; it is called with the number of the worker, counted from 0, on that worker's thread.
    ///
    /// The default is [`SelectorReactor`] on the platform's best selector.
    pub fn reactor<R: Reactor>(mut self, make: impl Fn(usize) -> io::Result<R> + 'static) -> Self {
        self.reactor = Box::new(move |worker| Ok(Arc::new(make(worker)?)));
        self
    }

    /// Sets the clock. The default is the system's monotonic one.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Sets which ready task is next. The default is first in, first out.
    pub fn schedule(mut self, schedule: impl Schedule) -> Self {
        self.schedule = Some(Box::new(|unpark| LocalExecutor::with_schedule(unpark, schedule)));
        self
    }

    /// Sets the tick of the timers, rounded down to a power of two of nanoseconds: how late a sleep may end. The default is
    /// [`DEFAULT_TICK`], 16 µs; a finer one costs more turns where many timers fire.
    pub fn timer_tick(mut self, tick: Duration) -> Self {
        self.tick = tick;
        self
    }

    /// Sets how many ready leaf operations a task may do in one poll before it lets others run. The default is
    /// [`budget::DEFAULT`], 128.
    pub fn budget(mut self, units: u32) -> Self {
        self.budget = units;
        self
    }

    /// Makes the loop.
    ///
    /// # Errors
    ///
    /// Fails with what the reactor's factory says: for the default, where the process or the system is out of descriptors.
    pub fn build(self) -> io::Result<Runner> {
        let reactor = (self.reactor)(0)?;
        let unpark = unpark(&reactor);
        let executor = match self.schedule {
            Some(make) => make(unpark.clone()),
            None => LocalExecutor::new(unpark.clone()),
        };
        executor.set_budget(self.budget);
        let timers = Timers::with_tick(self.clock, unpark, self.tick);
        let event_loop = EventLoop::new(reactor.clone(), timers.clone(), executor.spawner());
        Ok(Runner::on(Core { executor, timers, reactor, event_loop }))
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("clock", &self.clock)
            .field("timer_tick", &self.tick)
            .field("budget", &self.budget)
            .finish_non_exhaustive()
    }
}

//! [`Builder`]: a loop to measure.

use std::fmt;
use std::io;
use std::time::Duration;

use asyncio_base::shim::Arc;
use asyncio_base::{budget, trace};
use asyncio_executor::{Executor, LocalExecutor, Schedule, Watch};
use asyncio_reactor::{DefaultSelector, Reactor, SelectorReactor};
use asyncio_tasks::{Cleanup, DEFAULT_GRACE};
use asyncio_timers::{Clock, DEFAULT_TICK, Idle, MonotonicClock, Timers};

use crate::affinity::Pinned;
use crate::core::{Core, Observer};
use crate::event_loop::{EventLoop, unpark};
use crate::lock_registry::LockRegistry;
use crate::meter::{Measuring, Meter};
use crate::runner::Runner;
use crate::runtime::Runtime;
use crate::unhandled::Unhandled;
use crate::watchdog::{Watchdog, Watched};

/// From here on a slow poll need not be measured more exactly than the watchdog ticks, which saves a reading of the clock a poll.
const COARSE_MIN: Duration = Duration::from_millis(50);

/// asyncio's `slow_callback_duration`.
const SLOW_POLL: Duration = Duration::from_millis(100);

type ReactorFactory = Arc<dyn Fn(usize) -> io::Result<Arc<dyn Reactor>> + Send + Sync>;

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
    loops: Loops,
    schedule: Option<Box<dyn Schedule>>,
    workers: usize,
    thread_name: String,
    blocking_threads_max: Option<usize>,
    ctrl_c: bool,
}

/// What the loops of all workers have in common.
#[derive(Clone)]
struct Loops {
    reactor: ReactorFactory,
    clock: Arc<dyn Clock>,
    tick: Duration,
    budget: u32,
    spin: Duration,
    cpus: Vec<usize>,
    cleanup_grace: Duration,
    is_debugged: bool,
    is_measured: bool,
    slow_poll_threshold: Duration,
    runtime: Arc<Runtime>,
    /// In debug mode: where the loops are entered that the watchdog looks at.
    watched: Option<Arc<Watched>>,
}

impl Builder {
    pub(crate) fn new() -> Self {
        let loops = Loops {
            reactor: Arc::new(|_worker| Ok(Arc::new(SelectorReactor::new(DefaultSelector::new()?)?))),
            clock: Arc::new(MonotonicClock),
            tick: DEFAULT_TICK,
            budget: budget::DEFAULT,
            spin: Duration::ZERO,
            cpus: Vec::new(),
            cleanup_grace: DEFAULT_GRACE,
            is_debugged: std::env::var_os("ASYNCIO_DEBUG")
                .is_some_and(|value| !value.is_empty() && value != "0"),
            is_measured: false,
            slow_poll_threshold: SLOW_POLL,
            runtime: Arc::default(),
            watched: None,
        };
        Self {
            loops,
            schedule: None,
            workers: 1,
            thread_name: String::from("asyncio"),
            blocking_threads_max: None,
            ctrl_c: true,
        }
    }

    /// Sets how many workers there are: loops that share the tasks of [`spawn`](fn@asyncio_tasks::spawn). The default is one.
    ///
    /// Worker 0 is the thread that runs main; each other one has a thread of its own, from [`build`](Self::build) on until the runner is closed.
    /// Each has its own reactor, its own timers and its own queue. What a task opened or sleeps on stays with the worker where it first waited.
    ///
    /// With one worker, order is strictly first in, first out. With several it is so for each of them, but for a task that is woken by the
    /// one that is being polled: that comes next, at most three times in a row.
    ///
    /// # Panics
    ///
    /// Panics if there are none.
    #[track_caller]
    pub fn workers(mut self, count: usize) -> Self {
        assert!(count > 0, "a runtime without a worker would run nothing: ask for at least one");
        self.workers = count;
        self
    }

    /// Sets what the threads of workers are called, with the number of the worker behind it: `asyncio-1`, if nobody says otherwise.
    pub fn thread_name(mut self, name: impl Into<String>) -> Self {
        self.thread_name = name.into();
        self
    }

    /// Keeps each worker on one CPU: the first worker on the first of these, and so on, from the front again if there are more
    /// workers than CPUs. The default is that the system moves them as it likes.
    ///
    /// Worker 0 is the thread that [builds](Self::build) the runner; it may run where it could before when the runner is dropped. Threads that
    /// are started on a worker begin on its CPU, and stay there.
    pub fn cpus(mut self, cpus: impl IntoIterator<Item = usize>) -> Self {
        self.loops.cpus = cpus.into_iter().collect();
        self
    }

    /// Sets for how long a loop that has nothing to do looks for events before it waits for them. The default is not at all.
    ///
    /// 20 to 50 µs save the wake-up, 5 µs and more, where answers come that fast, and cost a CPU that does nothing else.
    pub fn spin(mut self, duration: Duration) -> Self {
        self.loops.spin = duration;
        self
    }

    /// Sets how a reactor is made; it is called with the number of the worker, counted from 0, on that worker's thread.
    ///
    /// The default is [`SelectorReactor`] on the platform's best selector.
    pub fn reactor<R: Reactor>(
        mut self,
        make: impl Fn(usize) -> io::Result<R> + Send + Sync + 'static,
    ) -> Self {
        self.loops.reactor = Arc::new(move |worker| Ok(Arc::new(make(worker)?)));
        self
    }

    /// Sets the clock, which all workers share; one that jumps is for one worker. The default is the system's monotonic one.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.loops.clock = Arc::new(clock);
        self
    }

    /// Sets which ready task is next. The default is first in, first out. It is for one worker: several have no order to choose.
    pub fn schedule(mut self, schedule: impl Schedule) -> Self {
        self.schedule = Some(Box::new(schedule));
        self
    }

    /// Sets the tick of the timers, rounded down to a power of two of nanoseconds: how late a sleep may end. The default is
    /// [`DEFAULT_TICK`], 16 µs; a finer one costs more turns where many timers fire. A clock that is moved by hand has a
    /// [tick of its own](Clock::tick).
    pub fn timer_tick(mut self, tick: Duration) -> Self {
        self.loops.tick = tick;
        self
    }

    /// Sets how many ready leaf operations a task may do in one poll before it lets others run; eight times as many of those in memory, as a
    /// channel's. The default is [`budget::DEFAULT`], 128.
    pub fn budget(mut self, units: u32) -> Self {
        self.loops.budget = units;
        self
    }

    /// Sets how long clean-up may take: that of a scope that has ended or was cancelled, where no scope says otherwise, and that of all tasks
    /// together when the runner is closed. What it cuts off is reported. The default is [`DEFAULT_GRACE`], 10 s.
    pub fn cleanup_grace(mut self, grace: Duration) -> Self {
        self.loops.cleanup_grace = grace;
        self
    }

    /// Sets whether the runtime is in debug mode, in which it [reports](Self::on_unhandled) what is nearly always a mistake. The default is that it is
    /// if `ASYNCIO_DEBUG` is set in the environment, to something else than `0`.
    ///
    /// asyncio's debug mode. Each report says which task it is about, and where that was spawned. What is reported:
    ///
    /// - a poll that holds its loop for [too long](Self::slow_poll_threshold): while it lasts, with the functions in which it is (on Linux with glibc 2.35 or
    ///   later, and where the binary has symbols), and when it has ended, with how long it took. The former is the doing of a thread that looks at the loops sixteen times in
    ///   that time; the stack is taken by a handler of SIGURG, so whoever listens to that signal hears it then;
    /// - a lock of `asyncio::sync` that is waited for too long, with its holder;
    /// - a panic of a task that nobody awaits, where it is on a thread of this runtime that the last one drops it who could. (An error of a task is a value;
    ///   [`spawn_checked`](asyncio_tasks::spawn_checked) reports it in every mode);
    /// - streams and children that are dropped without being closed or waited for;
    /// - calls that belong on the loop's own thread and come from another one, besides the error that they give.
    ///
    /// Besides, everything is counted that [`metrics`](Self::metrics) counts; how long polls take only where the threshold is below 50 ms: otherwise a slow one is
    /// measured to a sixteenth of the threshold. It costs a lock a poll that nobody else wants, for a task with a name an allocation, and where the threshold is below 50 ms a reading of the
    /// clock. The signal ends some system calls with `EINTR`, as any signal does.
    ///
    /// Closing the runner does not wait for a handler that the watching thread is in; what that has not begun to tell by then, it does not tell.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let (sender, receiver) = std::sync::mpsc::channel();
    /// let mut runner = asyncio_runtime::Runner::builder()
    ///     .debug(true)
    ///     .slow_poll_threshold(Duration::from_millis(5))
    ///     .on_unhandled(move |what| sender.send(what.to_string()).unwrap())
    ///     .build()?;
    /// let blocks = async { std::thread::sleep(Duration::from_millis(10)) };
    /// runner.run(async { asyncio_tasks::spawn(blocks).await.unwrap() });
    /// runner.close();
    /// assert!(receiver.try_iter().any(|report| report.contains("held its loop")));
    /// # Ok(())
    /// # }
    /// ```
    pub fn debug(mut self, is_debugged: bool) -> Self {
        self.loops.is_debugged = is_debugged;
        self
    }

    /// Sets which polls are too long, and which waits for a lock, in [debug mode](Self::debug). The default is 100 ms, as in asyncio.
    pub fn slow_poll_threshold(mut self, threshold: Duration) -> Self {
        self.loops.slow_poll_threshold = threshold;
        self
    }

    /// Sets whether the loop is measured, for [`EventLoop::metrics`]: a reading of the clock a poll, and two a look for events. The default is that they are not, but in
    /// [debug mode](Self::debug).
    pub fn metrics(mut self, is_measured: bool) -> Self {
        self.loops.is_measured = is_measured;
        self
    }

    /// Sets how many threads there are at most for blocking calls (`to_thread`). The default is 4 more than there are CPUs, at most 32, as in asyncio.
    ///
    /// # Panics
    ///
    /// Panics if it is zero: no call would ever run.
    #[track_caller]
    pub fn blocking_threads_max(mut self, count: usize) -> Self {
        assert!(count > 0, "blocking calls need a thread: allow at least one");
        self.blocking_threads_max = Some(count);
        self
    }

    /// Sets what is done with what goes wrong where nobody can be told of it: a panic in a callback, clean-up that was cut off, a task that would not
    /// die. The default is a line on stderr. [`EventLoop::set_exception_handler`] sets it later.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// let (sender, receiver) = std::sync::mpsc::channel();
    /// let runner = asyncio_runtime::Runner::builder().on_unhandled(move |what| sender.send(what.to_string()).unwrap());
    /// runner.build()?.run(async {
    ///     let _closing = asyncio_tasks::guard((), |()| async { panic!("a bug in clean-up") });
    /// });
    /// assert!(receiver.recv().unwrap().contains("a bug in clean-up"));
    /// # Ok(())
    /// # }
    /// ```
    pub fn on_unhandled(self, handler: impl Fn(&Unhandled) + Send + Sync + 'static) -> Self {
        self.loops.runtime.set_handler(Arc::new(handler));
        self
    }

    /// Sets whether [`run_interruptible`](Runner::run_interruptible) listens to Ctrl-C. The default is that it does.
    pub fn ctrl_c(mut self, listens: bool) -> Self {
        self.ctrl_c = listens;
        self
    }

    /// Makes the loop, or the loops of all workers.
    ///
    /// # Errors
    ///
    /// Fails with what the reactor's factory says: for the default, where the process or the system is out of descriptors; where a
    /// thread cannot be started, or not be kept on its [CPU](Self::cpus); and with [`InvalidInput`](io::ErrorKind::InvalidInput) where
    /// several workers are to have a [schedule](Self::schedule), or a clock that jumps.
    pub fn build(self) -> io::Result<Runner> {
        let Self { mut loops, schedule, workers, thread_name, blocking_threads_max, ctrl_c } = self;
        trace::debug!("runtime", "a runtime is made, of so many workers: {workers}");
        loops.runtime.set_debugged(loops.is_debugged);
        loops.watched = loops.is_debugged.then(|| Watched::new(loops.slow_poll_threshold));
        let cleanup = Cleanup::new(loops.cleanup_grace);
        blocking_threads_max.into_iter().for_each(|count| cleanup.set_blocking_threads_max(count));
        if workers == 1 {
            let pinned = loops.pin(0)?;
            let core = loops.make(0, &cleanup, |unpark| match schedule {
                Some(schedule) => LocalExecutor::with_boxed_schedule(unpark, schedule),
                None => LocalExecutor::new(unpark),
            })?;
            let mut runner = Runner::on(core, None, pinned, ctrl_c);
            runner.watch(loops.watchdog()?);
            return Ok(runner);
        }
        let refused = |message| io::Error::new(io::ErrorKind::InvalidInput, message);
        if schedule.is_some() {
            return Err(refused("a schedule is for one worker: leave it out, or ask for one"));
        }
        if loops.clock.idle(Some(loops.clock.now() + Duration::from_secs(1))) == Idle::Jump {
            return Err(refused("a clock that jumps is for one worker: others would be left behind by it"));
        }
        let executor = Executor::new(workers);
        let pinned = loops.pin(0)?;
        let core = loops.make_worker(0, &cleanup, &executor)?;
        // From here on its drop closes what was made, if a later worker fails.
        let mut runner = Runner::on(core, Some(executor.clone()), pinned, ctrl_c);
        for worker in 1..workers {
            let (loops, cleanup, executor) = (loops.clone(), cleanup.clone(), executor.clone());
            runner.start_worker(format!("{thread_name}-{worker}"), move || {
                // For as long as the thread lives.
                std::mem::forget(loops.pin(worker)?);
                loops.make_worker(worker, &cleanup, &executor)
            })?;
        }
        runner.watch(loops.watchdog()?);
        Ok(runner)
    }
}

impl Loops {
    fn watchdog(&self) -> io::Result<Option<Watchdog>> {
        self.watched
            .as_ref()
            .map(|watched| Watchdog::start(watched.clone(), self.runtime.clone()))
            .transpose()
    }

    fn pin(&self, worker: usize) -> io::Result<Option<Pinned>> {
        let Some(&cpu) = self.cpus.iter().cycle().nth(worker) else { return Ok(None) };
        Pinned::to(cpu).map(Some).map_err(|error| {
            io::Error::new(error.kind(), format!("worker {worker} cannot be kept on CPU {cpu}: {error}"))
        })
    }

    fn make_worker(&self, worker: usize, cleanup: &Cleanup, executor: &Executor) -> io::Result<Core> {
        // OK because each number is made once.
        self.make(worker, cleanup, |unpark| executor.worker(worker, unpark).expect("its seat is free"))
    }

    /// Makes the loop of a worker, on its thread.
    fn make(
        &self,
        worker: usize,
        cleanup: &Cleanup,
        executor: impl FnOnce(std::task::Waker) -> LocalExecutor,
    ) -> io::Result<Core> {
        let reactor = (self.reactor)(worker)?;
        let unpark = unpark(&reactor);
        let executor = executor(unpark.clone());
        executor.set_budget(self.budget);
        let slow_poll = self.is_debugged.then_some(self.slow_poll_threshold);
        let watch = match slow_poll {
            // The watchdog ticks.
            Some(slow_poll) if !self.is_measured && slow_poll >= COARSE_MIN => Some(Watch::coarse(slow_poll)),
            slow_poll => (self.is_debugged || self.is_measured).then(|| Watch::new(slow_poll)),
        };
        let watch = watch.map(Arc::new);
        executor.set_watch(watch.clone());
        if let (Some(watched), Some(watch)) = (&self.watched, &watch) {
            watched.add(worker, watch.clone());
        }
        let meter = watch.map(|watch| Arc::new(Meter::new(watch)));
        let timers = Timers::with_tick(self.clock.clone(), unpark.clone(), self.tick);
        let event_loop = {
            let (reactor, timers, spawner) = (reactor.clone(), timers.clone(), executor.spawner());
            EventLoop::new(reactor, timers, spawner, unpark, worker, meter.clone(), self.runtime.clone())
        };
        if worker == 0 {
            self.runtime.set_first(event_loop.waker());
        }
        let observer = meter.map(|meter| Observer {
            watch: meter.watch().clone(),
            measuring: Measuring::new(meter),
            locks: self
                .is_debugged
                .then(|| LockRegistry::install(self.slow_poll_threshold, event_loop.waker()))
                .flatten(),
        });
        let (cleanup, spin) = (cleanup.clone(), self.spin);
        Ok(Core { executor, timers, reactor, event_loop, cleanup, spin, observer })
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("workers", &self.workers)
            .field("clock", &self.loops.clock)
            .field("schedule", &self.schedule)
            .field("timer_tick", &self.loops.tick)
            .field("budget", &self.loops.budget)
            .field("spin", &self.loops.spin)
            .field("cpus", &self.loops.cpus)
            .field("cleanup_grace", &self.loops.cleanup_grace)
            .finish_non_exhaustive()
    }
}

//! [`run`] and [`Runner`]: a loop, and the future it runs.

use std::fmt;
use std::future::Future;
use std::io;
use std::panic::Location;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use asyncio_base::{budget, trace};
use asyncio_executor::Executor;
use asyncio_tasks::{Cancelled, ContextKeeper, RootScope};

use crate::affinity::Pinned;
use crate::builder::Builder;
use crate::core::{Busy, Core, Spinning, Stretch, run_stretch};
use crate::crew::Crew;
use crate::drain::{Ending, drain, name_what_is_left};
use crate::event_loop::EventLoop;
use crate::interrupt::{Interrupted, Listening};
use crate::watchdog::Watchdog;

/// Runs a future to its end on a new loop, and closes the loop.
///
/// asyncio's `run`. The future may borrow from the caller and need not be `Send`. When it is done every task that is left is cancelled, and its
/// clean-up is waited for, at most for the [grace period](Builder::cleanup_grace); what would not die is named, and dropped.
///
/// # Panics
///
/// Panics if a loop runs on this thread already, and if the loop cannot be made because the system is out of descriptors;
/// [`Runner::new`] gives that as an error. A panic of the future goes on, after the loop is closed.
///
/// # Examples
///
/// ```
/// let text = String::from("main may borrow");
/// assert_eq!(asyncio_runtime::run(async { text.len() }), 15);
/// ```
#[track_caller]
pub fn run<F: Future>(future: F) -> F::Output {
    match Runner::new() {
        Ok(mut runner) => runner.run(future),
        Err(error) => panic!("the event loop could not be made: {error}"),
    }
}

/// A loop that runs one future after the other, or is driven from outside.
///
/// asyncio's `Runner`. Dropping it closes the loop.
///
/// # Examples
///
/// ```
/// # fn main() -> std::io::Result<()> {
/// let mut runner = asyncio_runtime::Runner::new()?;
/// let task = runner.run(async { asyncio_tasks::spawn_local(async { 2 }) });
/// let two = runner.run(task).unwrap(); // the same loop again
/// assert_eq!(two, 2);
/// # Ok(())
/// # }
/// ```
pub struct Runner {
    core: Core,
    /// The other workers, if there are any, and what they share.
    crew: Crew,
    executor: Option<Executor>,
    /// Puts the thread back where it may run.
    _pinned: Option<Pinned>,
    /// That of main, over all runs.
    context: ContextKeeper,
    listens_to_ctrl_c: bool,
    /// After an interruption, until the runner is closed: the second Ctrl-C kills.
    interrupted: Option<Listening>,
    /// In debug mode, until the runner is closed.
    watchdog: Option<Watchdog>,
    /// A host has begun to close it, and turns it.
    is_closing: bool,
}

impl Runner {
    /// Makes a loop with the defaults.
    ///
    /// # Errors
    ///
    /// Fails where the process or the system is out of descriptors.
    pub fn new() -> io::Result<Self> {
        Self::builder().build()
    }

    /// Makes a loop to measure.
    pub fn builder() -> Builder {
        Builder::new()
    }

    pub(crate) fn on(
        core: Core,
        executor: Option<Executor>,
        pinned: Option<Pinned>,
        listens_to_ctrl_c: bool,
    ) -> Self {
        let (crew, context) = (Crew::default(), ContextKeeper::new());
        Self {
            core,
            crew,
            executor,
            _pinned: pinned,
            context,
            listens_to_ctrl_c,
            interrupted: None,
            watchdog: None,
            is_closing: false,
        }
    }

    pub(crate) fn watch(&mut self, watchdog: Option<Watchdog>) {
        self.watchdog = watchdog;
    }

    pub(crate) fn start_worker(
        &mut self,
        name: String,
        make: impl FnOnce() -> io::Result<Core> + Send + 'static,
    ) -> io::Result<()> {
        self.crew.start(name, self.core.event_loop.clone(), make)
    }

    /// Runs a future to its end. Tasks that are left stay on the loop, for the next run; other workers go on with theirs meanwhile.
    ///
    /// The future is polled in place, in its turn among the tasks, and is dropped before this returns, also when it panics. It is a scope: the
    /// clean-up that is registered in it has ended when this returns.
    ///
    /// # Panics
    ///
    /// Panics if a loop runs on this thread already, if this one is closed, and if the reactor cannot wait any more. A panic of the
    /// future goes on.
    #[track_caller]
    pub fn run<F: Future>(&mut self, future: F) -> F::Output {
        self.assert_open();
        let _entered = self.core.enter();
        let main = pin!(RootScope::new(future));
        // OK because nobody has a handle to cancel it.
        self.run_main(main).expect("nothing cancels main")
    }

    /// Runs a future to its end, as [`run`](Self::run) does, but that Ctrl-C cancels it: its clean-up runs, and then this says so. The second Ctrl-C ends
    /// the process, as the first one does elsewhere.
    ///
    /// A future that has a value nevertheless, in its last poll, gives it. After an interruption the second Ctrl-C kills until the runner is closed;
    /// otherwise the signal does by default again what it did. Unless [the builder](Builder::ctrl_c) says that it does not listen.
    ///
    /// # Errors
    ///
    /// Fails with [`Interrupted`] where the future was cancelled.
    ///
    /// # Panics
    ///
    /// As [`run`](Self::run); and if the signal cannot be listened to, which is a matter of descriptors.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// let mut runner = asyncio_runtime::Runner::new()?;
    /// assert_eq!(runner.run_interruptible(async { 1 }), Ok(1));
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn run_interruptible<F: Future>(&mut self, future: F) -> Result<F::Output, Interrupted> {
        self.assert_open();
        self.interrupted = None;
        let mut listening = None;
        let out = {
            let _entered = self.core.enter();
            let mut main = pin!(RootScope::new(future));
            if self.listens_to_ctrl_c {
                listening = Some(Listening::start(main.as_mut().handle()));
            }
            self.run_main(main).map_err(|_| Interrupted(()))
        };
        if out.is_err() {
            self.interrupted = listening;
        }
        out
    }

    #[track_caller]
    fn assert_open(&self) {
        assert!(!self.core.event_loop.is_closed(), "the event loop is closed: make a new `Runner`");
    }

    /// Polls main to its end, in its turn among the tasks.
    #[track_caller]
    fn run_main<F: Future>(&self, mut main: Pin<&mut RootScope<F>>) -> Result<F::Output, Cancelled> {
        let (core, place) = (&self.core, Location::caller());
        let _context = self.context.enter();
        let _away = StepAway(core);
        // What was spawned, or registered, before this run is taken over, and comes before main.
        core.executor.is_ready();
        let waker = core.executor.main_waker();
        let mut cx = Context::from_waker(&waker);
        waker.wake_by_ref();
        let mut stretch = Stretch::default();
        let mut spinning = Spinning::of(core);
        loop {
            let busy = core.run_ready(&mut stretch);
            if busy == Busy::Main {
                let units = core.executor.budget();
                let _measured = core.event_loop.meter().map(|meter| meter.watch().begin_main(place));
                if let Poll::Ready(output) = budget::with_budget(units, || main.as_mut().poll(&mut cx)) {
                    return output;
                }
                continue;
            }
            spinning.ran(&stretch);
            stretch = Stretch::default();
            let limit = spinning.limit(busy);
            let looked = self.crew.failure().map_or_else(|| core.look_at_events(busy, limit), Err);
            match looked {
                Ok(has_happened) => spinning.looked(busy, limit, has_happened),
                Err(error) => panic!("the event loop cannot wait for events any more: {error}"),
            }
        }
    }

    /// Runs the loop until somebody [stops](EventLoop::stop) it. asyncio's `run_forever`.
    ///
    /// A stop lets the round come to its end that is under way: what is ready by then is polled, and what that made ready is left for the next run. The
    /// loop can run again afterwards.
    ///
    /// # Panics
    ///
    /// As [`run`](Self::run).
    #[track_caller]
    pub fn run_forever(&mut self) {
        self.assert_open();
        let core = &self.core;
        let _entered = core.enter();
        let _away = StepAway(core);
        let mut stretch = Stretch::default();
        let mut spinning = Spinning::of(core);
        loop {
            let mut turned = self.crew.failure().map_or_else(|| core.run_batch(&mut stretch), Err);
            if core.event_loop.runtime().take_stop() {
                return;
            }
            if turned.is_ok() && !core.executor.is_ready() {
                spinning.ran(&stretch);
                stretch = Stretch::default();
                let limit = spinning.limit(Busy::Idle);
                turned = self
                    .crew
                    .failure()
                    .map_or_else(|| core.look_at_events(Busy::Idle, limit), Err)
                    .map(|has_happened| spinning.looked(Busy::Idle, limit, has_happened));
            }
            if let Err(error) = turned {
                panic!("the event loop cannot wait for events any more: {error}");
            }
        }
    }

    /// Returns a handle to the loop: that of worker 0, where there are several.
    pub fn event_loop(&self) -> EventLoop {
        self.core.event_loop.clone()
    }

    /// Returns handles to the loops of all workers, in their order.
    pub fn event_loops(&self) -> Vec<EventLoop> {
        std::iter::once(&self.core.event_loop).chain(self.crew.event_loops()).cloned().collect()
    }

    /// Runs one turn of the loop, inside of a loop of somebody else's (a GUI, a game's frame, a C host): *guest mode*.
    ///
    /// Polls what is ready; if nothing is, waits for events, at most for `timeout` (`None` is for as long as it takes, zero not at
    /// all); fires what is due; polls what that made ready. Returns whether anything happened.
    ///
    /// Between turns the host waits until [`as_fd`](std::os::fd::AsFd::as_fd) is readable or [`next_deadline`](Self::next_deadline) has come,
    /// whichever is first. Wakes from other threads make the descriptor readable. Where there are several workers, what any of them may run the
    /// others run meanwhile, and the host is not told of it.
    ///
    /// # Errors
    ///
    /// Fails where the reactor cannot wait, or another worker cannot go on; and with `LoopClosed` after [`close`](Self::close).
    ///
    /// # Panics
    ///
    /// Panics if a loop runs on this thread already.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let mut runner = asyncio_runtime::Runner::new()?;
    /// assert!(!runner.turn(Some(Duration::ZERO))?, "nothing to do");
    /// assert_eq!(runner.next_deadline(), None);
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn turn(&mut self, timeout: Option<Duration>) -> io::Result<bool> {
        if self.core.event_loop.is_closed() {
            return Err(asyncio_base::LoopClosed::new().into());
        }
        if let Some(error) = self.crew.failure() {
            return Err(error);
        }
        let core = &self.core;
        let _entered = core.enter();
        let _away = StepAway(core);
        let polled = run_stretch(core);
        let busy = if polled || core.executor.is_ready() { Busy::Ready } else { Busy::Idle };
        let happened = core.look_at_events(busy, timeout)?;
        let polled_again = run_stretch(core);
        core.reactor.prepare_foreign_wait();
        Ok(polled || happened || polled_again)
    }

    /// Calls `f` on this thread between two turns, with the loop entered: its clock, its reactor, its tasks. `f` is no task: it has no scope, and no budget. For hosts that run other
    /// things on the loop's thread, as a simulation does its blocking calls.
    ///
    /// # Panics
    ///
    /// Panics if the loop is closed, and as `f` does.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::{Duration, Instant};
    ///
    /// use asyncio_runtime::Runner;
    /// use asyncio_timers::ManualClock;
    ///
    /// let clock = ManualClock::new();
    /// let mut runner = Runner::builder().clock(clock.clone()).build().unwrap();
    /// clock.advance(Duration::from_secs(3600));
    /// assert!(runner.enter(asyncio_timers::now) > Instant::now() + Duration::from_secs(3000));
    /// ```
    #[track_caller]
    pub fn enter<R>(&mut self, f: impl FnOnce() -> R) -> R {
        assert!(!self.core.event_loop.is_closed(), "the loop is closed");
        let _entered = self.core.enter();
        let _away = StepAway(&self.core);
        f()
    }

    /// Returns when the next [`turn`](Self::turn) must come at the latest, for hosts: now, if something is ready; `None`, if only events
    /// can make something happen.
    pub fn next_deadline(&self) -> Option<Instant> {
        if self.core.executor.is_ready() {
            return Some(self.core.timers.now());
        }
        self.core.timers.next_deadline()
    }

    /// Begins to close the loop, for hosts that must not wait: every task is asked to end. Go on with [`turn`](Self::turn) until
    /// [`is_drained`](Self::is_drained), or for as long as you like; [`close`](Self::close) then waits no more.
    ///
    /// Called again, it asks those that have come since.
    ///
    /// # Panics
    ///
    /// Panics if a loop runs on this thread already.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let mut runner = asyncio_runtime::Runner::new()?;
    /// let task = runner.event_loop().spawn(std::future::pending::<()>())?;
    /// runner.begin_close();
    /// while !runner.is_drained() {
    ///     runner.turn(Some(Duration::ZERO))?;
    /// }
    /// runner.close();
    /// assert!(task.is_finished());
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn begin_close(&mut self) {
        if self.core.event_loop.is_closed() {
            return;
        }
        self.is_closing = true;
        let _entered = self.core.enter();
        self.core.cleanup.set_draining(true);
        Ending::of(&self.core, &self.crew, self.executor.as_ref()).cancel_all();
        self.core.leave();
    }

    /// Says whether no task and no clean-up is left.
    pub fn is_drained(&self) -> bool {
        self.core.event_loop.is_closed() || {
            let ending = Ending::of(&self.core, &self.crew, self.executor.as_ref());
            // Twice, since workers do not stand still while they are looked at.
            ending.is_over() && ending.is_over()
        }
    }

    /// Ends the loop as a crash does: every task is dropped where it stands, and clean-up that is registered does not run. For simulations, and for
    /// whoever has to be gone at once.
    ///
    /// # Examples
    ///
    /// ```
    /// let runner = asyncio_runtime::Runner::new().unwrap();
    /// runner.event_loop().spawn(async {
    ///     let _guard = asyncio_tasks::guard((), |()| async { unreachable!("it does not run") });
    ///     std::future::pending::<()>().await;
    /// });
    /// runner.abandon();
    /// ```
    pub fn abandon(mut self) {
        if self.core.event_loop.is_closed() {
            return;
        }
        self.core.cleanup.abandon();
        self.shut();
    }

    /// Closes the loop. Every task that is left is cancelled, and its clean-up is waited for, at most for the
    /// [grace period](Builder::cleanup_grace); what would not die is named, and dropped in place, on its thread. Whatever outlives the
    /// loop says `LoopClosed` from now on.
    ///
    /// Inside of another loop there is no waiting: the tasks are dropped, and their clean-up goes on on a thread of its own, but for
    /// [local](asyncio_tasks::guard_local) clean-up, which is dropped and reported.
    ///
    /// Other workers end their present poll first; for one whose poll does not end, this waits, and says so.
    pub fn close(&mut self) {
        if self.core.event_loop.is_closed() {
            return;
        }
        // Inside of another loop, or at the end of its thread, this one cannot run: what is left is dropped.
        let mut grace = Duration::ZERO;
        if EventLoop::can_be_entered() {
            if !self.is_closing {
                drain(&self.core, &self.crew, self.executor.as_ref());
            } else if !self.is_drained() {
                self.core.closing_step(|| name_what_is_left(&self.core, self.core.cleanup.grace()));
            }
            self.core.cleanup.end();
            grace = self.core.cleanup.grace();
        }
        self.core.closing_step(|| self.core.cleanup.close_belongings(grace));
        self.shut();
    }

    /// Closes everything, from the top down.
    fn shut(&mut self) {
        self.core.event_loop.set_closed();
        // The steps are numbered in `crew.rs`.
        self.crew.stop();
        if let Some(executor) = &self.executor {
            self.core.closing_step(|| executor.close());
        }
        self.crew.go_on();
        self.core.drop_futures();
        self.crew.wait();
        self.crew.go_on();
        self.core.close_drivers();
        self.crew.join();
        trace::debug!("runtime", "a loop was closed");
        self.interrupted = None;
        self.watchdog = None;
        self.core.event_loop.runtime().forget_handler();
    }
}

/// Leaves the loop when dropped.
struct StepAway<'a>(&'a Core);

impl Drop for StepAway<'_> {
    fn drop(&mut self) {
        self.0.leave();
    }
}

impl Drop for Runner {
    fn drop(&mut self) {
        self.close();
    }
}

/// For hosts that wait on descriptors.
///
/// # Panics
///
/// `as_fd` panics if the reactor has no descriptor: a user's own may lack one.
#[cfg(unix)]
impl std::os::fd::AsFd for Runner {
    #[track_caller]
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        let descriptor = self.core.reactor.descriptor();
        descriptor.expect("this reactor has no descriptor to wait on; drive it with `turn` and a timeout")
    }
}

impl fmt::Debug for Runner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runner")
            .field("event_loop", &self.core.event_loop)
            .field("executor", &self.core.executor)
            .finish()
    }
}

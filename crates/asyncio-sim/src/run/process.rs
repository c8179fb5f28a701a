//! [`Process`]: a simulated host: its loop, its main, and its clock.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use asyncio_base::panic::{catch_and_store, into_message};
use asyncio_base::shim::{Arc, Mutex};
use asyncio_executor::TaskId;
use asyncio_net::with_resolver;
use asyncio_runtime::{Runner, Unhandled};

use super::failure::FailureKind;
use super::panics;
use super::stall::{Look, Polls, Stall};
use crate::clock::SimClock;
use crate::names::SimResolver;
use crate::net::{HostId, Nanos, Net, nanos};
use crate::pool::SimPool;
use crate::reactor::{self, SimReactor};
use crate::schedule::SimSchedule;

/// The main of a host, made anew for each of its lives. It gives what went wrong.
pub(crate) type Main = Pin<Box<dyn Future<Output = Option<String>>>>;
pub(crate) type MakeMain = Box<dyn FnMut() -> Main>;

/// How a main has ended.
pub(crate) type Ended = Result<(), (FailureKind, String)>;

/// In which state a host is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Running,
    /// Its main has ended; tasks and clean-up have until then.
    Ending(Nanos),
    /// It gets no turn.
    Paused,
    /// It is switched off.
    Crashed,
    /// It has ended in an orderly way.
    Exited,
}

pub(crate) struct Process {
    pub(crate) name: String,
    pub(crate) host: HostId,
    pub(crate) state: State,
    /// The run ends with the last of these.
    pub(crate) is_client: bool,
    pub(crate) has_ended_once: bool,
    make: MakeMain,
    clock: SimClock,
    grace: Duration,
    life: Option<Life>,
    /// What did not end in time, in its last life.
    left: Option<String>,
}

/// What there is of a host while it runs.
struct Life {
    runner: Runner,
    reactor: Arc<reactor::Shared>,
    pool: SimPool,
    main: Rc<MainState>,
    /// When it has something to do by itself.
    next: Option<Nanos>,
    /// When its tasks are asked to end once more: those that have come since, as in production.
    ask_again: Option<Nanos>,
    reports: Arc<Mutex<Vec<Unhandled>>>,
    /// What was seen when it was looked at for stalls.
    polls: Polls,
}

#[derive(Default)]
struct MainState {
    ended: RefCell<Option<Ended>>,
    polled_at: Cell<Nanos>,
    /// It was asked to end before it had: what it says to that is nobody's concern.
    was_cut_short: Cell<bool>,
    polls: Cell<u64>,
    task: Cell<Option<TaskId>>,
}

/// What is the same for all hosts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    pub(crate) is_fifo: bool,
    pub(crate) grace: Duration,
}

impl Process {
    pub(crate) fn new(name: String, host: HostId, net: &Arc<Net>, is_client: bool, make: MakeMain) -> Self {
        Self {
            name,
            host,
            state: State::Exited,
            is_client,
            has_ended_once: false,
            make,
            clock: SimClock::new(net.clone()),
            grace: Duration::ZERO,
            life: None,
            left: None,
        }
    }

    /// Starts it, with a loop that has nothing of a former one.
    pub(crate) fn start(&mut self, net: &Arc<Net>, settings: Settings) -> io::Result<()> {
        self.grace = settings.grace;
        let host = self.host;
        let reactor = SimReactor::driven(net.clone(), host);
        let shared = reactor.shared();
        let reports = Arc::new(Mutex::new(Vec::new()));
        let sink = reports.clone();
        let only = Mutex::new(Some(reactor));
        let mut runner = Runner::builder()
            .reactor(move |_| only.lock().take().ok_or_else(|| io::Error::other("a host has one worker")))
            .clock(self.clock.clone())
            .schedule(SimSchedule::new(net.clone(), host, settings.is_fifo))
            .cleanup_grace(settings.grace)
            .debug(false)
            .ctrl_c(false)
            .on_unhandled(move |what| sink.lock().push(what.clone()))
            .build()?;
        // Without the watchdog, which is a thread.
        runner.event_loop().set_debug(true);
        let pool = SimPool::new(net.clone(), host);
        let main = Rc::new(MainState::default());
        let body = watched(runner.enter(|| (self.make)()), main.clone(), net.clone());
        let (names, calls, state) = (SimResolver::new(net.clone(), host), pool.clone(), main.clone());
        runner.run(async move {
            asyncio_blocking::set_pool(calls);
            let task = asyncio_tasks::Builder::new().name("main").spawn_local(with_resolver(names, body));
            state.task.set(Some(task.id()));
            task.detach();
        });
        self.life = Some(Life {
            runner,
            reactor: shared,
            pool,
            main,
            next: Some(net.now()),
            ask_again: None,
            reports,
            polls: Polls::new(),
        });
        self.state = State::Running;
        Ok(())
    }

    fn takes_turns(&self) -> bool {
        matches!(self.state, State::Running | State::Ending(_))
    }

    /// Says when it has something to do: now, if somebody has woken it.
    pub(crate) fn next(&mut self, now: Nanos) -> Option<Nanos> {
        if !self.takes_turns() {
            return None;
        }
        let state = self.state;
        let life = self.life.as_mut()?;
        if life.reactor.take_notified() {
            life.next = Some(now);
        }
        let end = match state {
            State::Ending(until) => Some(until),
            _ => None,
        };
        life.next.into_iter().chain(life.pool.next()).chain(life.ask_again).chain(end).min()
    }

    /// Gives it a turn of its loop.
    pub(crate) fn turn(&mut self, now: Nanos) -> io::Result<()> {
        let Some(life) = &mut self.life else { return Ok(()) };
        while let Some(job) = life.pool.take_due(now) {
            // With the loop, for its clock and its clean-up, and so that what it asks for is the simulation's.
            life.runner.enter(|| job.run());
        }
        if life.ask_again.is_some_and(|at| at <= now) {
            life.ask_again = None;
            life.runner.begin_close();
        }
        life.runner.turn(Some(Duration::ZERO))?;
        life.next = life.runner.next_deadline().map(|at| self.clock.when(at).max(now));
        if self.state == State::Running && life.main.ended.borrow().is_some() {
            self.begin_end(now);
        }
        if let (State::Ending(until), Some(life)) = (self.state, &self.life) {
            let has_more = life.next.is_some_and(|next| next <= now);
            if life.runner.is_drained() || until <= now && !has_more {
                self.exit();
            }
        }
        Ok(())
    }

    /// Its main has ended, or the simulation has: what is left is asked to end, too.
    pub(crate) fn begin_end(&mut self, now: Nanos) {
        let may_end = self.state == State::Paused || self.takes_turns();
        let Some(life) = &mut self.life else { return };
        if may_end {
            life.main.was_cut_short.set(life.main.ended.borrow().is_none());
            life.runner.begin_close();
            life.next = Some(now);
            life.ask_again = Some(now + nanos(self.grace) / 2);
            // Scopes cut off what takes longer than once that; whoever does not end then never does.
            self.state = State::Ending(now + 2 * nanos(self.grace));
        }
    }

    /// Its time is over.
    fn exit(&mut self) {
        if let Some(life) = &mut self.life {
            if !life.runner.is_drained() {
                self.left = Some(format!(
                    "tasks or clean-up have not ended {:?} after they were asked to",
                    2 * self.grace
                ));
            }
            life.runner.close();
            life.pool.clear();
            (life.next, life.ask_again) = (None, None);
        }
        (self.state, self.has_ended_once) = (State::Exited, true);
    }

    /// The machine is off: everything is dropped where it stands, and nothing is cleaned up.
    pub(crate) fn crash(&mut self) {
        // One whose main has ended has ended, though it was about to clean up.
        self.has_ended_once |= matches!(self.state, State::Ending(_));
        self.state = State::Crashed;
        let Some(life) = self.life.take() else { return };
        let pool = life.pool.clone();
        life.runner.abandon();
        // What its calls have would be cleaned up otherwise.
        pool.clear();
    }

    pub(crate) fn pause(&mut self) {
        if self.state == State::Running {
            self.state = State::Paused;
        }
    }

    pub(crate) fn resume(&mut self, now: Nanos) {
        if self.state == State::Paused {
            self.state = State::Running;
            self.life.iter_mut().for_each(|life| life.next = Some(now));
        }
    }

    pub(crate) fn drift(&mut self, per_million: i32, now: Nanos) {
        self.clock.drift(per_million);
        // Deadlines come at other times now.
        self.life.iter_mut().for_each(|life| life.next = Some(now));
    }

    pub(crate) fn take_ended(&mut self) -> Option<Ended> {
        let main = &self.life.as_ref()?.main;
        main.ended.borrow_mut().take().filter(|_| !main.was_cut_short.get())
    }

    pub(crate) fn take_reports(&mut self) -> Vec<Unhandled> {
        self.life.as_ref().map_or_else(Vec::new, |life| std::mem::take(&mut *life.reports.lock()))
    }

    pub(crate) fn take_left(&mut self) -> Option<String> {
        self.left.take()
    }

    /// Says whether these tasks wait for locks alone.
    pub(crate) fn wait_for_locks_alone(&mut self, net: &Net, tasks: &[TaskId]) -> bool {
        let Some(life) = self.life.as_mut().filter(|_| self.state == State::Running) else { return false };
        life.next = Some(net.now());
        Look { runner: &mut life.runner, net }.wait_for_locks_alone(tasks)
    }

    pub(crate) fn has_waiting_main(&self) -> bool {
        self.state == State::Running
            && self.life.as_ref().is_some_and(|life| life.main.ended.borrow().is_none())
    }

    pub(crate) fn runner(&mut self) -> Option<&mut Runner> {
        self.life.as_mut().map(|life| &mut life.runner)
    }

    /// Looks whether its main will ever go on by itself, if it waits since `long_ago` or longer. Says since when, and why not.
    pub(crate) fn look_for_stall(&mut self, net: &Net, long_ago: Option<Nanos>) -> Option<(Nanos, Stall)> {
        if !self.has_waiting_main() {
            return None;
        }
        let life = self.life.as_mut()?;
        let main = life.main.clone();
        let ended = || main.ended.borrow().as_ref().map(Result::is_ok);
        let progress = || (main.polls.get(), ended());
        let (since, task) = (main.polled_at.get(), main.task.get()?);
        let mut look = Look { runner: &mut life.runner, net };
        if long_ago.is_none_or(|long_ago| since > long_ago) {
            life.polls = look.polls();
            return None;
        }
        let polls = main.polls.get();
        let stall = look.find_stall(task, &progress, &mut life.polls);
        if main.polls.get() <= polls + 1 {
            // Which was for nothing, and no end of its waiting.
            main.polled_at.set(since);
        }
        // What was woken may have set a timer, or sent something.
        life.next = Some(net.now());
        Some((since, stall?))
    }
}

/// Runs a main, and notes how it ends.
async fn watched(mut main: Main, state: Rc<MainState>, net: Arc<Net>) {
    let ended = std::future::poll_fn(|cx: &mut Context<'_>| {
        state.polled_at.set(net.now());
        state.polls.set(state.polls.get() + 1);
        let mut panic = None;
        match catch_and_store(&mut panic, || main.as_mut().poll(cx)) {
            Some(Poll::Pending) => Poll::Pending,
            Some(Poll::Ready(None)) => Poll::Ready(Ok(())),
            Some(Poll::Ready(Some(error))) => Poll::Ready(Err((FailureKind::Error, error))),
            None => {
                let text = panic.map_or_else(String::new, into_message);
                Poll::Ready(Err((FailureKind::Panic, panics::with_place(text))))
            }
        }
    })
    .await;
    let mut panic = None;
    catch_and_store(&mut panic, move || drop(main));
    let ended = match panic {
        Some(panic) if ended.is_ok() => Err((FailureKind::Panic, panics::with_place(into_message(panic)))),
        _ => ended,
    };
    *state.ended.borrow_mut() = Some(ended);
}

impl fmt::Debug for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Process")
            .field("name", &self.name)
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

//! [`Sim`]: hosts, and the one loop that gives each its turn and moves time.
//!
//! - S1: as long as a host has something to do at this moment, one of those is chosen, and has a turn of its loop. Then time jumps to what is next: a packet, a
//!   deadline of a host, a fault.
//! - S2: after each turn whom its packets concern is woken, and what it asked of the simulation is done.
//! - S3: it ends when all clients have ended, without clients when all hosts have, and nobody has anything more to do at that moment. Then all that is left is asked to end, and has
//!   its time for clean-up; what is held after that is a leak.
//! - S4: everything that a host can see is the simulation's: time, names, sockets, blocking calls, random numbers. What it may not have is refused.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Deref;
use std::rc::Rc;
use std::time::Duration;

use asyncio_base::panic::{catch_and_store, into_message};
use asyncio_base::shim::Arc;
use asyncio_base::{closed_world, lock_watch, random};

use super::builder::Builder;
use super::failure::{Failure, FailureKind};
use super::faults::{Faults, Struck};
use super::handle::Handle;
use super::locks::{Circle, Locks};
use super::panics;
use super::process::{Process, Settings, State};
use super::stall::Stall;
use crate::choice::{Script, Stream};
use crate::net::{Counts, Nanos, Net, nanos};
use crate::trace::{Kind, TraceHash};

/// A simulation: hosts that run programs of `asyncio`, the network between them, and time.
///
/// # Examples
///
/// ```
/// use asyncio_net::{TcpListener, TcpStream};
/// use asyncio_sim::{Link, Sim};
/// use futures_lite::{AsyncReadExt, AsyncWriteExt};
/// use std::time::Duration;
///
/// let mut sim = Sim::builder().seed(7).link(Link::new().loss(0.1)).build();
/// sim.host("server", "10.0.0.1", || async {
///     let listener = TcpListener::bind("0.0.0.0:80").await?;
///     loop {
///         let (mut stream, _) = listener.accept().await?;
///         stream.write_all(b"hello").await?;
///     }
///     #[allow(unreachable_code, reason = "says of which type the error is")]
///     Ok::<(), std::io::Error>(())
/// });
/// sim.client("client", "10.0.0.2", || async {
///     asyncio_timers::sleep(Duration::from_secs(60)).await;
///     let mut stream = TcpStream::connect("server:80").await?;
///     let mut text = [0; 5];
///     stream.read_exact(&mut text).await?;
///     assert_eq!(&text, b"hello");
///     Ok::<(), std::io::Error>(())
/// });
/// let summary = sim.run().unwrap();
/// assert!(summary.elapsed > Duration::from_secs(60));
/// ```
pub struct Sim {
    pub(super) handle: Handle,
    pub(super) settings: Settings,
    limits: Limits,
    pub(super) faults: Faults,
    pub(super) processes: Vec<Process>,
    pub(super) agenda: BTreeMap<(Nanos, u64), Action>,
    locks: Arc<Locks>,
    /// Mains are looked at then.
    look_at: Nanos,
    /// Tasks that seem to wait for each other, and on which host.
    circles: Vec<(usize, Circle)>,
    is_winding_up: bool,
    is_recorded: bool,
    is_detailed: bool,
}

#[derive(Clone, Copy)]
struct Limits {
    time: Nanos,
    stall: Nanos,
    polls: u64,
    events: u64,
}

/// What the simulation itself does at a time.
pub(super) enum Action {
    Call(Box<dyn FnOnce(&Handle)>),
    Strike,
    End(Struck),
    Calm,
}

/// How a run went that found nothing.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Summary {
    /// How much simulated time it took.
    pub elapsed: Duration,
    /// How many events there were.
    pub events: u64,
    /// Their hash: two runs with the same are the same.
    pub hash: TraceHash,
    /// How many questions the choice function answered.
    pub choices: u64,
    /// How often something rare has happened.
    pub counts: Counts,
    /// What was chosen, if that was recorded.
    pub script: Option<Script>,
}

pub(super) type Found = (FailureKind, Option<String>, String);

impl Sim {
    /// Makes a simulation to measure.
    pub fn builder() -> Builder {
        Builder::new()
    }

    pub(crate) fn of(net: Arc<Net>, builder: Builder) -> Self {
        let Builder { faults, calm_after, time_limit, stall_limit, polls_max, is_fifo, grace, .. } = builder;
        let mut sim = Self {
            handle: Handle { net, commands: Rc::default() },
            settings: Settings { is_fifo, grace },
            limits: Limits {
                time: nanos(time_limit),
                stall: nanos(stall_limit).max(1),
                polls: polls_max,
                events: builder.events_max,
            },
            faults,
            processes: Vec::new(),
            agenda: BTreeMap::new(),
            locks: Arc::default(),
            look_at: nanos(stall_limit) / 2,
            circles: Vec::new(),
            is_winding_up: false,
            is_recorded: builder.is_recorded,
            is_detailed: builder.is_detailed,
        };
        if let Some(calm) = calm_after {
            sim.plan(nanos(calm), Action::Calm);
        }
        sim.plan_strike();
        sim
    }

    /// Returns the handle, which those who run in the simulation have, too.
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Runs until all clients have ended, or something is found.
    ///
    /// # Errors
    ///
    /// Fails with what was found.
    ///
    /// # Panics
    ///
    /// Panics if a loop runs on this thread, or the machine has no memory left.
    #[track_caller]
    pub fn run(mut self) -> Result<Summary, Box<Failure>> {
        panics::watch();
        let net = self.handle.net.clone();
        let _current = self.handle.enter();
        let _closed = closed_world::enter();
        let _locks = lock_watch::enter(self.locks.clone());
        let _random = random::enter(Rc::new(move |count| {
            net.with(|world| {
                let host = world.running;
                let answer = world.choices.choose(Stream::User(host as u32), count);
                world.event(host, Kind::Random, [count, answer]);
                answer
            })
        }));
        let found = self.go_on().and_then(|()| self.wind_up());
        match found {
            Ok(()) => {
                let summary = self.summary();
                drop(self);
                Ok(summary)
            }
            Err(found) => Err(Box::new(self.fail(found))),
        }
    }

    fn summary(&self) -> Summary {
        self.handle.net.with(|world| Summary {
            elapsed: Duration::from_nanos(world.now),
            events: world.trace.count(),
            hash: world.trace.hash(),
            choices: world.choices.drawn(),
            counts: world.counts.clone(),
            script: if self.is_recorded { world.choices.take_record() } else { None },
        })
    }

    fn fail(mut self, (kind, host, message): Found) -> Failure {
        let Summary { elapsed: at, events, hash, script, .. } = self.summary();
        let details = if self.is_detailed { self.details() } else { String::new() };
        Failure { kind, host, message, at, events, hash, script, details }
    }

    /// Asks every task of every host what it waits for.
    fn details(&mut self) -> String {
        let mut text = self.locks.describe();
        for process in &mut self.processes {
            let name = &process.name;
            text.push_str(&format!("host {name:?} ({:?}):\n", process.state));
            if let Some(runner) = process.runner().filter(|runner| !runner.event_loop().is_closed()) {
                let dump = runner.run(asyncio_tasks::debug::dump());
                // What main is there is the one that asks.
                dump.tasks().iter().for_each(|task| text.push_str(&format!("{task}\n")));
            }
        }
        text
    }

    pub(super) fn now(&self) -> Nanos {
        self.handle.net.now()
    }

    pub(super) fn plan(&mut self, at: Nanos, action: Action) {
        let order = self.handle.net.with(|world| world.order());
        self.agenda.insert((at, order), action);
    }

    pub(super) fn plan_strike(&mut self) {
        let faults = self.faults;
        let next = self.handle.net.with(|world| faults.next(world));
        next.into_iter().for_each(|at| self.plan(at, Action::Strike));
    }

    /// S1, until the clients have ended.
    fn go_on(&mut self) -> Result<(), Found> {
        loop {
            self.obey()?;
            // What is to come at this very moment comes before the end.
            if self.is_over() && !self.has_ready() && !self.look_for_circles()? {
                return Ok(());
            }
            if !self.step()? {
                let waiting: Vec<String> = self
                    .waited_for()
                    .map(|process| format!("{} ({:?})", process.name, process.state))
                    .collect();
                let message =
                    format!("nothing can happen any more, and these have not ended: {}", waiting.join(", "));
                return Err((FailureKind::Deadlock, None, message));
            }
        }
    }

    fn has_ready(&mut self) -> bool {
        let now = self.now();
        self.processes.iter_mut().any(|process| process.next(now).is_some_and(|at| at <= now))
    }

    /// S3.
    fn is_over(&self) -> bool {
        let is_planned = |action: &Action| matches!(action, Action::Call(_));
        let may_begin = self.processes.is_empty() && self.agenda.values().any(is_planned);
        self.waited_for().next().is_none() && !may_begin
    }

    /// The clients that have not ended; where there are none at all, the hosts.
    fn waited_for(&self) -> impl Iterator<Item = &Process> {
        let has_clients = self.has_clients();
        let counts = move |process: &&Process| process.is_client || !has_clients;
        self.processes.iter().filter(counts).filter(|process| !process.has_ended_once)
    }

    fn has_clients(&self) -> bool {
        self.processes.iter().any(|process| process.is_client)
    }

    /// Gives one host a turn, or moves time. Says whether there was anything to do.
    fn step(&mut self) -> Result<bool, Found> {
        let now = self.now();
        let mut next: Option<Nanos> = None;
        let mut ready = 0_u64;
        let mut only = 0;
        for (nth, process) in self.processes.iter_mut().enumerate() {
            let Some(at) = process.next(now) else { continue };
            if at <= now {
                ready += 1;
                only = nth;
            } else {
                next = Some(next.map_or(at, |next| next.min(at)));
            }
        }
        if ready > 0 {
            let nth = if ready == 1 { only } else { self.choose_ready(now, ready) };
            return self.turn(nth, now).map(|()| true);
        }
        let agenda = self.agenda.first_key_value().map(|((at, _), _)| *at);
        let event = self.handle.net.next_event();
        if self.look_for_circles()? {
            return Ok(true);
        }
        let Some(at) = next.into_iter().chain(agenda).chain(event).min() else { return Ok(false) };
        self.move_time(at.max(now))?;
        Ok(true)
    }

    fn choose_ready(&mut self, now: Nanos, ready: u64) -> usize {
        let nth = self.handle.net.with(|world| world.choices.choose(Stream::HOSTS, ready)) as usize;
        let mut places = (0..self.processes.len())
            .filter(|place| self.processes[*place].next(now).is_some_and(|at| at <= now));
        // OK because so many were counted.
        places.nth(nth).unwrap_or(0)
    }

    fn turn(&mut self, nth: usize, now: Nanos) -> Result<(), Found> {
        let process = &mut self.processes[nth];
        let host = process.host;
        self.handle.net.with(|world| {
            world.running = host;
            world.event(host, Kind::Turn, [0, 0]);
        });
        let name = |process: &Process| Some(process.name.clone());
        if let Err(error) = process.turn(now) {
            return Err((FailureKind::Error, name(process), error.to_string()));
        }
        // S2.
        self.handle.net.wake();
        if let Some(Err((kind, message))) = process.take_ended() {
            return Err((kind, name(process), message));
        }
        for report in process.take_reports() {
            if report.is_panic() {
                return Err((FailureKind::Panic, name(process), panics::with_place(report.to_string())));
            }
            // What a scope reports whose clean-up is over its time.
            if report.message().contains("was cut off") {
                return Err((FailureKind::Undead, name(process), report.to_string()));
            }
        }
        if let Some(left) = process.take_left() {
            return Err((FailureKind::Undead, name(process), left));
        }
        if process.state == State::Exited {
            self.look_for_leaks(nth)?;
        }
        self.take_circles(nth);
        if let Some(message) = self.locks.take_starved() {
            return Err((FailureKind::Starvation, name(&self.processes[nth]), message));
        }
        let (polls, events) = self.handle.net.with(|world| (world.polls, world.trace.count()));
        if events > self.limits.events {
            return Err((
                FailureKind::TimeLimit,
                None,
                String::from("there were more events than are of use"),
            ));
        }
        if polls > self.limits.polls {
            let message = format!("{polls} polls, and time stands still");
            return Err((FailureKind::Livelock, name(&self.processes[nth]), message));
        }
        Ok(())
    }

    /// What has closed meanwhile is of the host that had its turn.
    fn take_circles(&mut self, nth: usize) {
        self.circles.extend(self.locks.take_circles().into_iter().map(|circle| (nth, circle)));
    }

    /// Looks whether tasks wait for each other's locks, and for nothing else. Says whether there were any to look at, which may go on now.
    fn look_for_circles(&mut self) -> Result<bool, Found> {
        let mut has_looked = false;
        for (nth, circle) in std::mem::take(&mut self.circles) {
            let Some((tasks, message)) = self.locks.stands(&circle) else { continue };
            let process = &mut self.processes[nth];
            match process.state {
                State::Running => has_looked = true,
                State::Paused => {
                    self.circles.push((nth, circle));
                    continue;
                }
                // It ends by itself, or is gone.
                _ => continue,
            }
            let host = process.host;
            self.handle.net.with(|world| world.running = host);
            let is_stuck = process.wait_for_locks_alone(&self.handle.net, &tasks);
            if is_stuck && self.locks.stands(&circle).is_some() {
                return Err((FailureKind::LockCycle, Some(process.name.clone()), message));
            }
            self.take_circles(nth);
        }
        Ok(has_looked)
    }

    fn look_for_leaks(&self, nth: usize) -> Result<(), Found> {
        let process = &self.processes[nth];
        let open = self.handle.net.with(|world| world.open_sockets(process.host));
        if open.is_empty() {
            return Ok(());
        }
        let message = format!("its program has ended, and somebody still holds {}", open.join("; "));
        Err((FailureKind::Leak, Some(process.name.clone()), message))
    }

    fn move_time(&mut self, at: Nanos) -> Result<(), Found> {
        if at > self.limits.time && !self.is_winding_up {
            let limit = Duration::from_nanos(self.limits.time);
            return Err((
                FailureKind::TimeLimit,
                None,
                format!("the clients have not ended within {limit:?}"),
            ));
        }
        self.handle.net.advance(at);
        self.handle.net.wake();
        while let Some(due) = self.agenda.first_entry().filter(|due| due.key().0 <= at) {
            match due.remove() {
                Action::Call(action) => {
                    caught(|| action(&self.handle)).map_err(|panic| (FailureKind::Panic, None, panic))?
                }
                Action::Strike => self.strike(),
                Action::End(struck) => self.end(struck)?,
                Action::Calm => self.calm(),
            }
        }
        self.handle.net.wake();
        if at >= self.look_at && !self.is_winding_up {
            self.look_at = at + self.limits.stall / 2;
            self.look_for_stalls(at)?;
        }
        Ok(())
    }

    fn look_for_stalls(&mut self, now: Nanos) -> Result<(), Found> {
        let long_ago = now.checked_sub(self.limits.stall);
        for nth in 0..self.processes.len() {
            let process = &mut self.processes[nth];
            if !process.is_client {
                continue;
            }
            let (host, name) = (process.host, process.name.clone());
            self.handle.net.with(|world| world.running = host);
            let stall = process.look_for_stall(&self.handle.net, long_ago);
            self.handle.net.wake();
            self.take_circles(nth);
            if let Some((since, stall)) = stall {
                let waited = Duration::from_nanos(now - since);
                let what = match stall {
                    Stall::NoDeadline => "for something that no deadline ends, while other things went on",
                    Stall::LostWake => "and went on when its tasks were woken for nothing: a wake was lost",
                };
                let message = format!("its main has waited for {waited:?} {what}");
                return Err((FailureKind::Stall, Some(name), message));
            }
        }
        Ok(())
    }

    /// S3: the end, in an orderly way.
    fn wind_up(&mut self) -> Result<(), Found> {
        self.is_winding_up = true;
        self.agenda.clear();
        self.faults = Faults::none();
        self.handle.commands.borrow_mut().clear();
        self.handle.net.with(|world| world.calm());
        let now = self.now();
        self.processes.iter_mut().for_each(|process| process.begin_end(now));
        while self.processes.iter().any(|process| matches!(process.state, State::Ending(_))) {
            // A host that ends has a deadline.
            self.step()?;
            self.obey()?;
        }
        Ok(())
    }
}

/// Runs what is a user's own, and says what it panics with, and where.
pub(super) fn caught<R>(f: impl FnOnce() -> R) -> Result<R, String> {
    let mut panic = None;
    let result = catch_and_store(&mut panic, f);
    result.ok_or_else(|| panics::with_place(panic.map_or_else(String::new, into_message)))
}

/// Where it is dropped before its end, or with hosts that were started at its end, those are switched off: nobody moves their time any more.
impl Drop for Sim {
    fn drop(&mut self) {
        self.processes.iter_mut().for_each(Process::crash);
    }
}

impl Deref for Sim {
    type Target = Handle;

    fn deref(&self) -> &Handle {
        &self.handle
    }
}

impl fmt::Debug for Sim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sim")
            .field("now", &self.now())
            .field("processes", &self.processes)
            .finish_non_exhaustive()
    }
}

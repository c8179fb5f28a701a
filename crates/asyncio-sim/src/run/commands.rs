//! What is done to hosts: at somebody's word, and by chance.

use super::failure::FailureKind;
use super::faults::{Faults, Strike, Struck};
use super::handle::Command;
use super::process::{Process, State};
use super::sim::{Action, Found, Sim, caught};
use crate::net::{HostId, Nanos};

impl Sim {
    /// Does what was asked for meanwhile.
    pub(super) fn obey(&mut self) -> Result<(), Found> {
        loop {
            let command = self.handle.commands.borrow_mut().pop_front();
            let Some(command) = command else { return Ok(()) };
            match command {
                Command::Start { name, host, is_client, make } => {
                    let process = Process::new(name, host, &self.handle.net, is_client, make);
                    self.processes.push(process);
                    self.start(self.processes.len() - 1)?;
                }
                Command::Crash(host) => {
                    self.keep_as_told(Strike::Crash, host);
                    self.crash(host);
                }
                Command::Restart(host) => {
                    self.keep_as_told(Strike::Crash, host);
                    self.restart(host)?;
                }
                Command::Pause(host) => {
                    self.keep_as_told(Strike::Pause, host);
                    self.pause(host);
                }
                Command::Resume(host) => {
                    self.keep_as_told(Strike::Pause, host);
                    self.with_host(host, Process::resume);
                }
                Command::Drift(host, per_million) => {
                    self.handle.net.with(|world| world.counts.drifts += 1);
                    self.with_host(host, |process, now| process.drift(per_million, now));
                }
                Command::At(at, action) => self.plan(at, Action::Call(action)),
            }
        }
    }

    /// Somebody has said how a host is to be: what chance has begun with it does not end it.
    fn keep_as_told(&mut self, strike: Strike, host: HostId) {
        self.agenda.retain(|_, action| {
            !matches!(action, Action::End(struck) if struck.strike == strike && struck.host == host)
        });
    }

    fn start(&mut self, nth: usize) -> Result<(), Found> {
        let process = &mut self.processes[nth];
        let host = process.host;
        self.handle.net.with(|world| world.running = host);
        let name = Some(process.name.clone());
        let started = caught(|| process.start(&self.handle.net, self.settings))
            .map_err(|panic| (FailureKind::Panic, name.clone(), panic))?;
        started.map_err(|error| {
            (FailureKind::Error, Some(process.name.clone()), format!("starting it: {error}"))
        })
    }

    fn with_host(&mut self, host: HostId, f: impl FnOnce(&mut Process, Nanos)) {
        let now = self.now();
        if let Some(process) = self.processes.iter_mut().find(|process| process.host == host) {
            f(process, now);
        }
    }

    fn is_in(&self, host: HostId, state: State) -> bool {
        self.processes.iter().any(|process| process.host == host && process.state == state)
    }

    fn crash(&mut self, host: HostId) {
        if !self.is_in(host, State::Crashed) {
            self.handle.net.with(|world| world.crash(host));
            self.with_host(host, |process, _| process.crash());
            self.handle.net.wake();
        }
    }

    fn pause(&mut self, host: HostId) {
        if self.is_in(host, State::Running) {
            self.handle.net.with(|world| world.counts.pauses += 1);
            self.with_host(host, |process, _| process.pause());
        }
    }

    fn restart(&mut self, host: HostId) -> Result<(), Found> {
        let nth = self.processes.iter().position(|process| process.host == host);
        let Some(nth) = nth else { return Ok(()) };
        if !matches!(self.processes[nth].state, State::Crashed | State::Exited) {
            return Ok(());
        }
        self.handle.net.with(|world| {
            world.counts.restarts += 1;
            world.boot(host);
        });
        self.start(nth)
    }

    /// A fault may strike now.
    pub(super) fn strike(&mut self) {
        let (faults, hosts) = (self.faults, self.processes.len());
        let may_crash: Vec<HostId> = self
            .processes
            .iter()
            .filter(|process| !process.is_client && process.state == State::Running)
            .map(|process| process.host)
            .collect();
        let struck = self.handle.net.with(|world| faults.choose(world, hosts, &may_crash));
        if let Some(end) = struck.and_then(|struck| self.begin(struck)) {
            self.plan(self.now() + end.lasts, Action::End(end));
        }
        self.plan_strike();
    }

    /// Has a fault begin. Gives what is to end later; nothing, where it does not, or had no effect.
    fn begin(&mut self, mut struck: Struck) -> Option<Struck> {
        let Struck { strike, host, other, per_million, .. } = struck;
        let is_running = self.is_in(host, State::Running);
        match strike {
            Strike::Partition | Strike::OneWay => {
                if host == other {
                    return None;
                }
                self.handle.net.with(|world| {
                    world.counts.partitions += 1;
                    for (from, to) in struck.ways() {
                        world.ways[from][to].cuts += 1;
                    }
                    struck.healed = [world.ways[host][other].healed, world.ways[other][host].healed];
                });
            }
            Strike::Crash => {
                self.crash(host);
                return is_running.then_some(struck);
            }
            Strike::Pause => {
                self.pause(host);
                return is_running.then_some(struck);
            }
            Strike::Drift => {
                self.handle.command(Command::Drift(host, per_million));
                return None;
            }
        }
        Some(struck)
    }

    pub(super) fn end(&mut self, struck: Struck) -> Result<(), Found> {
        let Struck { strike, host, .. } = struck;
        match strike {
            Strike::Partition | Strike::OneWay => self.handle.net.with(|world| {
                for ((from, to), healed) in struck.ways().zip(struck.healed) {
                    let way = &mut world.ways[from][to];
                    // If somebody has healed it meanwhile, what cuts it now is another's.
                    way.cuts -= u32::from(way.healed == healed);
                }
            }),
            Strike::Crash => self.restart(host)?,
            Strike::Pause => self.with_host(host, Process::resume),
            Strike::Drift => {}
        }
        Ok(())
    }

    /// Faults end for good: everything is whole again.
    pub(super) fn calm(&mut self) {
        self.faults = Faults::none();
        self.agenda.retain(|_, action| !matches!(action, Action::Strike | Action::End(_)));
        self.handle.net.with(|world| world.calm());
        for process in &self.processes {
            match process.state {
                State::Crashed => self.handle.command(Command::Restart(process.host)),
                State::Paused => self.handle.command(Command::Resume(process.host)),
                _ => {}
            }
        }
    }
}

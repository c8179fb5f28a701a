//! [`Locks`]: who holds which lock on a simulated host, and who waits for it.
//!
//! - W1: a circle of tasks that wait for each other's locks is noted when it closes, whatever else goes on. It is one if it still stands when time moves, and each of them waits for
//!   nothing else: a branch, or a timeout, could open it.
//! - W2: a wait is starved if others have taken the lock [`OVERTAKEN_MAX`] times since it began.

use std::fmt::Write as _;
use std::panic::Location;

use asyncio_base::lock_watch::{LockId, LockWatch, WaitId};
use asyncio_base::shim::Mutex;
use asyncio_executor::TaskId;

/// A queue of any sensible length comes to its end before that.
const OVERTAKEN_MAX: u32 = 100_000;

type Place = &'static Location<'static>;

/// A task: its number, and where it was spawned; none is a host's own code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Party(Option<(TaskId, Place)>);

impl Party {
    fn current() -> Self {
        Self(asyncio_tasks::current_task().map(|task| (task.id(), task.spawned_at())))
    }

    fn describe(self) -> String {
        // Without the number, which differs from run to run.
        self.0.map_or_else(|| String::from("no task"), |(_, place)| format!("the task spawned at {place}"))
    }
}

struct Wait {
    lock: LockId,
    party: Party,
    place: Place,
    overtaken: u32,
}

#[derive(Default)]
struct State {
    /// In order of their coming, as addresses have none that means something.
    holders: Vec<(LockId, Party, Place)>,
    waits: Vec<(WaitId, Wait)>,
    circles: Vec<Circle>,
    starved: Option<String>,
}

/// Tasks that seem to wait for each other: one of them, and the lock that it waits for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Circle {
    party: Party,
    lock: LockId,
}

/// The locks of a simulation.
#[derive(Default)]
pub(crate) struct Locks {
    state: Mutex<State>,
}

impl Locks {
    /// Takes the circles that have closed (W1).
    pub(crate) fn take_circles(&self) -> Vec<Circle> {
        std::mem::take(&mut self.state.lock().circles)
    }

    /// Gives the tasks of a circle that still stands, and who waits for whom.
    pub(crate) fn stands(&self, circle: &Circle) -> Option<(Vec<TaskId>, String)> {
        let state = self.state.lock();
        let mut waits = state.waits.iter();
        waits.find(|(_, wait)| wait.party == circle.party && wait.lock == circle.lock)?;
        state.circle(circle.party, circle.lock)
    }

    /// Takes who was found to be starved (W2).
    pub(crate) fn take_starved(&self) -> Option<String> {
        self.state.lock().starved.take()
    }

    /// Says who waits for whom.
    pub(crate) fn describe(&self) -> String {
        let state = self.state.lock();
        let mut text = String::new();
        for (_, wait) in &state.waits {
            let Wait { lock, party, place, .. } = wait;
            let _ = writeln!(text, "{} waits at {place} for a lock", party.describe());
            for (_, holder, taken) in state.holders.iter().filter(|(held, ..)| held == lock) {
                let _ = writeln!(text, "    held by {}, which took it at {taken}", holder.describe());
            }
        }
        text
    }
}

impl State {
    /// W1: from the holders of a lock to what they wait for, and on.
    fn circle(&self, start: Party, lock: LockId) -> Option<(Vec<TaskId>, String)> {
        let mut text = format!("{} waits for a lock", start.describe());
        let (mut lock, mut seen) = (lock, Vec::from_iter(start.0.map(|(id, _)| id)));
        loop {
            let (_, holder, taken) = self.holders.iter().find(|(held, ..)| *held == lock)?;
            let _ = write!(text, " that {} took at {taken}", holder.describe());
            if *holder == start {
                // A task that waits for itself may have two branches, of which one goes on.
                return (seen.len() > 1).then_some((seen, text));
            }
            // Nobody's code may hold it for others.
            let (id, _) = holder.0?;
            if seen.contains(&id) {
                // A circle that this one only leads to was told when it closed.
                return None;
            }
            seen.push(id);
            let (_, wait) = self.waits.iter().find(|(_, wait)| wait.party == *holder)?;
            let _ = write!(text, ", which waits at {} for a lock", wait.place);
            lock = wait.lock;
        }
    }
}

impl LockWatch for Locks {
    fn waits(&self, wait: WaitId, lock: LockId, place: Place) {
        let party = Party::current();
        let mut state = self.state.lock();
        if !state.waits.iter().any(|(known, _)| *known == wait) {
            state.waits.push((wait, Wait { lock, party, place, overtaken: 0 }));
        }
        // One without a task may hold several for others.
        if party.0.is_some() && state.circle(party, lock).is_some() {
            state.circles.push(Circle { party, lock });
        }
    }

    fn waits_no_more(&self, wait: WaitId) {
        self.state.lock().waits.retain(|(known, _)| *known != wait);
    }

    fn taken(&self, lock: LockId, place: Place) {
        let party = Party::current();
        let mut state = self.state.lock();
        state.holders.push((lock, party, place));
        let State { waits, starved, .. } = &mut *state;
        for (_, wait) in waits.iter_mut().filter(|(_, wait)| wait.lock == lock && wait.party != party) {
            wait.overtaken += 1;
            if wait.overtaken == OVERTAKEN_MAX && starved.is_none() {
                let (who, place) = (wait.party.describe(), wait.place);
                let text =
                    format!("{who} waits at {place}, and others have taken the lock {OVERTAKEN_MAX} times");
                *starved = Some(text);
            }
        }
    }

    fn released(&self, lock: LockId) {
        let party = Party::current();
        let mut state = self.state.lock();
        // Of several readers, the one that gives it back.
        let own = state.holders.iter().position(|(held, of, _)| *held == lock && *of == party);
        let place = own.or_else(|| state.holders.iter().position(|(held, ..)| *held == lock));
        if let Some(place) = place {
            state.holders.remove(place);
        }
    }
}

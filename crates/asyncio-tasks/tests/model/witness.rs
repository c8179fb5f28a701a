//! What is written down while a tree runs, and the laws that are checked by it.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Instant;

/// The scopes around a step, the outermost first.
pub(crate) type Path = Arc<Vec<Scope>>;

/// A scope of the tree.
#[derive(Clone, Debug)]
pub(crate) struct Scope {
    pub(crate) id: u32,
    /// It was told to be cancelled.
    pub(crate) is_cancelled: Arc<std::sync::atomic::AtomicBool>,
    pub(crate) is_shield: bool,
    /// It is another crate's combinator.
    pub(crate) is_foreign: bool,
    /// What is in it is polled by itself, and hears of a cancellation around a little later.
    pub(crate) is_apart: bool,
    /// Its time is over then.
    pub(crate) deadline: Option<Instant>,
}

/// Something in the tree that has not ended yet.
pub(crate) struct Alive {
    witness: Witness,
    path: Path,
}

impl Drop for Alive {
    fn drop(&mut self) {
        self.witness.count(&self.path, |count| *count -= 1);
    }
}

#[derive(Debug, Default)]
pub(crate) struct Notes {
    next: u32,
    closers: Vec<CloserNote>,
    /// By scope: how much in it has not ended.
    alive: HashMap<u32, u32>,
    faults: Vec<String>,
    pub(crate) pairs: BTreeSet<(&'static str, &'static str)>,
}

#[derive(Debug)]
struct CloserNote {
    /// The scopes that it was registered in.
    within: Vec<u32>,
    is_due: bool,
    begins: u32,
    ends: u32,
}

/// Shared by everything in a tree.
#[derive(Clone, Debug, Default)]
pub(crate) struct Witness(Arc<Mutex<Notes>>);

impl Witness {
    fn notes<R>(&self, f: impl FnOnce(&mut Notes) -> R) -> R {
        f(&mut self.0.lock().unwrap())
    }

    pub(crate) fn fresh(&self) -> u32 {
        self.notes(|notes| {
            notes.next += 1;
            notes.next
        })
    }

    pub(crate) fn saw(&self, kind: &'static str, end: &'static str) {
        self.notes(|notes| notes.pairs.insert((kind, end)));
    }

    pub(crate) fn fault(&self, what: String) {
        self.notes(|notes| notes.faults.push(what));
    }

    fn count(&self, path: &Path, change: impl Fn(&mut u32)) {
        self.notes(|notes| path.iter().for_each(|scope| change(notes.alive.entry(scope.id).or_default())));
    }

    /// Something begins in these scopes; it ends when what this returns is dropped.
    pub(crate) fn lives(&self, path: &Path) -> Alive {
        self.count(path, |count| *count += 1);
        Alive { witness: self.clone(), path: path.clone() }
    }

    /// Registers a closer, and returns its number.
    pub(crate) fn closer(&self, path: &Path) -> usize {
        let within = path.iter().map(|scope| scope.id).collect();
        self.notes(|notes| {
            notes.closers.push(CloserNote { within, is_due: false, begins: 0, ends: 0 });
            notes.closers.len() - 1
        })
    }

    /// Its guard is dropped, or it was deferred: from now on it may run.
    pub(crate) fn due(&self, closer: usize) {
        self.notes(|notes| notes.closers[closer].is_due = true);
    }

    pub(crate) fn begins(&self, closer: usize) {
        self.notes(|notes| {
            let note = &mut notes.closers[closer];
            note.begins += 1;
            if !note.is_due {
                notes.faults.push(format!("M1: closer {closer} began while its guard was there"));
            }
        });
    }

    pub(crate) fn ends(&self, closer: usize) {
        self.notes(|notes| notes.closers[closer].ends += 1);
    }

    /// M2: the scope has returned.
    pub(crate) fn returned(&self, kind: &str, scope: u32) {
        self.notes(|notes| {
            let alive = notes.alive.get(&scope).copied().unwrap_or(0);
            if alive > 0 {
                notes
                    .faults
                    .push(format!("M2: {kind} {scope} has returned, and {alive} steps in it have not ended"));
            }
            for (closer, note) in notes.closers.iter().enumerate() {
                if note.within.contains(&scope) && note.ends == 0 {
                    notes.faults.push(format!(
                        "M2: {kind} {scope} has returned before closer {closer} had ended: {note:?}"
                    ));
                }
            }
        });
    }

    /// M1, for those who look at the end; and what else was found.
    pub(crate) fn faults(&self) -> Vec<String> {
        self.notes(|notes| {
            for (closer, note) in notes.closers.iter().enumerate() {
                if (note.begins, note.ends) != (1, 1) {
                    notes.faults.push(format!("M1: closer {closer} did not run once: {note:?}"));
                }
            }
            std::mem::take(&mut notes.faults)
        })
    }

    pub(crate) fn pairs(&self) -> BTreeSet<(&'static str, &'static str)> {
        self.notes(|notes| std::mem::take(&mut notes.pairs))
    }
}

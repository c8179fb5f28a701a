//! [`Failure`]: why a run is not as it should be.

use std::fmt;
use std::time::Duration;

use crate::choice::Script;
use crate::trace::TraceHash;

/// What kind of failure it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FailureKind {
    /// A panic: of a host's main, or of a task whose panic nobody reads.
    Panic,
    /// A host's main has given an error.
    Error,
    /// Nothing can happen any more, and not all clients have ended.
    Deadlock,
    /// Tasks wait for each other's locks, in a circle.
    LockCycle,
    /// A client waits for something that no deadline ends, or has missed a wake, while the rest of the world goes on.
    Stall,
    /// Tasks are polled again and again, and time stands still.
    Livelock,
    /// A task waits for a lock that others take again and again.
    Starvation,
    /// The clients have not ended in the time that they had.
    TimeLimit,
    /// A socket is held by somebody although its host has ended.
    Leak,
    /// A task has not ended although its host was told to.
    Undead,
    /// Two runs that should have been the same were not.
    Nondeterminism,
}

impl FailureKind {
    const fn name(self) -> &'static str {
        match self {
            Self::Panic => "a panic",
            Self::Error => "an error",
            Self::Deadlock => "a deadlock",
            Self::LockCycle => "a circle of locks",
            Self::Stall => "a stall",
            Self::Livelock => "a livelock",
            Self::Starvation => "a starved task",
            Self::TimeLimit => "the time limit",
            Self::Leak => "a leak",
            Self::Undead => "tasks that outlive their host",
            Self::Nondeterminism => "two runs that differ",
        }
    }
}

/// Why a run failed, when, and where.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Failure {
    /// What kind it is.
    pub kind: FailureKind,
    /// The host, if it is one's.
    pub host: Option<String>,
    /// What happened.
    pub message: String,
    /// When, since the beginning of the simulation.
    pub at: Duration,
    /// How many events there were until then.
    pub events: u64,
    /// Their hash.
    pub hash: TraceHash,
    /// What was chosen, if that was recorded.
    pub script: Option<Script>,
    /// What each waiting task waits for, and who holds what; where that was asked for.
    pub details: String,
}

impl Failure {
    /// Says whether both are the same failure: of one kind, on one host, at one place. Numbers in the message are passed over.
    pub fn is_like(&self, other: &Self) -> bool {
        self.signature() == other.signature()
    }

    fn signature(&self) -> (FailureKind, Option<&str>, String) {
        let line = self.message.lines().next().unwrap_or_default();
        let words: Vec<String> = line.split(' ').map(without_numbers).collect();
        (self.kind, self.host.as_deref(), words.join(" "))
    }
}

/// "60s" and "60.001s" are alike, so are "1.5ms" and "2µs", and so are "Some(3)" and "Some(12)". The line of a place is no such number.
fn without_numbers(word: &str) -> String {
    if word.starts_with(|letter: char| letter.is_ascii_digit()) {
        return String::from("#");
    }
    if word.contains(".rs:") {
        return word.to_owned();
    }
    let mut text = String::new();
    for letter in word.chars() {
        let letter = if letter.is_ascii_digit() { '#' } else { letter };
        if letter != '#' || !text.ends_with('#') {
            text.push(letter);
        }
    }
    text
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.kind.name())?;
        if let Some(host) = &self.host {
            write!(f, " on host {host:?}")?;
        }
        write!(f, " at {:?}, after {} events: {}", self.at, self.events, self.message)?;
        if !self.details.is_empty() {
            write!(f, "\n{}", self.details)?;
        }
        Ok(())
    }
}

impl std::error::Error for Failure {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_do_not_make_a_failure_another_and_places_do() {
        let alike = |one: &str, other: &str| without_numbers(one) == without_numbers(other);
        assert!(alike("60s", "1.5ms") && alike("Some(3)", "Some(12)") && alike("v1.2", "v10.33"));
        assert!(!alike("src/store.rs:40:", "src/store.rs:50:") && !alike("Some(3)", "None"));
    }
}

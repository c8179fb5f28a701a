//! [`Choices`]: the one function that decides. Scheduling, network, faults and the user's random numbers ask it, and nothing else is random.
//!
//! - K1: each [`Stream`] has numbers of its own, so that a new question in one does not change the answers in another: that of each link, of each host's order, of each
//!   host's own random numbers, and that of faults. So what happens elsewhere can be left out of a run, and the rest stays as it is.
//! - K2: 0 is the plain answer: the first in line, the shortest latency, no fault. So a run is made simpler by putting zeros into its [`Script`].
//! - K3: what was answered can be recorded, and given again without the seed. Behind its end a script answers 0.

use std::fmt;
use std::str::FromStr;

/// Who asks. Each has numbers of its own (K1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stream {
    /// Which host is next (of no host), and which of a host's tasks.
    Schedule(u32),
    /// Latencies, losses, and how much a read or a write takes: of a link.
    Network(u32),
    /// Which fault comes when, and to whom.
    Fault,
    /// A host's own random numbers: `asyncio::random`.
    User(u32),
}

const LETTERS: [char; 4] = ['s', 'n', 'f', 'u'];

impl Stream {
    /// Which host is next.
    pub(crate) const HOSTS: Self = Self::Schedule(0);

    /// Which task of a host is next.
    pub(crate) fn tasks_of(host: usize) -> Self {
        Self::Schedule(host as u32 + 1)
    }

    /// Of which kind it is, and which one of that kind.
    const fn place(self) -> Lane {
        match self {
            Self::Schedule(of) => (0, of as usize),
            Self::Network(of) => (1, of as usize),
            Self::Fault => (2, 0),
            Self::User(of) => (3, of as usize),
        }
    }
}

/// A stream, as a script counts them.
pub(crate) type Lane = (usize, usize);

/// What was answered, by stream and in order: a run without its seed.
///
/// It is written as one word, in which zeros are left out: `s1.3=1,n0.0=7` says that in the order of the first host the fourth answer is 1, and on the first link the
/// first one 7. `f` are faults, `u` a host's random numbers.
///
/// # Examples
///
/// ```
/// use asyncio_sim::Script;
///
/// let script: Script = "s1.3=1,n0.0=7".parse().unwrap();
/// assert_eq!(script.to_string(), "s1.3=1,n0.0=7");
/// assert_eq!(script.weight(), 2);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Script {
    answers: [Vec<Vec<u64>>; 4],
}

impl Script {
    /// Returns how many of its answers are not the plain one.
    pub fn weight(&self) -> usize {
        self.answers.iter().flatten().flatten().filter(|&&answer| answer != 0).count()
    }

    /// Returns how many answers it has.
    pub fn len(&self) -> usize {
        self.answers.iter().flatten().map(Vec::len).sum()
    }

    /// Says whether it has none: then everything is plain.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the streams in which something is chosen.
    pub(crate) fn lanes(&self) -> Vec<Lane> {
        let of_kind = |kind: usize| {
            let lanes = self.answers[kind].iter().enumerate();
            lanes.filter(|(_, answers)| !answers.is_empty()).map(move |(of, _)| (kind, of))
        };
        (0..4).flat_map(of_kind).collect()
    }

    pub(crate) fn lane(&self, (kind, of): Lane) -> &[u64] {
        self.answers[kind].get(of).map_or(&[], Vec::as_slice)
    }

    pub(crate) fn lane_mut(&mut self, (kind, of): Lane) -> &mut Vec<u64> {
        let lanes = &mut self.answers[kind];
        if lanes.len() <= of {
            lanes.resize_with(of + 1, Vec::new);
        }
        &mut lanes[of]
    }

    /// Returns what it has of these kinds.
    pub(crate) fn only(&self, kinds: [bool; 4]) -> Self {
        let mut script = Self::default();
        for (kind, _) in kinds.into_iter().enumerate().filter(|(_, stays)| *stays) {
            script.answers[kind].clone_from(&self.answers[kind]);
        }
        script
    }

    /// Forgets the zeros at the ends, which change nothing (K3).
    pub(crate) fn trim(&mut self) {
        for answers in self.answers.iter_mut().flatten() {
            while answers.last() == Some(&0) {
                answers.pop();
            }
        }
    }
}

impl fmt::Display for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut is_first = true;
        for (kind, of) in self.lanes() {
            let answers = self.lane((kind, of)).iter().enumerate();
            for (place, answer) in answers.filter(|(_, answer)| **answer != 0) {
                let comma = if std::mem::take(&mut is_first) { "" } else { "," };
                write!(f, "{comma}{}{of}.{place}={answer}", LETTERS[kind])?;
            }
        }
        if is_first { f.write_str("plain") } else { Ok(()) }
    }
}

/// A text that is no [`Script`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadScript {
    part: String,
}

impl fmt::Display for BadScript {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "reading a script of a simulation: {:?} is not of the form `s1.2=3`", self.part)
    }
}

impl std::error::Error for BadScript {}

impl FromStr for Script {
    type Err = BadScript;

    fn from_str(text: &str) -> Result<Self, BadScript> {
        let mut script = Self::default();
        if text == "plain" {
            return Ok(script);
        }
        for part in text.split(',') {
            let bad = || BadScript { part: part.to_owned() };
            let letter = part.chars().next().ok_or_else(bad)?;
            let kind = LETTERS.iter().position(|known| *known == letter).ok_or_else(bad)?;
            let (place, answer) = part[1..].split_once('=').ok_or_else(bad)?;
            let (of, place) = place.split_once('.').ok_or_else(bad)?;
            let of: usize = of.parse().map_err(|_| bad())?;
            let place: usize = place.parse().map_err(|_| bad())?;
            let answer: u64 = answer.parse().map_err(|_| bad())?;
            // No run asks so often, and none has so many links; a misprint must not take all memory.
            if place > 1 << 28 || of > 1 << 20 {
                return Err(bad());
            }
            let answers = script.lane_mut((kind, of));
            if answers.len() <= place {
                answers.resize(place + 1, 0);
            }
            answers[place] = answer;
        }
        Ok(script)
    }
}

/// The answers of a stream, as far as they are given.
#[derive(Clone, Debug)]
struct Source {
    random: SplitMix,
    given: usize,
}

/// The choice function.
#[derive(Clone, Debug)]
pub(crate) struct Choices {
    seed: u64,
    script: Script,
    /// Kinds that are answered from the seed; the others are from the script.
    by_seed: [bool; 4],
    sources: [Vec<Source>; 4],
    record: Option<Script>,
    drawn: u64,
}

impl Choices {
    pub(crate) fn of_seed(seed: u64) -> Self {
        Self::mixed(seed, Script::default(), [true; 4])
    }

    #[cfg(test)]
    pub(crate) fn of_script(script: Script) -> Self {
        Self::mixed(0, script, [false; 4])
    }

    /// Takes some kinds of answers from a seed (order, network, faults, random numbers), and the others from a script.
    pub(crate) fn mixed(seed: u64, script: Script, by_seed: [bool; 4]) -> Self {
        Self { seed, script, by_seed, sources: Default::default(), record: None, drawn: 0 }
    }

    /// From now on answers are written down.
    pub(crate) fn record(&mut self) {
        self.record = Some(Script::default());
    }

    pub(crate) fn take_record(&mut self) -> Option<Script> {
        self.record.take()
    }

    /// Returns how many questions there were.
    pub(crate) fn drawn(&self) -> u64 {
        self.drawn
    }

    /// Chooses one of `count`, counted from 0. Where there is nothing to choose, nothing is drawn.
    #[inline]
    pub(crate) fn choose(&mut self, stream: Stream, count: u64) -> u64 {
        if count <= 1 {
            return 0;
        }
        self.drawn += 1;
        let lane = stream.place();
        if self.sources[lane.0].len() <= lane.1 {
            self.begin(lane);
        }
        let source = &mut self.sources[lane.0][lane.1];
        let answer = if self.by_seed[lane.0] {
            scaled(source.random.next(), count)
        } else {
            // A script that was written for another run, or was changed, may ask for more than there is.
            self.script.lane(lane).get(source.given).copied().unwrap_or(0).min(count - 1)
        };
        source.given += 1;
        if let Some(record) = &mut self.record {
            record.lane_mut(lane).push(answer);
        }
        answer
    }

    /// A stream is asked for the first time.
    #[cold]
    fn begin(&mut self, (kind, of): Lane) {
        let sources = &mut self.sources[kind];
        while sources.len() <= of {
            let mut seeds = SplitMix { state: self.seed ^ ((sources.len() as u64) << 3 | kind as u64) << 40 };
            sources.push(Source { random: SplitMix { state: seeds.next() }, given: 0 });
        }
    }

    /// Says yes so many times in a million. No is the plain answer.
    #[inline]
    pub(crate) fn happens(&mut self, stream: Stream, per_million: u32) -> bool {
        const MILLION: u64 = 1_000_000;
        per_million > 0 && self.choose(stream, MILLION) >= MILLION.saturating_sub(u64::from(per_million))
    }
}

/// Brings a random word into a range (Lemire: "Fast Random Integer Generation in an Interval", 2019, without the correction: the bias is below 2^-32 for what is
/// asked here).
#[inline]
fn scaled(word: u64, count: u64) -> u64 {
    ((u128::from(word) * u128::from(count)) >> 64) as u64
}

/// SplitMix64 (Steele, Lea, Flood: "Fast Splittable Pseudorandom Number Generators", 2014).
#[derive(Clone, Debug)]
struct SplitMix {
    state: u64,
}

impl SplitMix {
    #[inline]
    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_in_one_stream_does_not_change_another() {
        let (mut one, mut other) = (Choices::of_seed(7), Choices::of_seed(7));
        let mut both = Vec::new();
        for _ in 0..100 {
            other.choose(Stream::Fault, 10);
            other.choose(Stream::Network(1), 10);
            both.push((one.choose(Stream::Network(0), 1000), other.choose(Stream::Network(0), 1000)));
        }
        assert!(both.iter().all(|(one, other)| one == other));
        assert_ne!(
            Choices::of_seed(8).choose(Stream::User(0), u64::MAX),
            one.choose(Stream::User(0), u64::MAX)
        );
    }

    fn any(count: u64) -> Stream {
        let of = (count / 4 % 3) as u32;
        [Stream::Schedule(of), Stream::Network(of), Stream::Fault, Stream::User(of)][count as usize % 4]
    }

    #[test]
    fn what_is_recorded_is_answered_again_without_the_seed() {
        let mut first = Choices::of_seed(3);
        first.record();
        let asked: Vec<u64> = (2..500).map(|count| first.choose(any(count), count)).collect();
        let script = first.take_record().unwrap();
        let read: Script = script.to_string().parse().unwrap();
        let mut second = Choices::of_script(read);
        let again: Vec<u64> = (2..500).map(|count| second.choose(any(count), count)).collect();
        assert_eq!(asked, again);
        assert_eq!(second.choose(Stream::User(0), 10), 0, "behind its end everything is plain");
    }

    #[test]
    fn chances_come_as_often_as_is_said() {
        let mut choices = Choices::of_seed(1);
        let mut count =
            |per_million| (0..100_000).filter(|_| choices.happens(Stream::Fault, per_million)).count();
        assert_eq!((count(0), count(1_000_000)), (0, 100_000));
        let tenth = count(100_000);
        assert!((9_000..11_000).contains(&tenth), "{tenth}");
    }

    #[test]
    fn what_is_no_script_is_refused() {
        for bad in ["x1.1=2", "s.=1", "s1=1", "s1.1", "s1.1=", "", "s1.99999999999=1", "s99999999999.1=1"] {
            assert!(bad.parse::<Script>().is_err(), "{bad:?}");
        }
        assert_eq!("plain".parse::<Script>().unwrap(), Script::default());
    }
}

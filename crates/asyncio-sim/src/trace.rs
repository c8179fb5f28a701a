//! [`Trace`]: what happened, as a rolling hash of 128 bits; and as lines of text, when somebody asks.
//!
//! Everything that happens in the simulated world is an event: who is polled, what is sent, what arrives or is lost, what an operation of a socket gave. The hash has
//! all of it, with the time and the bytes, so two runs that differ anywhere have different hashes.

use std::fmt;

/// What kind of event it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    /// A host has its turn.
    Turn,
    /// A task is polled: how many were ready, and the place of the chosen one.
    Poll,
    Send,
    Recv,
    Open,
    Close,
    Bind,
    Listen,
    Accept,
    Connect,
    Shutdown,
    /// A packet goes onto its way: to whom, how long, when it comes.
    Packet,
    Arrive,
    /// A packet is lost: to whom, why.
    Lost,
    Host,
    Fault,
    Random,
    Job,
}

/// A hash of everything that has happened: equal where two runs were the same.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TraceHash(u128);

impl fmt::Display for TraceHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for TraceHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Gets each event as a line, with its number.
pub(crate) type Listener = Box<dyn FnMut(u64, fmt::Arguments<'_>) + Send>;

pub(crate) struct Trace {
    lanes: [u64; 2],
    count: u64,
    listener: Option<Listener>,
}

impl Trace {
    pub(crate) fn new() -> Self {
        Self { lanes: [0x243F_6A88_85A3_08D3, 0x1319_8A2E_0370_7344], count: 0, listener: None }
    }

    pub(crate) fn listen(&mut self, listener: Listener) {
        self.listener = Some(listener);
    }

    /// Returns how many events there were.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    pub(crate) fn hash(&self) -> TraceHash {
        let [a, b] = self.lanes;
        TraceHash(u128::from(folded(a ^ self.count, LANES[1])) << 64 | u128::from(folded(b, LANES[0])))
    }

    #[inline]
    pub(crate) fn event(&mut self, now: u64, host: usize, kind: Kind, args: [u64; 2]) {
        self.event_with(now, host, kind, args, &[]);
    }

    #[inline]
    pub(crate) fn event_with(&mut self, now: u64, host: usize, kind: Kind, args: [u64; 2], bytes: &[u8]) {
        self.word(now);
        self.word((host as u64) << 8 | kind as u64);
        self.word(args[0]);
        self.word(args[1]);
        if !bytes.is_empty() {
            self.bytes(bytes);
        }
        self.count += 1;
        if self.listener.is_some() {
            self.tell(now, host, kind, args, bytes);
        }
    }

    #[cold]
    fn tell(&mut self, now: u64, host: usize, kind: Kind, args: [u64; 2], bytes: &[u8]) {
        if let Some(listener) = &mut self.listener {
            let (seconds, nanos, [a, b]) = (now / 1_000_000_000, now % 1_000_000_000, args);
            let digest = bytes.iter().fold(0_u32, |sum, byte| sum.rotate_left(5) ^ u32::from(*byte));
            let bytes = if bytes.is_empty() { String::new() } else { format!(" bytes {digest:08x}") };
            listener(self.count, format_args!("{seconds}.{nanos:09} host {host} {kind:?} {a} {b}{bytes}"));
        }
    }

    /// Two lanes of folded multiplications, as in wyhash; each word goes into both.
    #[inline]
    fn word(&mut self, word: u64) {
        let [a, b] = self.lanes;
        self.lanes = [folded(a ^ word, LANES[0]), folded(b.rotate_left(29) ^ word, LANES[1]).wrapping_add(a)];
    }

    fn bytes(&mut self, bytes: &[u8]) {
        let mut words = bytes.chunks_exact(8);
        for word in &mut words {
            // OK because a chunk has eight.
            self.word(u64::from_le_bytes(word.try_into().expect("eight bytes")));
        }
        let mut last = [0; 8];
        let rest = words.remainder();
        last[..rest.len()].copy_from_slice(rest);
        self.word(u64::from_le_bytes(last));
        self.word(bytes.len() as u64);
    }
}

const LANES: [u64; 2] = [0xA076_1D64_78BD_642F, 0xE703_7ED1_A0B4_28DB];

#[inline]
fn folded(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    (product as u64) ^ ((product >> 64) as u64)
}

impl fmt::Debug for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trace").field("count", &self.count).field("hash", &self.hash()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash_of(events: &[(u64, usize, [u64; 2], &[u8])]) -> TraceHash {
        let mut trace = Trace::new();
        for (now, host, args, bytes) in events {
            trace.event_with(*now, *host, Kind::Send, *args, bytes);
        }
        trace.hash()
    }

    #[test]
    fn every_part_of_an_event_counts() {
        let plain = hash_of(&[(1, 2, [3, 4], b"five")]);
        assert_eq!(plain, hash_of(&[(1, 2, [3, 4], b"five")]));
        let others = [
            hash_of(&[(0, 2, [3, 4], b"five")]),
            hash_of(&[(1, 3, [3, 4], b"five")]),
            hash_of(&[(1, 2, [4, 3], b"five")]),
            hash_of(&[(1, 2, [3, 4], b"fivf")]),
            hash_of(&[(1, 2, [3, 4], b"five\0")]),
            hash_of(&[(1, 2, [3, 4], b"")]),
            hash_of(&[(1, 2, [3, 4], b"five"), (1, 2, [3, 4], b"five")]),
            hash_of(&[]),
        ];
        for (nth, other) in others.iter().enumerate() {
            assert_ne!(plain, *other, "change {nth}");
        }
    }
}

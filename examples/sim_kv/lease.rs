//! A counter in a store, which nodes raise under a lease: one bug that only a bad moment shows, and what mends it.
//!
//! A lock server gives the lease to one node at a time, for [`LEASE`], with a token that is greater than all before. The node reads the counter, works for a
//! while, and writes it back, raised by one.
//!
//! - L1: not mended, a node that has the lease once trusts it, and the store takes every write. If the node is paused meanwhile, or its write is late, the lease
//!   is another's by then, and what that one wrote is lost.
//! - L2: mended, the node gives up when the lease is over by its clock. That alone is not enough: the write may be on its way, and the node may be paused
//!   after it has looked.
//! - L3: mended, the store refuses a token that is less than one it has seen (Kleppmann: "How to do distributed locking", 2016). Reading counts, too: else
//!   an old write could come between the reading and the writing of the newer one.

use std::io;
use std::time::{Duration, Instant};

use asyncio::net::UdpSocket;
use asyncio::sim::{Builder, Faults, Sim};
use asyncio::{random, sleep, timers};

/// How long a node has the counter for itself.
pub const LEASE: Duration = Duration::from_millis(400);

const LOCKS: &str = "10.0.0.1:1";
const STORE: &str = "10.0.0.2:1";
const NODES: u64 = 3;
/// How often each node is to raise the counter.
const RAISES: u64 = 4;

/// The lock server, the store and the nodes, on a network on which nearly everything goes wrong, for twenty seconds at most.
pub fn world(builder: Builder, is_mended: bool) -> Sim {
    let faults = Faults {
        loss: true,
        reordering: true,
        duplication: true,
        slow_links: true,
        partitions: true,
        pauses: true,
        interval: Duration::from_millis(200),
        ..Faults::none()
    };
    let sim = builder.faults(faults).swarm(true).calm_after(Duration::from_secs(20)).build();
    sim.host("locks", "10.0.0.1", || {
        let mut locks = Locks::default();
        serve(LOCKS, move |words| locks.answer(words))
    });
    sim.host("store", "10.0.0.2", move || {
        let mut store = Store { is_mended, ..Store::default() };
        serve(STORE, move |words| store.answer(words))
    });
    for number in 1..=NODES {
        let (name, addr) = (format!("node {number}"), format!("10.0.1.{number}"));
        sim.client(&name, &addr, move || run_node(number, is_mended));
    }
    sim
}

/// Answers each question, a number and words, with that number and the answer.
async fn serve(addr: &'static str, mut answer: impl FnMut(&[&str]) -> String) -> io::Result<()> {
    let socket = UdpSocket::bind(addr).await?;
    let mut buf = [0; 128];
    loop {
        let (n, from) = socket.recv_from(&mut buf).await?;
        let text = String::from_utf8_lossy(&buf[..n]);
        let words: Vec<&str> = text.split(' ').collect();
        let answer = format!("{} {}", words[0], answer(&words[1..]));
        socket.send_to(answer.as_bytes(), from).await?;
    }
}

/// Nothing is changed on its way here, so that what is no number is a bug.
fn number(word: &str) -> u64 {
    word.parse().unwrap_or_else(|_| panic!("{word:?} is no number"))
}

/// Who has the lease.
#[derive(Default)]
struct Locks {
    last_token: u64,
    held: Option<Lease>,
}

struct Lease {
    node: u64,
    /// Which of the node's attempts it is.
    round: u64,
    token: u64,
    until: Instant,
}

impl Locks {
    fn answer(&mut self, words: &[&str]) -> String {
        match words {
            ["acquire", node, round] => self
                .acquire(number(node), number(round))
                .map_or_else(|| String::from("busy"), |token| token.to_string()),
            ["release", token] => {
                let token = number(token);
                if self.held.as_ref().is_some_and(|held| held.token == token) {
                    self.held = None;
                }
                String::from("done")
            }
            _ => panic!("nobody asks a lock server that: {words:?}"),
        }
    }

    /// Returns the token, unless another has the lease.
    fn acquire(&mut self, node: u64, round: u64) -> Option<u64> {
        let now = timers::now();
        if let Some(held) = self.held.as_ref().filter(|held| held.until > now) {
            if (held.node, held.round) == (node, round) {
                // It asks again: the answer was lost.
                return Some(held.token);
            }
            // One that has given up its round before may have it at once.
            if held.node != node || held.round > round {
                return None;
            }
        }
        self.last_token += 1;
        self.held = Some(Lease { node, round, token: self.last_token, until: now + LEASE });
        Some(self.last_token)
    }
}

/// The counter.
#[derive(Default)]
struct Store {
    is_mended: bool,
    newest_token: u64,
    value: u64,
    written_by: u64,
}

impl Store {
    fn answer(&mut self, words: &[&str]) -> String {
        match words {
            ["read", token] if self.admits(number(token)) => self.value.to_string(),
            ["write", token, value] if self.admits(number(token)) => {
                self.write(number(token), number(value));
                String::from("done")
            }
            ["read" | "write", ..] => String::from("fenced"),
            _ => panic!("nobody asks a store that: {words:?}"),
        }
    }

    /// L3.
    fn admits(&mut self, token: u64) -> bool {
        if self.is_mended && token < self.newest_token {
            return false;
        }
        self.newest_token = self.newest_token.max(token);
        true
    }

    fn write(&mut self, token: u64, value: u64) {
        if token == self.written_by {
            // It asks again: the answer was lost.
            return;
        }
        let old = self.value;
        // What is to hold, whatever happens.
        assert!(value == old + 1, "an update was lost: token {token} writes {value}, and {old} is there");
        (self.value, self.written_by) = (value, token);
    }
}

struct Node {
    number: u64,
    is_mended: bool,
    socket: UdpSocket,
    /// How many questions it has asked: each has a number.
    asked: u64,
}

async fn run_node(number: u64, is_mended: bool) -> io::Result<()> {
    let socket = UdpSocket::bind("0.0.0.0:0").await?;
    let mut node = Node { number, is_mended, socket, asked: 0 };
    let (mut raised, mut round) = (0, 0);
    while raised < RAISES {
        round += 1;
        raised += u64::from(node.round(round).await?);
        // The others' turn.
        sleep(Duration::from_millis(50 + random::below(100))).await;
    }
    Ok(())
}

impl Node {
    /// Tries to raise the counter, and says whether it is known to have done so.
    async fn round(&mut self, round: u64) -> io::Result<bool> {
        let asked_at = timers::now();
        let answer = self.ask(LOCKS, &format!("acquire {} {round}", self.number)).await?;
        let Ok(token) = answer.parse::<u64>() else { return Ok(false) };
        let is_raised = if self.is_mended {
            // L2. The server began to count later than that.
            let until = asked_at + LEASE;
            asyncio::timeout_at(until, self.raise(token)).await.unwrap_or(Ok(false))?
        } else {
            self.raise(token).await?
        };
        // If that is lost, the lease ends by itself.
        self.socket.send_to(format!("0 release {token}").as_bytes(), LOCKS).await?;
        Ok(is_raised)
    }

    async fn raise(&mut self, token: u64) -> io::Result<bool> {
        let answer = self.ask(STORE, &format!("read {token}")).await?;
        let Ok(value) = answer.parse::<u64>() else { return Ok(false) };
        // The work.
        sleep(Duration::from_millis(20 + random::below(80))).await;
        let answer = self.ask(STORE, &format!("write {token} {}", value + 1)).await?;
        Ok(answer == "done")
    }

    /// Asks until there is an answer.
    async fn ask(&mut self, whom: &str, question: &str) -> io::Result<String> {
        self.asked += 1;
        let (number, question) = (self.asked.to_string(), format!("{} {question}", self.asked));
        let mut patience = Duration::from_millis(50);
        loop {
            self.socket.send_to(question.as_bytes(), whom).await?;
            let jitter = Duration::from_millis(random::below(10));
            if let Ok(answer) = asyncio::timeout(patience + jitter, self.answer_to(&number)).await {
                return answer;
            }
            patience = (2 * patience).min(Duration::from_millis(400));
        }
    }

    async fn answer_to(&self, number: &str) -> io::Result<String> {
        let mut buf = [0; 128];
        loop {
            let (n, _) = self.socket.recv_from(&mut buf).await?;
            let text = String::from_utf8_lossy(&buf[..n]);
            match text.split_once(' ') {
                Some((of, answer)) if of == number => return Ok(answer.to_owned()),
                // Late: to a question that was answered before.
                _ => {}
            }
        }
    }
}

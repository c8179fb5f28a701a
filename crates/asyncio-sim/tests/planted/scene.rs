//! What the scenarios have in common: limits, a heart, a monitor with its agents, questions over UDP.

use std::cell::Cell;
use std::io;
use std::time::Duration;

use asyncio_base::random;
use asyncio_net::UdpSocket;
use asyncio_sim::Builder;
use asyncio_tasks::{spawn_local, timeout};
use asyncio_timers::sleep;

/// A question, or its answer: what the numbers mean is the scenario's.
pub(crate) type Words = [u64; 3];

/// Three words, and the number of the question.
pub(crate) const SIZE: usize = 32;

/// How long somebody waits who asks again.
const ANSWER_MAX: Duration = millis(100);

pub(crate) const fn millis(count: u64) -> Duration {
    Duration::from_millis(count)
}

/// Each seed has its own mixture of faults, which end after a while. What is to be done must be done then.
pub(crate) fn bounded(builder: Builder) -> Builder {
    builder
        .swarm(true)
        .calm_after(Duration::from_secs(30))
        .time_limit(Duration::from_secs(600))
        .stall_limit(Duration::from_secs(60))
}

/// Beats for ever, so that the world never stands still.
pub(crate) fn heart() {
    async fn beat() {
        loop {
            sleep(millis(20_001)).await;
        }
    }
    spawn_local(beat()).detach();
}

/// Takes what the agents report, and drops it.
pub(crate) async fn monitor() {
    let Ok(socket) = UdpSocket::bind("0.0.0.0:514").await else { return };
    let mut buf = [0; SIZE];
    while socket.recv_from(&mut buf).await.is_ok() {}
}

/// Starts an agent, which reports to a monitor fewer than `most` times. Nobody waits for it.
pub(crate) fn report(to: &'static str, most: u64, every: Duration) {
    async fn agent(to: &'static str, count: u64, every: Duration) -> io::Result<()> {
        let socket = UdpSocket::bind("0.0.0.0:0").await?;
        for number in 0..count {
            socket.send_to(&number.to_be_bytes(), to).await?;
            sleep(every).await;
        }
        Ok(())
    }
    let count = random::below(most);
    if count > 0 {
        spawn_local(agent(to, count, every)).detach();
    }
}

pub(crate) fn encode(words: Words, number: u64) -> [u8; SIZE] {
    let mut bytes = [0; SIZE];
    for (place, word) in bytes.chunks_exact_mut(8).zip(words.into_iter().chain([number])) {
        place.copy_from_slice(&word.to_be_bytes());
    }
    bytes
}

/// Gives the words, and the number of the question; nothing if it is no message of ours.
pub(crate) fn decode(bytes: &[u8]) -> Option<(Words, u64)> {
    if bytes.len() != SIZE {
        return None;
    }
    let mut words = [0; 4];
    for (word, chunk) in words.iter_mut().zip(bytes.chunks_exact(8)) {
        *word = u64::from_be_bytes(chunk.try_into().ok()?);
    }
    let [a, b, c, number] = words;
    Some(([a, b, c], number))
}

/// Answers questions over UDP for ever; not at all where `answer` gives nothing. Takes reports, too.
pub(crate) async fn serve(mut answer: impl FnMut(Words) -> Option<Words>) -> io::Result<()> {
    spawn_local(monitor()).detach();
    let socket = UdpSocket::bind("0.0.0.0:80").await?;
    let mut buf = [0; SIZE];
    loop {
        let Ok((n, from)) = socket.recv_from(&mut buf).await else { continue };
        let Some((question, number)) = decode(&buf[..n]) else { continue };
        if let Some(words) = answer(question) {
            // Whoever asked asks again if it is lost.
            let _ = socket.send_to(&encode(words, number), from).await;
        }
    }
}

/// Asks over UDP. Each question has a number, so that a late answer is not taken for that of another.
pub(crate) struct Caller {
    socket: UdpSocket,
    to: &'static str,
    asked: Cell<u64>,
}

impl Caller {
    pub(crate) async fn new(to: &'static str) -> io::Result<Self> {
        let socket = UdpSocket::bind("0.0.0.0:0").await?;
        Ok(Self { socket, to, asked: Cell::new(0) })
    }

    /// Asks once, and waits for the answer for ever.
    pub(crate) async fn exchange(&self, question: Words) -> io::Result<Words> {
        let asked = self.asked.get() + 1;
        self.asked.set(asked);
        self.socket.send_to(&encode(question, asked), self.to).await?;
        let mut buf = [0; SIZE];
        loop {
            let (n, _) = self.socket.recv_from(&mut buf).await?;
            match decode(&buf[..n]) {
                Some((words, number)) if number == asked => return Ok(words),
                _ => {}
            }
        }
    }

    /// Asks once, and waits so long for the answer.
    pub(crate) async fn ask(&self, question: Words, limit: Duration) -> Option<Words> {
        timeout(limit, self.exchange(question)).await.ok()?.ok()
    }

    /// Asks until there is an answer.
    pub(crate) async fn insist(&self, question: Words) -> Words {
        loop {
            if let Some(words) = self.ask(question, ANSWER_MAX).await {
                return words;
            }
            sleep(millis(20 + random::below(80))).await;
        }
    }
}

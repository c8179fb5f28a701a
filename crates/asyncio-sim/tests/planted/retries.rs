//! Bugs of those who ask again, or do not: a storm, a request that is counted twice, an answer that is
//! waited for without end.

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use asyncio_base::random;
use asyncio_net::{TcpListener, TcpStream};
use asyncio_sim::{Builder, FailureKind, Faults, Sim};
use asyncio_tasks::{spawn_local, timeout};
use asyncio_timers::sleep;
use futures_lite::{AsyncReadExt, AsyncWriteExt};

use crate::Planted;
use crate::scene::{Caller, Words, bounded, heart, millis, monitor, report, serve};

const SERVER: &str = "10.0.0.1:80";
const MONITOR: &str = "10.0.0.1:514";

// 3. A storm of retries.

pub(crate) const RETRY_STORM: Planted = Planted {
    name: "retry_storm",
    seeds: 40,
    kinds: &[FailureKind::Panic],
    says: "the server is overrun",
    scenario: retry_storm,
};

/// What the server can bear in a second, with two clients that each ask once in a second.
const RATE_MAX: u64 = 20;

/// Answers, and counts the requests of each second.
fn overseer() -> impl FnMut(Words) -> Option<Words> {
    let (mut second, mut count) = (0_u64, 0_u64);
    move |question: Words| {
        let now = asyncio_sim::current().elapsed().as_secs();
        if now != second {
            (second, count) = (now, 0);
        }
        count += 1;
        assert!(count <= RATE_MAX, "the server is overrun");
        Some(question)
    }
}

/// Waits twice as long after each failure, half of it by chance, so that clients do not come in step.
async fn back_off(failures: u32) {
    let whole = 200_u64 << failures.min(5);
    sleep(millis(whole / 4 + random::below(whole / 4))).await;
}

async fn impatient(is_buggy: bool) -> io::Result<()> {
    report(MONITOR, 1200, millis(5));
    let caller = Caller::new(SERVER).await?;
    for number in 0..=random::below(30) {
        let mut failures = 0;
        while caller.ask([number, 0, 0], millis(20)).await.is_none() {
            failures += 1;
            if !is_buggy {
                back_off(failures).await;
            }
        }
        sleep(millis(1000 + random::below(500))).await;
    }
    Ok(())
}

fn retry_storm(builder: Builder, is_buggy: bool) -> Sim {
    let faults = Faults { partitions: true, pauses: true, interval: millis(1500), ..Faults::none() };
    let sim = bounded(builder).faults(faults).build();
    sim.host("server", "10.0.0.1", || serve(overseer()));
    sim.client("one", "10.0.0.2", move || impatient(is_buggy));
    sim.client("two", "10.0.0.3", move || impatient(is_buggy));
    sim
}

// 4. A request is counted twice.

pub(crate) const COUNTED_TWICE: Planted = Planted {
    name: "counted_twice",
    seeds: 20,
    kinds: &[FailureKind::Panic],
    says: "each request is counted once",
    scenario: counted_twice,
};

/// Counts the requests of each client. What it has seen before it does not count again, unless it is buggy.
fn counter(is_buggy: bool) -> impl FnMut(Words) -> Option<Words> {
    // By client: the last request, and how many there were.
    let mut clients: BTreeMap<u64, (u64, u64)> = BTreeMap::new();
    move |[client, request, _]: Words| {
        let (last, count) = clients.entry(client).or_default();
        if is_buggy || request > *last {
            *last = request;
            *count += 1;
        }
        Some([client, request, *count])
    }
}

async fn customer(me: u64) -> io::Result<()> {
    report(MONITOR, 1000, millis(1));
    let caller = Caller::new(SERVER).await?;
    for request in 1..=1 + random::below(200) {
        let [_, _, count] = caller.insist([me, request, 0]).await;
        assert_eq!(count, request, "each request is counted once");
        sleep(millis(5 + random::below(10))).await;
    }
    Ok(())
}

fn counted_twice(builder: Builder, is_buggy: bool) -> Sim {
    let faults = Faults {
        loss: true,
        reordering: true,
        duplication: true,
        slow_links: true,
        partitions: true,
        pauses: true,
        ..Faults::none()
    };
    let sim = bounded(builder).faults(faults).build();
    sim.host("server", "10.0.0.1", move || serve(counter(is_buggy)));
    sim.client("one", "10.0.0.2", || customer(1));
    sim.client("two", "10.0.0.3", || customer(2));
    sim
}

// 7. A timeout is missing.

pub(crate) const MISSING_TIMEOUT: Planted = Planted {
    name: "missing_timeout",
    seeds: 30,
    kinds: &[FailureKind::Stall],
    says: "no deadline ends",
    scenario: missing_timeout,
};

/// How long the server works for an answer: longer than its system waits to acknowledge the question.
const WORK: Duration = millis(200);

async fn slow_session(mut stream: TcpStream) -> io::Result<()> {
    let mut question = [0; 8];
    loop {
        stream.read_exact(&mut question).await?;
        sleep(WORK).await;
        stream.write_all(&question).await?;
    }
}

async fn slow_server() -> io::Result<()> {
    spawn_local(monitor()).detach();
    let listener = TcpListener::bind("0.0.0.0:80").await?;
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        spawn_local(slow_session(stream)).detach();
    }
}

/// Asks on the connection that there is, or else on a new one.
async fn ask_on(open: &mut Option<TcpStream>, number: u64) -> io::Result<()> {
    let mut stream = match open.take() {
        Some(stream) => stream,
        None => TcpStream::connect(SERVER).await?,
    };
    let question = number.to_be_bytes();
    stream.write_all(&question).await?;
    let mut answer = [0; 8];
    stream.read_exact(&mut answer).await?;
    assert_eq!(answer, question);
    // A connection on which something failed is not used again.
    *open = Some(stream);
    Ok(())
}

async fn asker(is_buggy: bool) {
    heart();
    report(MONITOR, 2000, millis(5));
    sleep(millis(random::below(3000))).await;
    let mut open = None;
    for number in 0..=random::below(60) {
        loop {
            let asked = if is_buggy {
                // What if nobody is there any more to answer?
                ask_on(&mut open, number).await
            } else {
                let limit = Duration::from_secs(1);
                timeout(limit, ask_on(&mut open, number)).await.unwrap_or_else(|late| Err(late.into()))
            };
            if asked.is_ok() {
                break;
            }
            sleep(millis(100 + random::below(100))).await;
        }
    }
}

fn missing_timeout(builder: Builder, is_buggy: bool) -> Sim {
    let faults = Faults {
        loss: true,
        slow_links: true,
        crashes: true,
        interval: Duration::from_secs(3),
        ..Faults::none()
    };
    let sim = bounded(builder).faults(faults).build();
    sim.host("server", "10.0.0.1", slow_server);
    sim.client("asker", "10.0.0.2", move || asker(is_buggy));
    sim
}

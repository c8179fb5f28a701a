//! Bugs with connections and messages: an entry that is forgotten, an order that is assumed, a read that is
//! taken for a message.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::rc::Rc;
use std::time::Duration;

use asyncio_base::random;
use asyncio_net::{TcpListener, TcpStream};
use asyncio_sim::{Builder, FailureKind, Faults, Sim};
use asyncio_tasks::{spawn_local, timeout};
use asyncio_timers::sleep;
use futures_lite::{AsyncReadExt, AsyncWriteExt, future};

use crate::Planted;
use crate::scene::{Caller, Words, bounded, millis, report, serve};

const SERVER: &str = "10.0.0.1:80";
const MONITOR: &str = "10.0.0.1:514";

// 6. An entry is forgotten.

pub(crate) const FORGOTTEN_ENTRY: Planted = Planted {
    name: "forgotten_entry",
    seeds: 20,
    kinds: &[FailureKind::Panic],
    says: "an entry is left of a connection that has ended",
    scenario: forgotten_entry,
};

/// The connections that a server has, by their numbers.
type Table = Rc<RefCell<BTreeSet<u64>>>;

/// A connection of which nothing is heard for so long is given up.
const IDLE_MAX: Duration = Duration::from_secs(10);

/// When everything is over, at the latest.
const EVENING: Duration = Duration::from_secs(120);

/// An answer is so many bytes, each of which is work.
const PIECES: usize = 5;
const PIECE_WORK: Duration = millis(40);

async fn session(mut stream: TcpStream) -> io::Result<()> {
    let mut question = [0];
    loop {
        let Ok(read) = timeout(IDLE_MAX, stream.read(&mut question)).await else { return Ok(()) };
        if read? == 0 {
            return Ok(());
        }
        for _ in 0..PIECES {
            sleep(PIECE_WORK).await;
            stream.write_all(&question).await?;
        }
    }
}

async fn enlisted(stream: TcpStream, table: Table, number: u64, is_buggy: bool) {
    table.borrow_mut().insert(number);
    let ended = session(stream).await;
    if is_buggy && ended.is_err() {
        // As if it had been left by a `?`.
        return;
    }
    table.borrow_mut().remove(&number);
}

async fn table_server(table: Table, is_buggy: bool) -> io::Result<()> {
    let listener = TcpListener::bind("0.0.0.0:80").await?;
    let mut number = 0;
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        number += 1;
        spawn_local(enlisted(stream, table.clone(), number, is_buggy)).detach();
    }
}

async fn visit() -> io::Result<()> {
    let mut stream = TcpStream::connect(SERVER).await?;
    stream.write_all(&[7]).await?;
    let mut answer = [0; PIECES];
    stream.read_exact(&mut answer).await?;
    assert_eq!(answer, [7; PIECES]);
    Ok(())
}

async fn visitor(table: Table) {
    for _ in 0..=random::below(60) {
        // Whoever has no answer soon goes away.
        let _ = timeout(millis(250), visit()).await;
        sleep(millis(20)).await;
    }
    sleep(EVENING.saturating_sub(asyncio_sim::current().elapsed())).await;
    assert!(table.borrow().is_empty(), "an entry is left of a connection that has ended");
}

fn forgotten_entry(builder: Builder, is_buggy: bool) -> Sim {
    let faults = Faults { loss: true, slow_links: true, partitions: true, pauses: true, ..Faults::none() };
    let sim = bounded(builder).faults(faults).build();
    let table = Table::default();
    let of_server = table.clone();
    sim.host("server", "10.0.0.1", move || table_server(of_server.clone(), is_buggy));
    for (name, addr) in [("one", "10.0.0.2"), ("two", "10.0.0.3")] {
        let table = table.clone();
        sim.client(name, addr, move || visitor(table.clone()));
    }
    sim
}

// 8. An order is assumed.

pub(crate) const ASSUMED_ORDER: Planted = Planted {
    name: "assumed_order",
    seeds: 20,
    kinds: &[FailureKind::Panic],
    says: "an account is opened before something is paid in",
    scenario: assumed_order,
};

const OPEN: u64 = 1;
const PAY_IN: u64 = 2;

/// Opens accounts, and takes what is paid in, once for each.
fn bank(is_buggy: bool) -> impl FnMut(Words) -> Option<Words> {
    let mut accounts: BTreeMap<u64, u64> = BTreeMap::new();
    move |[verb, account, amount]: Words| match verb {
        OPEN => {
            accounts.entry(account).or_default();
            Some([OPEN, account, 0])
        }
        _ => {
            let balance = accounts.get_mut(&account);
            // It was sent before; so it must have come before?
            assert!(!is_buggy || balance.is_some(), "an account is opened before something is paid in");
            // Without an answer it comes again.
            let balance = balance?;
            *balance = amount;
            Some([PAY_IN, account, *balance])
        }
    }
}

async fn saver(me: u64) -> io::Result<()> {
    report(MONITOR, 1000, millis(1));
    let (opening, paying_in) = (Caller::new(SERVER).await?, Caller::new(SERVER).await?);
    for number in 0..=random::below(200) {
        let account = me * 1_000_000 + number;
        let opened = opening.insist([OPEN, account, 0]);
        let paid_in = paying_in.insist([PAY_IN, account, 7]);
        let (_, [_, _, balance]) = future::zip(opened, paid_in).await;
        assert_eq!(balance, 7, "what was paid in is there");
        sleep(millis(10)).await;
    }
    Ok(())
}

fn assumed_order(builder: Builder, is_buggy: bool) -> Sim {
    let faults =
        Faults { loss: true, reordering: true, duplication: true, slow_links: true, ..Faults::none() };
    let sim = bounded(builder).faults(faults).build();
    sim.host("server", "10.0.0.1", move || serve(bank(is_buggy)));
    sim.client("one", "10.0.0.2", || saver(1));
    sim.client("two", "10.0.0.3", || saver(2));
    sim
}

// 9. A read is taken for a message.

pub(crate) const SHORT_READ: Planted = Planted {
    name: "short_read",
    seeds: 20,
    kinds: &[FailureKind::Panic],
    says: "the snapshot is whole",
    scenario: short_read,
};

const STATUS: u8 = 0;
const SNAPSHOT: u8 = 1;

fn snapshot() -> Vec<u8> {
    (0..600_u16).flat_map(u16::to_be_bytes).collect()
}

async fn answer_all(mut stream: TcpStream) -> io::Result<()> {
    let mut question = [0];
    loop {
        stream.read_exact(&mut question).await?;
        match question {
            [SNAPSHOT] => stream.write_all(&snapshot()).await?,
            _ => stream.write_all(&[STATUS]).await?,
        }
    }
}

async fn snapshot_server() -> io::Result<()> {
    let listener = TcpListener::bind("0.0.0.0:80").await?;
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        spawn_local(answer_all(stream)).detach();
    }
}

async fn fetch_snapshot(stream: &mut TcpStream, is_buggy: bool) -> io::Result<Vec<u8>> {
    stream.write_all(&[SNAPSHOT]).await?;
    let mut bytes = vec![0; snapshot().len()];
    if is_buggy {
        // It is short enough to come at once; mostly.
        let n = stream.read(&mut bytes).await?;
        bytes.truncate(n);
    } else {
        stream.read_exact(&mut bytes).await?;
    }
    Ok(bytes)
}

/// Asks again and again how it goes, and now and then for everything.
async fn follower(is_buggy: bool) -> io::Result<()> {
    let mut stream = TcpStream::connect(SERVER).await?;
    for _ in 0..=random::below(800) {
        if random::below(100) == 99 {
            let bytes = fetch_snapshot(&mut stream, is_buggy).await?;
            assert!(bytes == snapshot(), "the snapshot is whole");
        } else {
            stream.write_all(&[STATUS]).await?;
            let mut status = [SNAPSHOT];
            stream.read_exact(&mut status).await?;
            assert_eq!(status, [STATUS]);
        }
    }
    Ok(())
}

fn short_read(builder: Builder, is_buggy: bool) -> Sim {
    let faults =
        Faults { loss: true, reordering: true, slow_links: true, partial_io: true, ..Faults::none() };
    let sim = bounded(builder).faults(faults).build();
    sim.host("server", "10.0.0.1", snapshot_server);
    sim.client("follower", "10.0.0.2", move || follower(is_buggy));
    sim
}

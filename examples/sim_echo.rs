//! An echo service over lines that lose, double, change and delay datagrams, and are cut: clients ask again until they are answered, and each request is done
//! exactly once.
//!
//! `cargo run --release --example sim_echo [-- --seeds N]`. All of it is simulated; the seed decides what becomes of which datagram.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io;
use std::rc::Rc;
use std::time::{Duration, Instant};

use asyncio::net::UdpSocket;
use asyncio::random;
use asyncio::sim::{Builder, Explorer, Faults, Sim, Summary};
use clap::Parser;

/// Runs an echo service over bad lines, with many seeds.
#[derive(Parser)]
struct Arguments {
    /// How many seeds.
    #[arg(long, default_value_t = 1000)]
    seeds: u64,
}

const SERVER: &str = "10.0.0.1:7";
const CLIENTS: u8 = 3;
const REQUESTS: u32 = 20;

/// The client, and its request.
type Id = (u8, u32);

/// What somebody outside of the simulation sees: how often each request was done.
#[derive(Default)]
struct Ledger(RefCell<BTreeMap<Id, u32>>);

impl Ledger {
    fn note(&self, id: Id) {
        let mut done = self.0.borrow_mut();
        let count = done.entry(id).or_default();
        *count += 1;
        assert_eq!(*count, 1, "request {id:?} was done again");
    }

    fn count(&self, id: Id) -> u32 {
        self.0.borrow().get(&id).copied().unwrap_or(0)
    }
}

/// A checksum, the request, and a text.
fn pack((client, number): Id, text: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; 4];
    bytes.push(client);
    bytes.extend(number.to_be_bytes());
    bytes.extend(text);
    let sum = checksum(&bytes[4..]);
    bytes[..4].copy_from_slice(&sum.to_be_bytes());
    bytes
}

/// `None` for what was changed on its way.
fn unpack(bytes: &[u8]) -> Option<(Id, &[u8])> {
    let (sum, rest) = bytes.split_first_chunk::<4>()?;
    if u32::from_be_bytes(*sum) != checksum(rest) {
        return None;
    }
    let (client, rest) = rest.split_first()?;
    let (number, text) = rest.split_first_chunk::<4>()?;
    Some(((*client, u32::from_be_bytes(*number)), text))
}

/// FNV-1a. Each step can be undone, so that one changed byte always shows.
fn checksum(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811C_9DC5, |sum: u32, byte| (sum ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

/// Does each request once, and answers it as often as it comes. What it has answered is in its memory: it would not survive a crash.
async fn serve(ledger: Rc<Ledger>) -> io::Result<()> {
    let socket = UdpSocket::bind(SERVER).await?;
    let mut answers: BTreeMap<Id, Vec<u8>> = BTreeMap::new();
    let mut buf = [0; 512];
    loop {
        let (n, from) = socket.recv_from(&mut buf).await?;
        let Some((id, text)) = unpack(&buf[..n]) else { continue };
        let answer = answers.entry(id).or_insert_with(|| {
            ledger.note(id);
            pack(id, text)
        });
        socket.send_to(answer, from).await?;
    }
}

/// Asks for one thing after the other, each until it is answered.
async fn ask(client: u8, ledger: Rc<Ledger>, asked_again: Rc<Cell<u64>>) -> io::Result<()> {
    let socket = UdpSocket::bind("0.0.0.0:0").await?;
    for number in 0..REQUESTS {
        let (id, text) = ((client, number), format!("request {number} of client {client}"));
        let request = pack(id, text.as_bytes());
        let mut patience = Duration::from_millis(100);
        loop {
            socket.send_to(&request, SERVER).await?;
            // So that those who were cut off together do not come back together.
            let jitter = Duration::from_millis(random::below(50));
            if let Ok(answer) = asyncio::timeout(patience + jitter, answer_to(&socket, id)).await {
                assert_eq!(answer?, text.as_bytes());
                break;
            }
            asked_again.set(asked_again.get() + 1);
            patience = (2 * patience).min(Duration::from_secs(2));
        }
        assert_eq!(ledger.count(id), 1, "request {id:?} was answered, and not done");
    }
    Ok(())
}

async fn answer_to(socket: &UdpSocket, id: Id) -> io::Result<Vec<u8>> {
    let mut buf = [0; 512];
    loop {
        let (n, _) = socket.recv_from(&mut buf).await?;
        match unpack(&buf[..n]) {
            Some((of, text)) if of == id => return Ok(text.to_vec()),
            // Late, or changed.
            _ => {}
        }
    }
}

fn world(builder: Builder, asked_again: &Rc<Cell<u64>>) -> Sim {
    let faults = Faults { crashes: false, ..Faults::all() };
    let sim = builder.faults(faults).swarm(true).calm_after(Duration::from_secs(30)).build();
    let ledger = Rc::new(Ledger::default());
    let of_server = ledger.clone();
    sim.host("server", "10.0.0.1", move || serve(of_server.clone()));
    for client in 1..=CLIENTS {
        let (ledger, asked_again) = (ledger.clone(), asked_again.clone());
        let (name, addr) = (format!("client {client}"), format!("10.0.1.{client}"));
        sim.client(&name, &addr, move || ask(client, ledger.clone(), asked_again.clone()));
    }
    sim
}

fn main() {
    let seeds = Arguments::parse().seeds;
    let (began, asked_again) = (Instant::now(), Rc::new(Cell::new(0)));
    let explored =
        Explorer::new("sim_echo").seeds(seeds).explore(&|builder: Builder| world(builder, &asked_again));
    let summaries = explored.unwrap_or_else(|found| {
        eprintln!("seed {:?} found {}", found.seed, found.failure);
        eprintln!("the smallest: {}\nits script: {}", found.shrunk.failure, found.shrunk.script);
        std::process::exit(1);
    });
    let real = began.elapsed().as_secs_f64();
    let sum = |of: &dyn Fn(&Summary) -> u64| summaries.iter().map(of).sum::<u64>();
    let simulated: Duration = summaries.iter().map(|summary| summary.elapsed).sum();
    let requests = u64::from(CLIENTS) * u64::from(REQUESTS) * seeds;
    println!("{seeds} seeds, {requests} requests, each done exactly once");
    println!("  asked again          {:>10}", asked_again.get());
    println!("  datagrams            {:>10}", sum(&|summary| summary.counts.packets));
    println!("  lost                 {:>10}", sum(&|summary| summary.counts.lost));
    println!("  doubled              {:>10}", sum(&|summary| summary.counts.duplicated));
    println!("  changed              {:>10}", sum(&|summary| summary.counts.corrupted));
    println!("  cut off              {:>10}", sum(&|summary| summary.counts.cut_off));
    println!("  pauses of hosts      {:>10}", sum(&|summary| summary.counts.pauses));
    println!("  events               {:>10}", sum(&|summary| summary.events));
    println!("  simulated time       {:>10.0} s", simulated.as_secs_f64());
    println!("  real time            {real:>10.2} s, {:.0} seeds a second", seeds as f64 / real);
}

//! The cases: what is measured, in which unit, how often, and on whom.

use anyhow::{Context, Result};

use crate::echo::buffer_for;
use crate::generator::Seen;
use crate::memory;
use crate::peers::load::{self, Load};
use crate::peers::subjects::{
    BARE, FILES, FURTHER, HYPER, LINES, ONE_LOOP, PROXIES, REDIS, TLS, TWO_WORKERS, python,
};
use crate::peers::{outside, sync};
use crate::process::{self, Server, Sharing};
use crate::structure;
use crate::subjects::{asyncio_net, udp};

/// One row of the report for each subject, before it is measured.
#[derive(Clone, Debug)]
pub struct Case {
    pub name: String,
    pub unit: &'static str,
    pub kind: Kind,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    Echo {
        connections: usize,
        size: usize,
        what: Echo,
    },
    /// What the server uses for a request of somebody else's clients.
    Load(Load),
    /// A number that `measure` prints.
    InProcess,
    /// The same, of each of some libraries instead of runtimes.
    Library(&'static [&'static str]),
    MemConnection,
    /// A number that the program with a counting allocator prints.
    Allocations,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Echo {
    /// Server and generator on one processor: server's time over generator's.
    SameCpu,
    TwoCpuThroughput,
    TwoCpuP99,
    /// What the server uses for a message.
    ServerCpu,
}

/// What those peers are compared in that run on io_uring or keep to one thread.
const FURTHER_CASES: [&str; 5] = ["spawn_join", "spawn_many", "yield", "ping_pong", "timer_insert_drop"];

impl Case {
    /// Whom it is measured on.
    pub fn subjects(&self, is_quick: bool) -> Vec<&'static str> {
        let mut subjects = ONE_LOOP.to_vec();
        match &self.kind {
            Kind::Echo { what, .. } => {
                subjects.splice(1..1, BARE);
                if *what == Echo::SameCpu {
                    subjects.extend(FURTHER.iter().chain(&python::NAMES).filter(|_| !is_quick));
                } else if !is_quick || *what != Echo::ServerCpu {
                    subjects.extend(TWO_WORKERS);
                }
            }
            Kind::Load(Load::Http) => return HYPER.to_vec(),
            Kind::Load(Load::Redis { .. }) => return REDIS.to_vec(),
            Kind::Load(Load::Accept) => subjects.extend([asyncio_net::PROTOCOL, asyncio_net::STREAMS]),
            Kind::Load(Load::Ours(client)) => {
                return match *client {
                    "udp" | "udp_many" => udp::NAMES.to_vec(),
                    "file" => FILES.to_vec(),
                    "proxy" => PROXIES.to_vec(),
                    "lines" => LINES.to_vec(),
                    _ => TLS.to_vec(),
                };
            }
            Kind::Library(libraries) => return libraries.to_vec(),
            // Ours, over something simpler of ours.
            Kind::InProcess if structure::CASES.iter().any(|(name, _)| *name == self.name) => {
                subjects.truncate(1)
            }
            Kind::InProcess => {
                subjects.extend(TWO_WORKERS);
                if FURTHER_CASES.contains(&&*self.name) {
                    subjects.extend(FURTHER.iter().filter(|_| !is_quick));
                }
            }
            Kind::MemConnection => subjects.extend([asyncio_net::PROTOCOL, asyncio_net::STREAMS]),
            Kind::Allocations => {}
        }
        subjects
    }
}

pub fn all() -> Vec<Case> {
    let mut cases = Vec::new();
    for (connections, size) in [(1, 64), (64, 64), (1000, 64), (64, 4096), (64, 65_536)] {
        let name = format!("echo_{connections}x{size}_samecpu");
        cases.push(Case { name, unit: "ratio", kind: Kind::Echo { connections, size, what: Echo::SameCpu } });
    }
    for connections in [64, 1000] {
        let echo = |what| Kind::Echo { connections, size: 64, what };
        let name = |what| format!("echo_{connections}x64_twocpu_{what}");
        cases.push(Case { name: name("throughput"), unit: "1/s", kind: echo(Echo::TwoCpuThroughput) });
        cases.push(Case { name: name("p99"), unit: "us", kind: echo(Echo::TwoCpuP99) });
    }
    for connections in [1, 9000] {
        let kind = Kind::Echo { connections, size: 64, what: Echo::ServerCpu };
        cases.push(Case { name: format!("echo_{connections}x64_servercpu"), unit: "ns", kind });
    }
    let load = |name: String, load| Case { name, unit: "us", kind: Kind::Load(load) };
    cases.push(load("http_hello".into(), Load::Http));
    for pipeline in [1, 16] {
        for test in ["ping_mbulk", "set", "get"] {
            cases.push(load(format!("redis_{test}_p{pipeline}"), Load::Redis { test, pipeline }));
        }
    }
    cases.push(load("accept".into(), Load::Accept));
    // A message, a handshake, a datagram, another one, a MiB, a MiB, a line.
    for client in ["tls_echo", "tls_handshake", "udp", "udp_many", "file", "proxy", "lines"] {
        cases.push(load(client.into(), Load::Ours(client)));
    }
    let in_process = [
        ("spawn_join", "ns"),
        ("spawn_many", "ns"),
        ("yield", "ns"),
        ("ping_pong", "ns"),
        ("cross_thread_wake", "ns"),
        ("block_on_ready", "ns"),
        ("cpu_bound", "ns"),
        ("scale_tasks", "ratio"),
        ("scale_timers", "ratio"),
        ("timer_insert_drop", "ns"),
        ("timer_live_100k", "ns"),
        ("timer_reset", "ns"),
        ("timer_lateness_p50", "us"),
        ("timer_cpu_each", "us"),
        ("timeout_ready", "ns"),
        ("mem_task", "bytes"),
    ];
    cases.extend(in_process.into_iter().chain(structure::CASES).map(|(name, unit)| Case {
        name: name.into(),
        unit,
        kind: Kind::InProcess,
    }));
    cases.extend(sync::CASES.into_iter().chain(outside::CASES).map(|(name, unit, libraries)| Case {
        name: name.into(),
        unit,
        kind: Kind::Library(libraries),
    }));
    cases.push(Case { name: "mem_connection".into(), unit: "bytes", kind: Kind::MemConnection });
    cases.push(Case { name: "allocs_spawn".into(), unit: "count", kind: Kind::Allocations });
    cases
}

/// Measures once. `milliseconds` is how long an echo runs.
pub fn measure(case: &Case, subject: &str, milliseconds: u64) -> Result<f64> {
    match &case.kind {
        Kind::Echo { connections, size, what } => {
            let seen = echo(subject, *connections, *size, *what, milliseconds)?;
            Ok(match what {
                Echo::SameCpu => seen.server_cpu_ns as f64 / seen.cpu_ns as f64,
                Echo::TwoCpuThroughput => seen.messages as f64 / seen.seconds,
                Echo::TwoCpuP99 => seen.p99_us,
                Echo::ServerCpu => seen.server_cpu_ns as f64 / seen.messages as f64,
            })
        }
        Kind::Load(load) => load::server_cpu(load, subject, milliseconds),
        Kind::InProcess | Kind::Library(_) => {
            Ok(process::output_of(&["measure", &case.name, subject])?.parse()?)
        }
        Kind::MemConnection => memory::connection(subject),
        Kind::Allocations => {
            let program = std::env::current_exe()?.with_file_name("allocs");
            let output = std::process::Command::new(program).arg(subject).output()?;
            Ok(String::from_utf8(output.stdout)?.trim().parse()?)
        }
    }
}

fn echo(subject: &str, connections: usize, size: usize, what: Echo, milliseconds: u64) -> Result<Seen> {
    let (cpu, sharing) = match what {
        Echo::SameCpu => ("0", Sharing::InTurn),
        Echo::TwoCpuThroughput | Echo::TwoCpuP99 | Echo::ServerCpu => ("1", Sharing::Scheduled),
    };
    let server = Server::start(subject, buffer_for(size), 0, sharing)?;
    let port = server.port.to_string();
    let (connections, size) = (connections.to_string(), size.to_string());
    let arguments = ["generate", &port, &connections, &size, cpu, &milliseconds.to_string()];
    let output = process::again_sharing(&arguments, sharing)?
        .env("BENCH_SERVER_PID", server.pid().to_string())
        .output()?;
    serde_json::from_slice(&output.stdout)
        .with_context(|| format!("the generator said: {}", String::from_utf8_lossy(&output.stderr)))
}

//! Measures asyncio beside raw epoll and its peers. `cargo xtask bench` builds and runs it.
//!
//! `run` is the whole measurement: it starts this program again, one process a measurement, with the other commands. One source
//! stands for each workload (`micro.rs`, `timers.rs`, `memory.rs`, `echo.rs`), over all subjects (`subjects/`, `peers/subjects/`).
//!
//! What needs the peers is in `peers/`, `run` among it; `cargo xtask floor` builds without them, and `no_peers.rs` takes its place.

#![cfg_attr(
    not(feature = "peers"),
    expect(dead_code, reason = "the peers use it; what nobody uses shows in the build that has them")
)]

mod subject;
mod subjects;

mod echo;
mod generator;
mod memory;
mod micro;
mod scale;
mod structure;
mod timers;

#[cfg(feature = "peers")]
mod peers;
#[cfg(not(feature = "peers"))]
#[path = "no_peers.rs"]
mod peers;

mod process;

use anyhow::{Context, Result, bail};
use subject::Subject;
use subjects::Visit;
use subjects::asyncio::AsyncioLocal;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    if peers::command(&arguments)? {
        return Ok(());
    }
    match arguments[..] {
        // Prints one number: the value of a case for a subject, in the case's unit.
        ["measure", case, subject] => {
            println!("{}", measure(case, subject)?);
            Ok(())
        }
        // Does an operation so many times and nothing else: for callgrind and strace.
        ["repeat", case, subject, count] => repeat(case, subject, count.parse().context("a count")?),
        // Serves until it is killed; prints its port first.
        ["serve", subject, size, cpu] => echo::serve(subject, size.parse()?, cpu.parse()?),
        // Prints a line of JSON: what the clients saw.
        ["generate", port, connections, size, cpu, milliseconds] => generator::main(&generator::Options {
            port: port.parse()?,
            connections: connections.parse()?,
            size: size.parse()?,
            cpu: cpu.parse()?,
            duration: std::time::Duration::from_millis(milliseconds.parse()?),
            messages: None,
        }),
        // The same, but so many messages instead of so long: for counting.
        ["generate-count", port, connections, size, cpu, messages] => generator::main(&generator::Options {
            port: port.parse()?,
            connections: connections.parse()?,
            size: size.parse()?,
            cpu: cpu.parse()?,
            duration: std::time::Duration::from_secs(60),
            messages: Some(messages.parse()?),
        }),
        // A thread wakes a busy loop a thousand times, between two marks that strace sees.
        ["wake-busy"] => {
            micro::wake_busy::<AsyncioLocal>();
            Ok(())
        }
        // Says by its exit whether the subject runs here.
        ["probe", subject] => probe(subject),
        ["park", port, connections] => generator::park(port.parse()?, connections.parse()?),
        _ => bail!(peers::USAGE),
    }
}

fn measure(case: &str, subject: &str) -> Result<f64> {
    struct Measure<'a>(&'a str);
    impl Visit for Measure<'_> {
        type Output = Result<f64>;
        fn visit<S: Subject>(self) -> Result<f64> {
            measure_on::<S>(self.0)
        }
    }
    subjects::with(subject, Measure(case))?
}

fn measure_on<S: Subject>(case: &str) -> Result<f64> {
    if S::WORKERS == 1 {
        process::pin_to(0)?;
    }
    if let Some(value) = structure::measure(case) {
        return Ok(value);
    }
    Ok(match case {
        "cpu_bound" => scale::cpu_bound::<S>(),
        "scale_tasks" => scale::tasks::<S>(),
        "scale_timers" => scale::timers::<S>(),
        "timer_lateness_p50" => timers::lateness::<S>().p50_us,
        "timer_cpu_each" => timers::lateness::<S>().cpu_us_each,
        "mem_task" => memory::task::<S>()?,
        "mem_connection" => memory::connection(S::NAME)?,
        "cross_thread_wake" => micro::cross_thread_wake::<S>(),
        _ => {
            // The count is found by doubling until a run takes 0.2 s.
            let mut count = 1000;
            loop {
                let start = std::time::Instant::now();
                operation::<S>(case, count)?;
                let elapsed = start.elapsed();
                if elapsed >= std::time::Duration::from_millis(200) {
                    break elapsed.as_nanos() as f64 / count as f64;
                }
                count *= 2;
            }
        }
    })
}

fn repeat(case: &str, subject: &str, count: usize) -> Result<()> {
    struct Repeat<'a>(&'a str, usize);
    impl Visit for Repeat<'_> {
        type Output = Result<()>;
        fn visit<S: Subject>(self) -> Result<()> {
            operation::<S>(self.0, self.1)
        }
    }
    subjects::with(subject, Repeat(case, count))?
}

/// Runs nothing, to see whether it runs at all.
fn probe(subject: &str) -> Result<()> {
    struct Probe;
    impl Visit for Probe {
        type Output = ();
        fn visit<S: Subject>(self) {
            S::run(async { S::sleep(std::time::Duration::from_millis(1)).await });
        }
    }
    subjects::with(subject, Probe)
}

/// Does the operation of a case `count` times.
fn operation<S: Subject>(case: &str, count: usize) -> Result<()> {
    match case {
        "spawn_join" => micro::spawn_join::<S>(count),
        "spawn_many" => micro::spawn_many::<S>(count),
        "yield" => micro::yields::<S>(count),
        "ping_pong" => micro::ping_pong::<S>(count),
        "block_on_ready" => micro::block_on_ready::<S>(count),
        "timer_insert_drop" => timers::insert_drop::<S>(count),
        "timer_live_100k" => timers::live_100k::<S>(count),
        "timer_reset" => timers::reset::<S>(count),
        "timeout_ready" => timers::timeout_ready::<S>(count),
        _ => bail!("no such case: {case}"),
    }
    Ok(())
}

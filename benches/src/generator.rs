//! The clients: raw epoll, closed loop. Each connection sends a message, waits for its echo, and sends the next.

use std::net::TcpStream;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::net::{RecvFlags, SendFlags};
use serde::{Deserialize, Serialize};

use crate::process;

pub struct Options {
    pub port: u16,
    pub connections: usize,
    pub size: usize,
    pub cpu: usize,
    pub duration: Duration,
    /// Ends after so many messages instead.
    pub messages: Option<u64>,
}

/// What the clients saw.
#[derive(Debug, Serialize, Deserialize)]
pub struct Seen {
    pub messages: u64,
    pub seconds: f64,
    pub p50_us: f64,
    pub p99_us: f64,
    /// Time on the processor between start and end, without connecting.
    pub cpu_ns: u64,
    /// The servers' time in the same span.
    pub server_cpu_ns: u64,
}

struct Connection {
    stream: TcpStream,
    sent: usize,
    received: usize,
    sent_at: Instant,
}

pub fn main(options: &Options) -> Result<()> {
    process::pin_to(options.cpu)?;
    println!("{}", serde_json::to_string(&generate(options)?)?);
    Ok(())
}

fn connect(port: u16, count: usize) -> Result<Vec<TcpStream>> {
    let mut streams = Vec::with_capacity(count);
    for n in 1..=count {
        streams.push(TcpStream::connect(("127.0.0.1", port))?);
        // The server's turn, where both share a processor: a full queue would cost a second for each connection.
        if n % 50 == 0 {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    Ok(streams)
}

/// Connects, says so, and waits to be killed.
pub fn park(port: u16, count: usize) -> Result<()> {
    let connections = connect(port, count)?;
    println!("connected {}", connections.len());
    loop {
        std::thread::park();
    }
}

fn generate(options: &Options) -> Result<Seen> {
    let message = vec![7; options.size];
    let mut buf = vec![0; options.size + 512];
    let epoll = epoll::create(CreateFlags::CLOEXEC)?;
    let mut connections = Vec::new();
    for (n, stream) in connect(options.port, options.connections)?.into_iter().enumerate() {
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        let flags = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
        epoll::add(&epoll, stream.as_fd(), EventData::new_u64(n as u64), flags)?;
        connections.push(Connection { stream, sent: 0, received: 0, sent_at: Instant::now() });
    }
    let mut latencies = Latencies::new();
    let mut events: Vec<epoll::Event> = Vec::with_capacity(1024);
    let mut drive = |until: &mut dyn FnMut(u64) -> bool, latencies: &mut Latencies| -> Result<u64> {
        let mut messages = 0;
        while !until(messages) {
            events.clear();
            epoll::wait(&epoll, rustix::buffer::spare_capacity(&mut events), None)?;
            for event in &events {
                let connection = &mut connections[event.data.u64() as usize];
                messages += connection.drive(&message, &mut buf, latencies)?;
            }
        }
        Ok(messages)
    };
    // Warm up: a tenth of it, in which every connection is accepted.
    let warm_until = Instant::now() + options.duration / 10;
    let warm_messages = options.messages.map(|messages| messages / 10);
    drive(
        &mut |n| warm_messages.map_or_else(|| Instant::now() >= warm_until, |max| n >= max),
        &mut latencies,
    )?;
    latencies = Latencies::new();

    let server = server_of(options.port)?;
    let me = std::process::id();
    let (cpu_before, server_before) = (process::cpu_time(me)?, process::cpu_time(server)?);
    let start = Instant::now();
    let end = start + options.duration;
    let mut until = |n| options.messages.map_or_else(|| Instant::now() >= end, |max| n >= max);
    let messages = drive(&mut until, &mut latencies)?;
    let seconds = start.elapsed().as_secs_f64();
    let cpu_ns = (process::cpu_time(me)? - cpu_before).as_nanos() as u64;
    let server_cpu_ns = (process::cpu_time(server)? - server_before).as_nanos() as u64;
    let (p50_us, p99_us) = (latencies.quantile_us(0.5), latencies.quantile_us(0.99));
    Ok(Seen { messages, seconds, p50_us, p99_us, cpu_ns, server_cpu_ns })
}

/// The parent passes the server's process on; its port is only to connect to.
fn server_of(_port: u16) -> Result<u32> {
    Ok(std::env::var("BENCH_SERVER_PID").ok().map_or(Ok(std::process::id()), |pid| pid.parse())?)
}

impl Connection {
    /// Goes as far as the socket lets it; returns how many echoes are whole.
    fn drive(&mut self, message: &[u8], buf: &mut [u8], latencies: &mut Latencies) -> Result<u64> {
        let mut whole = 0;
        loop {
            while self.sent < message.len() {
                if self.sent == 0 {
                    self.sent_at = Instant::now();
                }
                match rustix::net::send(&self.stream, &message[self.sent..], SendFlags::NOSIGNAL) {
                    Ok(n) => self.sent += n,
                    Err(rustix::io::Errno::AGAIN) => break,
                    Err(error) => return Err(error.into()),
                }
            }
            let n = match rustix::net::recv(&self.stream, &mut *buf, RecvFlags::empty()) {
                Ok((n, _)) => n,
                Err(rustix::io::Errno::AGAIN) => return Ok(whole),
                Err(error) => return Err(error.into()),
            };
            ensure!(n > 0, "the server closed a connection");
            self.received += n;
            if self.received >= message.len() {
                latencies.add(self.sent_at.elapsed());
                (self.sent, self.received) = (0, 0);
                whole += 1;
                continue;
            }
            if n < buf.len() && self.sent == message.len() {
                return Ok(whole);
            }
        }
    }
}

/// Latencies in steps of 1/32 of their size.
struct Latencies {
    counts: Vec<u64>,
}

const STEPS: u32 = 32;

impl Latencies {
    fn new() -> Self {
        Self { counts: vec![0; 64 * STEPS as usize] }
    }

    fn add(&mut self, latency: Duration) {
        let nanos = (latency.as_nanos() as u64).max(u64::from(STEPS));
        let exponent = nanos.ilog2();
        let step = (nanos >> (exponent - STEPS.ilog2())) as u32 - STEPS;
        self.counts[(exponent * STEPS + step) as usize] += 1;
    }

    fn quantile_us(&self, quantile: f64) -> f64 {
        let total: u64 = self.counts.iter().sum();
        let mut left = (total as f64 * quantile) as u64;
        for (place, count) in self.counts.iter().enumerate() {
            if *count > left {
                let (exponent, step) = (place as u32 / STEPS, place as u32 % STEPS);
                return f64::from(STEPS + step) * f64::from(exponent - STEPS.ilog2()).exp2() / 1000.0;
            }
            left -= count;
        }
        0.0
    }
}

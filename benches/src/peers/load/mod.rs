//! What clients that are not our generator do to a server, and what that costs it.

pub mod clients;

use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::net::{AddressFamily, SocketType};

use crate::process::{self, Server, Sharing};

/// Who the clients are, and what they ask for.
#[derive(Clone, Debug, PartialEq)]
pub enum Load {
    /// `wrk`, with 64 connections.
    Http,
    /// `redis-benchmark`, with 50 connections and so many requests under way on each.
    Redis { test: &'static str, pipeline: usize },
    /// Connections that end when they have begun, 64 at a time.
    Accept,
    /// A client of our own, by its name.
    Ours(&'static str),
}

/// Microseconds on the server's processor for each request. The clients have the other one.
pub fn server_cpu(load: &Load, subject: &str, milliseconds: u64) -> Result<f64> {
    let server = Server::start(subject, 1024, 0, Sharing::Scheduled)?;
    // A proxy takes each two that come for a pair, and a datagram socket nobody.
    if !matches!(load, Load::Ours(_)) {
        wait_until_it_listens(server.port)?;
    }
    if let Load::Redis { pipeline, .. } = load {
        // So that there is something to get.
        run(&Load::Redis { test: "set", pipeline: *pipeline }, server.port, milliseconds)?;
    }
    // A tenth first, to warm up.
    run(load, server.port, milliseconds / 10)?;
    let before = process::cpu_time(server.pid())?;
    let requests = run(load, server.port, milliseconds)?;
    let used =
        process::cpu_time(server.pid())?.checked_sub(before).context("a thread has ended meanwhile")?;
    Ok(used.as_secs_f64() * 1e6 / requests as f64)
}

fn wait_until_it_listens(port: u16) -> Result<()> {
    let end = Instant::now() + Duration::from_secs(10);
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        ensure!(Instant::now() < end, "nobody listens at port {port}");
        std::thread::sleep(Duration::from_millis(5)); // between two looks
    }
    Ok(())
}

/// Runs the clients; returns how many requests they have made.
fn run(load: &Load, port: u16, milliseconds: u64) -> Result<u64> {
    match load {
        Load::Http => {
            let url = format!("http://127.0.0.1:{port}/");
            // It counts in seconds.
            let seconds = milliseconds.div_ceil(1000).to_string();
            let said = said_by("wrk", &["-t1", "-c64", "-d", &seconds, &url])?;
            let is_clean = !said.contains("Socket errors") && !said.contains("Non-2xx");
            ensure!(is_clean, "wrk had errors: {said}");
            let line = said.lines().find(|line| line.contains(" requests in "));
            let count = line.and_then(|line| line.split_whitespace().next()).context("no requests")?;
            Ok(count.parse()?)
        }
        Load::Redis { test, pipeline } => {
            // About as many as it makes in this time.
            let count = milliseconds.max(100) * if *pipeline == 1 { 60 } else { 600 };
            let (port, count_text, pipeline) = (port.to_string(), count.to_string(), pipeline.to_string());
            let arguments = [
                "-q",
                "-p",
                &port,
                "-c",
                "50",
                "-n",
                &count_text,
                "-P",
                &pipeline,
                "-r",
                "10000",
                "-t",
                test,
            ];
            let said = said_by("redis-benchmark", &arguments)?;
            ensure!(said.contains("requests per second"), "redis-benchmark said: {said}");
            Ok(count)
        }
        Load::Accept => {
            let count = (milliseconds * 20 / 64).max(1) * 64;
            let me = process::again(&["connect-and-close", &port.to_string(), &count.to_string()])?
                .stderr(Stdio::inherit())
                .status()?;
            ensure!(me.success(), "connecting and closing failed: {me}");
            Ok(count)
        }
        Load::Ours(kind) => {
            let said = process::output_of(&["client", kind, &port.to_string(), &milliseconds.to_string()])?;
            Ok(said.parse()?)
        }
    }
}

fn said_by(program: &str, arguments: &[&str]) -> Result<String> {
    let output = Command::new("taskset").args(["-c", "1", program]).args(arguments).output()?;
    if !output.status.success() {
        bail!("{program} failed: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Connects, ends, and waits for the server's end, 64 at a time.
pub fn connect_and_close(port: u16, count: u32) -> Result<()> {
    process::pin_to(1)?;
    for batch in 0..count.div_ceil(64) {
        // Each batch from an address of its own, since the ports of one rest for a minute.
        let source = Ipv4Addr::from(u32::from(Ipv4Addr::new(127, 1, 0, 1)) + batch);
        let streams = (0..64).map(|_| connect_from(source, port)).collect::<Result<Vec<_>>>()?;
        for stream in &streams {
            stream.shutdown(std::net::Shutdown::Write)?;
        }
        for mut stream in streams {
            ensure!(stream.read(&mut [0; 8])? == 0, "the server said something");
        }
    }
    Ok(())
}

fn connect_from(source: Ipv4Addr, port: u16) -> Result<TcpStream> {
    let socket = rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None)?;
    rustix::net::bind(&socket, &SocketAddr::from((source, 0)))?;
    rustix::net::connect(&socket, &SocketAddr::from(([127, 0, 0, 1], port)))?;
    Ok(TcpStream::from(socket))
}

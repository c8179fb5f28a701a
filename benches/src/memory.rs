//! What a runtime keeps for each task and each connection, in resident bytes.

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::process::{self, Server, Sharing};
use crate::subject::Subject;
use crate::subjects::asyncio_net;

/// Bytes a pending task with 64 bytes of state.
pub fn task<S: Subject>() -> Result<f64> {
    const COUNT: usize = 500_000;
    let me = std::process::id();
    S::run(async {
        let before = process::resident(me)?;
        for n in 0..COUNT {
            let state = [n; 8];
            drop(S::spawn(async move {
                std::future::pending::<()>().await;
                std::hint::black_box(state);
            }));
        }
        // Every task has been polled once when this one comes back.
        for _ in 0..3 {
            crate::micro::WakeSelf::default().await;
        }
        S::sleep(Duration::from_millis(50)).await;
        Ok((process::resident(me)? - before) as f64 / COUNT as f64)
    })
}

/// Bytes a parked connection, without its buffer of 1 KiB.
pub fn connection(subject: &str) -> Result<f64> {
    const BUFFER: usize = 1024;
    // 9,000, or what the system lets one process have.
    let count = (process::raise_descriptors()? as usize).saturating_sub(200).min(9000);
    let server = Server::start(subject, BUFFER, 0, Sharing::Scheduled)?;
    // The first connections pay for what is made once.
    let _warm = Parked::start(&server, 100)?;
    let before = process::resident(server.pid())?;
    let _parked = Parked::start(&server, count)?;
    let after = process::resident(server.pid())?;
    // Those that have no buffer of their own while nothing comes.
    let buffer = if [asyncio_net::PROTOCOL, asyncio_net::STREAMS].contains(&subject) { 0 } else { BUFFER };
    Ok((after - before) as f64 / count as f64 - buffer as f64)
}

/// Clients that do nothing, in a process of their own; killed when dropped.
struct Parked(std::process::Child);

impl Parked {
    /// Connects, and waits until the server has accepted all and has nothing left to do.
    fn start(server: &Server, count: usize) -> Result<Self> {
        // One that has just begun may have a file open that it closes again.
        settle(server, 0)?;
        let wanted = process::descriptors(server.pid())? + count;
        let arguments = ["park", &server.port.to_string(), &count.to_string()];
        let mut child = process::again(&arguments)?.stdout(Stdio::piped()).spawn()?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().context("its output is a pipe")?).read_line(&mut line)?;
        let this = Self(child);
        settle(server, wanted).with_context(|| format!("{count} connections"))?;
        Ok(this)
    }
}

/// Waits until the server has so many descriptors, and has done nothing between two looks.
fn settle(server: &Server, descriptors: usize) -> Result<()> {
    let end = Instant::now() + Duration::from_secs(60);
    let mut used = None;
    loop {
        let now = Some(process::cpu_time(server.pid())?);
        if process::descriptors(server.pid())? >= descriptors && used == now {
            return Ok(());
        }
        ensure!(Instant::now() < end, "the server has not come to rest with {descriptors} descriptors");
        used = now;
        // Nobody tells when another process comes to rest: so it is looked at again, this much later.
        std::thread::sleep(Duration::from_millis(20));
    }
}

impl Drop for Parked {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

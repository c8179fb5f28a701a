//! This process and its children: processors, time on them, memory.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::{CpuSet, sched_setaffinity};

use crate::peers;

/// Stays on one processor.
pub fn pin_to(cpu: usize) -> Result<()> {
    let mut set = CpuSet::new();
    set.set(cpu);
    sched_setaffinity(None, &set).context("staying on one processor")
}

/// Takes as many descriptors as the system lets this process and its children have, and returns how many.
pub fn raise_descriptors() -> Result<u64> {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })
        .context("raising the limit of descriptors")?;
    Ok(limit.maximum.unwrap_or(u64::MAX))
}

/// Time on processors of all threads of a process, from the scheduler's own nanoseconds.
pub fn cpu_time(pid: u32) -> Result<Duration> {
    let mut total = 0;
    for thread in std::fs::read_dir(format!("/proc/{pid}/task"))? {
        let text = std::fs::read_to_string(thread?.path().join("schedstat"))?;
        total += text.split(' ').next().unwrap_or("0").parse::<u64>()?;
    }
    Ok(Duration::from_nanos(total))
}

/// How many descriptors a process has open.
pub fn descriptors(pid: u32) -> Result<usize> {
    Ok(std::fs::read_dir(format!("/proc/{pid}/fd"))?.count())
}

/// Resident memory of a process, in bytes.
pub fn resident(pid: u32) -> Result<u64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
    let line = text.lines().find(|line| line.starts_with("Rss:")).context("no Rss in smaps_rollup")?;
    let kib: u64 = line.split_whitespace().nth(1).context("no number in Rss")?.parse()?;
    Ok(kib * 1024)
}

/// This program, with other arguments.
pub fn again(arguments: &[&str]) -> Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(arguments);
    Ok(command)
}

/// How two processes share a processor.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Sharing {
    /// As the system's scheduler likes.
    Scheduled,
    /// Each runs until it waits (`SCHED_FIFO`). Under the usual scheduler the one that has used less time preempts the other: the
    /// ratio of two that need about the same jumps by a tenth, at random. `docs/performance.md` has the figures.
    InTurn,
}

/// This program, with other arguments, on a processor that it shares.
pub fn again_sharing(arguments: &[&str], sharing: Sharing) -> Result<Command> {
    if sharing == Sharing::Scheduled || !may_run_in_turn() {
        return again(arguments);
    }
    let mut command = Command::new("chrt");
    command.args(["--fifo", "1"]).arg(std::env::current_exe()?).args(arguments);
    Ok(command)
}

/// Says whether [`Sharing::InTurn`] can be had: it needs chrt(1), and root or `CAP_SYS_NICE`. Without it the echoes on one
/// processor run as scheduled, and the report says so.
pub fn may_run_in_turn() -> bool {
    static MAY: LazyLock<bool> = LazyLock::new(|| {
        let tried = Command::new("chrt").args(["--fifo", "1", "true"]).stderr(Stdio::null()).status();
        tried.is_ok_and(|status| status.success())
    });
    *MAY
}

/// Runs this program again and returns what it printed.
pub fn output_of(arguments: &[&str]) -> Result<String> {
    let output = again(arguments)?.stderr(Stdio::inherit()).output()?;
    if !output.status.success() {
        bail!("`{}` failed: {}", arguments.join(" "), output.status);
    }
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

/// A server in a process of its own; killed when dropped.
pub struct Server {
    child: Child,
    pub port: u16,
}

impl Server {
    pub fn start(subject: &str, buffer: usize, cpu: usize, sharing: Sharing) -> Result<Self> {
        let mut program = match peers::program(subject, cpu)? {
            Some(program) => program,
            None => {
                let serve = ["serve", subject, &buffer.to_string(), &cpu.to_string()].map(str::to_owned);
                let me = std::env::current_exe()?.to_string_lossy().into_owned();
                std::iter::once(me).chain(serve).collect()
            }
        };
        if sharing == Sharing::InTurn && may_run_in_turn() {
            program.splice(0..0, ["chrt", "--fifo", "1"].map(str::to_owned));
        }
        let mut child = Command::new(&program[0]).args(&program[1..]).stdout(Stdio::piped()).spawn()?;
        let mut line = String::new();
        let stdout = child.stdout.take().context("its output is a pipe")?;
        BufReader::new(stdout).read_line(&mut line)?;
        Ok(Self { child, port: line.trim().parse().context("the server's port")? })
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

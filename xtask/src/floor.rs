//! The counts that do not depend on the machine's load: system calls, allocations, bytes, instructions. Bounds: `xtask/floor.toml`.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;

use crate::bench::Programs;
use crate::shell::{self, command, output, root};

#[derive(Debug, Deserialize)]
struct Bounds {
    system_calls_a_message: BTreeMap<String, f64>,
    system_calls_waking: BTreeMap<String, f64>,
    allocations: BTreeMap<String, f64>,
    bytes: BTreeMap<String, f64>,
    instructions_over_tokio: BTreeMap<String, f64>,
}

/// One count, beside its bound.
#[derive(Debug)]
struct Count {
    name: String,
    value: f64,
    bound: f64,
}

/// The command that builds the programs.
pub(crate) fn build() -> Command {
    Programs::WithoutPeers.build()
}

pub(crate) fn run() -> Result<()> {
    shell::run(&mut build())?;
    let text = std::fs::read_to_string(root().join("xtask/floor.toml"))?;
    let bounds: Bounds = toml::from_str(&text).context("xtask/floor.toml")?;
    let mut counts = Vec::new();
    for (connections, key) in [(1, "connections_1"), (64, "connections_64")] {
        let value = system_calls_a_message(connections)?;
        counts.push(count("system calls a message, ", key, value, &bounds.system_calls_a_message)?);
    }
    let waking = system_calls_waking()?;
    counts.push(count("system calls of 1,000 wakes, ", "busy_loop", waking, &bounds.system_calls_waking)?);
    let allocations = number(&mut command(&program("allocs"), &["asyncio-local"]))?;
    counts.push(count("allocations, ", "task", allocations, &bounds.allocations)?);
    for (key, arguments) in [
        ("mem_task", ["measure", "mem_task", "asyncio-local"]),
        ("mem_connection", ["measure", "mem_connection", "asyncio-local"]),
    ] {
        let bytes = number(&mut command(&program("bench"), &arguments))?;
        counts.push(count("bytes, ", key, bytes, &bounds.bytes)?);
    }
    for key in ["spawn_join", "yield", "ping_pong"] {
        let ratio = instructions(key, "asyncio-local")? / instructions(key, "tokio-ct")?;
        counts.push(count("instructions over tokio's, ", key, ratio, &bounds.instructions_over_tokio)?);
    }
    verdict(&counts)
}

fn program(name: &str) -> String {
    Programs::WithoutPeers.path(name)
}

fn count(what: &str, key: &str, value: f64, bounds: &BTreeMap<String, f64>) -> Result<Count> {
    let bound = *bounds.get(key).with_context(|| format!("xtask/floor.toml has no {key}"))?;
    Ok(Count { name: format!("{what}{key}"), value, bound })
}

fn verdict(counts: &[Count]) -> Result<()> {
    let mut over = Vec::new();
    for Count { name, value, bound } in counts {
        eprintln!("{name:<48} {value:>9.3}  (at most {bound})");
        if value > bound {
            over.push(format!("{name}: {value:.3} is over {bound}"));
        }
    }
    ensure!(over.is_empty(), "the floor has sunk:\n{}", over.join("\n"));
    Ok(())
}

fn number(command: &mut Command) -> Result<f64> {
    let text = output(command)?;
    text.trim().parse().with_context(|| format!("{text:?} is not a number"))
}

/// Instructions an operation, from two runs of different lengths, so that starting and ending cancel out.
fn instructions(case: &str, subject: &str) -> Result<f64> {
    const FEW: u32 = 1000;
    const MANY: u32 = 11_000;
    let collect = |count: u32| -> Result<f64> {
        let arguments = [
            "--tool=callgrind",
            "--callgrind-out-file=/dev/null",
            &program("bench"),
            "repeat",
            case,
            subject,
            &count.to_string(),
        ];
        let run = command("valgrind", &arguments).output().context("valgrind")?;
        let text = String::from_utf8_lossy(&run.stderr).into_owned();
        let line = text
            .lines()
            .find(|line| line.contains("Collected :"))
            .with_context(|| format!("valgrind said: {text}"))?;
        Ok(line.split_whitespace().last().unwrap_or("").parse()?)
    };
    Ok((collect(MANY)? - collect(FEW)?) / f64::from(MANY - FEW))
}

/// Runs an echo server under strace for so many messages and counts its calls, less those of a shorter run.
fn system_calls_a_message(connections: u32) -> Result<f64> {
    const FEW: u32 = 1000;
    const MANY: u32 = 25_000;
    let few = server_calls(connections, FEW)?;
    let many = server_calls(connections, MANY)?;
    let of = |calls: &Calls, name: &str| calls.get(name).copied().unwrap_or(0) as f64;
    let mut total = 0.0;
    for name in many.keys() {
        let more = of(&many, name) - of(&few, name);
        let is_expected = ["epoll_pwait2", "epoll_wait", "recvfrom", "sendto"].contains(&name.as_str());
        // A handful may fall on either side of the cut, by chance.
        if !is_expected && more > f64::from(MANY - FEW) / 100.0 {
            bail!("an echo of {connections} connections calls {name} in steady state: {more} times more");
        }
        total += if is_expected { more } else { 0.0 };
    }
    // The warm-up is a tenth of the messages.
    Ok(total / (f64::from(MANY - FEW) * 1.1))
}

type Calls = BTreeMap<String, u64>;

fn server_calls(connections: u32, messages: u32) -> Result<Calls> {
    let trace = root().join(format!("target/floor-{connections}-{messages}.strace"));
    let server = Traced::start(
        &["-f", "-c", "-o", &trace.to_string_lossy()],
        &["serve", "asyncio-local", "576", "0"],
    )?;
    let [port, connections, messages] =
        [server.first_line.clone(), connections.to_string(), messages.to_string()];
    let generator = ["generate-count", &port, &connections, "64", "1", &messages];
    output(&mut command(&program("bench"), &generator))?;
    // Dropped connections are closed before the count ends.
    std::thread::sleep(Duration::from_millis(100));
    server.interrupt()?;
    let text = std::fs::read_to_string(&trace).with_context(|| format!("reading {}", trace.display()))?;
    Ok(parse_counts(&text))
}

/// The lines of `strace -c`: share, seconds, microseconds a call, calls, perhaps errors, name.
fn parse_counts(text: &str) -> Calls {
    let mut calls = Calls::new();
    for line in text.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let (Some(count), Some(name)) = (words.get(3).and_then(|count| count.parse().ok()), words.last())
        else {
            continue;
        };
        if *name != "total" {
            calls.insert(name.to_string(), count);
        }
    }
    calls
}

/// Counts the calls of a thread that wakes a busy loop a thousand times, between two marks.
fn system_calls_waking() -> Result<f64> {
    let trace = root().join("target/floor-waking.strace");
    let arguments = ["-f", "-o", &trace.to_string_lossy(), &program("bench"), "wake-busy"];
    output(&mut command("strace", &arguments))?;
    let text = std::fs::read_to_string(&trace)?;
    // The marks are calls that nothing else makes: `getppid` before the first wake and after the last.
    let marks: Vec<(usize, &str)> = text
        .lines()
        .enumerate()
        .filter(|(_, line)| line.contains("getppid("))
        .map(|(n, line)| (n, line.split_whitespace().next().unwrap_or("")))
        .collect();
    let [(first, thread), (last, _)] = marks[..] else {
        bail!("the trace has {} marks, not two", marks.len())
    };
    let between = text.lines().skip(first + 1).take(last - first - 1);
    Ok(between.filter(|line| line.starts_with(thread) && !line.contains("resumed")).count() as f64)
}

/// A program of ours under strace, ended with SIGINT so that strace writes its counts.
struct Traced {
    child: Child,
    first_line: String,
}

impl Traced {
    fn start(strace: &[&str], arguments: &[&str]) -> Result<Self> {
        let mut command = command("strace", strace);
        command.arg(program("bench")).args(arguments);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().context("strace")?;
        let mut first_line = String::new();
        let stdout = child.stdout.take().context("its output is a pipe")?;
        BufReader::new(stdout).read_line(&mut first_line)?;
        Ok(Self { child, first_line: first_line.trim().to_owned() })
    }

    fn interrupt(mut self) -> Result<()> {
        // strace hands the signal on, and ends with the program.
        let children = format!("/proc/{0}/task/{0}/children", self.child.id());
        let pid = std::fs::read_to_string(children)?.trim().to_owned();
        output(&mut command("kill", &["-INT", &pid]))?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Traced {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_planted_extra_call_is_over_the_bound() {
        let bounds: Bounds =
            toml::from_str(&std::fs::read_to_string(root().join("xtask/floor.toml")).unwrap()).unwrap();
        for (key, planted) in [("connections_1", 4.0), ("connections_64", 3.03)] {
            let planted = count("", key, planted, &bounds.system_calls_a_message).unwrap();
            assert!(verdict(&[planted]).unwrap_err().to_string().contains(key));
        }
        let fine = count("", "connections_1", 3.0, &bounds.system_calls_a_message).unwrap();
        verdict(&[fine]).unwrap();
    }

    #[test]
    fn strace_is_understood() {
        let text = "% time     seconds  usecs/call     calls    errors syscall\n\
                    ------ ----------- ----------- --------- --------- ----------------\n \
                    60.20    0.189573          24      7805           sendto\n  \
                    0.29    0.000898          13        65         1 accept4\n\
                    ------ ----------- ----------- --------- --------- ----------------\n\
                    100.00    0.314879                 7870         1 total\n";
        assert_eq!(parse_counts(text), Calls::from([("sendto".into(), 7805), ("accept4".into(), 65)]));
    }
}

//! The determinism check: the same seeds in two fresh processes, whose memory lies elsewhere, with other environments.
//!
//! What goes past the simulation, such as `Instant::now`, the order of a hash table or a thread, is different there, and so is the hash. Then both run
//! that seed once more and tell each event, up to the first that differs.

use std::fmt;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

/// Where two runs of one seed part.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Difference {
    /// The scenario and its seed.
    pub seed: String,
    /// The number of the first event that differs, counted from 1; none if they were the same when they told their events.
    pub event: Option<usize>,
    /// What it was in the two runs; nothing where one had ended.
    pub lines: [Option<String>; 2],
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: two processes ran it differently", self.seed)?;
        let Some(event) = self.event else {
            return f.write_str(", though not when they told their events: something depends on the time");
        };
        let line = |nth: usize| self.lines[nth].as_deref().unwrap_or("the end");
        write!(f, "; the first difference is event {event}: {:?} here, {:?} there", line(0), line(1))
    }
}

impl std::error::Error for Difference {}

/// Runs a test of this binary, which explores with an [`Explorer`](crate::Explorer), in two fresh processes, and compares the hashes of its seeds. Returns how many there were.
///
/// `test` is its full name, as `cargo test` prints it; it must not be the one that calls this.
///
/// # Errors
///
/// Fails with the first difference as the source of an error of kind `Other`; where a process cannot be started; and where the test fails, or explores nothing.
pub fn compare_in_fresh_processes(test: &str, seeds: u64) -> io::Result<usize> {
    let runs = [Run::new(test, 0), Run::new(test, 1)];
    let count = seeds.to_string();
    let env = [("ASYNCIO_SIM_SEEDS", count.as_str())];
    let mut children = Vec::new();
    for run in &runs {
        children.push(run.start("ASYNCIO_SIM_HASHES", &env)?);
    }
    let mut hashes = Vec::new();
    for (run, child) in runs.iter().zip(children) {
        let (lines, status) = run.finish(child)?;
        if !status.success() {
            return Err(io::Error::other(format!(
                "the test {test:?} failed in a process of its own: {status}"
            )));
        }
        hashes.push(lines);
    }
    let [first, second] = [&hashes[0], &hashes[1]];
    if first.is_empty() {
        return Err(io::Error::other(format!("the test {test:?} explored nothing")));
    }
    let differs = |nth: &usize| first.get(*nth) != second.get(*nth);
    match (0..first.len().max(second.len())).find(differs) {
        None => Ok(first.len()),
        Some(nth) => {
            let line = first.get(nth).or(second.get(nth)).cloned().unwrap_or_default();
            Err(io::Error::other(first_difference(&runs, &line)?))
        }
    }
}

/// Has both tell what happens in the run of a line, and finds where they part.
fn first_difference(runs: &[Run; 2], line: &str) -> io::Result<Difference> {
    let mut words = line.split(' ');
    let (name, seed) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let mut events = Vec::new();
    for run in runs {
        let child = run.start("ASYNCIO_SIM_EVENTS", &[("ASYNCIO_SIM_SEED", seed)])?;
        events.push(run.finish(child)?.0);
    }
    let longest = events[0].len().max(events[1].len());
    let event = (0..longest).find(|nth| events[0].get(*nth) != events[1].get(*nth));
    let at = |run: usize| event.and_then(|nth| events[run].get(nth).cloned());
    let lines = [at(0), at(1)];
    Ok(Difference { seed: format!("{name}, seed {seed}"), event: event.map(|nth| nth + 1), lines })
}

/// One of the two processes, and the file in which it says what it did.
struct Run {
    test: String,
    nth: usize,
    file: PathBuf,
}

impl Run {
    fn new(test: &str, nth: usize) -> Self {
        let (id, name) = (std::process::id(), test.replace("::", "-"));
        let file = std::env::temp_dir().join(format!("asyncio-sim-{id}-{name}-{nth}"));
        Self { test: test.to_owned(), nth, file }
    }

    fn start(&self, variable: &str, env: &[(&str, &str)]) -> io::Result<std::process::Child> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args([&self.test, "--exact", "--test-threads=1"]);
        // What this process was asked for is not meant for them.
        command.env_remove("ASYNCIO_SIM_SCRIPT").env_remove("ASYNCIO_SIM_SEED").envs(env.iter().copied());
        command.env(variable, &self.file).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        if self.nth == 1 {
            // All that should not matter.
            command
                .env("ASYNCIO_SIM_PADDING", "x".repeat(4096))
                .env("TZ", "Asia/Tokyo")
                .env("LANG", "tr_TR.UTF-8");
            command.env("RUST_BACKTRACE", "0").current_dir(std::env::temp_dir());
        }
        command.spawn()
    }

    fn finish(&self, mut child: std::process::Child) -> io::Result<(Vec<String>, ExitStatus)> {
        let status = child.wait()?;
        let lines = read_lines(&self.file)?;
        std::fs::remove_file(&self.file)?;
        Ok((lines, status))
    }
}

fn read_lines(path: &Path) -> io::Result<Vec<String>> {
    match std::fs::File::open(path) {
        Ok(file) => BufReader::new(file).lines().collect(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            std::fs::write(path, "")?;
            Ok(Vec::new())
        }
        Err(error) => Err(error),
    }
}

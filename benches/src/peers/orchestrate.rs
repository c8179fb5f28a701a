//! `run`: all cases, in interleaved rounds, and the report of them.

use std::collections::BTreeSet;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use crate::peers::cases::{self, Case, Echo, Kind};
use crate::peers::report::{Report, Row};
use crate::peers::subjects;

const HELP: &str = "\
cargo xtask bench [OPTIONS]

  --quick          few rounds, in about 4 minutes
  --rounds N       so many rounds of each case
  --only CASE      one case, or all whose name begins so
  --baseline FILE  a report.json to compare with
  --out DIR        where report.json, report.md and report.html go (target/bench)
";

struct Options {
    is_quick: bool,
    rounds: Option<usize>,
    only: Option<String>,
    baseline: Option<PathBuf>,
    out: PathBuf,
}

pub fn run(arguments: &[&str]) -> Result<()> {
    let Some(options) = parse(arguments)? else {
        print!("{HELP}");
        return Ok(());
    };
    let is_wanted =
        |case: &Case| options.only.as_ref().is_none_or(|only| case.name.starts_with(only.as_str()));
    let wanted: Vec<Case> = cases::all().into_iter().filter(is_wanted).collect();
    if wanted.is_empty() {
        bail!(
            "no case has that name; there are: {}",
            cases::all().iter().map(|case| &*case.name).collect::<Vec<_>>().join(" ")
        );
    }
    let mut report = Report::new()?;
    let mut present = Vec::new();
    let asked: BTreeSet<&str> = wanted.iter().flat_map(|case| case.subjects(options.is_quick)).collect();
    for subject in asked {
        match subjects::absence(subject) {
            None => present.push(subject),
            Some(why) => {
                eprintln!("{subject} is left out: {why}");
                report.machine.insert(format!("left out: {subject}"), why);
            }
        }
    }
    for case in &wanted {
        let (rounds, milliseconds) = effort(case, options.is_quick);
        let rounds = options.rounds.unwrap_or(rounds).max(1);
        eprintln!("{} ({rounds} rounds)", case.name);
        let subjects =
            case.subjects(options.is_quick).into_iter().filter(|subject| present.contains(subject));
        report.rows.extend(measure(case, &subjects.collect::<Vec<_>>(), rounds, milliseconds)?);
    }
    report.write(&options.out, options.baseline.as_deref())?;
    print!("{}", report.markdown());
    eprintln!("written: {}", options.out.join("report.{json,md,html}").display());
    Ok(())
}

/// How many rounds, and how long each echo runs.
fn effort(case: &Case, is_quick: bool) -> (usize, u64) {
    match (&case.kind, is_quick) {
        // 9,000 connections take longer to make than to use.
        (Kind::Echo { what: Echo::ServerCpu, .. }, false) => (3, 700),
        (Kind::Load(_), true) => (1, 700),
        (Kind::Load(_), false) => (9, 3000),
        (Kind::Echo { what: Echo::SameCpu, .. }, true) => (2, 400),
        (Kind::Echo { .. }, true) => (1, 400),
        (Kind::Echo { .. }, false) => (15, 1500),
        (Kind::InProcess | Kind::Library(_), true) => (1, 0),
        (Kind::InProcess | Kind::Library(_), false) => (9, 0),
        (Kind::MemConnection | Kind::Allocations, _) => (1, 0),
    }
}

/// Round by round, all subjects in each, so that a slow minute of the machine falls on all alike.
fn measure(case: &Case, subjects: &[&str], rounds: usize, milliseconds: u64) -> Result<Vec<Row>> {
    let mut values = vec![Vec::new(); subjects.len()];
    for _ in 0..rounds {
        for (values, subject) in values.iter_mut().zip(subjects) {
            let value = cases::measure(case, subject, milliseconds);
            values.push(value.with_context(|| format!("{} on {subject}", case.name))?);
        }
    }
    Ok(subjects.iter().zip(values).map(|(subject, values)| Row::new(case, subject, values)).collect())
}

fn parse(arguments: &[&str]) -> Result<Option<Options>> {
    let mut options =
        Options { is_quick: false, rounds: None, only: None, baseline: None, out: "../target/bench".into() };
    let mut arguments = arguments.iter();
    while let Some(&argument) = arguments.next() {
        let mut value = || arguments.next().with_context(|| format!("{argument} needs a value"));
        match argument {
            "--quick" => options.is_quick = true,
            "--rounds" => options.rounds = Some(value()?.parse().context("a number of rounds")?),
            "--only" => options.only = Some(value()?.to_string()),
            "--baseline" => options.baseline = Some(value()?.into()),
            "--out" => options.out = value()?.into(),
            "--help" | "-h" => return Ok(None),
            _ => bail!("no such option: {argument}\n\n{HELP}"),
        }
    }
    Ok(Some(options))
}

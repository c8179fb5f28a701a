//! The arrows between crates: `cargo metadata` against one table.
//!
//! Dev-dependencies may point anywhere, but for the rules on the crates of others below.

use std::collections::BTreeSet;

use anyhow::{Context, Result, bail};
use cargo_metadata::{DependencyKind, MetadataCommand};

use crate::shell::root;

/// Which crates of ours a crate of ours may depend on: DESIGN's table, printed in docs/architecture.md.
pub(crate) const ARROWS: &[(&str, &[&str])] = &[
    ("asyncio-base", &[]),
    ("asyncio-timers", &["base"]),
    ("asyncio-reactor", &["base"]),
    ("asyncio-executor", &["base"]),
    ("asyncio-sync", &["base"]),
    ("asyncio-tasks", &["base", "executor", "timers"]),
    ("asyncio-runtime", &["base", "timers", "reactor", "executor", "tasks"]),
    ("asyncio-blocking", &["base", "sync", "tasks"]),
    ("asyncio-signal", &["base", "reactor"]),
    ("asyncio-net", &["base", "reactor", "timers", "sync", "tasks", "blocking"]),
    ("asyncio-process", &["base", "reactor", "timers", "sync", "tasks", "signal", "net"]),
    ("asyncio-sim", &["base", "timers", "reactor", "executor", "tasks", "runtime", "blocking", "net"]),
    ("asyncio-macros", &[]),
];

/// What the facade, the examples and the tools may depend on: everything.
const MAY_ALL: &[&str] = &["asyncio", "examples"];

/// Packages whose very point is what they do not depend on: of ours, these alone.
const ALONE: &[(&str, &[&str])] =
    &[("executor_only", &["asyncio-executor"]), ("reactor_only", &["asyncio-reactor"]), ("xtask", &[])];

/// Never a normal dependency, since we are to be better than they are.
const PEERS: &[&str] = &[
    "tokio",
    "mio",
    "async-io",
    "async-executor",
    "async-lock",
    "async-channel",
    "event-listener",
    "smol",
    "futures-executor",
];

/// One arrow of the graph.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Arrow {
    pub(crate) from: String,
    pub(crate) to: String,
    pub(crate) is_dev: bool,
}

pub(crate) fn run() -> Result<()> {
    let faults = faults(&graph()?);
    if !faults.is_empty() {
        bail!("{}", faults.join("\n"));
    }
    eprintln!("layers: every arrow is in the table");
    Ok(())
}

/// Reads the arrows of the workspace's own packages, normal ones and those of build scripts alike.
fn graph() -> Result<Vec<Arrow>> {
    let metadata = MetadataCommand::new().current_dir(root()).no_deps().exec().context("cargo metadata")?;
    let mut arrows = Vec::new();
    for package in &metadata.packages {
        for dependency in &package.dependencies {
            arrows.push(Arrow {
                from: package.name.to_string(),
                to: dependency.name.clone(),
                is_dev: dependency.kind == DependencyKind::Development,
            });
        }
    }
    Ok(arrows)
}

pub(crate) fn faults(arrows: &[Arrow]) -> Vec<String> {
    let ours: BTreeSet<&str> = ARROWS.iter().map(|(name, _)| *name).chain(["asyncio"]).collect();
    let mut faults = Vec::new();
    for Arrow { from, to, .. } in arrows.iter().filter(|arrow| !arrow.is_dev) {
        if PEERS.contains(&to.as_str()) {
            faults.push(format!("{from} -> {to}: a peer is never a normal dependency"));
        }
        if ours.contains(to.as_str()) && !is_allowed(from, to) {
            faults.push(format!("{from} -> {to}: this arrow is not in the table of xtask/src/layers.rs"));
        }
    }
    faults
}

fn is_allowed(from: &str, to: &str) -> bool {
    if MAY_ALL.contains(&from) {
        return true;
    }
    let short = to.strip_prefix("asyncio-").unwrap_or(to);
    let in_table = |table: &[(&str, &[&str])], to| {
        table.iter().find(|(name, _)| *name == from).is_some_and(|(_, may)| may.contains(&to))
    };
    in_table(ARROWS, short) || in_table(ALONE, to)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arrow(from: &str, to: &str, is_dev: bool) -> Arrow {
        Arrow { from: from.into(), to: to.into(), is_dev }
    }

    #[test]
    fn the_workspace_is_clean() {
        assert_eq!(faults(&graph().unwrap()), [] as [String; 0]);
    }

    #[test]
    fn a_planted_arrow_is_refused() {
        let mut arrows = graph().unwrap();
        arrows.push(arrow("asyncio-reactor", "asyncio-executor", false));
        let faults = faults(&arrows);
        assert_eq!(faults.len(), 1, "{faults:?}");
        assert!(faults[0].starts_with("asyncio-reactor -> asyncio-executor"));
    }

    #[test]
    fn siblings_and_peers_are_refused_and_tests_may_use_both() {
        for (from, to) in [
            ("asyncio-timers", "asyncio-reactor"),
            ("asyncio-executor", "asyncio-timers"),
            ("asyncio-base", "asyncio-timers"),
            ("asyncio-tasks", "asyncio-reactor"),
            ("asyncio-net", "asyncio-runtime"),
            ("asyncio-runtime", "asyncio"),
            ("executor_only", "asyncio-base"),
            ("asyncio-executor", "tokio"),
            ("asyncio", "futures-executor"),
            ("xtask", "asyncio"),
        ] {
            assert_eq!(faults(&[arrow(from, to, false)]).len(), 1, "{from} -> {to}");
            assert_eq!(faults(&[arrow(from, to, true)]).len(), 0, "{from} -> {to}");
        }
    }
}

//! What needs the peers: their subjects, the cases that compare libraries, and the whole measurement, which names them all.
//!
//! In a build without the feature `peers`, `no_peers.rs` takes its place. Both have one surface: [`command`], [`with`], [`server`],
//! [`program`] and [`USAGE`].

mod subjects;

mod load;
mod outside;
mod sync;

mod cases;
mod orchestrate;
mod report;

use anyhow::{Context, Result};

pub use self::subjects::{program, server, with};
use crate::process;

/// The answer to a command that does not exist.
pub const USAGE: &str = "usage: see `cargo xtask bench --help`";

/// Does a command, if it is one that needs the peers, and says whether it was.
pub fn command(arguments: &[&str]) -> Result<bool> {
    // A worker of the pool of processes goes no further.
    drop(outside::functions());
    match *arguments {
        ["run", ref options @ ..] => orchestrate::run(options)?,
        ["measure", case, library] if case.starts_with("out_") => {
            println!("{}", outside::measure(case, library)?);
        }
        ["measure", case, library] if case.starts_with("sync_") => {
            if !case.ends_with("_workers2") {
                process::pin_to(0)?;
            }
            println!("{}", sync::measure(case, library)?);
        }
        ["repeat", case, library, count] if case.starts_with("sync_") => {
            sync::run(case, library, count.parse().context("a count")?)?;
        }
        ["pong"] => outside::pong()?,
        ["connect-and-close", port, count] => load::connect_and_close(port.parse()?, count.parse()?)?,
        // Prints how many requests were answered.
        ["client", kind, port, milliseconds] => {
            load::clients::main(kind, port.parse()?, milliseconds.parse()?)?;
        }
        _ => return Ok(false),
    }
    Ok(true)
}

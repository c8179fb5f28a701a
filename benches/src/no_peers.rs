//! Takes the place of `peers/` in a build without the feature `peers`, with the same surface: it has nothing, and says so.

use std::net::TcpListener;

use anyhow::{Result, bail};

use crate::subjects::Visit;

/// The answer to whoever asks for what is not in this build.
pub const USAGE: &str = "this build has no peers: build with the feature `peers`";

/// Does nothing: no command is left that needs the peers.
pub fn command(_arguments: &[&str]) -> Result<bool> {
    Ok(false)
}

/// Fails, since no runtime is left.
pub fn with<V: Visit>(_name: &str, _visit: V) -> Result<V::Output> {
    bail!(USAGE)
}

/// What serves by this name: nothing.
pub fn server(_name: &str) -> Option<fn(&str, TcpListener) -> Result<()>> {
    None
}

/// The command line of a server that is another program: none.
pub fn program(_name: &str, _cpu: usize) -> Result<Option<Vec<String>>> {
    Ok(None)
}
